using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>OffsetCommit (key 8), versions 2 to 9.</summary>
public sealed class OffsetCommitRequest : IWireStruct
{
    public string GroupId = "";
    public int GenerationIdOrMemberEpoch = -1;
    public string MemberId = "";
    public string? GroupInstanceId;
    public long RetentionTimeMs = -1;
    public List<OffsetCommitRequestTopic> Topics = [];

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.String(ref GroupId);
        codec.Int32(ref GenerationIdOrMemberEpoch);
        codec.String(ref MemberId);
        if (codec.Version >= 7)
            codec.NullableString(ref GroupInstanceId);
        if (codec.Version <= 4)
            codec.Int64(ref RetentionTimeMs);
        codec.Structs(ref Topics);
    }

    public sealed class OffsetCommitRequestTopic : IWireStruct
    {
        public string Name = "";
        public List<OffsetCommitRequestPartition> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Structs(ref Partitions);
        }
    }

    public sealed class OffsetCommitRequestPartition : IWireStruct
    {
        public int PartitionIndex;
        public long CommittedOffset;
        public int CommittedLeaderEpoch = -1;
        public string? CommittedMetadata;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int32(ref PartitionIndex);
            codec.Int64(ref CommittedOffset);
            if (codec.Version >= 6)
                codec.Int32(ref CommittedLeaderEpoch);
            codec.NullableString(ref CommittedMetadata);
        }
    }
}

/// <summary>The answer to <see cref="OffsetCommitRequest"/>.</summary>
public sealed class OffsetCommitResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public List<OffsetCommitResponseTopic> Topics = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        if (codec.Version >= 3)
            codec.Int32(ref ThrottleTimeMs);
        codec.Structs(ref Topics);
    }

    public sealed class OffsetCommitResponseTopic : IWireStruct
    {
        public string Name = "";
        public List<OffsetCommitResponsePartition> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Structs(ref Partitions);
        }
    }

    public sealed class OffsetCommitResponsePartition : IWireStruct
    {
        public int PartitionIndex;
        public ErrorCode ErrorCode;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int32(ref PartitionIndex);
            codec.Error(ref ErrorCode);
        }
    }
}
