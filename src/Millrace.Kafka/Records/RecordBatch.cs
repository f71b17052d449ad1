using System.Buffers.Binary;
using Millrace.Kafka.Compression;
using Millrace.Storage.Checksums;

namespace Millrace.Kafka.Records;

/// <summary>
/// The fixed part of a record batch of magic 2 (Kafka's DefaultRecordBatch), read in place. The CRC-32C covers everything from the
/// attributes on, so the broker sets base offset and leader epoch without touching it.
/// </summary>
public readonly ref struct RecordBatch
{
    /// <summary>Bytes before the records.</summary>
    public const int HeaderBytes = 61;

    /// <summary>Bytes that <see cref="BatchLength"/> does not count: base offset and the length itself.</summary>
    public const int LengthPrefixBytes = 12;

    public const int CrcFrom = 21;

    private readonly ReadOnlySpan<byte> _bytes;

    /// <param name="bytes">At least <see cref="HeaderBytes"/>; more is needed only by <see cref="Records"/> and <see cref="ComputeCrc"/>.</param>
    public RecordBatch(ReadOnlySpan<byte> bytes) => _bytes = bytes;

    public long BaseOffset => BinaryPrimitives.ReadInt64BigEndian(_bytes);

    public int BatchLength => BinaryPrimitives.ReadInt32BigEndian(_bytes[8..]);

    /// <summary>Bytes of the whole batch.</summary>
    public int TotalBytes => BatchLength + LengthPrefixBytes;

    public int LeaderEpoch => BinaryPrimitives.ReadInt32BigEndian(_bytes[12..]);

    public byte Magic => _bytes[16];

    public uint Crc => BinaryPrimitives.ReadUInt32BigEndian(_bytes[17..]);

    public BatchAttributes Attributes => (BatchAttributes)BinaryPrimitives.ReadInt16BigEndian(_bytes[21..]);

    public CompressionType Compression => (CompressionType)((int)Attributes & 7);

    public bool IsControl => (Attributes & BatchAttributes.Control) != 0;

    public bool IsTransactional => (Attributes & BatchAttributes.Transactional) != 0;

    public int LastOffsetDelta => BinaryPrimitives.ReadInt32BigEndian(_bytes[23..]);

    public long LastOffset => BaseOffset + LastOffsetDelta;

    public long BaseTimestamp => BinaryPrimitives.ReadInt64BigEndian(_bytes[27..]);

    public long MaxTimestamp => BinaryPrimitives.ReadInt64BigEndian(_bytes[35..]);

    public long ProducerId => BinaryPrimitives.ReadInt64BigEndian(_bytes[43..]);

    public short ProducerEpoch => BinaryPrimitives.ReadInt16BigEndian(_bytes[51..]);

    public int BaseSequence => BinaryPrimitives.ReadInt32BigEndian(_bytes[53..]);

    public int RecordCount => BinaryPrimitives.ReadInt32BigEndian(_bytes[57..]);

    /// <summary>The records, one compressed block when <see cref="Compression"/> says so.</summary>
    public ReadOnlySpan<byte> Records => _bytes[HeaderBytes..TotalBytes];

    public uint ComputeCrc() => Crc32C.Compute(_bytes[CrcFrom..TotalBytes]);

    /// <summary>
    /// Whether the bytes hold one whole batch from their start; its length then, the length that its header asks for when only that is
    /// missing, and -1 when no batch can begin so.
    /// </summary>
    public static int WholeBytes(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < HeaderBytes)
            return bytes.Length >= LengthPrefixBytes && new RecordBatch(bytes).BatchLength < HeaderBytes - LengthPrefixBytes ? -1 : HeaderBytes;
        var batch = new RecordBatch(bytes);
        return batch.Magic == 2 && batch.BatchLength is >= HeaderBytes - LengthPrefixBytes and <= int.MaxValue - LengthPrefixBytes
            ? batch.TotalBytes
            : -1;
    }

    public static void SetBaseOffset(Span<byte> bytes, long offset) => BinaryPrimitives.WriteInt64BigEndian(bytes, offset);

    public static void SetLeaderEpoch(Span<byte> bytes, int epoch) => BinaryPrimitives.WriteInt32BigEndian(bytes[12..], epoch);

    /// <summary>Gives every record this time (LogAppendTime) and renews the CRC.</summary>
    public static void SetLogAppendTime(Span<byte> bytes, long timestampMillis)
    {
        var attributes = (short)(BinaryPrimitives.ReadInt16BigEndian(bytes[21..]) | (short)BatchAttributes.LogAppendTime);
        BinaryPrimitives.WriteInt16BigEndian(bytes[21..], attributes);
        BinaryPrimitives.WriteInt64BigEndian(bytes[35..], timestampMillis);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[17..], Crc32C.Compute(bytes[CrcFrom..]));
    }

    /// <summary>The records uncompressed, in memory of the caller's pool lease.</summary>
    /// <param name="bytes">The whole batch.</param>
    /// <param name="maxBytes">More uncompressed bytes are refused: a compressed block can claim any size.</param>
    /// <exception cref="InvalidDataException">The block is broken, of an unknown codec, or too large.</exception>
    public static Decompressed OpenRecords(ReadOnlySpan<byte> bytes, int maxBytes)
    {
        var batch = new RecordBatch(bytes);
        return Decompressed.From(batch.Compression, batch.Records, maxBytes);
    }
}

[Flags]
public enum BatchAttributes : short
{
    None = 0,
    LogAppendTime = 1 << 3,
    Transactional = 1 << 4,
    Control = 1 << 5,
    HasDeleteHorizon = 1 << 6,
}

/// <summary>Attribute bits 0 to 2.</summary>
public enum CompressionType : byte
{
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}
