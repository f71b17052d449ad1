using System.Numerics;

namespace Millrace.Coordination.Store;

/// <summary>Fields of a protobuf message where they lie, without objects. Groups, which our messages never had, are refused.</summary>
/// <remarks>Source: protobuf.dev, Encoding. What it reads was written by this program or passed a parser before.</remarks>
internal ref struct WireReader(ReadOnlySpan<byte> message)
{
    private ReadOnlySpan<byte> _left = message;

    public readonly bool IsAtEnd => _left.IsEmpty;

    /// <summary>The number and kind of the next field.</summary>
    /// <exception cref="InvalidDataException">The message is cut short or malformed; so for all that follow.</exception>
    public uint ReadTag() => (uint)ReadVarint();

    public ulong ReadVarint()
    {
        ulong value = 0;
        for (var i = 0; i < Math.Min(10, _left.Length); i++)
        {
            value |= (ulong)(_left[i] & 0x7F) << (7 * i);
            if (_left[i] >= 0x80)
                continue;
            _left = _left[(i + 1)..];
            return value;
        }
        throw CutShort();
    }

    public ReadOnlySpan<byte> ReadBytes()
    {
        var length = ReadVarint();
        if (length > (ulong)_left.Length)
            throw CutShort();
        var bytes = _left[..(int)length];
        _left = _left[(int)length..];
        return bytes;
    }

    /// <summary>Passes over a field that nobody here knows.</summary>
    public void Skip(uint tag)
    {
        switch (tag & 7)
        {
            case 0:
                ReadVarint();
                break;
            case 2:
                ReadBytes();
                break;
            case 1 or 5:
                var length = (tag & 7) == 1 ? 8 : 4;
                if (length > _left.Length)
                    throw CutShort();
                _left = _left[length..];
                break;
            default:
                throw new InvalidDataException($"a message has a field of kind {tag & 7}, which there is not");
        }
    }

    private static InvalidDataException CutShort() => new("a message is cut short");
}

/// <summary>A put as its bytes say it (PutRequest).</summary>
internal ref struct PutView
{
    public ReadOnlySpan<byte> Key;
    public ReadOnlySpan<byte> Value;
    public long Lease;
    public bool WantsPrevious;
    public bool IgnoresValue;
    public bool IgnoresLease;

    public static PutView Of(ReadOnlySpan<byte> message)
    {
        var put = default(PutView);
        for (var reader = new WireReader(message); !reader.IsAtEnd;)
        {
            switch (reader.ReadTag())
            {
                case (1 << 3) | 2:
                    put.Key = reader.ReadBytes();
                    break;
                case (2 << 3) | 2:
                    put.Value = reader.ReadBytes();
                    break;
                case 3 << 3:
                    put.Lease = (long)reader.ReadVarint();
                    break;
                case 4 << 3:
                    put.WantsPrevious = reader.ReadVarint() != 0;
                    break;
                case 5 << 3:
                    put.IgnoresValue = reader.ReadVarint() != 0;
                    break;
                case 6 << 3:
                    put.IgnoresLease = reader.ReadVarint() != 0;
                    break;
                case var tag:
                    reader.Skip(tag);
                    break;
            }
        }
        return put;
    }
}

/// <summary>Versions from and to the bytes of the wire's KeyValue, as Google's library writes them.</summary>
internal static class VersionBytes
{
    public static int SizeOf(in VersionView version) =>
        SizeOfBytes(version.Key.Length) + SizeOfNumber(version.CreateRevision) + SizeOfNumber(version.ModRevision) + SizeOfNumber(version.Version)
        + SizeOfBytes(version.Value.Length) + SizeOfNumber(version.Lease);

    /// <summary>Returns the bytes written.</summary>
    public static int Write(in VersionView version, Span<byte> target)
    {
        var at = WriteBytes(target, 0, 1, version.Key);
        at = WriteNumber(target, at, 2, version.CreateRevision);
        at = WriteNumber(target, at, 3, version.ModRevision);
        at = WriteNumber(target, at, 4, version.Version);
        at = WriteBytes(target, at, 5, version.Value);
        return WriteNumber(target, at, 6, version.Lease);
    }

    /// <summary>Key and value are left where they are.</summary>
    public static VersionHead Read(ReadOnlySpan<byte> message, out ReadOnlySpan<byte> key, out ReadOnlySpan<byte> value)
    {
        var head = default(VersionHead);
        key = value = default;
        for (var reader = new WireReader(message); !reader.IsAtEnd;)
        {
            switch (reader.ReadTag())
            {
                case (1 << 3) | 2:
                    key = reader.ReadBytes();
                    break;
                case 2 << 3:
                    head.CreateRevision = (long)reader.ReadVarint();
                    break;
                case 3 << 3:
                    head.ModRevision = (long)reader.ReadVarint();
                    break;
                case 4 << 3:
                    head.Version = (long)reader.ReadVarint();
                    break;
                case (5 << 3) | 2:
                    value = reader.ReadBytes();
                    break;
                case 6 << 3:
                    head.Lease = (long)reader.ReadVarint();
                    break;
                case var tag:
                    reader.Skip(tag);
                    break;
            }
        }
        return head;
    }

    public static int SizeOfVarint(ulong value) => Math.Max(1, (70 - BitOperations.LeadingZeroCount(value)) / 7);

    /// <summary>Returns the place after it.</summary>
    public static int WriteVarint(Span<byte> target, int at, ulong value)
    {
        for (; value >= 0x80; value >>= 7)
            target[at++] = (byte)(value | 0x80);
        target[at++] = (byte)value;
        return at;
    }

    private static int SizeOfNumber(long value) => value == 0 ? 0 : 1 + SizeOfVarint((ulong)value);

    private static int SizeOfBytes(int length) => length == 0 ? 0 : 1 + SizeOfVarint((ulong)length) + length;

    private static int WriteNumber(Span<byte> target, int at, int field, long value)
    {
        if (value == 0)
            return at;
        target[at] = (byte)(field << 3);
        return WriteVarint(target, at + 1, (ulong)value);
    }

    private static int WriteBytes(Span<byte> target, int at, int field, ReadOnlySpan<byte> value)
    {
        if (value.IsEmpty)
            return at;
        target[at] = (byte)((field << 3) | 2);
        at = WriteVarint(target, at + 1, (ulong)value.Length);
        value.CopyTo(target[at..]);
        return at + value.Length;
    }
}
