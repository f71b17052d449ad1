using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>DescribeClientQuotas (key 48), versions 0 to 1.</summary>
public sealed class DescribeClientQuotasRequest : IWireStruct
{
    public List<ComponentData> Components = [];
    public bool Strict;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Structs(ref Components);
        codec.Boolean(ref Strict);
    }

    public sealed class ComponentData : IWireStruct
    {
        public string EntityType = "";
        public sbyte MatchType;
        public string? Match;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref EntityType);
            codec.Int8(ref MatchType);
            codec.NullableString(ref Match);
        }
    }
}

/// <summary>The answer to <see cref="DescribeClientQuotasRequest"/>.</summary>
public sealed class DescribeClientQuotasResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public ErrorCode ErrorCode;
    public string? ErrorMessage;
    public List<EntryData>? Entries;

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Error(ref ErrorCode);
        codec.NullableString(ref ErrorMessage);
        codec.NullableStructs(ref Entries);
    }

    public sealed class EntryData : IWireStruct
    {
        public List<EntityData> Entity = [];
        public List<ValueData> Values = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Structs(ref Entity);
            codec.Structs(ref Values);
        }
    }

    public sealed class EntityData : IWireStruct
    {
        public string EntityType = "";
        public string? EntityName;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref EntityType);
            codec.NullableString(ref EntityName);
        }
    }

    public sealed class ValueData : IWireStruct
    {
        public string Key = "";
        public double Value;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Key);
            codec.Float64(ref Value);
        }
    }
}
