using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>DescribeAcls (key 29), versions 1 to 3.</summary>
public sealed class DescribeAclsRequest : IWireStruct
{
    public sbyte ResourceTypeFilter;
    public string? ResourceNameFilter;
    public sbyte PatternTypeFilter = 3;
    public string? PrincipalFilter;
    public string? HostFilter;
    public sbyte Operation;
    public sbyte PermissionType;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int8(ref ResourceTypeFilter);
        codec.NullableString(ref ResourceNameFilter);
        codec.Int8(ref PatternTypeFilter);
        codec.NullableString(ref PrincipalFilter);
        codec.NullableString(ref HostFilter);
        codec.Int8(ref Operation);
        codec.Int8(ref PermissionType);
    }
}

/// <summary>The answer to <see cref="DescribeAclsRequest"/>.</summary>
public sealed class DescribeAclsResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public ErrorCode ErrorCode;
    public string? ErrorMessage;
    public List<DescribeAclsResource> Resources = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Error(ref ErrorCode);
        codec.NullableString(ref ErrorMessage);
        codec.Structs(ref Resources);
    }

    public sealed class DescribeAclsResource : IWireStruct
    {
        public sbyte ResourceType;
        public string ResourceName = "";
        public sbyte PatternType = 3;
        public List<AclDescription> Acls = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int8(ref ResourceType);
            codec.String(ref ResourceName);
            codec.Int8(ref PatternType);
            codec.Structs(ref Acls);
        }
    }

    public sealed class AclDescription : IWireStruct
    {
        public string Principal = "";
        public string Host = "";
        public sbyte Operation;
        public sbyte PermissionType;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Principal);
            codec.String(ref Host);
            codec.Int8(ref Operation);
            codec.Int8(ref PermissionType);
        }
    }
}
