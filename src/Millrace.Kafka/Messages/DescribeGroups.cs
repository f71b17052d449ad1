using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>DescribeGroups (key 15), versions 0 to 5.</summary>
public sealed class DescribeGroupsRequest : IWireStruct
{
    public List<string> Groups = [];
    public bool IncludeAuthorizedOperations;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Strings(ref Groups);
        if (codec.Version >= 3)
            codec.Boolean(ref IncludeAuthorizedOperations);
    }
}

/// <summary>The answer to <see cref="DescribeGroupsRequest"/>.</summary>
public sealed class DescribeGroupsResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public List<DescribedGroup> Groups = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        if (codec.Version >= 1)
            codec.Int32(ref ThrottleTimeMs);
        codec.Structs(ref Groups);
    }

    public sealed class DescribedGroup : IWireStruct
    {
        public ErrorCode ErrorCode;
        public string GroupId = "";
        public string GroupState = "";
        public string ProtocolType = "";
        public string ProtocolData = "";
        public List<DescribedGroupMember> Members = [];
        public int AuthorizedOperations = int.MinValue;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Error(ref ErrorCode);
            codec.String(ref GroupId);
            codec.String(ref GroupState);
            codec.String(ref ProtocolType);
            codec.String(ref ProtocolData);
            codec.Structs(ref Members);
            if (codec.Version >= 3)
                codec.Int32(ref AuthorizedOperations);
        }
    }

    public sealed class DescribedGroupMember : IWireStruct
    {
        public string MemberId = "";
        public string? GroupInstanceId;
        public string ClientId = "";
        public string ClientHost = "";
        public ReadOnlyMemory<byte> MemberMetadata;
        public ReadOnlyMemory<byte> MemberAssignment;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref MemberId);
            if (codec.Version >= 4)
                codec.NullableString(ref GroupInstanceId);
            codec.String(ref ClientId);
            codec.String(ref ClientHost);
            codec.Bytes(ref MemberMetadata);
            codec.Bytes(ref MemberAssignment);
        }
    }
}
