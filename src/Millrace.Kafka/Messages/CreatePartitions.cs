using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>CreatePartitions (key 37), versions 0 to 3.</summary>
public sealed class CreatePartitionsRequest : IWireStruct
{
    public List<CreatePartitionsTopic> Topics = [];
    public int TimeoutMs;
    public bool ValidateOnly;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Structs(ref Topics);
        codec.Int32(ref TimeoutMs);
        codec.Boolean(ref ValidateOnly);
    }

    public sealed class CreatePartitionsTopic : IWireStruct
    {
        public string Name = "";
        public int Count;
        public List<CreatePartitionsAssignment>? Assignments;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Int32(ref Count);
            codec.NullableStructs(ref Assignments);
        }
    }

    public sealed class CreatePartitionsAssignment : IWireStruct
    {
        public List<int> BrokerIds = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int32s(ref BrokerIds);
        }
    }
}

/// <summary>The answer to <see cref="CreatePartitionsRequest"/>.</summary>
public sealed class CreatePartitionsResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public List<CreatePartitionsTopicResult> Results = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Structs(ref Results);
    }

    public sealed class CreatePartitionsTopicResult : IWireStruct
    {
        public string Name = "";
        public ErrorCode ErrorCode;
        public string? ErrorMessage;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Error(ref ErrorCode);
            codec.NullableString(ref ErrorMessage);
        }
    }
}
