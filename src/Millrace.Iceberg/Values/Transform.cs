using System.Globalization;
using System.Text;
using Millrace.Iceberg.Schemas;

namespace Millrace.Iceberg.Values;

public enum TransformKind : byte
{
    Identity,
    Bucket,
    Truncate,
    Year,
    Month,
    Day,
    Hour,
    Void,

    /// <summary>Written by somebody newer: tables with it can be read, not written.</summary>
    Unknown,
}

/// <summary>How a column's value becomes a partition value (Iceberg spec, Partition Transforms). Null becomes null always.</summary>
/// <param name="Width">Buckets, or the width of truncate.</param>
/// <param name="Text">As it stands in metadata.</param>
public sealed record Transform(TransformKind Kind, int Width, string Text)
{
    public static readonly Transform Identity = new(TransformKind.Identity, 0, "identity");
    public static readonly Transform Year = new(TransformKind.Year, 0, "year");
    public static readonly Transform Month = new(TransformKind.Month, 0, "month");
    public static readonly Transform Day = new(TransformKind.Day, 0, "day");
    public static readonly Transform Hour = new(TransformKind.Hour, 0, "hour");
    public static readonly Transform Void = new(TransformKind.Void, 0, "void");

    private const long MicrosPerHour = 3_600_000_000;
    private const long MicrosPerDay = 24 * MicrosPerHour;

    public static Transform Bucket(int buckets) => new(TransformKind.Bucket, buckets, string.Create(CultureInfo.InvariantCulture, $"bucket[{buckets}]"));

    public static Transform Truncate(int width) => new(TransformKind.Truncate, width, string.Create(CultureInfo.InvariantCulture, $"truncate[{width}]"));

    /// <summary>Never fails: a text that is not known becomes <see cref="TransformKind.Unknown"/> and is kept.</summary>
    public static Transform Parse(string text)
    {
        switch (text.ToLowerInvariant())
        {
            case "identity":
                return Identity;
            case "year" or "years":
                return Year with { Text = text };
            case "month" or "months":
                return Month with { Text = text };
            case "day" or "days" or "date":
                return Day with { Text = text };
            case "hour" or "hours":
                return Hour with { Text = text };
            case "void" or "alwaysnull":
                return Void with { Text = text };
        }
        var open = text.IndexOf('[', StringComparison.Ordinal);
        if (open > 0 && text.EndsWith(']')
            && int.TryParse(text.AsSpan(open + 1, text.Length - open - 2), NumberStyles.None, CultureInfo.InvariantCulture, out var width) && width > 0)
        {
            var name = text[..open].ToLowerInvariant();
            if (name == "bucket")
                return new Transform(TransformKind.Bucket, width, text);
            if (name == "truncate")
                return new Transform(TransformKind.Truncate, width, text);
        }
        return new Transform(TransformKind.Unknown, 0, text);
    }

    /// <summary>The partition value's type, or null when the transform does not take the source's type.</summary>
    public PrimitiveType? ResultOf(PrimitiveType source) => Kind switch
    {
        TransformKind.Identity => source.Kind is PrimitiveKind.Variant or PrimitiveKind.Geometry or PrimitiveKind.Geography ? null : source,
        TransformKind.Void => source,
        TransformKind.Bucket => source.Kind is PrimitiveKind.Boolean or PrimitiveKind.Float or PrimitiveKind.Double or PrimitiveKind.Unknown
            or PrimitiveKind.Variant or PrimitiveKind.Geometry or PrimitiveKind.Geography ? null : PrimitiveType.Int,
        TransformKind.Truncate => source.Kind is PrimitiveKind.Int or PrimitiveKind.Long or PrimitiveKind.Decimal or PrimitiveKind.String
            or PrimitiveKind.Binary ? source : null,
        TransformKind.Year or TransformKind.Month => IsTimestamp(source) || source.Kind == PrimitiveKind.Date ? PrimitiveType.Int : null,
        // The spec's result is an int; Iceberg's writers give days the Avro type date, and readers accept both.
        TransformKind.Day => IsTimestamp(source) || source.Kind == PrimitiveKind.Date ? PrimitiveType.Date : null,
        TransformKind.Hour => IsTimestamp(source) ? PrimitiveType.Int : null,
        _ => source,
    };

    /// <summary>The partition value of a column's value.</summary>
    /// <exception cref="IcebergException">The transform is unknown or does not take the type.</exception>
    public object? Apply(PrimitiveType source, object? value)
    {
        if (Kind == TransformKind.Unknown || ResultOf(source) is null)
            throw new IcebergException($"the transform {Text} cannot be applied to {source}");
        if (value is null)
            return null;
        return Kind switch
        {
            TransformKind.Identity => value,
            TransformKind.Void => null,
            TransformKind.Bucket => (SingleValue.Hash(source, value)!.Value & int.MaxValue) % Width,
            TransformKind.Truncate => ApplyTruncate(value),
            TransformKind.Year => YearOf(Days(source, value)),
            TransformKind.Month => MonthOf(Days(source, value)),
            TransformKind.Day => Days(source, value),
            TransformKind.Hour => (int)SingleValue.FloorDivide(Micros(source, (long)value), MicrosPerHour),
            _ => value,
        };
    }

    /// <summary>The partition value as a DuckDB expression over a column; null for bucket, whose hash DuckDB does not have.</summary>
    public string? ToSql(PrimitiveType source, string column)
    {
        // Arithmetic on a zoned timestamp follows the session's zone; Iceberg's is UTC.
        var plain = source.Kind is PrimitiveKind.TimestampTz or PrimitiveKind.TimestampTzNs ? $"timezone('UTC', {column})" : column;
        return Kind switch
        {
            TransformKind.Identity => column,
            TransformKind.Void => $"NULL::{source.SqlName}",
            TransformKind.Year => $"(year({plain}) - 1970)::INTEGER",
            TransformKind.Month => $"((year({plain}) - 1970) * 12 + month({plain}) - 1)::INTEGER",
            TransformKind.Day => $"{plain}::DATE",
            TransformKind.Hour => HourSql($"epoch_us({plain})"),
            TransformKind.Truncate => TruncateSql(source, column),
            _ => null,
        };
    }

    public override string ToString() => Text;

    private static string HourSql(string micros)
    {
        // DuckDB's // rounds toward zero; taking the floored remainder off first makes it a floor.
        var hour = MicrosPerHour.ToString(CultureInfo.InvariantCulture);
        return $"(({micros} - ((({micros} % {hour}) + {hour}) % {hour})) // {hour})::INTEGER";
    }

    private string? TruncateSql(PrimitiveType source, string column)
    {
        var width = Width.ToString(CultureInfo.InvariantCulture);
        switch (source.Kind)
        {
            case PrimitiveKind.Int or PrimitiveKind.Long:
                // Near the least value the remainder is taken in a wider type; the result wraps in no real table.
                return $"({column}::HUGEINT - ((({column}::HUGEINT % {width}) + {width}) % {width}))::{source.SqlName}";
            case PrimitiveKind.String:
                return $"array_slice({column}, 1, {width})";
            default:
                return null;
        }
    }

    private object ApplyTruncate(object value)
    {
        switch (value)
        {
            case int i:
                return unchecked(i - (int)((((long)i % Width) + Width) % Width));
            case long l:
                return unchecked(l - (((l % Width) + Width) % Width));
            case Int128 d:
                return d - (((d % Width) + Width) % Width);
            case string s:
                return TruncateText(s, Width);
            case byte[] b:
                return b.Length <= Width ? b : b[..Width];
            default:
                throw new IcebergException($"truncate cannot be applied to {value.GetType().Name}");
        }
    }

    internal static string TruncateText(string text, int codePoints)
    {
        if (text.Length <= codePoints)
            return text;
        var index = 0;
        foreach (var rune in text.EnumerateRunes())
        {
            if (codePoints-- == 0)
                return text[..index];
            index += rune.Utf16SequenceLength;
        }
        return text;
    }

    private static bool IsTimestamp(PrimitiveType type) =>
        type.Kind is PrimitiveKind.Timestamp or PrimitiveKind.TimestampTz or PrimitiveKind.TimestampNs or PrimitiveKind.TimestampTzNs;

    private static long Micros(PrimitiveType type, long value) =>
        type.Kind is PrimitiveKind.TimestampNs or PrimitiveKind.TimestampTzNs ? SingleValue.FloorDivide(value, 1000) : value;

    private static int Days(PrimitiveType type, object value) =>
        type.Kind == PrimitiveKind.Date ? (int)value : (int)SingleValue.FloorDivide(Micros(type, (long)value), MicrosPerDay);

    private static int YearOf(int days) => CivilFromDays(days).Year - 1970;

    private static int MonthOf(int days)
    {
        var (year, month) = CivilFromDays(days);
        return (int)(((year - 1970L) * 12) + month - 1);
    }

    /// <summary>Howard Hinnant, chrono-Compatible Low-Level Date Algorithms (2013): no limit at year 1 or 9999 as DateTime has.</summary>
    private static (int Year, int Month) CivilFromDays(int days)
    {
        var z = days + 719468L;
        var era = SingleValue.FloorDivide(z, 146097);
        var dayOfEra = z - (era * 146097);
        var yearOfEra = (dayOfEra - (dayOfEra / 1460) + (dayOfEra / 36524) - (dayOfEra / 146096)) / 365;
        var dayOfYear = dayOfEra - ((365 * yearOfEra) + (yearOfEra / 4) - (yearOfEra / 100));
        var shifted = ((5 * dayOfYear) + 2) / 153;
        var month = shifted < 10 ? shifted + 3 : shifted - 9;
        return ((int)(yearOfEra + (era * 400) + (month <= 2 ? 1 : 0)), (int)month);
    }
}
