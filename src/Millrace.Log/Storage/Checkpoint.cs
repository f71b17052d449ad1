using System.Buffers.Binary;
using Millrace.Kafka.Wire;
using Millrace.Storage.Checksums;
using Millrace.Storage.Files;

namespace Millrace.Log.Storage;

/// <summary>What a checkpoint says of one partition: all of it is durable in the partition's segments.</summary>
internal sealed class PartitionCheckpoint : IWireStruct
{
    public Guid TopicId;
    public int Partition;

    /// <summary>Base offset of the segment that is appended to, and its durable length.</summary>
    public long ActiveBase;
    public long ActiveLength;

    public long LogStart;
    public long NextOffset;
    public long MaxTimestamp;
    public List<ProducerSnapshot> Producers = [];
    public List<OpenTransaction> OpenTransactions = [];
    public List<AbortedRange> Aborted = [];

    /// <summary>Compaction has been through everything below.</summary>
    public long CleanedThrough;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Uuid(ref TopicId);
        codec.Int32(ref Partition);
        codec.Int64(ref ActiveBase);
        codec.Int64(ref ActiveLength);
        codec.Int64(ref LogStart);
        codec.Int64(ref NextOffset);
        codec.Int64(ref MaxTimestamp);
        codec.Structs(ref Producers);
        codec.Structs(ref OpenTransactions);
        codec.Structs(ref Aborted);
        if (codec.Version >= 2)
            codec.Int64(ref CleanedThrough);
    }
}

internal sealed class ProducerSnapshot : IWireStruct
{
    public long ProducerId;
    public List<ProducedBatchSnapshot> Batches = [];

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int64(ref ProducerId);
        codec.Structs(ref Batches);
    }
}

internal sealed class ProducedBatchSnapshot : IWireStruct
{
    public int FirstSequence;
    public int LastSequence;
    public long BaseOffset;
    public long LastOffset;
    public long Timestamp;
    public short Epoch;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref FirstSequence);
        codec.Int32(ref LastSequence);
        codec.Int64(ref BaseOffset);
        codec.Int64(ref LastOffset);
        codec.Int64(ref Timestamp);
        codec.Int16(ref Epoch);
    }
}

/// <summary>A transaction that has records in the partition and no marker yet.</summary>
internal sealed class OpenTransaction : IWireStruct
{
    public long ProducerId;
    public long FirstOffset;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int64(ref ProducerId);
        codec.Int64(ref FirstOffset);
    }
}

/// <summary>An aborted transaction: its first record and its marker.</summary>
internal sealed class AbortedRange : IWireStruct
{
    public long ProducerId;
    public long FirstOffset;
    public long LastOffset;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int64(ref ProducerId);
        codec.Int64(ref FirstOffset);
        codec.Int64(ref LastOffset);
    }
}

/// <summary>
/// The file <c>checkpoint</c>: up to where each partition's segments are durable, and the journal generation from which the rest is
/// replayed. Replaced whole.
/// </summary>
internal sealed class Checkpoint : IWireStruct
{
    public const string FileName = "checkpoint";

    private const uint Magic = 0x3143_524D; // "MRC1"
    private const short FormatVersion = 2;
    private const int HeaderBytes = 16;

    public long ReplayFrom;
    public List<PartitionCheckpoint> Partitions = [];

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int64(ref ReplayFrom);
        codec.Structs(ref Partitions);
    }

    public static void Save(IFileSystem files, string folder, long replayFrom, List<PartitionCheckpoint> partitions)
    {
        var checkpoint = new Checkpoint { ReplayFrom = replayFrom, Partitions = partitions };
        using var buffer = new WireBuffer();
        var header = buffer.Extend(HeaderBytes);
        header.Clear();
        WireWriter.Write(buffer, checkpoint, FormatVersion, flexible: true);
        var body = buffer.Written[HeaderBytes..];
        header = buffer.At(0, HeaderBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(header, Magic);
        BinaryPrimitives.WriteInt16LittleEndian(header[4..], FormatVersion);
        BinaryPrimitives.WriteInt32LittleEndian(header[8..], body.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(header[12..], Crc32C.Compute(body));
        DurableFile.Replace(files, Path.Combine(folder, FileName), buffer.Written);
    }

    /// <summary>The checkpoint, or null when there is none yet.</summary>
    /// <exception cref="SegmentDamagedException">It is not what was written.</exception>
    public static Checkpoint? Load(IFileSystem files, string folder)
    {
        var path = Path.Combine(folder, FileName);
        if (!files.FileExists(path))
            return null;
        var bytes = DurableFile.ReadAll(files, path);
        if (bytes.Length < HeaderBytes || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != Magic)
            throw Damaged(path, 0, "it does not begin as a checkpoint");
        var version = BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(4));
        if (version is < 1 or > FormatVersion)
            throw Damaged(path, 4, $"its format version {version} is not 1 to {FormatVersion}");
        var body = bytes.AsMemory(HeaderBytes);
        if (BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(8)) != body.Length
            || BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(12)) != Crc32C.Compute(body.Span))
        {
            throw Damaged(path, HeaderBytes, "its checksum is wrong");
        }
        return WireReader.Read<Checkpoint>(body, (short)version, flexible: true, maxItems: int.MaxValue);
    }

    private static CheckpointDamagedException Damaged(string path, long position, string reason) => new(path, position, reason);
}

/// <summary>The checkpoint file cannot be used.</summary>
public sealed class CheckpointDamagedException(string path, long position, string reason)
    : IOException($"{path} is damaged at byte {position}: {reason}; move it away and start again: the log is then rebuilt by reading all segments")
{
    public string Path { get; } = path;

    public long Position { get; } = position;
}
