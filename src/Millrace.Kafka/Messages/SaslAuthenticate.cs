using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>SaslAuthenticate (key 36), versions 0 to 2.</summary>
public sealed class SaslAuthenticateRequest : IWireStruct
{
    public ReadOnlyMemory<byte> AuthBytes;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Bytes(ref AuthBytes);
    }
}

/// <summary>The answer to <see cref="SaslAuthenticateRequest"/>.</summary>
public sealed class SaslAuthenticateResponse : IWireStruct
{
    public ErrorCode ErrorCode;
    public string? ErrorMessage;
    public ReadOnlyMemory<byte> AuthBytes;
    public long SessionLifetimeMs;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Error(ref ErrorCode);
        codec.NullableString(ref ErrorMessage);
        codec.Bytes(ref AuthBytes);
        if (codec.Version >= 1)
            codec.Int64(ref SessionLifetimeMs);
    }
}
