using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>OffsetDelete (key 47), version 0.</summary>
public sealed class OffsetDeleteRequest : IWireStruct
{
    public string GroupId = "";
    public List<OffsetDeleteRequestTopic> Topics = [];

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.String(ref GroupId);
        codec.Structs(ref Topics);
    }

    public sealed class OffsetDeleteRequestTopic : IWireStruct
    {
        public string Name = "";
        public List<OffsetDeleteRequestPartition> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Structs(ref Partitions);
        }
    }

    public sealed class OffsetDeleteRequestPartition : IWireStruct
    {
        public int PartitionIndex;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int32(ref PartitionIndex);
        }
    }
}

/// <summary>The answer to <see cref="OffsetDeleteRequest"/>.</summary>
public sealed class OffsetDeleteResponse : IThrottledResponse
{
    public ErrorCode ErrorCode;
    public int ThrottleTimeMs;
    public List<OffsetDeleteResponseTopic> Topics = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Error(ref ErrorCode);
        codec.Int32(ref ThrottleTimeMs);
        codec.Structs(ref Topics);
    }

    public sealed class OffsetDeleteResponseTopic : IWireStruct
    {
        public string Name = "";
        public List<OffsetDeleteResponsePartition> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Structs(ref Partitions);
        }
    }

    public sealed class OffsetDeleteResponsePartition : IWireStruct
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
