using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>FindCoordinator (key 10), versions 0 to 4.</summary>
public sealed class FindCoordinatorRequest : IWireStruct
{
    public string Key = "";
    public sbyte KeyType;
    public List<string> CoordinatorKeys = [];

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        if (codec.Version <= 3)
            codec.String(ref Key);
        if (codec.Version >= 1)
            codec.Int8(ref KeyType);
        if (codec.Version >= 4)
            codec.Strings(ref CoordinatorKeys);
    }
}

/// <summary>The answer to <see cref="FindCoordinatorRequest"/>.</summary>
public sealed class FindCoordinatorResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public ErrorCode ErrorCode;
    public string? ErrorMessage;
    public int NodeId;
    public string Host = "";
    public int Port;
    public List<Coordinator> Coordinators = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        if (codec.Version >= 1)
            codec.Int32(ref ThrottleTimeMs);
        if (codec.Version <= 3)
            codec.Error(ref ErrorCode);
        if (codec.Version is >= 1 and <= 3)
            codec.NullableString(ref ErrorMessage);
        if (codec.Version <= 3)
        {
            codec.Int32(ref NodeId);
            codec.String(ref Host);
            codec.Int32(ref Port);
        }
        if (codec.Version >= 4)
            codec.Structs(ref Coordinators);
    }

    public sealed class Coordinator : IWireStruct
    {
        public string Key = "";
        public int NodeId;
        public string Host = "";
        public int Port;
        public ErrorCode ErrorCode;
        public string? ErrorMessage;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Key);
            codec.Int32(ref NodeId);
            codec.String(ref Host);
            codec.Int32(ref Port);
            codec.Error(ref ErrorCode);
            codec.NullableString(ref ErrorMessage);
        }
    }
}
