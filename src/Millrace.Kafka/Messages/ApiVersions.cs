using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>ApiVersions (key 18), versions 0 to 4.</summary>
public sealed class ApiVersionsRequest : IWireStruct
{
    public string ClientSoftwareName = "";
    public string ClientSoftwareVersion = "";

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        if (codec.Version >= 3)
        {
            codec.String(ref ClientSoftwareName);
            codec.String(ref ClientSoftwareVersion);
        }
    }
}

/// <summary>The answer to <see cref="ApiVersionsRequest"/>.</summary>
public sealed class ApiVersionsResponse : IThrottledResponse
{
    public ErrorCode ErrorCode;
    public List<ApiVersion> ApiKeys = [];
    public int ThrottleTimeMs;

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Error(ref ErrorCode);
        codec.Structs(ref ApiKeys);
        if (codec.Version >= 1)
            codec.Int32(ref ThrottleTimeMs);
    }

    public sealed class ApiVersion : IWireStruct
    {
        public short ApiKey;
        public short MinVersion;
        public short MaxVersion;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int16(ref ApiKey);
            codec.Int16(ref MinVersion);
            codec.Int16(ref MaxVersion);
        }
    }
}
