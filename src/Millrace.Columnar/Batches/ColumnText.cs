using System.Globalization;
using System.Text;

namespace Millrace.Columnar;

/// <summary>Values as people write them: ISO 8601 times, plain decimals.</summary>
public static class ColumnText
{
    private const long MicrosPerDay = 86_400_000_000;
    private const int DaysToEpoch = 719_162;

    /// <summary>One value as text; null for null. Text and JSON text come as they are, BLOB in hexadecimal, nested values as JSON.</summary>
    public static string? Format(Column column, int row)
    {
        if (column.IsNull(row))
            return null;
        return column.Type.Kind switch
        {
            TypeKind.Utf8 => Encoding.UTF8.GetString(column.GetBytes(row)),
            TypeKind.Binary => Convert.ToHexStringLower(column.GetBytes(row)),
            TypeKind.Boolean => column.GetBoolean(row) ? "true" : "false",
            TypeKind.Float64 => column.Values<double>()[row].ToString("R", CultureInfo.InvariantCulture),
            TypeKind.Float32 => column.Values<float>()[row].ToString("R", CultureInfo.InvariantCulture),
            _ => Unquote(JsonOf(column, row)),
        };
    }

    /// <summary>All digits, e.g. <c>-0.05</c>.</summary>
    public static string Decimal(Int128 unscaled, int scale)
    {
        var digits = Int128.Abs(unscaled).ToString(CultureInfo.InvariantCulture).PadLeft(scale + 1, '0');
        var sign = unscaled < 0 ? "-" : "";
        return scale <= 0 ? sign + digits : $"{sign}{digits[..^scale]}.{digits[^scale..]}";
    }

    /// <summary><c>YYYY-MM-DD</c>; years outside 1 to 9999 as days since 1970.</summary>
    public static string Date(int days)
    {
        var number = (long)days + DaysToEpoch;
        return number is >= 0 and <= 3_652_058
            ? DateOnly.FromDayNumber((int)number).ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)
            : string.Create(CultureInfo.InvariantCulture, $"epoch{days:+0;-0}d");
    }

    /// <summary><c>HH:MM:SS</c> with as many digits of fraction as are needed.</summary>
    public static string Time(long micros)
    {
        var seconds = micros / 1_000_000;
        var fraction = micros % 1_000_000;
        var clock = string.Create(CultureInfo.InvariantCulture, $"{seconds / 3600:00}:{seconds / 60 % 60:00}:{seconds % 60:00}");
        return fraction == 0 ? clock : $"{clock}.{fraction.ToString("000000", CultureInfo.InvariantCulture).TrimEnd('0')}";
    }

    /// <summary>Date, <c>T</c>, time and, for an instant, <c>Z</c>.</summary>
    public static string Timestamp(long micros, bool utc)
    {
        var days = micros >= 0 ? micros / MicrosPerDay : ((micros + 1) / MicrosPerDay) - 1;
        return $"{Date((int)days)}T{Time(micros - (days * MicrosPerDay))}{(utc ? "Z" : "")}";
    }

    /// <summary>ISO 8601 duration of months, days and seconds.</summary>
    public static string Interval(IntervalValue value)
    {
        var text = new StringBuilder("P");
        if (value.Months != 0)
            text.Append(CultureInfo.InvariantCulture, $"{value.Months}M");
        if (value.Days != 0)
            text.Append(CultureInfo.InvariantCulture, $"{value.Days}D");
        if (value.Nanoseconds != 0 || text.Length == 1)
        {
            var seconds = Decimal(value.Nanoseconds, 9).TrimEnd('0').TrimEnd('.');
            text.Append('T').Append(seconds).Append('S');
        }
        return text.ToString();
    }

    private static string JsonOf(Column column, int row)
    {
        var output = new System.Buffers.ArrayBufferWriter<byte>();
        Json.JsonRowWriter.WriteValue(column, row, output);
        return Encoding.UTF8.GetString(output.WrittenSpan);
    }

    private static string Unquote(string text) => text.StartsWith('"') ? text[1..^1] : text;
}
