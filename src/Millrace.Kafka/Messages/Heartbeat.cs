using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>Heartbeat (key 12), versions 0 to 4.</summary>
public sealed class HeartbeatRequest : IWireStruct
{
    public string GroupId = "";
    public int GenerationId;
    public string MemberId = "";
    public string? GroupInstanceId;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.String(ref GroupId);
        codec.Int32(ref GenerationId);
        codec.String(ref MemberId);
        if (codec.Version >= 3)
            codec.NullableString(ref GroupInstanceId);
    }
}

/// <summary>The answer to <see cref="HeartbeatRequest"/>.</summary>
public sealed class HeartbeatResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public ErrorCode ErrorCode;

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        if (codec.Version >= 1)
            codec.Int32(ref ThrottleTimeMs);
        codec.Error(ref ErrorCode);
    }
}
