using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>DeleteRecords (key 21), versions 0 to 2.</summary>
public sealed class DeleteRecordsRequest : IWireStruct
{
    public List<DeleteRecordsTopic> Topics = [];
    public int TimeoutMs;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Structs(ref Topics);
        codec.Int32(ref TimeoutMs);
    }

    public sealed class DeleteRecordsTopic : IWireStruct
    {
        public string Name = "";
        public List<DeleteRecordsPartition> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Structs(ref Partitions);
        }
    }

    public sealed class DeleteRecordsPartition : IWireStruct
    {
        public int PartitionIndex;
        public long Offset;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int32(ref PartitionIndex);
            codec.Int64(ref Offset);
        }
    }
}

/// <summary>The answer to <see cref="DeleteRecordsRequest"/>.</summary>
public sealed class DeleteRecordsResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public List<DeleteRecordsTopicResult> Topics = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Structs(ref Topics);
    }

    public sealed class DeleteRecordsTopicResult : IWireStruct
    {
        public string Name = "";
        public List<DeleteRecordsPartitionResult> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Structs(ref Partitions);
        }
    }

    public sealed class DeleteRecordsPartitionResult : IWireStruct
    {
        public int PartitionIndex;
        public long LowWatermark;
        public ErrorCode ErrorCode;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int32(ref PartitionIndex);
            codec.Int64(ref LowWatermark);
            codec.Error(ref ErrorCode);
        }
    }
}
