using System.Buffers;
using System.Buffers.Binary;

namespace Millrace.Streams.Sinks;

/// <summary>Headers that records for topics carry; stored as one byte, sent by name.</summary>
internal enum OwedHeader : byte
{
    Reason = 1,
    SourceTopic = 2,
    SourcePartition = 3,
    SourceOffset = 4,
    SourceTimestamp = 5,
    Truncated = 6,
    Retries = 7,
    Attempts = 8,
    Pipeline = 9,
    SinkTopic = 10,
}

internal static class OwedHeaderNames
{
    public static string Of(OwedHeader header) => header switch
    {
        OwedHeader.Reason => "millrace.reason",
        OwedHeader.SourceTopic => "millrace.source-topic",
        OwedHeader.SourcePartition => "millrace.source-partition",
        OwedHeader.SourceOffset => "millrace.source-offset",
        OwedHeader.SourceTimestamp => "millrace.source-timestamp",
        OwedHeader.Truncated => "millrace.value-length",
        OwedHeader.Retries => "millrace.retries",
        OwedHeader.Attempts => "millrace.attempts",
        OwedHeader.Pipeline => "millrace.pipeline",
        OwedHeader.SinkTopic => "millrace.sink-topic",
        _ => throw new InvalidDataException($"unknown header {(byte)header} of an owed record"),
    };
}

/// <summary>
/// Records for one topic, kept with a checkpoint until they are delivered. Layout of a record: length of the rest; flags (1 key, 2
/// value); key length and key, value length and value where present; count of headers, each a byte for its name, a length and bytes.
/// Lengths are 32 bit. A record's sequence is its index. Not thread-safe.
/// </summary>
internal sealed class OwedRecords
{
    private const byte HasKey = 1;
    private const byte HasValue = 2;

    private readonly ArrayBufferWriter<byte> _bytes = new(4096);
    private int _start;
    private int _headerCountAt;
    private int _headers;

    public int Count { get; private set; }

    public int ByteLength => _bytes.WrittenCount;

    public ReadOnlySpan<byte> Bytes => _bytes.WrittenSpan;

    /// <summary>Begins a record; headers may follow, then <see cref="End"/>.</summary>
    public void Begin(ReadOnlySpan<byte> key, bool hasKey, ReadOnlySpan<byte> value, bool hasValue)
    {
        _start = _bytes.WrittenCount;
        WriteInt(0);
        _bytes.Write<byte>([(byte)((hasKey ? HasKey : 0) | (hasValue ? HasValue : 0))]);
        if (hasKey)
            WriteBytes(key);
        if (hasValue)
            WriteBytes(value);
        _headerCountAt = _bytes.WrittenCount;
        _headers = 0;
        _bytes.Write<byte>([0]);
    }

    public void AddHeader(OwedHeader header, ReadOnlySpan<byte> value)
    {
        if (_headers == byte.MaxValue)
            return;
        _headers++;
        _bytes.Write<byte>([(byte)header]);
        WriteBytes(value);
    }

    public void End()
    {
        var bytes = System.Runtime.InteropServices.MemoryMarshal.AsMemory(_bytes.WrittenMemory).Span;
        bytes[_headerCountAt] = (byte)_headers;
        BinaryPrimitives.WriteInt32LittleEndian(bytes[_start..], bytes.Length - _start - 4);
        Count++;
    }

    private void WriteInt(int value)
    {
        BinaryPrimitives.WriteInt32LittleEndian(_bytes.GetSpan(4), value);
        _bytes.Advance(4);
    }

    private void WriteBytes(ReadOnlySpan<byte> value)
    {
        WriteInt(value.Length);
        _bytes.Write(value);
    }
}

/// <summary>One owed record as it is read back.</summary>
internal sealed record OwedRecord(int Sequence, byte[]? Key, byte[]? Value, IReadOnlyList<KeyValuePair<OwedHeader, byte[]>> Headers);

/// <summary>Walks the bytes of <see cref="OwedRecords"/>.</summary>
internal struct OwedReader(ReadOnlyMemory<byte> bytes)
{
    private ReadOnlyMemory<byte> _rest = bytes;
    private int _sequence;

    /// <summary>The next record, or null at the end.</summary>
    /// <exception cref="InvalidDataException">The bytes are damaged.</exception>
    public OwedRecord? Next()
    {
        if (_rest.Length == 0)
            return null;
        var length = TakeInt(ref _rest);
        var record = Take(ref _rest, length);
        var flags = Take(ref record, 1).Span[0];
        var key = (flags & 1) != 0 ? TakeBytes(ref record) : null;
        var value = (flags & 2) != 0 ? TakeBytes(ref record) : null;
        var count = Take(ref record, 1).Span[0];
        var headers = new KeyValuePair<OwedHeader, byte[]>[count];
        for (var i = 0; i < count; i++)
            headers[i] = new((OwedHeader)Take(ref record, 1).Span[0], TakeBytes(ref record));
        return new OwedRecord(_sequence++, key, value, headers);
    }

    private static byte[] TakeBytes(ref ReadOnlyMemory<byte> bytes) => Take(ref bytes, TakeInt(ref bytes)).ToArray();

    private static int TakeInt(ref ReadOnlyMemory<byte> bytes) => BinaryPrimitives.ReadInt32LittleEndian(Take(ref bytes, 4).Span);

    private static ReadOnlyMemory<byte> Take(ref ReadOnlyMemory<byte> bytes, int count)
    {
        if (count < 0 || count > bytes.Length)
            throw new InvalidDataException("owed rows end inside a record");
        var taken = bytes[..count];
        bytes = bytes[count..];
        return taken;
    }
}
