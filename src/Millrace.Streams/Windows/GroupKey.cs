using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Millrace.Columnar;

namespace Millrace.Streams.Windows;

/// <summary>
/// A group's key as bytes: for each key column 0 (null), or 1 followed by the value: fixed kinds in their own width, little-endian;
/// variable kinds behind a 32-bit length. Equal keys have equal bytes, and only they.
/// </summary>
internal static class GroupKey
{
    public static void Write(ArrayBufferWriter<byte> key, Column column, int row)
    {
        if (column.IsNull(row))
        {
            key.GetSpan(1)[0] = 0;
            key.Advance(1);
            return;
        }
        if (column.Type.IsVariable)
        {
            var value = column.GetBytes(row);
            var room = key.GetSpan(5 + value.Length);
            room[0] = 1;
            BinaryPrimitives.WriteInt32LittleEndian(room[1..], value.Length);
            value.CopyTo(room[5..]);
            key.Advance(5 + value.Length);
            return;
        }
        if (column.Type.Kind == TypeKind.Boolean)
        {
            var room = key.GetSpan(2);
            room[0] = 1;
            room[1] = column.GetBoolean(row) ? (byte)1 : (byte)0;
            key.Advance(2);
            return;
        }
        var width = column.Type.Width;
        var target = key.GetSpan(1 + width);
        target[0] = 1;
        FixedBytes(column, row, width).CopyTo(target[1..]);
        Normalize(column.Type.Kind, target.Slice(1, width));
        key.Advance(1 + width);
    }

    /// <summary>Appends the key's values to the builders of the key columns.</summary>
    /// <exception cref="InvalidDataException">The bytes are not a key of this layout.</exception>
    public static void Read(ReadOnlySpan<byte> key, PartialLayout layout, ColumnBuilder[] builders)
    {
        foreach (var column in layout.KeyColumns)
        {
            var builder = builders[column];
            var present = Take(ref key, 1)[0] != 0;
            if (!present)
                builder.AppendNull();
            else if (builder.Type.IsVariable)
                builder.AppendBytes(Take(ref key, BinaryPrimitives.ReadInt32LittleEndian(Take(ref key, 4))));
            else if (builder.Type.Kind == TypeKind.Boolean)
                builder.AppendBoolean(Take(ref key, 1)[0] != 0);
            else
                AppendFixed(builder, Take(ref key, builder.Type.Width));
        }
        if (key.Length != 0)
            throw new InvalidDataException($"a group's key has {key.Length} bytes too many");
    }

    /// <summary>Appends the first bytes of a little-endian slot as a value of the builder's type.</summary>
    public static void AppendFixed(ColumnBuilder builder, ReadOnlySpan<byte> slot)
    {
        if (builder.Type.Kind == TypeKind.Boolean)
        {
            builder.AppendBoolean(slot[0] != 0);
            return;
        }
        switch (builder.Type.Width)
        {
            case 1:
                builder.Append(slot[0]);
                break;
            case 2:
                builder.Append(MemoryMarshal.Read<short>(slot));
                break;
            case 4:
                builder.Append(MemoryMarshal.Read<int>(slot));
                break;
            case 8:
                builder.Append(MemoryMarshal.Read<long>(slot));
                break;
            case 16:
                builder.Append(MemoryMarshal.Read<Int128>(slot));
                break;
            default:
                throw new InvalidOperationException($"{builder.Type} has no fixed width");
        }
    }

    public static ReadOnlySpan<byte> FixedBytes(Column column, int row, int width) => width switch
    {
        1 => MemoryMarshal.AsBytes(column.Values<byte>().Slice(row, 1)),
        2 => MemoryMarshal.AsBytes(column.Values<short>().Slice(row, 1)),
        4 => MemoryMarshal.AsBytes(column.Values<int>().Slice(row, 1)),
        8 => MemoryMarshal.AsBytes(column.Values<long>().Slice(row, 1)),
        16 => MemoryMarshal.AsBytes(column.Values<Int128>().Slice(row, 1)),
        _ => throw new InvalidOperationException($"{column.Type} has no fixed width"),
    };

    // SQL groups -0.0 with 0.0 and every NaN with every other.
    private static void Normalize(TypeKind kind, Span<byte> value)
    {
        if (kind == TypeKind.Float64)
        {
            var number = MemoryMarshal.Read<double>(value);
            if (number == 0)
                value.Clear();
            else if (double.IsNaN(number))
                MemoryMarshal.Write(value, double.NaN);
        }
        else if (kind == TypeKind.Float32)
        {
            var number = MemoryMarshal.Read<float>(value);
            if (number == 0)
                value.Clear();
            else if (float.IsNaN(number))
                MemoryMarshal.Write(value, float.NaN);
        }
    }

    private static ReadOnlySpan<byte> Take(ref ReadOnlySpan<byte> bytes, int count)
    {
        if (count < 0 || count > bytes.Length)
            throw new InvalidDataException("a group's key ends inside a value");
        var taken = bytes[..count];
        bytes = bytes[count..];
        return taken;
    }
}
