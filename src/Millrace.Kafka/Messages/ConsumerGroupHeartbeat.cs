using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>ConsumerGroupHeartbeat (key 68), versions 0 to 1.</summary>
public sealed class ConsumerGroupHeartbeatRequest : IWireStruct
{
    public string GroupId = "";
    public string MemberId = "";
    public int MemberEpoch;
    public string? InstanceId;
    public string? RackId;
    public int RebalanceTimeoutMs = -1;
    public List<string>? SubscribedTopicNames;
    public string? SubscribedTopicRegex;
    public string? ServerAssignor;
    public List<OwnedTopic>? TopicPartitions;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.String(ref GroupId);
        codec.String(ref MemberId);
        codec.Int32(ref MemberEpoch);
        codec.NullableString(ref InstanceId);
        codec.NullableString(ref RackId);
        codec.Int32(ref RebalanceTimeoutMs);
        codec.NullableStrings(ref SubscribedTopicNames);
        if (codec.Version >= 1)
            codec.NullableString(ref SubscribedTopicRegex);
        codec.NullableString(ref ServerAssignor);
        codec.NullableStructs(ref TopicPartitions);
    }

    public sealed class OwnedTopic : IWireStruct
    {
        public Guid TopicId;
        public List<int> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Uuid(ref TopicId);
            codec.Int32s(ref Partitions);
        }
    }
}

/// <summary>The answer to <see cref="ConsumerGroupHeartbeatRequest"/>.</summary>
public sealed class ConsumerGroupHeartbeatResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public ErrorCode ErrorCode;
    public string? ErrorMessage;
    public string? MemberId;
    public int MemberEpoch;
    public int HeartbeatIntervalMs;
    public MemberAssignment? Assignment;

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Error(ref ErrorCode);
        codec.NullableString(ref ErrorMessage);
        codec.NullableString(ref MemberId);
        codec.Int32(ref MemberEpoch);
        codec.Int32(ref HeartbeatIntervalMs);
        codec.NullableStruct(ref Assignment);
    }

    public sealed class MemberAssignment : IWireStruct
    {
        public List<OwnedTopic> TopicPartitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Structs(ref TopicPartitions);
        }
    }

    public sealed class OwnedTopic : IWireStruct
    {
        public Guid TopicId;
        public List<int> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Uuid(ref TopicId);
            codec.Int32s(ref Partitions);
        }
    }
}
