using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>SyncGroup (key 14), versions 0 to 5.</summary>
public sealed class SyncGroupRequest : IWireStruct
{
    public string GroupId = "";
    public int GenerationId;
    public string MemberId = "";
    public string? GroupInstanceId;
    public string? ProtocolType;
    public string? ProtocolName;
    public List<SyncGroupRequestAssignment> Assignments = [];

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.String(ref GroupId);
        codec.Int32(ref GenerationId);
        codec.String(ref MemberId);
        if (codec.Version >= 3)
            codec.NullableString(ref GroupInstanceId);
        if (codec.Version >= 5)
        {
            codec.NullableString(ref ProtocolType);
            codec.NullableString(ref ProtocolName);
        }
        codec.Structs(ref Assignments);
    }

    public sealed class SyncGroupRequestAssignment : IWireStruct
    {
        public string MemberId = "";
        public ReadOnlyMemory<byte> Assignment;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref MemberId);
            codec.Bytes(ref Assignment);
        }
    }
}

/// <summary>The answer to <see cref="SyncGroupRequest"/>.</summary>
public sealed class SyncGroupResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public ErrorCode ErrorCode;
    public string? ProtocolType;
    public string? ProtocolName;
    public ReadOnlyMemory<byte> Assignment;

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        if (codec.Version >= 1)
            codec.Int32(ref ThrottleTimeMs);
        codec.Error(ref ErrorCode);
        if (codec.Version >= 5)
        {
            codec.NullableString(ref ProtocolType);
            codec.NullableString(ref ProtocolName);
        }
        codec.Bytes(ref Assignment);
    }
}
