using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>DescribeProducers (key 61), version 0.</summary>
public sealed class DescribeProducersRequest : IWireStruct
{
    public List<TopicRequest> Topics = [];

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Structs(ref Topics);
    }

    public sealed class TopicRequest : IWireStruct
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

/// <summary>The answer to <see cref="DescribeProducersRequest"/>.</summary>
public sealed class DescribeProducersResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public List<TopicResponse> Topics = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Structs(ref Topics);
    }

    public sealed class TopicResponse : IWireStruct
    {
        public string Name = "";
        public List<PartitionResponse> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Structs(ref Partitions);
        }
    }

    public sealed class PartitionResponse : IWireStruct
    {
        public int PartitionIndex;
        public ErrorCode ErrorCode;
        public string? ErrorMessage;
        public List<ProducerState> ActiveProducers = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int32(ref PartitionIndex);
            codec.Error(ref ErrorCode);
            codec.NullableString(ref ErrorMessage);
            codec.Structs(ref ActiveProducers);
        }
    }

    public sealed class ProducerState : IWireStruct
    {
        public long ProducerId;
        public int ProducerEpoch;
        public int LastSequence = -1;
        public long LastTimestamp = -1;
        public int CoordinatorEpoch;
        public long CurrentTxnStartOffset = -1;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int64(ref ProducerId);
            codec.Int32(ref ProducerEpoch);
            codec.Int32(ref LastSequence);
            codec.Int64(ref LastTimestamp);
            codec.Int32(ref CoordinatorEpoch);
            codec.Int64(ref CurrentTxnStartOffset);
        }
    }
}
