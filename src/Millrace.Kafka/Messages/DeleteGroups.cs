using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>DeleteGroups (key 42), versions 0 to 2.</summary>
public sealed class DeleteGroupsRequest : IWireStruct
{
    public List<string> GroupsNames = [];

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Strings(ref GroupsNames);
    }
}

/// <summary>The answer to <see cref="DeleteGroupsRequest"/>.</summary>
public sealed class DeleteGroupsResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public List<DeletableGroupResult> Results = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Structs(ref Results);
    }

    public sealed class DeletableGroupResult : IWireStruct
    {
        public string GroupId = "";
        public ErrorCode ErrorCode;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref GroupId);
            codec.Error(ref ErrorCode);
        }
    }
}
