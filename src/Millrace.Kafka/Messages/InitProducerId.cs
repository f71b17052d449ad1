using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>InitProducerId (key 22), versions 0 to 4.</summary>
public sealed class InitProducerIdRequest : IWireStruct
{
    public string? TransactionalId;
    public int TransactionTimeoutMs;
    public long ProducerId = -1;
    public short ProducerEpoch = -1;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.NullableString(ref TransactionalId);
        codec.Int32(ref TransactionTimeoutMs);
        if (codec.Version >= 3)
        {
            codec.Int64(ref ProducerId);
            codec.Int16(ref ProducerEpoch);
        }
    }
}

/// <summary>The answer to <see cref="InitProducerIdRequest"/>.</summary>
public sealed class InitProducerIdResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public ErrorCode ErrorCode;
    public long ProducerId = -1;
    public short ProducerEpoch;

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Error(ref ErrorCode);
        codec.Int64(ref ProducerId);
        codec.Int16(ref ProducerEpoch);
    }
}
