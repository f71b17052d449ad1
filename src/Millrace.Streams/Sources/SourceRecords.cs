using Millrace.Kafka.Clients;
using Millrace.Streams.Sinks;

namespace Millrace.Streams.Sources;

/// <summary>One record on its way through a source, polled now or waiting since before. Valid as long as what it was read from.</summary>
internal readonly ref struct SourceRecord
{
    public required int Partition { get; init; }

    public required long Offset { get; init; }

    public required long TimestampMillis { get; init; }

    public required bool HasKey { get; init; }

    public required bool HasValue { get; init; }

    public ReadOnlySpan<byte> Key { get; init; }

    public ReadOnlySpan<byte> Value { get; init; }

    /// <summary>How often it has been tried before.</summary>
    public int Attempts { get; init; }
}

/// <summary>The records of one micro-batch.</summary>
internal interface ISourceRecords
{
    SourceRecord this[int index] { get; }

    /// <summary>Without what else a record has, whose time alone is a call into the client.</summary>
    int PartitionOf(int index);

    /// <summary>What the header says that counts a record's replays from quarantine; null without one.</summary>
    byte[]? Retries(int index);
}

/// <summary>Records of a poll.</summary>
internal readonly struct PolledRecords(ConsumedBatch batch) : ISourceRecords
{
    public SourceRecord this[int index]
    {
        get
        {
            var record = batch[index];
            return new SourceRecord
            {
                Partition = record.Partition, Offset = record.Offset, TimestampMillis = record.TimestampMillis, HasKey = record.HasKey, HasValue = record.HasValue,
                Key = record.Key, Value = record.Value,
            };
        }
    }

    public int PartitionOf(int index) => batch[index].Partition;

    public byte[]? Retries(int index)
    {
        foreach (var (name, value) in batch[index].Headers())
        {
            if (name == OwedHeaderNames.Of(OwedHeader.Retries))
                return value;
        }
        return null;
    }
}

/// <summary>Records that have waited.</summary>
internal readonly struct DueRecords(List<WaitingRecord> records) : ISourceRecords
{
    public SourceRecord this[int index]
    {
        get
        {
            var record = records[index];
            return new SourceRecord
            {
                Partition = record.Partition, Offset = record.Offset, TimestampMillis = record.TimestampMillis, HasKey = record.Key is not null,
                HasValue = record.Value is not null, Key = record.Key, Value = record.Value, Attempts = record.Attempts,
            };
        }
    }

    public int PartitionOf(int index) => records[index].Partition;

    public byte[]? Retries(int index) => records[index].Retries;
}
