using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>WriteTxnMarkers (key 27), version 1: an administrator ends a transaction in some partitions (KIP-664).</summary>
public sealed class WriteTxnMarkersRequest : IWireStruct
{
    public List<WritableTxnMarker> Markers = [];

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Structs(ref Markers);
    }

    public sealed class WritableTxnMarker : IWireStruct
    {
        public long ProducerId;
        public short ProducerEpoch;
        public bool TransactionResult;
        public List<WritableTxnMarkerTopic> Topics = [];
        public int CoordinatorEpoch;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int64(ref ProducerId);
            codec.Int16(ref ProducerEpoch);
            codec.Boolean(ref TransactionResult);
            codec.Structs(ref Topics);
            codec.Int32(ref CoordinatorEpoch);
        }
    }

    public sealed class WritableTxnMarkerTopic : IWireStruct
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

/// <summary>The answer to <see cref="WriteTxnMarkersRequest"/>.</summary>
public sealed class WriteTxnMarkersResponse : IWireStruct
{
    public List<WritableTxnMarkerResult> Markers = [];

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Structs(ref Markers);
    }

    public sealed class WritableTxnMarkerResult : IWireStruct
    {
        public long ProducerId;
        public List<WritableTxnMarkerTopicResult> Topics = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int64(ref ProducerId);
            codec.Structs(ref Topics);
        }
    }

    public sealed class WritableTxnMarkerTopicResult : IWireStruct
    {
        public string Name = "";
        public List<WritableTxnMarkerPartitionResult> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Structs(ref Partitions);
        }
    }

    public sealed class WritableTxnMarkerPartitionResult : IWireStruct
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
