using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>CreateAcls (key 30), versions 1 to 3.</summary>
public sealed class CreateAclsRequest : IWireStruct
{
    public List<AclCreation> Creations = [];

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Structs(ref Creations);
    }

    public sealed class AclCreation : IWireStruct
    {
        public sbyte ResourceType;
        public string ResourceName = "";
        public sbyte ResourcePatternType = 3;
        public string Principal = "";
        public string Host = "";
        public sbyte Operation;
        public sbyte PermissionType;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int8(ref ResourceType);
            codec.String(ref ResourceName);
            codec.Int8(ref ResourcePatternType);
            codec.String(ref Principal);
            codec.String(ref Host);
            codec.Int8(ref Operation);
            codec.Int8(ref PermissionType);
        }
    }
}

/// <summary>The answer to <see cref="CreateAclsRequest"/>.</summary>
public sealed class CreateAclsResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public List<AclCreationResult> Results = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Structs(ref Results);
    }

    public sealed class AclCreationResult : IWireStruct
    {
        public ErrorCode ErrorCode;
        public string? ErrorMessage;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Error(ref ErrorCode);
            codec.NullableString(ref ErrorMessage);
        }
    }
}
