namespace Millrace.Kafka.Records;

/// <summary>One record in place: spans into the batch's uncompressed records.</summary>
public readonly ref struct Record
{
    public required int OffsetDelta { get; init; }

    public required long TimestampDelta { get; init; }

    /// <summary>A null key is empty and <see cref="HasKey"/> is false.</summary>
    public required ReadOnlySpan<byte> Key { get; init; }

    public required bool HasKey { get; init; }

    /// <summary>A null value (a tombstone) is empty and <see cref="HasValue"/> is false.</summary>
    public required ReadOnlySpan<byte> Value { get; init; }

    public required bool HasValue { get; init; }

    public required int HeaderCount { get; init; }

    /// <summary>The headers as they stand; see <see cref="RecordHeaders"/>.</summary>
    public required ReadOnlySpan<byte> Headers { get; init; }

    /// <summary>The whole record with its length in front.</summary>
    public required ReadOnlySpan<byte> Raw { get; init; }
}

/// <summary>Walks the records of one batch without allocating.</summary>
public ref struct RecordReader
{
    private readonly ReadOnlySpan<byte> _bytes;
    private int _left;
    private int _position;

    /// <param name="records">Uncompressed records (<see cref="RecordBatch.OpenRecords"/>).</param>
    /// <param name="count">The batch's record count.</param>
    public RecordReader(ReadOnlySpan<byte> records, int count)
    {
        _bytes = records;
        _left = count;
    }

    public Record Current { get; private set; }

    /// <summary>Reads the next record.</summary>
    /// <exception cref="InvalidDataException">The bytes are no record, or the count and the bytes disagree.</exception>
    public bool MoveNext()
    {
        if (_left <= 0)
        {
            if (_position != _bytes.Length)
                throw new InvalidDataException($"{_bytes.Length - _position} bytes after the last record of a batch");
            return false;
        }
        _left--;
        var start = _position;
        var length = Varint.ReadLength(_bytes, ref _position);
        if (length < 0 || length > _bytes.Length - _position)
            throw new InvalidDataException($"a record of {length} bytes where {_bytes.Length - _position} are left");
        var end = _position + length;
        if (length == 0)
            throw new InvalidDataException("an empty record");
        _position++; // attributes: unused in magic 2
        var body = _bytes[..end];
        var timestampDelta = Varint.ReadLong(body, ref _position);
        var offsetDelta = Varint.ReadLength(body, ref _position);
        var key = Field(body, out var hasKey);
        var value = Field(body, out var hasValue);
        var headerCount = Varint.ReadLength(body, ref _position);
        if (headerCount < 0 || headerCount > end - _position)
            throw new InvalidDataException($"{headerCount} headers in {end - _position} bytes");
        Current = new Record
        {
            OffsetDelta = offsetDelta,
            TimestampDelta = timestampDelta,
            Key = key,
            HasKey = hasKey,
            Value = value,
            HasValue = hasValue,
            HeaderCount = headerCount,
            Headers = body[_position..],
            Raw = body[start..],
        };
        _position = end;
        return true;
    }

    private ReadOnlySpan<byte> Field(ReadOnlySpan<byte> body, out bool present)
    {
        var length = Varint.ReadLength(body, ref _position);
        present = length >= 0;
        if (length <= 0)
        {
            return length < -1 ? throw new InvalidDataException($"a field of {length} bytes") : default;
        }
        if (length > body.Length - _position)
            throw new InvalidDataException($"a field of {length} bytes where {body.Length - _position} are left");
        var field = body.Slice(_position, length);
        _position += length;
        return field;
    }
}

/// <summary>Walks one record's headers.</summary>
public ref struct RecordHeaders
{
    private readonly ReadOnlySpan<byte> _bytes;
    private int _left;
    private int _position;

    public RecordHeaders(Record record)
    {
        _bytes = record.Headers;
        _left = record.HeaderCount;
    }

    public ReadOnlySpan<byte> Key { get; private set; }

    public ReadOnlySpan<byte> Value { get; private set; }

    public bool HasValue { get; private set; }

    /// <exception cref="InvalidDataException">The bytes are no headers.</exception>
    public bool MoveNext()
    {
        if (_left-- <= 0)
            return false;
        Key = Take(Varint.ReadLength(_bytes, ref _position));
        var length = Varint.ReadLength(_bytes, ref _position);
        HasValue = length >= 0;
        Value = HasValue ? Take(length) : default;
        return true;
    }

    private ReadOnlySpan<byte> Take(int length)
    {
        if (length < 0 || length > _bytes.Length - _position)
            throw new InvalidDataException($"a header of {length} bytes where {_bytes.Length - _position} are left");
        var taken = _bytes.Slice(_position, length);
        _position += length;
        return taken;
    }
}

/// <summary>Zigzag varints, as inside records.</summary>
public static class Varint
{
    public static int ReadLength(ReadOnlySpan<byte> bytes, ref int position)
    {
        var value = ReadLong(bytes, ref position);
        return value is >= int.MinValue and <= int.MaxValue ? (int)value : throw new InvalidDataException($"length {value} in a record");
    }

    public static long ReadLong(ReadOnlySpan<byte> bytes, ref int position)
    {
        ulong raw = 0;
        for (var shift = 0; shift < 70; shift += 7)
        {
            if ((uint)position >= (uint)bytes.Length)
                throw new InvalidDataException("a varint runs over the end of its record");
            var b = bytes[position++];
            raw |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80)
                return (long)(raw >> 1) ^ -(long)(raw & 1);
        }
        throw new InvalidDataException("a varint of more than 10 bytes");
    }

    /// <summary>Writes at the start of the span and returns the bytes used, at most 10.</summary>
    public static int Write(Span<byte> bytes, long value)
    {
        var raw = (ulong)((value << 1) ^ (value >> 63));
        var count = 0;
        while (raw >= 0x80)
        {
            bytes[count++] = (byte)(raw | 0x80);
            raw >>= 7;
        }
        bytes[count++] = (byte)raw;
        return count;
    }

    public static int Size(long value)
    {
        var raw = (ulong)((value << 1) ^ (value >> 63));
        var count = 1;
        while (raw >= 0x80)
        {
            count++;
            raw >>= 7;
        }
        return count;
    }
}
