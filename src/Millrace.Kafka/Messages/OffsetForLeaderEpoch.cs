using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>OffsetForLeaderEpoch (key 23), versions 2 to 4.</summary>
public sealed class OffsetForLeaderEpochRequest : IWireStruct
{
    public int ReplicaId = -2;
    public List<OffsetForLeaderTopic> Topics = [];

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        if (codec.Version >= 3)
            codec.Int32(ref ReplicaId);
        codec.Structs(ref Topics);
    }

    public sealed class OffsetForLeaderTopic : IWireStruct
    {
        public string Topic = "";
        public List<OffsetForLeaderPartition> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Topic);
            codec.Structs(ref Partitions);
        }
    }

    public sealed class OffsetForLeaderPartition : IWireStruct
    {
        public int Partition;
        public int CurrentLeaderEpoch = -1;
        public int LeaderEpoch;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int32(ref Partition);
            codec.Int32(ref CurrentLeaderEpoch);
            codec.Int32(ref LeaderEpoch);
        }
    }
}

/// <summary>The answer to <see cref="OffsetForLeaderEpochRequest"/>.</summary>
public sealed class OffsetForLeaderEpochResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public List<OffsetForLeaderTopicResult> Topics = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Structs(ref Topics);
    }

    public sealed class OffsetForLeaderTopicResult : IWireStruct
    {
        public string Topic = "";
        public List<EpochEndOffset> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Topic);
            codec.Structs(ref Partitions);
        }
    }

    public sealed class EpochEndOffset : IWireStruct
    {
        public ErrorCode ErrorCode;
        public int Partition;
        public int LeaderEpoch = -1;
        public long EndOffset = -1;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Error(ref ErrorCode);
            codec.Int32(ref Partition);
            codec.Int32(ref LeaderEpoch);
            codec.Int64(ref EndOffset);
        }
    }
}
