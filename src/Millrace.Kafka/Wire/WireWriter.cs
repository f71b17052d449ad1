using System.Buffers.Binary;
using System.Text;
using Millrace.Kafka.Messages;

namespace Millrace.Kafka.Wire;

/// <summary>Writes one message's fields to a <see cref="WireBuffer"/>.</summary>
public readonly ref struct WireWriter : IWireCodec
{
    private readonly WireBuffer _buffer;
    private readonly bool _flexible;
    private readonly short _version;

    public WireWriter(WireBuffer buffer, short version, bool flexible)
    {
        _buffer = buffer;
        _version = version;
        _flexible = flexible;
    }

    public short Version => _version;

    /// <summary>Writes a whole message and its tag buffer.</summary>
    public static void Write<T>(WireBuffer buffer, T message, short version, bool flexible) where T : IWireStruct
    {
        var writer = new WireWriter(buffer, version, flexible);
        message.Serialize(ref writer);
        writer.NoTags();
    }

    public void Boolean(ref bool value) => _buffer.Extend(1)[0] = value ? (byte)1 : (byte)0;

    public void Int8(ref sbyte value) => _buffer.Extend(1)[0] = (byte)value;

    public void Int16(ref short value) => BinaryPrimitives.WriteInt16BigEndian(_buffer.Extend(2), value);

    public void Error(ref ErrorCode value) => BinaryPrimitives.WriteInt16BigEndian(_buffer.Extend(2), (short)value);

    public void Int32(ref int value) => BinaryPrimitives.WriteInt32BigEndian(_buffer.Extend(4), value);

    public void Int64(ref long value) => BinaryPrimitives.WriteInt64BigEndian(_buffer.Extend(8), value);

    public void Float64(ref double value) => BinaryPrimitives.WriteDoubleBigEndian(_buffer.Extend(8), value);

    public void Uuid(ref Guid value) => value.TryWriteBytes(_buffer.Extend(16), bigEndian: true, out _);

    public void String(ref string value) => WriteString(value);

    public void NullableString(ref string? value)
    {
        if (value is null)
            ShortLength(-1);
        else
            WriteString(value);
    }

    /// <summary>A nullable string with the classic 16-bit length: the client id in request headers.</summary>
    public void ClassicNullableString(string? value)
    {
        var length = (short)(value is null ? -1 : Encoding.UTF8.GetByteCount(value));
        Int16(ref length);
        if (value is not null)
            Encoding.UTF8.GetBytes(value, _buffer.Extend(length));
    }

    public void Bytes(ref ReadOnlyMemory<byte> value)
    {
        Length(value.Length);
        _buffer.Append(value);
    }

    public void Records(ref ReadOnlyMemory<byte> value) => Bytes(ref value);

    public void Int32s(ref List<int> items)
    {
        Length(items.Count);
        foreach (var item in items)
            BinaryPrimitives.WriteInt32BigEndian(_buffer.Extend(4), item);
    }

    public void Int64s(ref List<long> items)
    {
        Length(items.Count);
        foreach (var item in items)
            BinaryPrimitives.WriteInt64BigEndian(_buffer.Extend(8), item);
    }

    public void Strings(ref List<string> items)
    {
        Length(items.Count);
        foreach (var item in items)
            WriteString(item);
    }

    public void NullableStrings(ref List<string>? items)
    {
        if (items is null)
            Length(-1);
        else
            Strings(ref items!);
    }

    public void Structs<T>(ref List<T> items) where T : class, IWireStruct, new()
    {
        Length(items.Count);
        var writer = this;
        foreach (var item in items)
        {
            item.Serialize(ref writer);
            NoTags();
        }
    }

    public void NullableStructs<T>(ref List<T>? items) where T : class, IWireStruct, new()
    {
        if (items is null)
            Length(-1);
        else
            Structs(ref items!);
    }

    public void Struct<T>(ref T value) where T : class, IWireStruct, new()
    {
        var writer = this;
        value.Serialize(ref writer);
        NoTags();
    }

    public void NullableStruct<T>(ref T? value) where T : class, IWireStruct, new()
    {
        _buffer.Extend(1)[0] = value is null ? (byte)0xFF : (byte)1;
        if (value is null)
            return;
        var writer = this;
        value.Serialize(ref writer);
        NoTags();
    }

    /// <summary>An empty tag buffer in flexible versions, nothing in classic ones.</summary>
    public void NoTags()
    {
        if (_flexible)
            _buffer.Extend(1)[0] = 0;
    }

    private void WriteString(string value)
    {
        var length = Encoding.UTF8.GetByteCount(value);
        ShortLength(length);
        Encoding.UTF8.GetBytes(value, _buffer.Extend(length));
    }

    private void ShortLength(int length)
    {
        if (_flexible)
        {
            UnsignedVarint((uint)(length + 1));
            return;
        }
        BinaryPrimitives.WriteInt16BigEndian(_buffer.Extend(2), checked((short)length));
    }

    private void Length(int length)
    {
        if (_flexible)
        {
            UnsignedVarint((uint)(length + 1));
            return;
        }
        BinaryPrimitives.WriteInt32BigEndian(_buffer.Extend(4), length);
    }

    private void UnsignedVarint(uint value)
    {
        Span<byte> bytes = stackalloc byte[5];
        var count = 0;
        while (value >= 0x80)
        {
            bytes[count++] = (byte)(value | 0x80);
            value >>= 7;
        }
        bytes[count++] = (byte)value;
        bytes[..count].CopyTo(_buffer.Extend(count));
    }
}
