using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>AlterConfigs (key 33), versions 0 to 2.</summary>
public sealed class AlterConfigsRequest : IWireStruct
{
    public List<AlterConfigsResource> Resources = [];
    public bool ValidateOnly;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Structs(ref Resources);
        codec.Boolean(ref ValidateOnly);
    }

    public sealed class AlterConfigsResource : IWireStruct
    {
        public sbyte ResourceType;
        public string ResourceName = "";
        public List<AlterableConfig> Configs = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int8(ref ResourceType);
            codec.String(ref ResourceName);
            codec.Structs(ref Configs);
        }
    }

    public sealed class AlterableConfig : IWireStruct
    {
        public string Name = "";
        public string? Value;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.NullableString(ref Value);
        }
    }
}

/// <summary>The answer to <see cref="AlterConfigsRequest"/>.</summary>
public sealed class AlterConfigsResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public List<AlterConfigsResourceResponse> Responses = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Structs(ref Responses);
    }

    public sealed class AlterConfigsResourceResponse : IWireStruct
    {
        public ErrorCode ErrorCode;
        public string? ErrorMessage;
        public sbyte ResourceType;
        public string ResourceName = "";

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Error(ref ErrorCode);
            codec.NullableString(ref ErrorMessage);
            codec.Int8(ref ResourceType);
            codec.String(ref ResourceName);
        }
    }
}
