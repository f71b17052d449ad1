using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>JoinGroup (key 11), versions 0 to 9.</summary>
public sealed class JoinGroupRequest : IWireStruct
{
    public string GroupId = "";
    public int SessionTimeoutMs;
    public int RebalanceTimeoutMs = -1;
    public string MemberId = "";
    public string? GroupInstanceId;
    public string ProtocolType = "";
    public List<JoinGroupRequestProtocol> Protocols = [];
    public string? Reason;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.String(ref GroupId);
        codec.Int32(ref SessionTimeoutMs);
        if (codec.Version >= 1)
            codec.Int32(ref RebalanceTimeoutMs);
        codec.String(ref MemberId);
        if (codec.Version >= 5)
            codec.NullableString(ref GroupInstanceId);
        codec.String(ref ProtocolType);
        codec.Structs(ref Protocols);
        if (codec.Version >= 8)
            codec.NullableString(ref Reason);
    }

    public sealed class JoinGroupRequestProtocol : IWireStruct
    {
        public string Name = "";
        public ReadOnlyMemory<byte> Metadata;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Bytes(ref Metadata);
        }
    }
}

/// <summary>The answer to <see cref="JoinGroupRequest"/>.</summary>
public sealed class JoinGroupResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public ErrorCode ErrorCode;
    public int GenerationId = -1;
    public string? ProtocolType;
    public string? ProtocolName;
    public string Leader = "";
    public bool SkipAssignment;
    public string MemberId = "";
    public List<JoinGroupResponseMember> Members = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        if (codec.Version >= 2)
            codec.Int32(ref ThrottleTimeMs);
        codec.Error(ref ErrorCode);
        codec.Int32(ref GenerationId);
        if (codec.Version >= 7)
            codec.NullableString(ref ProtocolType);
        codec.NullableString(ref ProtocolName);
        codec.String(ref Leader);
        if (codec.Version >= 9)
            codec.Boolean(ref SkipAssignment);
        codec.String(ref MemberId);
        codec.Structs(ref Members);
    }

    public sealed class JoinGroupResponseMember : IWireStruct
    {
        public string MemberId = "";
        public string? GroupInstanceId;
        public ReadOnlyMemory<byte> Metadata;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref MemberId);
            if (codec.Version >= 5)
                codec.NullableString(ref GroupInstanceId);
            codec.Bytes(ref Metadata);
        }
    }
}
