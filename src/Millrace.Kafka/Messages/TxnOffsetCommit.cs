using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>TxnOffsetCommit (key 28), versions 0 to 3.</summary>
public sealed class TxnOffsetCommitRequest : IWireStruct
{
    public string TransactionalId = "";
    public string GroupId = "";
    public long ProducerId;
    public short ProducerEpoch;
    public int GenerationId = -1;
    public string MemberId = "";
    public string? GroupInstanceId;
    public List<TxnOffsetCommitRequestTopic> Topics = [];

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.String(ref TransactionalId);
        codec.String(ref GroupId);
        codec.Int64(ref ProducerId);
        codec.Int16(ref ProducerEpoch);
        if (codec.Version >= 3)
        {
            codec.Int32(ref GenerationId);
            codec.String(ref MemberId);
            codec.NullableString(ref GroupInstanceId);
        }
        codec.Structs(ref Topics);
    }

    public sealed class TxnOffsetCommitRequestTopic : IWireStruct
    {
        public string Name = "";
        public List<TxnOffsetCommitRequestPartition> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Structs(ref Partitions);
        }
    }

    public sealed class TxnOffsetCommitRequestPartition : IWireStruct
    {
        public int PartitionIndex;
        public long CommittedOffset;
        public int CommittedLeaderEpoch = -1;
        public string? CommittedMetadata;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int32(ref PartitionIndex);
            codec.Int64(ref CommittedOffset);
            if (codec.Version >= 2)
                codec.Int32(ref CommittedLeaderEpoch);
            codec.NullableString(ref CommittedMetadata);
        }
    }
}

/// <summary>The answer to <see cref="TxnOffsetCommitRequest"/>.</summary>
public sealed class TxnOffsetCommitResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public List<TxnOffsetCommitResponseTopic> Topics = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Structs(ref Topics);
    }

    public sealed class TxnOffsetCommitResponseTopic : IWireStruct
    {
        public string Name = "";
        public List<TxnOffsetCommitResponsePartition> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Structs(ref Partitions);
        }
    }

    public sealed class TxnOffsetCommitResponsePartition : IWireStruct
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
