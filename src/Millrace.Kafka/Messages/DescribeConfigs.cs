using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>DescribeConfigs (key 32), versions 1 to 4.</summary>
public sealed class DescribeConfigsRequest : IWireStruct
{
    public List<DescribeConfigsResource> Resources = [];
    public bool IncludeSynonyms;
    public bool IncludeDocumentation;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Structs(ref Resources);
        codec.Boolean(ref IncludeSynonyms);
        if (codec.Version >= 3)
            codec.Boolean(ref IncludeDocumentation);
    }

    public sealed class DescribeConfigsResource : IWireStruct
    {
        public sbyte ResourceType;
        public string ResourceName = "";
        public List<string>? ConfigurationKeys;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int8(ref ResourceType);
            codec.String(ref ResourceName);
            codec.NullableStrings(ref ConfigurationKeys);
        }
    }
}

/// <summary>The answer to <see cref="DescribeConfigsRequest"/>.</summary>
public sealed class DescribeConfigsResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public List<DescribeConfigsResult> Results = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Structs(ref Results);
    }

    public sealed class DescribeConfigsResult : IWireStruct
    {
        public ErrorCode ErrorCode;
        public string? ErrorMessage;
        public sbyte ResourceType;
        public string ResourceName = "";
        public List<DescribeConfigsResourceResult> Configs = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Error(ref ErrorCode);
            codec.NullableString(ref ErrorMessage);
            codec.Int8(ref ResourceType);
            codec.String(ref ResourceName);
            codec.Structs(ref Configs);
        }
    }

    public sealed class DescribeConfigsResourceResult : IWireStruct
    {
        public string Name = "";
        public string? Value;
        public bool ReadOnly;
        public sbyte ConfigSource = -1;
        public bool IsSensitive;
        public List<DescribeConfigsSynonym> Synonyms = [];
        public sbyte ConfigType;
        public string? Documentation;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.NullableString(ref Value);
            codec.Boolean(ref ReadOnly);
            codec.Int8(ref ConfigSource);
            codec.Boolean(ref IsSensitive);
            codec.Structs(ref Synonyms);
            if (codec.Version >= 3)
            {
                codec.Int8(ref ConfigType);
                codec.NullableString(ref Documentation);
            }
        }
    }

    public sealed class DescribeConfigsSynonym : IWireStruct
    {
        public string Name = "";
        public string? Value;
        public sbyte Source;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.NullableString(ref Value);
            codec.Int8(ref Source);
        }
    }
}
