using System.Globalization;
using System.Numerics;
using System.Text.Json;
using Millrace.Columnar;

namespace Millrace.WebConsole.Wire;

/// <summary>
/// Column values as JSON for people and browsers: integers beyond 2^53 and decimals of more than 15 digits become strings, because a
/// browser's numbers would round them; times are ISO 8601; bytes are base64.
/// </summary>
internal static class JsonRows
{
    private const long SafeInteger = (1L << 53) - 1;

    public static void Write(Utf8JsonWriter writer, Column column, int row)
    {
        if (column.IsNull(row))
        {
            writer.WriteNullValue();
            return;
        }
        switch (column.Type.Kind)
        {
            case TypeKind.Boolean: writer.WriteBooleanValue(column.GetBoolean(row)); break;
            case TypeKind.Int8: writer.WriteNumberValue(column.Values<sbyte>()[row]); break;
            case TypeKind.Int16: writer.WriteNumberValue(column.Values<short>()[row]); break;
            case TypeKind.Int32: writer.WriteNumberValue(column.Values<int>()[row]); break;
            case TypeKind.UInt8: writer.WriteNumberValue(column.Values<byte>()[row]); break;
            case TypeKind.UInt16: writer.WriteNumberValue(column.Values<ushort>()[row]); break;
            case TypeKind.UInt32: writer.WriteNumberValue(column.Values<uint>()[row]); break;
            case TypeKind.Int64: WriteInteger(writer, column.Values<long>()[row]); break;
            case TypeKind.UInt64: WriteInteger(writer, column.Values<ulong>()[row]); break;
            case TypeKind.Float32: WriteFloat(writer, column.Values<float>()[row]); break;
            case TypeKind.Float64: WriteDouble(writer, column.Values<double>()[row]); break;
            case TypeKind.Decimal128: WriteDecimal(writer, column.Values<Int128>()[row], column.Type.Scale); break;
            case TypeKind.Date32: WriteText(writer, FormatDate(column.Values<int>()[row])); break;
            case TypeKind.Time64: WriteText(writer, FormatTime(column.Values<long>()[row])); break;
            case TypeKind.Timestamp: WriteText(writer, FormatTimestamp(column.Values<long>()[row], zone: "")); break;
            case TypeKind.TimestampTz: WriteText(writer, FormatTimestamp(column.Values<long>()[row], zone: "Z")); break;
            case TypeKind.Interval: WriteText(writer, FormatInterval(column.Values<Int128>()[row])); break;
            case TypeKind.Utf8: writer.WriteStringValue(column.GetBytes(row)); break;
            case TypeKind.Binary: writer.WriteBase64StringValue(column.GetBytes(row)); break;
            case TypeKind.List: WriteList(writer, column, row); break;
            case TypeKind.Struct: WriteStruct(writer, column, row); break;
            case TypeKind.Map: WriteMap(writer, column, row); break;
            default: throw new InvalidOperationException($"no JSON form of {column.Type}");
        }
    }

    /// <summary>The value as a number for ordering and charts; NaN for null and for kinds that are no numbers.</summary>
    public static double AsNumber(Column column, int row)
    {
        if (column.IsNull(row))
            return double.NaN;
        return column.Type.Kind switch
        {
            TypeKind.Int8 => column.Values<sbyte>()[row],
            TypeKind.Int16 => column.Values<short>()[row],
            TypeKind.Int32 => column.Values<int>()[row],
            TypeKind.Int64 => column.Values<long>()[row],
            TypeKind.UInt8 => column.Values<byte>()[row],
            TypeKind.UInt16 => column.Values<ushort>()[row],
            TypeKind.UInt32 => column.Values<uint>()[row],
            TypeKind.UInt64 => column.Values<ulong>()[row],
            TypeKind.Float32 => column.Values<float>()[row],
            TypeKind.Float64 => column.Values<double>()[row],
            TypeKind.Decimal128 => (double)column.Values<Int128>()[row] / Math.Pow(10, column.Type.Scale),
            _ => double.NaN,
        };
    }

    public static bool IsNumber(DataType type) => type.Kind is (>= TypeKind.Int8 and <= TypeKind.Float64) or TypeKind.Decimal128;

    public static bool IsTime(DataType type) => type.Kind is TypeKind.Timestamp or TypeKind.TimestampTz;

    private static void WriteText(Utf8JsonWriter writer, string text) => writer.WriteStringValue(text);

    private static void WriteInteger(Utf8JsonWriter writer, long value)
    {
        if (value is >= -SafeInteger and <= SafeInteger)
            writer.WriteNumberValue(value);
        else
            writer.WriteStringValue(value.ToString(CultureInfo.InvariantCulture));
    }

    private static void WriteInteger(Utf8JsonWriter writer, ulong value)
    {
        if (value <= SafeInteger)
            writer.WriteNumberValue(value);
        else
            writer.WriteStringValue(value.ToString(CultureInfo.InvariantCulture));
    }

    private static void WriteFloat(Utf8JsonWriter writer, float value)
    {
        if (float.IsFinite(value))
            writer.WriteNumberValue(value);
        else
            WriteDouble(writer, value);
    }

    private static void WriteDouble(Utf8JsonWriter writer, double value)
    {
        if (double.IsFinite(value))
            writer.WriteNumberValue(value);
        else
            writer.WriteStringValue(double.IsNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
    }

    private static void WriteDecimal(Utf8JsonWriter writer, Int128 unscaled, int scale)
    {
        var text = FormatDecimal(unscaled, scale);
        if (unscaled < 1_000_000_000_000_000 && unscaled > -1_000_000_000_000_000)
            writer.WriteRawValue(text, skipInputValidation: true);
        else
            writer.WriteStringValue(text);
    }

    private static string FormatDecimal(Int128 unscaled, int scale)
    {
        var negative = Int128.IsNegative(unscaled);
        // The most negative value has no positive twin; its magnitude goes through BigInteger.
        var digits = BigInteger.Abs((BigInteger)unscaled).ToString(CultureInfo.InvariantCulture);
        if (scale > 0)
        {
            digits = digits.PadLeft(scale + 1, '0');
            digits = string.Concat(digits.AsSpan(0, digits.Length - scale), ".", digits.AsSpan(digits.Length - scale));
        }
        return negative ? "-" + digits : digits;
    }

    private static string FormatDate(int days) =>
        days is >= -719162 and <= 2932896
            ? DateOnly.FromDayNumber(days + 719162).ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)
            : $"{days} days from 1970-01-01";

    private static string FormatTime(long micros) =>
        new TimeOnly(Math.Clamp(micros, 0, 86_399_999_999) * 10).ToString("HH:mm:ss.FFFFFF", CultureInfo.InvariantCulture);

    private static string FormatTimestamp(long micros, string zone)
    {
        // 0001-01-01 to 9999-12-31, what DateTime can hold; infinities and far dates lie outside.
        if (micros is < -62_135_596_800_000_000 or > 253_402_300_799_999_999)
            return micros == long.MaxValue ? "infinity" : micros is long.MinValue or -long.MaxValue ? "-infinity" : $"{micros} µs from 1970-01-01";
        return DateTime.UnixEpoch.AddTicks(micros * 10).ToString("yyyy-MM-dd'T'HH:mm:ss.FFFFFF", CultureInfo.InvariantCulture) + zone;
    }

    private static string FormatInterval(Int128 value)
    {
        var bits = (UInt128)value;
        var months = (int)(uint)(bits & uint.MaxValue);
        var days = (int)(uint)((bits >> 32) & uint.MaxValue);
        var nanos = (long)(ulong)(bits >> 64);
        var time = TimeSpan.FromTicks(nanos / 100);
        return $"{months} months {days} days {(time < TimeSpan.Zero ? "-" : "")}{time.Duration():c}";
    }

    private static void WriteList(Utf8JsonWriter writer, Column column, int row)
    {
        var offsets = column.Offsets;
        writer.WriteStartArray();
        for (var i = offsets[row]; i < offsets[row + 1]; i++)
            Write(writer, column.Children[0], i);
        writer.WriteEndArray();
    }

    private static void WriteStruct(Utf8JsonWriter writer, Column column, int row)
    {
        writer.WriteStartObject();
        for (var i = 0; i < column.Children.Count; i++)
        {
            writer.WritePropertyName(column.Type.Children![i].Name);
            Write(writer, column.Children[i], row + column.Offset);
        }
        writer.WriteEndObject();
    }

    private static void WriteMap(Utf8JsonWriter writer, Column column, int row)
    {
        var offsets = column.Offsets;
        var entries = column.Children[0];
        writer.WriteStartArray();
        for (var i = offsets[row]; i < offsets[row + 1]; i++)
            WriteStruct(writer, entries, i);
        writer.WriteEndArray();
    }
}
