using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Millrace.Iceberg.Schemas;

namespace Millrace.Iceberg.Values;

/// <summary>
/// Values of primitive types and their encodings (Iceberg spec, Appendix D). In memory: bool; int for int and date; long for long,
/// time and timestamps; float; double; Int128 for a decimal's unscaled value; string; Guid; byte[] for fixed and binary.
/// </summary>
public static class SingleValue
{
    /// <summary>The binary form that bounds and partition summaries use.</summary>
    public static byte[] Encode(PrimitiveType type, object value)
    {
        switch (type.Kind)
        {
            case PrimitiveKind.Boolean:
                return [(bool)value ? (byte)1 : (byte)0];
            case PrimitiveKind.Int or PrimitiveKind.Date:
                var four = new byte[4];
                BinaryPrimitives.WriteInt32LittleEndian(four, (int)value);
                return four;
            case PrimitiveKind.Float:
                var single = new byte[4];
                BinaryPrimitives.WriteSingleLittleEndian(single, (float)value);
                return single;
            case PrimitiveKind.Double:
                var wide = new byte[8];
                BinaryPrimitives.WriteDoubleLittleEndian(wide, (double)value);
                return wide;
            case PrimitiveKind.Long or PrimitiveKind.Time or PrimitiveKind.Timestamp or PrimitiveKind.TimestampTz
                or PrimitiveKind.TimestampNs or PrimitiveKind.TimestampTzNs:
                var eight = new byte[8];
                BinaryPrimitives.WriteInt64LittleEndian(eight, (long)value);
                return eight;
            case PrimitiveKind.Decimal:
                return EncodeDecimal((Int128)value);
            case PrimitiveKind.String:
                return Encoding.UTF8.GetBytes((string)value);
            case PrimitiveKind.Uuid:
                return ((Guid)value).ToByteArray(bigEndian: true);
            default:
                return (byte[])value;
        }
    }

    /// <summary>
    /// Back from the binary form. Four bytes in a long or double column are read as the int or float that they were before the column
    /// was widened. Null when the width fits neither.
    /// </summary>
    public static object? Decode(PrimitiveType type, ReadOnlySpan<byte> bytes)
    {
        switch (type.Kind)
        {
            case PrimitiveKind.Boolean:
                return bytes.Length == 1 ? bytes[0] != 0 : null;
            case PrimitiveKind.Int or PrimitiveKind.Date:
                return bytes.Length == 4 ? BinaryPrimitives.ReadInt32LittleEndian(bytes) : null;
            case PrimitiveKind.Float:
                return bytes.Length == 4 ? BinaryPrimitives.ReadSingleLittleEndian(bytes) : null;
            case PrimitiveKind.Double:
                return bytes.Length == 8 ? BinaryPrimitives.ReadDoubleLittleEndian(bytes)
                    : bytes.Length == 4 ? (double)BinaryPrimitives.ReadSingleLittleEndian(bytes) : null;
            case PrimitiveKind.Long or PrimitiveKind.Time or PrimitiveKind.Timestamp or PrimitiveKind.TimestampTz
                or PrimitiveKind.TimestampNs or PrimitiveKind.TimestampTzNs:
                return bytes.Length == 8 ? BinaryPrimitives.ReadInt64LittleEndian(bytes)
                    : bytes.Length == 4 ? (long)BinaryPrimitives.ReadInt32LittleEndian(bytes) : null;
            case PrimitiveKind.Decimal:
                return bytes.Length is > 0 and <= 16 ? DecodeDecimal(bytes) : null;
            case PrimitiveKind.String:
                return Encoding.UTF8.GetString(bytes);
            case PrimitiveKind.Uuid:
                return bytes.Length == 16 ? new Guid(bytes, bigEndian: true) : null;
            default:
                return bytes.ToArray();
        }
    }

    /// <summary>Big-endian two's complement in the fewest bytes.</summary>
    public static byte[] EncodeDecimal(Int128 unscaled)
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteInt128BigEndian(bytes, unscaled);
        var sign = unscaled < 0 ? (byte)0xFF : (byte)0;
        var skip = 0;
        while (skip < 15 && bytes[skip] == sign && ((bytes[skip + 1] ^ sign) & 0x80) == 0)
            skip++;
        return bytes[skip..].ToArray();
    }

    public static Int128 DecodeDecimal(ReadOnlySpan<byte> bytes)
    {
        Int128 value = (bytes[0] & 0x80) != 0 ? -1 : 0;
        foreach (var b in bytes)
            value = (value << 8) | b;
        return value;
    }

    /// <summary>The bucket transform's hash; null for types that have none.</summary>
    public static int? Hash(PrimitiveType type, object value) => type.Kind switch
    {
        PrimitiveKind.Int or PrimitiveKind.Date => Murmur3.Hash((int)value),
        PrimitiveKind.Long or PrimitiveKind.Time or PrimitiveKind.Timestamp or PrimitiveKind.TimestampTz => Murmur3.Hash((long)value),
        PrimitiveKind.TimestampNs or PrimitiveKind.TimestampTzNs => Murmur3.Hash(FloorDivide((long)value, 1000)),
        PrimitiveKind.Decimal or PrimitiveKind.String or PrimitiveKind.Uuid or PrimitiveKind.Fixed or PrimitiveKind.Binary
            => Murmur3.Hash(Encode(type, value)),
        _ => null,
    };

    /// <summary>Order of two values of one type; strings by code point, -0.0 before +0.0.</summary>
    public static int Compare(PrimitiveType type, object left, object right) => type.Kind switch
    {
        PrimitiveKind.String => Encoding.UTF8.GetBytes((string)left).AsSpan().SequenceCompareTo(Encoding.UTF8.GetBytes((string)right)),
        PrimitiveKind.Uuid => Encode(type, left).AsSpan().SequenceCompareTo(Encode(type, right)),
        PrimitiveKind.Float => CompareDoubles((float)left, (float)right),
        PrimitiveKind.Double => CompareDoubles((double)left, (double)right),
        _ when left is byte[] bytes => bytes.AsSpan().SequenceCompareTo((byte[])right),
        _ => Comparer<object>.Default.Compare(left, right),
    };

    /// <summary>A DuckDB literal of the type.</summary>
    public static string ToSql(PrimitiveType type, object value) => type.Kind switch
    {
        PrimitiveKind.Boolean => (bool)value ? "true" : "false",
        PrimitiveKind.Date => string.Create(CultureInfo.InvariantCulture, $"(DATE '1970-01-01' + ({(int)value})::INTEGER)"),
        PrimitiveKind.Time => string.Create(CultureInfo.InvariantCulture, $"('{new TimeOnly((long)value * 10):HH:mm:ss.ffffff}'::TIME)"),
        PrimitiveKind.Timestamp => string.Create(CultureInfo.InvariantCulture, $"make_timestamp({(long)value}::BIGINT)"),
        // A timestamp without zone becomes UTC whatever the session's zone is.
        PrimitiveKind.TimestampTz => string.Create(CultureInfo.InvariantCulture, $"timezone('UTC', make_timestamp({(long)value}::BIGINT))"),
        PrimitiveKind.TimestampNs or PrimitiveKind.TimestampTzNs => string.Create(CultureInfo.InvariantCulture, $"make_timestamp_ns({(long)value}::BIGINT)"),
        PrimitiveKind.Float => "'" + ((float)value).ToString("R", CultureInfo.InvariantCulture).Replace("∞", "inf", StringComparison.Ordinal) + "'::FLOAT",
        PrimitiveKind.Double => "'" + ((double)value).ToString("R", CultureInfo.InvariantCulture).Replace("∞", "inf", StringComparison.Ordinal) + "'::DOUBLE",
        PrimitiveKind.Decimal => $"'{DecimalText((Int128)value, type.Scale)}'::{type.SqlName}",
        PrimitiveKind.String => Sql.Text((string)value),
        PrimitiveKind.Uuid => $"'{(Guid)value:D}'::UUID",
        PrimitiveKind.Int or PrimitiveKind.Long => $"({Convert.ToInt64(value, CultureInfo.InvariantCulture).ToString(CultureInfo.InvariantCulture)})::{type.SqlName}",
        _ => Sql.Blob((byte[])value),
    };

    public static string DecimalText(Int128 unscaled, int scale)
    {
        if (scale == 0)
            return unscaled.ToString(CultureInfo.InvariantCulture);
        var digits = Int128.Abs(unscaled).ToString(CultureInfo.InvariantCulture).PadLeft(scale + 1, '0');
        return (unscaled < 0 ? "-" : "") + digits[..^scale] + "." + digits[^scale..];
    }

    /// <summary>The unscaled value of a decimal's text at a scale; null when it is none or has more digits.</summary>
    public static Int128? ParseDecimal(string text, int scale)
    {
        var dot = text.IndexOf('.', StringComparison.Ordinal);
        var decimals = dot < 0 ? 0 : text.Length - dot - 1;
        if (decimals > scale)
            return null;
        var digits = (dot < 0 ? text : text.Remove(dot, 1)) + new string('0', scale - decimals);
        return Int128.TryParse(digits, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) ? value : null;
    }

    /// <summary>From the JSON form of defaults (Iceberg spec, Appendix D, JSON single-value); null when it does not fit the type.</summary>
    public static object? FromJson(PrimitiveType type, JsonElement json)
    {
        if (json.ValueKind == JsonValueKind.Number)
        {
            return type.Kind switch
            {
                PrimitiveKind.Int when json.TryGetInt32(out var i) => i,
                PrimitiveKind.Long when json.TryGetInt64(out var l) => l,
                PrimitiveKind.Float => json.GetSingle(),
                PrimitiveKind.Double => json.GetDouble(),
                _ => null,
            };
        }
        if (json.ValueKind is JsonValueKind.True or JsonValueKind.False)
            return type.Kind == PrimitiveKind.Boolean ? json.GetBoolean() : null;
        if (json.ValueKind != JsonValueKind.String)
            return null;
        var text = json.GetString()!;
        const DateTimeStyles utc = DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal;
        return type.Kind switch
        {
            PrimitiveKind.String => text,
            PrimitiveKind.Uuid => Guid.TryParse(text, out var guid) ? guid : null,
            PrimitiveKind.Decimal => ParseDecimal(text, type.Scale),
            PrimitiveKind.Date => DateOnly.TryParse(text, CultureInfo.InvariantCulture, out var date) ? date.DayNumber - UnixEpochDay : null,
            PrimitiveKind.Time => TimeOnly.TryParse(text, CultureInfo.InvariantCulture, out var time) ? time.Ticks / 10 : null,
            PrimitiveKind.Timestamp or PrimitiveKind.TimestampTz =>
                DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, utc, out var at) ? (at - DateTimeOffset.UnixEpoch).Ticks / 10 : null,
            PrimitiveKind.TimestampNs or PrimitiveKind.TimestampTzNs =>
                DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, utc, out var at) ? (at - DateTimeOffset.UnixEpoch).Ticks * 100 : null,
            PrimitiveKind.Fixed or PrimitiveKind.Binary => text.Length % 2 == 0 && text.All(char.IsAsciiHexDigit) ? Convert.FromHexString(text) : null,
            _ => null,
        };
    }

    /// <summary>The JSON form of defaults (Iceberg spec, Appendix D, JSON single-value).</summary>
    public static JsonElement ToJson(PrimitiveType type, object value) => value switch
    {
        bool or string or float or double => JsonSerializer.SerializeToElement(value),
        int days when type.Kind == PrimitiveKind.Date =>
            JsonSerializer.SerializeToElement(DateOnly.FromDayNumber(days + UnixEpochDay).ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)),
        int number => JsonSerializer.SerializeToElement(number),
        long micros when type.Kind == PrimitiveKind.Time =>
            JsonSerializer.SerializeToElement(new TimeOnly(micros * 10).ToString("HH:mm:ss.ffffff", CultureInfo.InvariantCulture)),
        long at when type.Kind is PrimitiveKind.Timestamp or PrimitiveKind.TimestampTz =>
            JsonSerializer.SerializeToElement(DateTime.UnixEpoch.AddTicks(at * 10).ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff", CultureInfo.InvariantCulture)
                + (type.Kind == PrimitiveKind.TimestampTz ? "+00:00" : "")),
        long number => JsonSerializer.SerializeToElement(number),
        Int128 unscaled => JsonSerializer.SerializeToElement(DecimalText(unscaled, type.Scale)),
        Guid guid => JsonSerializer.SerializeToElement(guid.ToString("D")),
        byte[] bytes => JsonSerializer.SerializeToElement(Convert.ToHexStringLower(bytes)),
        _ => throw new IcebergException($"no JSON form for {value.GetType().Name} as {type}"),
    };

    internal static long FloorDivide(long value, long by)
    {
        var quotient = value / by;
        return value % by < 0 ? quotient - 1 : quotient;
    }

    internal const int UnixEpochDay = 719162;

    private static int CompareDoubles(double left, double right) =>
        left == 0 && right == 0 ? double.IsNegative(right).CompareTo(double.IsNegative(left)) : left.CompareTo(right);
}
