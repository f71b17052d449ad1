using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>Produce (key 0), versions 3 to 11.</summary>
public sealed class ProduceRequest : IWireStruct
{
    public string? TransactionalId;
    public short Acks;
    public int TimeoutMs;
    public List<TopicProduceData> Topics = [];

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.NullableString(ref TransactionalId);
        codec.Int16(ref Acks);
        codec.Int32(ref TimeoutMs);
        codec.Structs(ref Topics);
    }

    public sealed class TopicProduceData : IWireStruct
    {
        public string Name = "";
        public List<PartitionProduceData> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Structs(ref Partitions);
        }
    }

    public sealed class PartitionProduceData : IWireStruct
    {
        public int Index;
        public ReadOnlyMemory<byte> Records;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int32(ref Index);
            codec.Records(ref Records);
        }
    }
}

/// <summary>The answer to <see cref="ProduceRequest"/>.</summary>
public sealed class ProduceResponse : IThrottledResponse
{
    public List<TopicProduceResponse> Responses = [];
    public int ThrottleTimeMs;

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Structs(ref Responses);
        codec.Int32(ref ThrottleTimeMs);
    }

    public sealed class TopicProduceResponse : IWireStruct
    {
        public string Name = "";
        public List<PartitionProduceResponse> PartitionResponses = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Structs(ref PartitionResponses);
        }
    }

    public sealed class PartitionProduceResponse : IWireStruct
    {
        public int Index;
        public ErrorCode ErrorCode;
        public long BaseOffset;
        public long LogAppendTimeMs = -1;
        public long LogStartOffset = -1;
        public List<BatchIndexAndErrorMessage> RecordErrors = [];
        public string? ErrorMessage;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int32(ref Index);
            codec.Error(ref ErrorCode);
            codec.Int64(ref BaseOffset);
            codec.Int64(ref LogAppendTimeMs);
            if (codec.Version >= 5)
                codec.Int64(ref LogStartOffset);
            if (codec.Version >= 8)
            {
                codec.Structs(ref RecordErrors);
                codec.NullableString(ref ErrorMessage);
            }
        }
    }

    public sealed class BatchIndexAndErrorMessage : IWireStruct
    {
        public int BatchIndex;
        public string? BatchIndexErrorMessage;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int32(ref BatchIndex);
            codec.NullableString(ref BatchIndexErrorMessage);
        }
    }
}
