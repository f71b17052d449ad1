using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>OffsetFetch (key 9), versions 1 to 9.</summary>
public sealed class OffsetFetchRequest : IWireStruct
{
    public string GroupId = "";
    public List<OffsetFetchRequestTopic>? Topics;
    public List<OffsetFetchRequestGroup> Groups = [];
    public bool RequireStable;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        if (codec.Version <= 7)
        {
            codec.String(ref GroupId);
            codec.NullableStructs(ref Topics);
        }
        if (codec.Version >= 8)
            codec.Structs(ref Groups);
        if (codec.Version >= 7)
            codec.Boolean(ref RequireStable);
    }

    public sealed class OffsetFetchRequestTopic : IWireStruct
    {
        public string Name = "";
        public List<int> PartitionIndexes = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Int32s(ref PartitionIndexes);
        }
    }

    public sealed class OffsetFetchRequestGroup : IWireStruct
    {
        public string GroupId = "";
        public string? MemberId;
        public int MemberEpoch = -1;
        public List<OffsetFetchRequestTopics>? Topics;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref GroupId);
            if (codec.Version >= 9)
            {
                codec.NullableString(ref MemberId);
                codec.Int32(ref MemberEpoch);
            }
            codec.NullableStructs(ref Topics);
        }
    }

    public sealed class OffsetFetchRequestTopics : IWireStruct
    {
        public string Name = "";
        public List<int> PartitionIndexes = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Int32s(ref PartitionIndexes);
        }
    }
}

/// <summary>The answer to <see cref="OffsetFetchRequest"/>.</summary>
public sealed class OffsetFetchResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public List<OffsetFetchResponseTopic> Topics = [];
    public ErrorCode ErrorCode;
    public List<OffsetFetchResponseGroup> Groups = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        if (codec.Version >= 3)
            codec.Int32(ref ThrottleTimeMs);
        if (codec.Version <= 7)
            codec.Structs(ref Topics);
        if (codec.Version is >= 2 and <= 7)
            codec.Error(ref ErrorCode);
        if (codec.Version >= 8)
            codec.Structs(ref Groups);
    }

    public sealed class OffsetFetchResponseTopic : IWireStruct
    {
        public string Name = "";
        public List<OffsetFetchResponsePartition> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Structs(ref Partitions);
        }
    }

    public sealed class OffsetFetchResponsePartition : IWireStruct
    {
        public int PartitionIndex;
        public long CommittedOffset;
        public int CommittedLeaderEpoch = -1;
        public string? Metadata;
        public ErrorCode ErrorCode;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int32(ref PartitionIndex);
            codec.Int64(ref CommittedOffset);
            if (codec.Version >= 5)
                codec.Int32(ref CommittedLeaderEpoch);
            codec.NullableString(ref Metadata);
            codec.Error(ref ErrorCode);
        }
    }

    public sealed class OffsetFetchResponseGroup : IWireStruct
    {
        public string GroupId = "";
        public List<OffsetFetchResponseTopics> Topics = [];
        public ErrorCode ErrorCode;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref GroupId);
            codec.Structs(ref Topics);
            codec.Error(ref ErrorCode);
        }
    }

    public sealed class OffsetFetchResponseTopics : IWireStruct
    {
        public string Name = "";
        public List<OffsetFetchResponsePartitions> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Structs(ref Partitions);
        }
    }

    public sealed class OffsetFetchResponsePartitions : IWireStruct
    {
        public int PartitionIndex;
        public long CommittedOffset;
        public int CommittedLeaderEpoch = -1;
        public string? Metadata;
        public ErrorCode ErrorCode;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int32(ref PartitionIndex);
            codec.Int64(ref CommittedOffset);
            codec.Int32(ref CommittedLeaderEpoch);
            codec.NullableString(ref Metadata);
            codec.Error(ref ErrorCode);
        }
    }
}
