using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>DescribeLogDirs (key 35), versions 1 to 4.</summary>
public sealed class DescribeLogDirsRequest : IWireStruct
{
    public List<DescribableLogDirTopic>? Topics;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.NullableStructs(ref Topics);
    }

    public sealed class DescribableLogDirTopic : IWireStruct
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

/// <summary>The answer to <see cref="DescribeLogDirsRequest"/>.</summary>
public sealed class DescribeLogDirsResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public ErrorCode ErrorCode;
    public List<DescribeLogDirsResult> Results = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        if (codec.Version >= 3)
            codec.Error(ref ErrorCode);
        codec.Structs(ref Results);
    }

    public sealed class DescribeLogDirsResult : IWireStruct
    {
        public ErrorCode ErrorCode;
        public string LogDir = "";
        public List<DescribeLogDirsTopic> Topics = [];
        public long TotalBytes = -1;
        public long UsableBytes = -1;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Error(ref ErrorCode);
            codec.String(ref LogDir);
            codec.Structs(ref Topics);
            if (codec.Version >= 4)
            {
                codec.Int64(ref TotalBytes);
                codec.Int64(ref UsableBytes);
            }
        }
    }

    public sealed class DescribeLogDirsTopic : IWireStruct
    {
        public string Name = "";
        public List<DescribeLogDirsPartition> Partitions = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Structs(ref Partitions);
        }
    }

    public sealed class DescribeLogDirsPartition : IWireStruct
    {
        public int PartitionIndex;
        public long PartitionSize;
        public long OffsetLag;
        public bool IsFutureKey;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int32(ref PartitionIndex);
            codec.Int64(ref PartitionSize);
            codec.Int64(ref OffsetLag);
            codec.Boolean(ref IsFutureKey);
        }
    }
}
