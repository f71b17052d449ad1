using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>Fetch (key 1), versions 4 to 12.</summary>
public sealed class FetchRequest : IWireStruct
{
    public int ReplicaId = -1;
    public int MaxWaitMs;
    public int MinBytes;
    public int MaxBytes = int.MaxValue;
    public sbyte IsolationLevel;
    public int SessionId;
    public int SessionEpoch = -1;
    public List<FetchTopic> Topics = [];
    public List<ForgottenTopic> ForgottenTopicsData = [];
    public string RackId = "";

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ReplicaId);
        codec.Int32(ref MaxWaitMs);
        codec.Int32(ref MinBytes);
        codec.Int32(ref MaxBytes);
        codec.Int8(ref IsolationLevel);
        if (codec.Version >= 7)
        {
            codec.Int32(ref SessionId);
            codec.Int32(ref SessionEpoch);
        }
        codec.Structs(ref Topics);
        if (codec.Version >= 7)
            codec.Structs(ref ForgottenTopicsData);
        if (codec.Version >= 11)
            codec.String(ref RackId);
    }

    public sealed class FetchTopic : IWireStruct
    {
        public string Topic = "";
        public List<FetchPartition> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Topic);
            codec.Structs(ref Partitions);
        }
    }

    public sealed class FetchPartition : IWireStruct
    {
        public int Partition;
        public int CurrentLeaderEpoch = -1;
        public long FetchOffset;
        public int LastFetchedEpoch = -1;
        public long LogStartOffset = -1;
        public int PartitionMaxBytes;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int32(ref Partition);
            if (codec.Version >= 9)
                codec.Int32(ref CurrentLeaderEpoch);
            codec.Int64(ref FetchOffset);
            if (codec.Version >= 12)
                codec.Int32(ref LastFetchedEpoch);
            if (codec.Version >= 5)
                codec.Int64(ref LogStartOffset);
            codec.Int32(ref PartitionMaxBytes);
        }
    }

    public sealed class ForgottenTopic : IWireStruct
    {
        public string Topic = "";
        public List<int> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Topic);
            codec.Int32s(ref Partitions);
        }
    }
}

/// <summary>The answer to <see cref="FetchRequest"/>.</summary>
public sealed class FetchResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public ErrorCode ErrorCode;
    public int SessionId;
    public List<FetchableTopicResponse> Responses = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        if (codec.Version >= 7)
        {
            codec.Error(ref ErrorCode);
            codec.Int32(ref SessionId);
        }
        codec.Structs(ref Responses);
    }

    public sealed class FetchableTopicResponse : IWireStruct
    {
        public string Topic = "";
        public List<PartitionData> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Topic);
            codec.Structs(ref Partitions);
        }
    }

    public sealed class PartitionData : IWireStruct
    {
        public int PartitionIndex;
        public ErrorCode ErrorCode;
        public long HighWatermark;
        public long LastStableOffset = -1;
        public long LogStartOffset = -1;
        public List<AbortedTransaction>? AbortedTransactions;
        public int PreferredReadReplica = -1;
        public ReadOnlyMemory<byte> Records;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int32(ref PartitionIndex);
            codec.Error(ref ErrorCode);
            codec.Int64(ref HighWatermark);
            codec.Int64(ref LastStableOffset);
            if (codec.Version >= 5)
                codec.Int64(ref LogStartOffset);
            codec.NullableStructs(ref AbortedTransactions);
            if (codec.Version >= 11)
                codec.Int32(ref PreferredReadReplica);
            codec.Records(ref Records);
        }
    }

    public sealed class AbortedTransaction : IWireStruct
    {
        public long ProducerId;
        public long FirstOffset;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int64(ref ProducerId);
            codec.Int64(ref FirstOffset);
        }
    }
}
