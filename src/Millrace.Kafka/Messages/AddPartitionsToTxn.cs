using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>AddPartitionsToTxn (key 24), versions 0 to 3.</summary>
public sealed class AddPartitionsToTxnRequest : IWireStruct
{
    public string TransactionalId = "";
    public long ProducerId;
    public short ProducerEpoch;
    public List<AddPartitionsToTxnTopic> Topics = [];

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.String(ref TransactionalId);
        codec.Int64(ref ProducerId);
        codec.Int16(ref ProducerEpoch);
        codec.Structs(ref Topics);
    }

    public sealed class AddPartitionsToTxnTopic : IWireStruct
    {
        public string Name = "";
        public List<int> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Int32s(ref Partitions);
        }
    }
}

/// <summary>The answer to <see cref="AddPartitionsToTxnRequest"/>.</summary>
public sealed class AddPartitionsToTxnResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public List<AddPartitionsToTxnTopicResult> ResultsByTopic = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Structs(ref ResultsByTopic);
    }

    public sealed class AddPartitionsToTxnTopicResult : IWireStruct
    {
        public string Name = "";
        public List<AddPartitionsToTxnPartitionResult> ResultsByPartition = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Structs(ref ResultsByPartition);
        }
    }

    public sealed class AddPartitionsToTxnPartitionResult : IWireStruct
    {
        public int PartitionIndex;
        public ErrorCode ErrorCode;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int32(ref PartitionIndex);
            codec.Error(ref ErrorCode);
        }
    }
}
