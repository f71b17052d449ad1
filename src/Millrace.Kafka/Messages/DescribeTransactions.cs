using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>DescribeTransactions (key 65), version 0.</summary>
public sealed class DescribeTransactionsRequest : IWireStruct
{
    public List<string> TransactionalIds = [];

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Strings(ref TransactionalIds);
    }
}

/// <summary>The answer to <see cref="DescribeTransactionsRequest"/>.</summary>
public sealed class DescribeTransactionsResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public List<TransactionEntry> TransactionStates = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Structs(ref TransactionStates);
    }

    public sealed class TransactionEntry : IWireStruct
    {
        public ErrorCode ErrorCode;
        public string TransactionalId = "";
        public string TransactionState = "";
        public int TransactionTimeoutMs;
        public long TransactionStartTimeMs;
        public long ProducerId;
        public short ProducerEpoch;
        public List<TopicData> Topics = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Error(ref ErrorCode);
            codec.String(ref TransactionalId);
            codec.String(ref TransactionState);
            codec.Int32(ref TransactionTimeoutMs);
            codec.Int64(ref TransactionStartTimeMs);
            codec.Int64(ref ProducerId);
            codec.Int16(ref ProducerEpoch);
            codec.Structs(ref Topics);
        }
    }

    public sealed class TopicData : IWireStruct
    {
        public string Topic = "";
        public List<int> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Topic);
            codec.Int32s(ref Partitions);
        }
    }
}
