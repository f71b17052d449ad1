using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>AlterClientQuotas (key 49), versions 0 to 1.</summary>
public sealed class AlterClientQuotasRequest : IWireStruct
{
    public List<EntryData> Entries = [];
    public bool ValidateOnly;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Structs(ref Entries);
        codec.Boolean(ref ValidateOnly);
    }

    public sealed class EntryData : IWireStruct
    {
        public List<EntityData> Entity = [];
        public List<OpData> Ops = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Structs(ref Entity);
            codec.Structs(ref Ops);
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

    public sealed class OpData : IWireStruct
    {
        public string Key = "";
        public double Value;
        public bool Remove;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Key);
            codec.Float64(ref Value);
            codec.Boolean(ref Remove);
        }
    }
}

/// <summary>The answer to <see cref="AlterClientQuotasRequest"/>.</summary>
public sealed class AlterClientQuotasResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public List<EntryData> Entries = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Structs(ref Entries);
    }

    public sealed class EntryData : IWireStruct
    {
        public ErrorCode ErrorCode;
        public string? ErrorMessage;
        public List<EntityData> Entity = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Error(ref ErrorCode);
            codec.NullableString(ref ErrorMessage);
            codec.Structs(ref Entity);
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
}
