using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>ConsumerGroupDescribe (key 69), versions 0 to 1.</summary>
public sealed class ConsumerGroupDescribeRequest : IWireStruct
{
    public List<string> GroupIds = [];
    public bool IncludeAuthorizedOperations;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Strings(ref GroupIds);
        codec.Boolean(ref IncludeAuthorizedOperations);
    }
}

/// <summary>The answer to <see cref="ConsumerGroupDescribeRequest"/>.</summary>
public sealed class ConsumerGroupDescribeResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public List<DescribedGroup> Groups = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Structs(ref Groups);
    }

    public sealed class DescribedGroup : IWireStruct
    {
        public ErrorCode ErrorCode;
        public string? ErrorMessage;
        public string GroupId = "";
        public string GroupState = "";
        public int GroupEpoch;
        public int AssignmentEpoch;
        public string AssignorName = "";
        public List<Member> Members = [];
        public int AuthorizedOperations = int.MinValue;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Error(ref ErrorCode);
            codec.NullableString(ref ErrorMessage);
            codec.String(ref GroupId);
            codec.String(ref GroupState);
            codec.Int32(ref GroupEpoch);
            codec.Int32(ref AssignmentEpoch);
            codec.String(ref AssignorName);
            codec.Structs(ref Members);
            codec.Int32(ref AuthorizedOperations);
        }
    }

    public sealed class Member : IWireStruct
    {
        public string MemberId = "";
        public string? InstanceId;
        public string? RackId;
        public int MemberEpoch;
        public string ClientId = "";
        public string ClientHost = "";
        public List<string> SubscribedTopicNames = [];
        public string? SubscribedTopicRegex;
        public MemberAssignment Assignment = new();
        public MemberAssignment TargetAssignment = new();
        public sbyte MemberType = -1;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref MemberId);
            codec.NullableString(ref InstanceId);
            codec.NullableString(ref RackId);
            codec.Int32(ref MemberEpoch);
            codec.String(ref ClientId);
            codec.String(ref ClientHost);
            codec.Strings(ref SubscribedTopicNames);
            codec.NullableString(ref SubscribedTopicRegex);
            codec.Struct(ref Assignment);
            codec.Struct(ref TargetAssignment);
            if (codec.Version >= 1)
                codec.Int8(ref MemberType);
        }
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
        public string TopicName = "";
        public List<int> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Uuid(ref TopicId);
            codec.String(ref TopicName);
            codec.Int32s(ref Partitions);
        }
    }
}
