using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>LeaveGroup (key 13), versions 0 to 5.</summary>
public sealed class LeaveGroupRequest : IWireStruct
{
    public string GroupId = "";
    public string MemberId = "";
    public List<MemberIdentity> Members = [];

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.String(ref GroupId);
        if (codec.Version <= 2)
            codec.String(ref MemberId);
        if (codec.Version >= 3)
            codec.Structs(ref Members);
    }

    public sealed class MemberIdentity : IWireStruct
    {
        public string MemberId = "";
        public string? GroupInstanceId;
        public string? Reason;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref MemberId);
            codec.NullableString(ref GroupInstanceId);
            if (codec.Version >= 5)
                codec.NullableString(ref Reason);
        }
    }
}

/// <summary>The answer to <see cref="LeaveGroupRequest"/>.</summary>
public sealed class LeaveGroupResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public ErrorCode ErrorCode;
    public List<MemberResponse> Members = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        if (codec.Version >= 1)
            codec.Int32(ref ThrottleTimeMs);
        codec.Error(ref ErrorCode);
        if (codec.Version >= 3)
            codec.Structs(ref Members);
    }

    public sealed class MemberResponse : IWireStruct
    {
        public string MemberId = "";
        public string? GroupInstanceId;
        public ErrorCode ErrorCode;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref MemberId);
            codec.NullableString(ref GroupInstanceId);
            codec.Error(ref ErrorCode);
        }
    }
}
