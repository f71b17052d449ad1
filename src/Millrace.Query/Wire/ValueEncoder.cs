using System.Buffers.Binary;
using Millrace.Columnar;

namespace Millrace.Query.Wire;

/// <summary>Writes the values of one column, without length and never null. Stateless or of one connection: not thread-safe.</summary>
internal abstract class ValueEncoder
{
    public abstract void Write(BackendWriter writer, Column column, int row);
}

/// <summary>Chooses encoders by column type and wire format.</summary>
internal static class ValueEncoders
{
    /// <param name="type">The column's type.</param>
    /// <param name="told">The PostgreSQL type that it was described as.</param>
    /// <param name="binary">The client asked for the binary format.</param>
    /// <param name="zone">The session's time zone, for text.</param>
    public static ValueEncoder Create(DataType type, PostgresType told, bool binary, TimeZoneInfo zone)
    {
        if (told == PostgresTypes.Json)
            return type.Kind == TypeKind.Utf8 ? BytesEncoder.Instance : new JsonEncoder(zone);
        if (type.Kind == TypeKind.List)
        {
            var elementTold = PostgresTypes.ElementOf(told.Oid) ?? PostgresTypes.Text;
            var element = Create(type.Children![0].Type, elementTold, binary, zone);
            return binary ? new BinaryArrayEncoder(element, elementTold.Oid) : new TextArrayEncoder(element);
        }
        return binary ? CreateBinary(type, told) : CreateText(type, zone);
    }

    private static ValueEncoder CreateText(DataType type, TimeZoneInfo zone) => type.Kind switch
    {
        TypeKind.Boolean => new BooleanText(),
        TypeKind.Int8 => new NumberText<sbyte>(),
        TypeKind.UInt8 => new NumberText<byte>(),
        TypeKind.Int16 => new NumberText<short>(),
        TypeKind.UInt16 => new NumberText<ushort>(),
        TypeKind.Int32 => new NumberText<int>(),
        TypeKind.UInt32 => new NumberText<uint>(),
        TypeKind.Int64 => new NumberText<long>(),
        TypeKind.UInt64 => new NumberText<ulong>(),
        TypeKind.Float32 => new FloatText<float>(),
        TypeKind.Float64 => new FloatText<double>(),
        TypeKind.Decimal128 => new DecimalText(type.Scale),
        TypeKind.Date32 => new DateText(),
        TypeKind.Time64 => new TimeText(),
        TypeKind.Timestamp => new TimestampText(),
        TypeKind.TimestampTz => new TimestampTzText(zone),
        TypeKind.Interval => new IntervalText(),
        TypeKind.Binary => new ByteaText(),
        TypeKind.Utf8 => BytesEncoder.Instance,
        _ => throw Unsupported(type),
    };

    private static ValueEncoder CreateBinary(DataType type, PostgresType told) => type.Kind switch
    {
        TypeKind.Boolean => new BooleanBinary(),
        TypeKind.Int8 => new IntegerBinary<sbyte>(told.Size),
        TypeKind.UInt8 => new IntegerBinary<byte>(told.Size),
        TypeKind.Int16 => new IntegerBinary<short>(told.Size),
        TypeKind.UInt16 => new IntegerBinary<ushort>(told.Size),
        TypeKind.Int32 => new IntegerBinary<int>(told.Size),
        TypeKind.UInt32 => new IntegerBinary<uint>(told.Size),
        TypeKind.Int64 => new IntegerBinary<long>(told.Size),
        TypeKind.UInt64 => new UnsignedBinary(),
        TypeKind.Float32 => new Float4Binary(),
        TypeKind.Float64 => new Float8Binary(),
        TypeKind.Decimal128 => new DecimalBinary(type.Scale),
        TypeKind.Date32 => new DateBinary(),
        TypeKind.Time64 => new IntegerBinary<long>(8),
        TypeKind.Timestamp or TypeKind.TimestampTz => new TimestampBinary(),
        TypeKind.Interval => new IntervalBinary(),
        TypeKind.Utf8 when told == PostgresTypes.Uuid => new UuidBinary(),
        TypeKind.Utf8 when told == PostgresTypes.TimeTz => new TimeTzBinary(),
        TypeKind.Utf8 when told == PostgresTypes.Bit => new BitBinary(),
        TypeKind.Utf8 or TypeKind.Binary => BytesEncoder.Instance,
        _ => throw Unsupported(type),
    };

    private static SqlException Unsupported(DataType type) => new(
        $"a column of type {type} cannot be sent", SqlStates.FeatureNotSupported, hint: "cast it, e.g. to VARCHAR or JSON");
}

/// <summary>UTF-8 and binary columns whose bytes are sent as they are.</summary>
internal sealed class BytesEncoder : ValueEncoder
{
    public static readonly BytesEncoder Instance = new();

    public override void Write(BackendWriter writer, Column column, int row) => writer.WriteBytes(column.GetBytes(row));
}

internal sealed class BooleanText : ValueEncoder
{
    public override void Write(BackendWriter writer, Column column, int row) => writer.WriteByte(column.GetBoolean(row) ? (byte)'t' : (byte)'f');
}

internal sealed class NumberText<T> : ValueEncoder
    where T : unmanaged, IUtf8SpanFormattable
{
    public override void Write(BackendWriter writer, Column column, int row) => writer.WriteFormatted(column.Values<T>()[row]);
}

/// <summary>The shortest digits that read back the same (extra_float_digits 1), with PostgreSQL's spelling of exponents.</summary>
internal sealed class FloatText<T> : ValueEncoder
    where T : unmanaged, IUtf8SpanFormattable
{
    public override void Write(BackendWriter writer, Column column, int row)
    {
        var start = writer.Length;
        writer.WriteFormatted(column.Values<T>()[row], "R");
        var exponent = System.Runtime.InteropServices.MemoryMarshal.AsMemory(writer.Written)[start..].Span;
        var at = exponent.IndexOf((byte)'E');
        if (at >= 0)
            exponent[at] = (byte)'e';
    }
}

internal sealed class DecimalText(int scale) : ValueEncoder
{
    public override void Write(BackendWriter writer, Column column, int row) =>
        writer.Advance(NumericText.Write(writer.Reserve(48), column.Values<Int128>()[row], scale));
}

internal sealed class DateText : ValueEncoder
{
    public override void Write(BackendWriter writer, Column column, int row) =>
        writer.Advance(DateTimeText.WriteDate(writer.Reserve(DateTimeText.MaxBytes), column.Values<int>()[row]));
}

internal sealed class TimeText : ValueEncoder
{
    public override void Write(BackendWriter writer, Column column, int row) =>
        writer.Advance(DateTimeText.WriteTime(writer.Reserve(DateTimeText.MaxBytes), column.Values<long>()[row]));
}

internal sealed class TimestampText : ValueEncoder
{
    public override void Write(BackendWriter writer, Column column, int row) =>
        writer.Advance(DateTimeText.WriteTimestamp(writer.Reserve(DateTimeText.MaxBytes), column.Values<long>()[row]));
}

internal sealed class TimestampTzText(TimeZoneInfo zone) : ValueEncoder
{
    public override void Write(BackendWriter writer, Column column, int row) =>
        writer.Advance(DateTimeText.WriteTimestampTz(writer.Reserve(DateTimeText.MaxBytes), column.Values<long>()[row], zone));
}

internal sealed class IntervalText : ValueEncoder
{
    public override void Write(BackendWriter writer, Column column, int row)
    {
        var value = column.Values<IntervalValue>()[row];
        writer.Advance(DateTimeText.WriteInterval(writer.Reserve(128), value.Months, value.Days, value.Nanoseconds / 1000));
    }
}

internal sealed class ByteaText : ValueEncoder
{
    public override void Write(BackendWriter writer, Column column, int row)
    {
        var bytes = column.GetBytes(row);
        writer.WriteBytes("\\x"u8);
        Convert.TryToHexStringLower(bytes, writer.Reserve(bytes.Length * 2), out var written);
        writer.Advance(written);
    }
}

internal sealed class BooleanBinary : ValueEncoder
{
    public override void Write(BackendWriter writer, Column column, int row) => writer.WriteByte(column.GetBoolean(row) ? (byte)1 : (byte)0);
}

/// <summary>Integers in the width of the type that they were described as.</summary>
internal sealed class IntegerBinary<T>(int size) : ValueEncoder
    where T : unmanaged, System.Numerics.IBinaryInteger<T>
{
    public override void Write(BackendWriter writer, Column column, int row)
    {
        var value = long.CreateTruncating(column.Values<T>()[row]);
        switch (size)
        {
            case 2:
                writer.WriteInt16((short)value);
                break;
            case 4:
                writer.WriteInt32((int)value);
                break;
            default:
                writer.WriteInt64(value);
                break;
        }
    }
}

internal sealed class UnsignedBinary : ValueEncoder
{
    public override void Write(BackendWriter writer, Column column, int row) => NumericText.WriteBinary(writer, column.Values<ulong>()[row], 0);
}

internal sealed class Float4Binary : ValueEncoder
{
    public override void Write(BackendWriter writer, Column column, int row)
    {
        BinaryPrimitives.WriteSingleBigEndian(writer.Reserve(4), column.Values<float>()[row]);
        writer.Advance(4);
    }
}

internal sealed class Float8Binary : ValueEncoder
{
    public override void Write(BackendWriter writer, Column column, int row)
    {
        BinaryPrimitives.WriteDoubleBigEndian(writer.Reserve(8), column.Values<double>()[row]);
        writer.Advance(8);
    }
}

internal sealed class DecimalBinary(int scale) : ValueEncoder
{
    public override void Write(BackendWriter writer, Column column, int row) =>
        NumericText.WriteBinary(writer, column.Values<Int128>()[row], scale);
}

internal sealed class DateBinary : ValueEncoder
{
    /// <summary>PostgreSQL counts from 2000-01-01.</summary>
    public const int Epoch = 10_957;

    public override void Write(BackendWriter writer, Column column, int row) => writer.WriteInt32(column.Values<int>()[row] switch
    {
        int.MaxValue => int.MaxValue,
        -int.MaxValue => int.MinValue,
        var days => days - Epoch,
    });
}

internal sealed class TimestampBinary : ValueEncoder
{
    public const long Epoch = DateBinary.Epoch * 86_400_000_000L;

    public override void Write(BackendWriter writer, Column column, int row) => writer.WriteInt64(column.Values<long>()[row] switch
    {
        long.MaxValue => long.MaxValue,
        -long.MaxValue => long.MinValue,
        var micros => micros - Epoch,
    });
}

internal sealed class IntervalBinary : ValueEncoder
{
    public override void Write(BackendWriter writer, Column column, int row)
    {
        var value = column.Values<IntervalValue>()[row];
        writer.WriteInt64(value.Nanoseconds / 1000);
        writer.WriteInt32(value.Days);
        writer.WriteInt32(value.Months);
    }
}

internal sealed class UuidBinary : ValueEncoder
{
    public override void Write(BackendWriter writer, Column column, int row)
    {
        Guid.Parse(column.GetBytes(row)).TryWriteBytes(writer.Reserve(16), bigEndian: true, out var written);
        writer.Advance(written);
    }
}

/// <summary>Microseconds since midnight and seconds west of UTC, from text such as <c>12:34:56.7+02</c>.</summary>
internal sealed class TimeTzBinary : ValueEncoder
{
    public override void Write(BackendWriter writer, Column column, int row)
    {
        var text = column.GetBytes(row);
        var sign = text.LastIndexOfAny((byte)'+', (byte)'-');
        Span<long> parts = stackalloc long[3];
        Clock(text[(sign + 1)..], parts);
        var west = (int)(parts[0] * 3600 + parts[1] * 60 + parts[2] / 1_000_000) * (text[sign] == '+' ? -1 : 1);
        parts.Clear();
        Clock(text[..sign], parts);
        writer.WriteInt64((parts[0] * 3600 + parts[1] * 60) * 1_000_000 + parts[2]);
        writer.WriteInt32(west);
    }

    private static void Clock(ReadOnlySpan<byte> text, Span<long> parts)
    {
        var part = 0;
        foreach (var range in text.Split((byte)':'))
        {
            if (part == 2)
                parts[2] = (long)(decimal.Parse(text[range], System.Globalization.CultureInfo.InvariantCulture) * 1_000_000);
            else
                parts[part++] = int.Parse(text[range], System.Globalization.CultureInfo.InvariantCulture);
        }
    }
}

/// <summary>The count of bits, then the bits from the most significant one on, from text of zeros and ones.</summary>
internal sealed class BitBinary : ValueEncoder
{
    public override void Write(BackendWriter writer, Column column, int row)
    {
        var text = column.GetBytes(row);
        writer.WriteInt32(text.Length);
        for (var i = 0; i < text.Length; i += 8)
        {
            var packed = 0;
            for (var bit = 0; bit < 8 && i + bit < text.Length; bit++)
                packed |= (text[i + bit] - '0') << (7 - bit);
            writer.WriteByte((byte)packed);
        }
    }
}
