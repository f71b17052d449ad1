using Millrace.Kafka.Wire;

namespace Millrace.Log.Transactions;

/// <summary>The key of a record in <c>__transaction_state</c> (Kafka's TransactionLogKey, version 0).</summary>
internal sealed class TransactionKey : IWireStruct
{
    public const short RecordVersion = 0;

    public string TransactionalId = "";

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct => codec.String(ref TransactionalId);
}

/// <summary>
/// The value of a record in <c>__transaction_state</c>: Kafka's TransactionLogValue with the previous id and epoch, under a version number of
/// our own so that nobody takes it for Kafka's.
/// </summary>
internal sealed class TransactionValue : IWireStruct
{
    public const short RecordVersion = 100;

    public long ProducerId;
    public short ProducerEpoch;
    public long PreviousProducerId = -1;
    public short PreviousEpoch = -1;
    public int TimeoutMs;
    public sbyte State;
    public List<TopicPartitions> Topics = [];
    public long UpdatedAt;
    public long StartedAt = -1;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int64(ref ProducerId);
        codec.Int16(ref ProducerEpoch);
        codec.Int64(ref PreviousProducerId);
        codec.Int16(ref PreviousEpoch);
        codec.Int32(ref TimeoutMs);
        codec.Int8(ref State);
        codec.Structs(ref Topics);
        codec.Int64(ref UpdatedAt);
        codec.Int64(ref StartedAt);
    }

    internal sealed class TopicPartitions : IWireStruct
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
