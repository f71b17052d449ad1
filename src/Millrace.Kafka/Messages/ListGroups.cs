using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>ListGroups (key 16), versions 0 to 5.</summary>
public sealed class ListGroupsRequest : IWireStruct
{
    public List<string> StatesFilter = [];
    public List<string> TypesFilter = [];

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        if (codec.Version >= 4)
            codec.Strings(ref StatesFilter);
        if (codec.Version >= 5)
            codec.Strings(ref TypesFilter);
    }
}

/// <summary>The answer to <see cref="ListGroupsRequest"/>.</summary>
public sealed class ListGroupsResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public ErrorCode ErrorCode;
    public List<ListedGroup> Groups = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        if (codec.Version >= 1)
            codec.Int32(ref ThrottleTimeMs);
        codec.Error(ref ErrorCode);
        codec.Structs(ref Groups);
    }

    public sealed class ListedGroup : IWireStruct
    {
        public string GroupId = "";
        public string ProtocolType = "";
        public string GroupState = "";
        public string GroupType = "";

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref GroupId);
            codec.String(ref ProtocolType);
            if (codec.Version >= 4)
                codec.String(ref GroupState);
            if (codec.Version >= 5)
                codec.String(ref GroupType);
        }
    }
}
