using System.Buffers.Binary;
using System.Text;
using Millrace.Kafka.Messages;

namespace Millrace.Kafka.Wire;

/// <summary>
/// Reads one frame's fields. Lengths are checked against what is left before anything is allocated, and arrays against
/// <see cref="WireLimits.MaxItems"/>, so a hostile frame costs no more memory than a fixed multiple of its own size.
/// </summary>
public ref struct WireReader : IWireCodec
{
    private readonly ReadOnlyMemory<byte> _source;
    private readonly ReadOnlySpan<byte> _span;
    private readonly bool _flexible;
    private readonly short _version;
    private int _position;
    private int _itemsLeft;

    public WireReader(ReadOnlyMemory<byte> source, short version, bool flexible, int maxItems = WireLimits.MaxItems)
    {
        _source = source;
        _span = source.Span;
        _version = version;
        _flexible = flexible;
        _itemsLeft = maxItems;
    }

    public readonly short Version => _version;

    public readonly int Position => _position;

    public readonly int Remaining => _span.Length - _position;

    /// <summary>Reads a whole message of this version and its tag buffer.</summary>
    public static T Read<T>(ReadOnlyMemory<byte> source, short version, bool flexible, int maxItems = WireLimits.MaxItems)
        where T : class, IWireStruct, new()
    {
        var reader = new WireReader(source, version, flexible, maxItems);
        var message = new T();
        message.Serialize(ref reader);
        reader.SkipTags();
        return message;
    }

    public void Boolean(ref bool value) => value = Take(1)[0] != 0;

    public void Int8(ref sbyte value) => value = (sbyte)Take(1)[0];

    public void Int16(ref short value) => value = BinaryPrimitives.ReadInt16BigEndian(Take(2));

    public void Error(ref ErrorCode value) => value = (ErrorCode)BinaryPrimitives.ReadInt16BigEndian(Take(2));

    public void Int32(ref int value) => value = BinaryPrimitives.ReadInt32BigEndian(Take(4));

    public void Int64(ref long value) => value = BinaryPrimitives.ReadInt64BigEndian(Take(8));

    public void Float64(ref double value) => value = BinaryPrimitives.ReadDoubleBigEndian(Take(8));

    public void Uuid(ref Guid value) => value = new Guid(Take(16), bigEndian: true);

    public void String(ref string value)
    {
        var length = ShortLength();
        if (length < 0)
            throw new WireFormatException($"null at byte {_position} where a string must stand");
        value = StringCache.Get(Take(length));
    }

    public void NullableString(ref string? value)
    {
        var length = ShortLength();
        value = length < 0 ? null : StringCache.Get(Take(length));
    }

    /// <summary>A nullable string with the classic 16-bit length, whatever the version: the client id in request headers.</summary>
    public string? ClassicNullableString()
    {
        short length = 0;
        Int16(ref length);
        return length < 0 ? null : StringCache.Get(Take(length));
    }

    public void Bytes(ref ReadOnlyMemory<byte> value)
    {
        var length = Length();
        if (length < 0)
            throw new WireFormatException($"null at byte {_position} where bytes must stand");
        value = TakeMemory(length);
    }

    public void Records(ref ReadOnlyMemory<byte> value)
    {
        var length = Length();
        value = length < 0 ? default : TakeMemory(length);
    }

    public void Int32s(ref List<int> items)
    {
        var count = Count(4);
        items = new List<int>(count);
        for (var i = 0; i < count; i++)
        {
            var item = 0;
            Int32(ref item);
            items.Add(item);
        }
    }

    public void Int64s(ref List<long> items)
    {
        var count = Count(8);
        items = new List<long>(count);
        for (var i = 0; i < count; i++)
        {
            var item = 0L;
            Int64(ref item);
            items.Add(item);
        }
    }

    public void Strings(ref List<string> items)
    {
        List<string>? read = null;
        NullableStrings(ref read);
        items = read ?? throw new WireFormatException($"null at byte {_position} where an array must stand");
    }

    public void NullableStrings(ref List<string>? items)
    {
        var count = NullableCount(1);
        if (count < 0)
        {
            items = null;
            return;
        }
        items = new List<string>(count);
        for (var i = 0; i < count; i++)
        {
            var item = "";
            String(ref item);
            items.Add(item);
        }
    }

    public void Structs<T>(ref List<T> items) where T : class, IWireStruct, new() => items = ReadStructs<T>(Count(1));

    public void NullableStructs<T>(ref List<T>? items) where T : class, IWireStruct, new()
    {
        var count = NullableCount(1);
        items = count < 0 ? null : ReadStructs<T>(count);
    }

    public void Struct<T>(ref T value) where T : class, IWireStruct, new()
    {
        value = new T();
        value.Serialize(ref this);
        SkipTags();
    }

    public void NullableStruct<T>(ref T? value) where T : class, IWireStruct, new()
    {
        if ((sbyte)Take(1)[0] < 0)
        {
            value = null;
            return;
        }
        value = new T();
        value.Serialize(ref this);
        SkipTags();
    }

    /// <summary>Skips a tag buffer in flexible versions; unknown tags are allowed by the protocol (KIP-482).</summary>
    public void SkipTags()
    {
        if (!_flexible)
            return;
        var count = UnsignedVarint();
        for (uint i = 0; i < count; i++)
        {
            UnsignedVarint();
            var size = UnsignedVarint();
            if (size > (uint)Remaining)
                throw TooShort(size);
            _position += (int)size;
        }
    }

    private List<T> ReadStructs<T>(int count) where T : class, IWireStruct, new()
    {
        var items = new List<T>(count);
        for (var i = 0; i < count; i++)
        {
            var item = new T();
            item.Serialize(ref this);
            SkipTags();
            items.Add(item);
        }
        return items;
    }

    private int Count(int leastItemBytes)
    {
        var count = NullableCount(leastItemBytes);
        // Some clients send null where the schema says empty; both mean "none" there.
        return Math.Max(count, 0);
    }

    private int NullableCount(int leastItemBytes)
    {
        var count = Length();
        if (count <= 0)
            return count;
        if ((long)count * leastItemBytes > Remaining)
            throw TooShort((uint)count);
        _itemsLeft -= count;
        if (_itemsLeft < 0)
            throw new WireFormatException("more array items than one request may have");
        return count;
    }

    private int ShortLength()
    {
        if (_flexible)
            return CompactLength();
        short length = 0;
        Int16(ref length);
        if (length < -1)
            throw new WireFormatException($"length {length} at byte {_position - 2}");
        return length;
    }

    private int Length()
    {
        if (_flexible)
            return CompactLength();
        var length = 0;
        Int32(ref length);
        if (length < -1)
            throw new WireFormatException($"length {length} at byte {_position - 4}");
        return length;
    }

    private int CompactLength()
    {
        var length = UnsignedVarint();
        if (length > int.MaxValue)
            throw new WireFormatException($"length {length} at byte {_position}");
        return (int)length - 1;
    }

    private uint UnsignedVarint()
    {
        uint value = 0;
        for (var shift = 0; shift < 35; shift += 7)
        {
            var b = Take(1)[0];
            value |= (uint)(b & 0x7F) << shift;
            if (b < 0x80)
                return value;
        }
        throw new WireFormatException($"a varint longer than 5 bytes at byte {_position}");
    }

    private ReadOnlyMemory<byte> TakeMemory(int length)
    {
        var start = _position;
        Take(length);
        return _source.Slice(start, length);
    }

    private ReadOnlySpan<byte> Take(int length)
    {
        if ((uint)length > (uint)(_span.Length - _position))
            throw TooShort((uint)length);
        var taken = _span.Slice(_position, length);
        _position += length;
        return taken;
    }

    private readonly WireFormatException TooShort(uint wanted) =>
        new($"{wanted} wanted at byte {_position}, {Remaining} bytes left in the frame");
}

/// <summary>Bounds of decoding.</summary>
public static class WireLimits
{
    /// <summary>Array items in one request, over all arrays: bounds the objects that one frame can make.</summary>
    public const int MaxItems = 200_000;
}

/// <summary>
/// Strings that come again and again (topic names, client ids) without allocating them again: a small table by hash whose entries
/// simply replace each other. Lock-free: a slot is one reference.
/// </summary>
internal static class StringCache
{
    private const int Slots = 2048;
    private const int LongestCached = 64;
    private static readonly string?[] Table = new string?[Slots];

    public static string Get(ReadOnlySpan<byte> utf8)
    {
        if (utf8.IsEmpty)
            return "";
        if (utf8.Length > LongestCached)
            return Encoding.UTF8.GetString(utf8);
        var slot = (int)(Storage.Checksums.Crc32C.Compute(utf8) % Slots);
        var cached = Table[slot];
        if (cached is not null && System.Text.Ascii.Equals(utf8, cached))
            return cached;
        var text = Encoding.UTF8.GetString(utf8);
        Table[slot] = text;
        return text;
    }
}
