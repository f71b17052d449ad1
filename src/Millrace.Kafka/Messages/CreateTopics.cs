using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>CreateTopics (key 19), versions 2 to 7.</summary>
public sealed class CreateTopicsRequest : IWireStruct
{
    public List<CreatableTopic> Topics = [];
    public int TimeoutMs = 60000;
    public bool ValidateOnly;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Structs(ref Topics);
        codec.Int32(ref TimeoutMs);
        codec.Boolean(ref ValidateOnly);
    }

    public sealed class CreatableTopic : IWireStruct
    {
        public string Name = "";
        public int NumPartitions;
        public short ReplicationFactor;
        public List<CreatableReplicaAssignment> Assignments = [];
        public List<CreatableTopicConfig> Configs = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Int32(ref NumPartitions);
            codec.Int16(ref ReplicationFactor);
            codec.Structs(ref Assignments);
            codec.Structs(ref Configs);
        }
    }

    public sealed class CreatableReplicaAssignment : IWireStruct
    {
        public int PartitionIndex;
        public List<int> BrokerIds = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int32(ref PartitionIndex);
            codec.Int32s(ref BrokerIds);
        }
    }

    public sealed class CreatableTopicConfig : IWireStruct
    {
        public string Name = "";
        public string? Value;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.NullableString(ref Value);
        }
    }
}

/// <summary>The answer to <see cref="CreateTopicsRequest"/>.</summary>
public sealed class CreateTopicsResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public List<CreatableTopicResult> Topics = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Structs(ref Topics);
    }

    public sealed class CreatableTopicResult : IWireStruct
    {
        public string Name = "";
        public Guid TopicId;
        public ErrorCode ErrorCode;
        public string? ErrorMessage;
        public int NumPartitions = -1;
        public short ReplicationFactor = -1;
        public List<CreatableTopicConfigs>? Configs;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            if (codec.Version >= 7)
                codec.Uuid(ref TopicId);
            codec.Error(ref ErrorCode);
            codec.NullableString(ref ErrorMessage);
            if (codec.Version >= 5)
            {
                codec.Int32(ref NumPartitions);
                codec.Int16(ref ReplicationFactor);
                codec.NullableStructs(ref Configs);
            }
        }
    }

    public sealed class CreatableTopicConfigs : IWireStruct
    {
        public string Name = "";
        public string? Value;
        public bool ReadOnly;
        public sbyte ConfigSource = -1;
        public bool IsSensitive;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.NullableString(ref Value);
            codec.Boolean(ref ReadOnly);
            codec.Int8(ref ConfigSource);
            codec.Boolean(ref IsSensitive);
        }
    }
}
