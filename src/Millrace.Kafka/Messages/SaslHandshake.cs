using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>SaslHandshake (key 17), versions 0 to 1.</summary>
public sealed class SaslHandshakeRequest : IWireStruct
{
    public string Mechanism = "";

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.String(ref Mechanism);
    }
}

/// <summary>The answer to <see cref="SaslHandshakeRequest"/>.</summary>
public sealed class SaslHandshakeResponse : IWireStruct
{
    public ErrorCode ErrorCode;
    public List<string> Mechanisms = [];

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Error(ref ErrorCode);
        codec.Strings(ref Mechanisms);
    }
}
