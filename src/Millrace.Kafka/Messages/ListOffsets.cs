using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>ListOffsets (key 2), versions 1 to 7.</summary>
public sealed class ListOffsetsRequest : IWireStruct
{
    public int ReplicaId;
    public sbyte IsolationLevel;
    public List<ListOffsetsTopic> Topics = [];

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ReplicaId);
        if (codec.Version >= 2)
            codec.Int8(ref IsolationLevel);
        codec.Structs(ref Topics);
    }

    public sealed class ListOffsetsTopic : IWireStruct
    {
        public string Name = "";
        public List<ListOffsetsPartition> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Structs(ref Partitions);
        }
    }

    public sealed class ListOffsetsPartition : IWireStruct
    {
        public int PartitionIndex;
        public int CurrentLeaderEpoch = -1;
        public long Timestamp;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int32(ref PartitionIndex);
            if (codec.Version >= 4)
                codec.Int32(ref CurrentLeaderEpoch);
            codec.Int64(ref Timestamp);
        }
    }
}

/// <summary>The answer to <see cref="ListOffsetsRequest"/>.</summary>
public sealed class ListOffsetsResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public List<ListOffsetsTopicResponse> Topics = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        if (codec.Version >= 2)
            codec.Int32(ref ThrottleTimeMs);
        codec.Structs(ref Topics);
    }

    public sealed class ListOffsetsTopicResponse : IWireStruct
    {
        public string Name = "";
        public List<ListOffsetsPartitionResponse> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Structs(ref Partitions);
        }
    }

    public sealed class ListOffsetsPartitionResponse : IWireStruct
    {
        public int PartitionIndex;
        public ErrorCode ErrorCode;
        public long Timestamp = -1;
        public long Offset = -1;
        public int LeaderEpoch = -1;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int32(ref PartitionIndex);
            codec.Error(ref ErrorCode);
            codec.Int64(ref Timestamp);
            codec.Int64(ref Offset);
            if (codec.Version >= 4)
                codec.Int32(ref LeaderEpoch);
        }
    }
}
