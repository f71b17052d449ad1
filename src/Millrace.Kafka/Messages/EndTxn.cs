using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>EndTxn (key 26), versions 0 to 3.</summary>
public sealed class EndTxnRequest : IWireStruct
{
    public string TransactionalId = "";
    public long ProducerId;
    public short ProducerEpoch;
    public bool Committed;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.String(ref TransactionalId);
        codec.Int64(ref ProducerId);
        codec.Int16(ref ProducerEpoch);
        codec.Boolean(ref Committed);
    }
}

/// <summary>The answer to <see cref="EndTxnRequest"/>.</summary>
public sealed class EndTxnResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public ErrorCode ErrorCode;

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Error(ref ErrorCode);
    }
}
