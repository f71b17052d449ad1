using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>DeleteTopics (key 20), versions 1 to 6.</summary>
public sealed class DeleteTopicsRequest : IWireStruct
{
    public List<DeleteTopicState> Topics = [];
    public List<string> TopicNames = [];
    public int TimeoutMs;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        if (codec.Version >= 6)
            codec.Structs(ref Topics);
        if (codec.Version <= 5)
            codec.Strings(ref TopicNames);
        codec.Int32(ref TimeoutMs);
    }

    public sealed class DeleteTopicState : IWireStruct
    {
        public string? Name;
        public Guid TopicId;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.NullableString(ref Name);
            codec.Uuid(ref TopicId);
        }
    }
}

/// <summary>The answer to <see cref="DeleteTopicsRequest"/>.</summary>
public sealed class DeleteTopicsResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public List<DeletableTopicResult> Responses = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Structs(ref Responses);
    }

    public sealed class DeletableTopicResult : IWireStruct
    {
        public string? Name;
        public Guid TopicId;
        public ErrorCode ErrorCode;
        public string? ErrorMessage;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.NullableString(ref Name);
            if (codec.Version >= 6)
                codec.Uuid(ref TopicId);
            codec.Error(ref ErrorCode);
            if (codec.Version >= 5)
                codec.NullableString(ref ErrorMessage);
        }
    }
}
