using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>ListTransactions (key 66), versions 0 to 1.</summary>
public sealed class ListTransactionsRequest : IWireStruct
{
    public List<string> StateFilters = [];
    public List<long> ProducerIdFilters = [];

    /// <summary>Only transactions that have been running for longer, in milliseconds; -1 for all.</summary>
    public long DurationFilter = -1;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Strings(ref StateFilters);
        codec.Int64s(ref ProducerIdFilters);
        if (codec.Version >= 1)
            codec.Int64(ref DurationFilter);
    }
}

/// <summary>The answer to <see cref="ListTransactionsRequest"/>.</summary>
public sealed class ListTransactionsResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public ErrorCode ErrorCode;
    public List<string> UnknownStateFilters = [];
    public List<TransactionEntry> TransactionStates = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Error(ref ErrorCode);
        codec.Strings(ref UnknownStateFilters);
        codec.Structs(ref TransactionStates);
    }

    public sealed class TransactionEntry : IWireStruct
    {
        public string TransactionalId = "";
        public long ProducerId;
        public string TransactionState = "";

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref TransactionalId);
            codec.Int64(ref ProducerId);
            codec.String(ref TransactionState);
        }
    }
}
