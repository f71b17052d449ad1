using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Json.Serialization;
using Millrace.Storage.Checksums;

namespace Millrace.Streams.Checkpoints;

/// <summary>
/// What a pipeline knows at a barrier besides its window rows: where to read on, how far event time has come, what was counted, and
/// what the sinks still owe. Written in one atomic batch with the state that belongs to it.
/// </summary>
internal sealed record CheckpointRecord
{
    /// <summary>Grows by one; 0 is the empty state before the first.</summary>
    public required long Id { get; init; }

    public required long AtMillis { get; init; }

    /// <summary>Made once when the state folder is: tells this state's deliveries from those of an earlier one of the same name.</summary>
    public required string Incarnation { get; init; }

    public Dictionary<string, SourceCheckpoint> Sources { get; init; } = [];

    public Dictionary<string, QueryCheckpoint> Queries { get; init; } = [];

    public Dictionary<string, TableCheckpoint> Tables { get; init; } = [];

    public Dictionary<string, TopicCheckpoint> Topics { get; init; } = [];

    public Dictionary<string, AlertCheckpoint> Alerts { get; init; } = [];
}

internal sealed record SourceCheckpoint
{
    public required string Topic { get; init; }

    public required string Schema { get; init; }

    public string? TimeColumn { get; init; }

    public required long Watermark { get; init; }

    public required List<PartitionCheckpoint> Partitions { get; init; }

    public long In { get; init; }

    public long Good { get; init; }

    public long Quarantined { get; init; }

    public long Late { get; init; }

    public long Retried { get; init; }

    public Dictionary<string, long> Reasons { get; init; } = [];
}

internal sealed record PartitionCheckpoint(int Partition, long NextOffset, long NewestMicros);

internal sealed record QueryCheckpoint
{
    /// <summary>Windowed queries: what must be the same for the stored rows to make sense; else null.</summary>
    public string? Layout { get; init; }

    public long ClosedUpTo { get; init; } = long.MinValue;

    public long Rows { get; init; }

    public long LateRows { get; init; }
}

internal sealed record TableCheckpoint
{
    /// <summary>The newest checkpoint whose rows the table is known to hold.</summary>
    public long CommittedCheckpoint { get; init; }

    public long CommittedRows { get; init; }

    public string? LastCommit { get; init; }

    public long LastCommitAtMillis { get; init; }

    /// <summary>Files in the staging folder that the table does not hold yet, oldest first.</summary>
    public List<StagedFile> Staged { get; init; } = [];
}

internal sealed record StagedFile(long Checkpoint, string Name, long Rows, long Bytes);

internal sealed record TopicCheckpoint
{
    /// <summary>Rows known to be in the topic.</summary>
    public long DeliveredRows { get; init; }

    /// <summary>Rows that the topic refused and that are known to be among its dead letters.</summary>
    public long RefusedRows { get; init; }

    /// <summary>What is in the store and not known to be in the topic, oldest first.</summary>
    public List<OwedRows> Owed { get; init; } = [];
}

/// <param name="Ends">Per partition an offset before which no record of this delivery can stand; a partition that is not named: 0.</param>
internal sealed record OwedRows(long Checkpoint, int Rows, long Bytes, Dictionary<int, long> Ends);

internal sealed record AlertCheckpoint
{
    public List<AlertKeyCheckpoint> Keys { get; init; } = [];

    /// <summary>Notifications that no target has confirmed yet.</summary>
    public List<AlertNotice> Owed { get; init; } = [];

    /// <summary>The number of the newest notice, told or not: numbers are never used twice.</summary>
    public long LastSequence { get; init; }
}

/// <param name="Key">The group's key as JSON; empty for outputs without one.</param>
/// <param name="SinceMicros">Event time from which the condition has held without a break.</param>
internal sealed record AlertKeyCheckpoint(string Key, long SinceMicros, bool Firing, string Detail)
{
    /// <summary>The end of the newest window that had a row of the key; 0 in checkpoints of before.</summary>
    public long SeenMicros { get; init; }
}

/// <summary>Something to tell: an alert began to fire or is over.</summary>
internal sealed record AlertNotice(
    long Sequence, string Alert, string Key, bool Firing, long SinceMicros, long AtMicros, string Detail);

/// <summary>A record's bytes: format version, length, CRC-32C, JSON.</summary>
internal static class CheckpointCodec
{
    public const byte Version = 1;

    private const int HeaderLength = 9;

    private static readonly JsonSerializerOptions Options = new()
    {
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        RespectRequiredConstructorParameters = true,
    };

    public static byte[] Encode(CheckpointRecord record)
    {
        var json = JsonSerializer.SerializeToUtf8Bytes(record, Options);
        var bytes = new byte[HeaderLength + json.Length];
        bytes[0] = Version;
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(1), json.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(5), Crc32C.Compute(json));
        json.CopyTo(bytes, HeaderLength);
        return bytes;
    }

    /// <exception cref="InvalidDataException">The bytes are damaged or of a later format.</exception>
    public static CheckpointRecord Decode(ReadOnlySpan<byte> bytes, string folder)
    {
        const string advice = "restore the folder from a copy, or move it away and start the job under a new name";
        if (bytes.Length >= 1 && bytes[0] != Version)
            throw new InvalidDataException($"the checkpoint in {folder} has format version {bytes[0]}, this build knows {Version}; {advice}");
        if (bytes.Length < HeaderLength || BinaryPrimitives.ReadInt32LittleEndian(bytes[1..]) != bytes.Length - HeaderLength)
            throw new InvalidDataException($"the checkpoint in {folder} is cut short; {advice}");
        var json = bytes[HeaderLength..];
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes[5..]) != Crc32C.Compute(json))
            throw new InvalidDataException($"the checkpoint in {folder} does not match its checksum; {advice}");
        try
        {
            return JsonSerializer.Deserialize<CheckpointRecord>(json, Options)!;
        }
        catch (JsonException error)
        {
            throw new InvalidDataException($"the checkpoint in {folder} cannot be read: {error.Message}; {advice}", error);
        }
    }
}
