using System.Buffers.Binary;
using Millrace.Kafka.Compression;
using Millrace.Kafka.Wire;
using Millrace.Storage.Checksums;

namespace Millrace.Kafka.Records;

/// <summary>Makes record batches of magic 2: for internal topics, markers, compaction and tests. Not thread-safe.</summary>
public sealed class RecordBatchBuilder : IDisposable
{
    private readonly WireBuffer _records = new();
    private long _baseTimestamp;
    private long _maxTimestamp;
    private int _count;
    private int _lastOffsetDelta = -1;

    public long BaseOffset { get; init; }

    public long ProducerId { get; init; } = -1;

    public short ProducerEpoch { get; init; } = -1;

    public int BaseSequence { get; init; } = -1;

    public int LeaderEpoch { get; init; }

    public BatchAttributes Attributes { get; init; }

    public CompressionType Compression { get; init; }

    /// <summary>What the records' times are written against; null takes the first record's. With a delete horizon, that is it.</summary>
    public long? BaseTimestamp { get; init; }

    /// <summary>Null takes the largest of the records' times.</summary>
    public long? MaxTimestamp { get; init; }

    public int Count => _count;

    /// <summary>Bytes of the records so far, uncompressed.</summary>
    public int RecordBytes => _records.Length;

    /// <summary>Adds a record behind the last one.</summary>
    public void Add(long timestamp, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, bool hasKey = true, bool hasValue = true) =>
        Add(_lastOffsetDelta + 1, timestamp, key, value, hasKey, hasValue, 0, default);

    /// <summary>Adds a record at an offset; deltas must rise, gaps are legal (compaction leaves them).</summary>
    public void Add(
        int offsetDelta, long timestamp, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, bool hasKey, bool hasValue, int headerCount,
        ReadOnlySpan<byte> headers)
    {
        if (!hasKey)
            key = default;
        if (!hasValue)
            value = default;
        if (_count == 0)
            (_baseTimestamp, _maxTimestamp) = (BaseTimestamp ?? timestamp, timestamp);
        _maxTimestamp = Math.Max(_maxTimestamp, timestamp);
        var timestampDelta = timestamp - _baseTimestamp;
        var size = 1 + Varint.Size(timestampDelta) + Varint.Size(offsetDelta)
            + Varint.Size(hasKey ? key.Length : -1) + key.Length
            + Varint.Size(hasValue ? value.Length : -1) + value.Length
            + Varint.Size(headerCount) + headers.Length;
        Write(size);
        _records.Extend(1)[0] = 0;
        Write(timestampDelta);
        Write(offsetDelta);
        Write(hasKey ? key.Length : -1);
        key.CopyTo(_records.Extend(key.Length));
        Write(hasValue ? value.Length : -1);
        value.CopyTo(_records.Extend(value.Length));
        Write(headerCount);
        headers.CopyTo(_records.Extend(headers.Length));
        _lastOffsetDelta = offsetDelta;
        _count++;
    }

    /// <summary>The finished batch. The builder may then be disposed, not used again.</summary>
    /// <param name="lastOffsetDelta">Where the batch's offsets end when that is behind its last record, as after compaction.</param>
    public byte[] Build(int? lastOffsetDelta = null)
    {
        var body = Compression == CompressionType.None ? _records.Written : Compressor.Compress(Compression, _records.Written);
        var bytes = new byte[RecordBatch.HeaderBytes + body.Length];
        BinaryPrimitives.WriteInt64BigEndian(bytes, BaseOffset);
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(8), bytes.Length - RecordBatch.LengthPrefixBytes);
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(12), LeaderEpoch);
        bytes[16] = 2;
        BinaryPrimitives.WriteInt16BigEndian(bytes.AsSpan(21), (short)((short)Attributes | (short)Compression));
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(23), lastOffsetDelta ?? Math.Max(_lastOffsetDelta, 0));
        BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(27), _count == 0 ? BaseTimestamp ?? 0 : _baseTimestamp);
        BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(35), MaxTimestamp ?? _maxTimestamp);
        BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(43), ProducerId);
        BinaryPrimitives.WriteInt16BigEndian(bytes.AsSpan(51), ProducerEpoch);
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(53), BaseSequence);
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(57), _count);
        body.CopyTo(bytes.AsSpan(RecordBatch.HeaderBytes));
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(17), Crc32C.Compute(bytes.AsSpan(RecordBatch.CrcFrom)));
        return bytes;
    }

    public void Dispose() => _records.Dispose();

    private void Write(long value)
    {
        Span<byte> bytes = stackalloc byte[10];
        var count = Varint.Write(bytes, value);
        bytes[..count].CopyTo(_records.Extend(count));
    }
}
