using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>Metadata (key 3), versions 0 to 12.</summary>
public sealed class MetadataRequest : IWireStruct
{
    public List<MetadataRequestTopic>? Topics;
    public bool AllowAutoTopicCreation = true;
    public bool IncludeClusterAuthorizedOperations;
    public bool IncludeTopicAuthorizedOperations;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.NullableStructs(ref Topics);
        if (codec.Version >= 4)
            codec.Boolean(ref AllowAutoTopicCreation);
        if (codec.Version is >= 8 and <= 10)
            codec.Boolean(ref IncludeClusterAuthorizedOperations);
        if (codec.Version >= 8)
            codec.Boolean(ref IncludeTopicAuthorizedOperations);
    }

    public sealed class MetadataRequestTopic : IWireStruct
    {
        public Guid TopicId;
        public string? Name;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            if (codec.Version >= 10)
                codec.Uuid(ref TopicId);
            codec.NullableString(ref Name);
        }
    }
}

/// <summary>The answer to <see cref="MetadataRequest"/>.</summary>
public sealed class MetadataResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public List<MetadataResponseBroker> Brokers = [];
    public string? ClusterId;
    public int ControllerId = -1;
    public List<MetadataResponseTopic> Topics = [];
    public int ClusterAuthorizedOperations = int.MinValue;

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        if (codec.Version >= 3)
            codec.Int32(ref ThrottleTimeMs);
        codec.Structs(ref Brokers);
        if (codec.Version >= 2)
            codec.NullableString(ref ClusterId);
        if (codec.Version >= 1)
            codec.Int32(ref ControllerId);
        codec.Structs(ref Topics);
        if (codec.Version is >= 8 and <= 10)
            codec.Int32(ref ClusterAuthorizedOperations);
    }

    public sealed class MetadataResponseBroker : IWireStruct
    {
        public int NodeId;
        public string Host = "";
        public int Port;
        public string? Rack;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int32(ref NodeId);
            codec.String(ref Host);
            codec.Int32(ref Port);
            if (codec.Version >= 1)
                codec.NullableString(ref Rack);
        }
    }

    public sealed class MetadataResponseTopic : IWireStruct
    {
        public ErrorCode ErrorCode;
        public string? Name;
        public Guid TopicId;
        public bool IsInternal;
        public List<MetadataResponsePartition> Partitions = [];
        public int TopicAuthorizedOperations = int.MinValue;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Error(ref ErrorCode);
            codec.NullableString(ref Name);
            if (codec.Version >= 10)
                codec.Uuid(ref TopicId);
            if (codec.Version >= 1)
                codec.Boolean(ref IsInternal);
            codec.Structs(ref Partitions);
            if (codec.Version >= 8)
                codec.Int32(ref TopicAuthorizedOperations);
        }
    }

    public sealed class MetadataResponsePartition : IWireStruct
    {
        public ErrorCode ErrorCode;
        public int PartitionIndex;
        public int LeaderId;
        public int LeaderEpoch = -1;
        public List<int> ReplicaNodes = [];
        public List<int> IsrNodes = [];
        public List<int> OfflineReplicas = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Error(ref ErrorCode);
            codec.Int32(ref PartitionIndex);
            codec.Int32(ref LeaderId);
            if (codec.Version >= 7)
                codec.Int32(ref LeaderEpoch);
            codec.Int32s(ref ReplicaNodes);
            codec.Int32s(ref IsrNodes);
            if (codec.Version >= 5)
                codec.Int32s(ref OfflineReplicas);
        }
    }
}
