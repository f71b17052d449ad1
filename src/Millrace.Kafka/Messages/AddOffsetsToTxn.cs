using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>AddOffsetsToTxn (key 25), versions 0 to 3.</summary>
public sealed class AddOffsetsToTxnRequest : IWireStruct
{
    public string TransactionalId = "";
    public long ProducerId;
    public short ProducerEpoch;
    public string GroupId = "";

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.String(ref TransactionalId);
        codec.Int64(ref ProducerId);
        codec.Int16(ref ProducerEpoch);
        codec.String(ref GroupId);
    }
}

/// <summary>The answer to <see cref="AddOffsetsToTxnRequest"/>.</summary>
public sealed class AddOffsetsToTxnResponse : IThrottledResponse
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
