using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>DeleteAcls (key 31), versions 1 to 3.</summary>
public sealed class DeleteAclsRequest : IWireStruct
{
    public List<DeleteAclsFilter> Filters = [];

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Structs(ref Filters);
    }

    public sealed class DeleteAclsFilter : IWireStruct
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
}

/// <summary>The answer to <see cref="DeleteAclsRequest"/>.</summary>
public sealed class DeleteAclsResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public List<DeleteAclsFilterResult> FilterResults = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Structs(ref FilterResults);
    }

    public sealed class DeleteAclsFilterResult : IWireStruct
    {
        public ErrorCode ErrorCode;
        public string? ErrorMessage;
        public List<DeleteAclsMatchingAcl> MatchingAcls = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Error(ref ErrorCode);
            codec.NullableString(ref ErrorMessage);
            codec.Structs(ref MatchingAcls);
        }
    }

    public sealed class DeleteAclsMatchingAcl : IWireStruct
    {
        public ErrorCode ErrorCode;
        public string? ErrorMessage;
        public sbyte ResourceType;
        public string ResourceName = "";
        public sbyte PatternType = 3;
        public string Principal = "";
        public string Host = "";
        public sbyte Operation;
        public sbyte PermissionType;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Error(ref ErrorCode);
            codec.NullableString(ref ErrorMessage);
            codec.Int8(ref ResourceType);
            codec.String(ref ResourceName);
            codec.Int8(ref PatternType);
            codec.String(ref Principal);
            codec.String(ref Host);
            codec.Int8(ref Operation);
            codec.Int8(ref PermissionType);
        }
    }
}
