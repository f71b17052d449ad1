using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Text;

namespace Millrace.Columnar.Avro;

/// <summary>
/// Reads Avro's binary encoding from memory. Every length is checked against what is left, so that no input makes it allocate more
/// than the input's own size or read past the end.
/// </summary>
/// <remarks>No object is made but by <see cref="ReadString"/>. The caller knows the schema; <see cref="Skip"/> passes over values of one.</remarks>
public ref struct AvroReader(ReadOnlySpan<byte> data)
{
    // A recursive schema lets hostile data nest without end; real data stays far below.
    private const int MostDepth = 128;

    private readonly ReadOnlySpan<byte> _data = data;
    private int _position;

    public readonly int Position => _position;

    public readonly int Remaining => _data.Length - _position;

    public bool ReadBoolean()
    {
        var value = ReadByte();
        return value switch
        {
            0 => false,
            1 => true,
            _ => throw Broken($"a boolean is {value}"),
        };
    }

    public int ReadInt()
    {
        var value = ReadLong();
        return value is >= int.MinValue and <= int.MaxValue ? (int)value : throw Broken($"an int is {value}");
    }

    /// <summary>A zig-zag varint of at most ten bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public long ReadLong()
    {
        if (_position < _data.Length && _data[_position] < 0x80)
        {
            var small = (uint)_data[_position++];
            return (long)(small >> 1) ^ -(long)(small & 1);
        }
        return ReadLongSlow();
    }

    public float ReadFloat() => BinaryPrimitives.ReadSingleLittleEndian(ReadFixed(4));

    public double ReadDouble() => BinaryPrimitives.ReadDoubleLittleEndian(ReadFixed(8));

    /// <summary>The bytes of a <c>bytes</c> or <c>string</c>; valid as long as the input.</summary>
    public ReadOnlySpan<byte> ReadBytes()
    {
        var length = ReadLong();
        return length >= 0 && length <= Remaining ? ReadFixed((int)length) : throw Broken($"a value of {length} bytes where {Remaining} are left");
    }

    public string ReadString() => Encoding.UTF8.GetString(ReadBytes());

    public ReadOnlySpan<byte> ReadFixed(int size)
    {
        if (size > Remaining)
            throw Broken($"a value of {size} bytes where {Remaining} are left");
        var span = _data.Slice(_position, size);
        _position += size;
        return span;
    }

    /// <summary>The index of a union's branch or an enum's symbol, below <paramref name="count"/>.</summary>
    public int ReadIndex(int count)
    {
        var index = ReadLong();
        return index >= 0 && index < count ? (int)index : throw Broken($"index {index} of {count}");
    }

    /// <summary>
    /// The items of the next block of an array or map; 0 ends it. A block's byte size, where it is written, is read and passed over.
    /// </summary>
    public long ReadBlockCount()
    {
        var count = ReadLong();
        if (count < 0)
        {
            if (count == long.MinValue)
                throw Broken("a block's count is out of range");
            count = -count;
            var bytes = ReadLong();
            if (bytes < 0 || bytes > Remaining)
                throw Broken($"a block of {bytes} bytes where {Remaining} are left");
        }
        return count;
    }

    /// <summary>Passes over one value.</summary>
    public void Skip(AvroSchema schema) => Skip(schema, 0);

    private void Skip(AvroSchema schema, int depth)
    {
        if (depth > MostDepth)
            throw Broken($"values nest deeper than {MostDepth}");
        switch (schema.Kind)
        {
            case AvroKind.Null:
                break;
            case AvroKind.Boolean:
                ReadFixed(1);
                break;
            case AvroKind.Int or AvroKind.Long or AvroKind.Enum:
                ReadLong();
                break;
            case AvroKind.Float:
                ReadFixed(4);
                break;
            case AvroKind.Double:
                ReadFixed(8);
                break;
            case AvroKind.Bytes or AvroKind.String:
                ReadBytes();
                break;
            case AvroKind.Fixed:
                ReadFixed(schema.Size);
                break;
            case AvroKind.Record:
                for (var i = 0; i < schema.Fields.Count; i++)
                    Skip(schema.Fields[i].Type, depth + 1);
                break;
            case AvroKind.Union:
                Skip(schema.Branches[ReadIndex(schema.Branches.Count)], depth + 1);
                break;
            case AvroKind.Array or AvroKind.Map:
                SkipBlocks(schema, depth);
                break;
        }
    }

    private void SkipBlocks(AvroSchema schema, int depth)
    {
        while (true)
        {
            var count = ReadLong();
            if (count == 0)
                return;
            if (count < 0)
            {
                ReadBytes();
                continue;
            }
            var before = _position;
            for (var i = 0L; i < count; i++)
            {
                if (schema.Kind == AvroKind.Map)
                    ReadBytes();
                Skip(schema.Element!, depth + 1);
                // Items of no bytes (null, an empty record) would let a small file spin for ever.
                if (_position == before)
                    break;
            }
        }
    }

    private byte ReadByte() => _position < _data.Length ? _data[_position++] : throw Broken("the data ends inside a value");

    private long ReadLongSlow()
    {
        ulong value = 0;
        for (var shift = 0; shift < 64; shift += 7)
        {
            var b = ReadByte();
            value |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80)
                return (long)(value >> 1) ^ -(long)(value & 1);
        }
        throw Broken("a number has more than ten bytes");
    }

    private readonly AvroException Broken(string reason) => new($"{reason} (byte {_position} of the block)");
}
