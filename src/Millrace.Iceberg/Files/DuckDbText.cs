using System.Globalization;
using Millrace.Iceberg.Schemas;
using Millrace.Iceberg.Values;

namespace Millrace.Iceberg.Files;

/// <summary>Values as DuckDB prints them in statistics and partition keys.</summary>
internal static class DuckDbText
{
    /// <summary>The value, or null when the text is none of the type or lies outside what .NET's calendar can say (BC, year 10000, infinity): then there is simply no bound.</summary>
    public static object? Parse(PrimitiveType type, string text)
    {
        var culture = CultureInfo.InvariantCulture;
        return type.Kind switch
        {
            PrimitiveKind.Boolean => text switch { "1" or "true" => true, "0" or "false" => false, _ => null },
            PrimitiveKind.Int => int.TryParse(text, NumberStyles.AllowLeadingSign, culture, out var i) ? i : null,
            PrimitiveKind.Long => long.TryParse(text, NumberStyles.AllowLeadingSign, culture, out var l) ? l : null,
            PrimitiveKind.Float => ParseDouble(text) is { } f ? (float)f : null,
            PrimitiveKind.Double => ParseDouble(text),
            PrimitiveKind.Decimal => SingleValue.ParseDecimal(text, type.Scale),
            PrimitiveKind.Date => DateOnly.TryParseExact(text, "yyyy-MM-dd", culture, DateTimeStyles.None, out var date)
                ? date.DayNumber - SingleValue.UnixEpochDay : null,
            PrimitiveKind.Time => TimeOnly.TryParse(text, culture, out var time) ? time.Ticks / 10 : null,
            PrimitiveKind.Timestamp => ParseTimestamp(text),
            PrimitiveKind.TimestampTz => text.EndsWith("+00", StringComparison.Ordinal) ? ParseTimestamp(text[..^3]) : null,
            PrimitiveKind.String => text,
            PrimitiveKind.Uuid => Guid.TryParse(text, out var guid) ? guid : null,
            PrimitiveKind.Fixed or PrimitiveKind.Binary => text.Length % 2 == 0 && text.All(char.IsAsciiHexDigit) ? Convert.FromHexString(text) : null,
            _ => null,
        };
    }

    private static double? ParseDouble(string text) => text switch
    {
        "inf" => double.PositiveInfinity,
        "-inf" => double.NegativeInfinity,
        _ => double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && !double.IsNaN(value) ? value : null,
    };

    private static object? ParseTimestamp(string text) =>
        DateTime.TryParseExact(
            text, ["yyyy-MM-dd HH:mm:ss", "yyyy-MM-dd HH:mm:ss.FFFFFF"], CultureInfo.InvariantCulture,
            DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var at)
            ? (at - DateTime.UnixEpoch).Ticks / 10
            : null;
}
