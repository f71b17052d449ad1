using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Millrace.Columnar;

namespace Millrace.Streams.Sql;

/// <summary>SQL type names, as people and DuckDB write them, to column types.</summary>
public static class TypeNames
{
    private static readonly Dictionary<string, DataType> Simple = new(StringComparer.OrdinalIgnoreCase)
    {
        ["boolean"] = DataType.Boolean, ["bool"] = DataType.Boolean,
        ["tinyint"] = new(TypeKind.Int8), ["int1"] = new(TypeKind.Int8),
        ["smallint"] = new(TypeKind.Int16), ["int2"] = new(TypeKind.Int16), ["short"] = new(TypeKind.Int16),
        ["integer"] = DataType.Int32, ["int"] = DataType.Int32, ["int4"] = DataType.Int32,
        ["bigint"] = DataType.Int64, ["int8"] = DataType.Int64, ["long"] = DataType.Int64,
        ["utinyint"] = new(TypeKind.UInt8), ["usmallint"] = new(TypeKind.UInt16), ["uinteger"] = new(TypeKind.UInt32),
        ["ubigint"] = new(TypeKind.UInt64),
        ["real"] = new(TypeKind.Float32), ["float"] = new(TypeKind.Float32), ["float4"] = new(TypeKind.Float32),
        ["double"] = DataType.Float64, ["double precision"] = DataType.Float64, ["float8"] = DataType.Float64,
        ["date"] = DataType.Date32,
        ["time"] = new(TypeKind.Time64), ["time without time zone"] = new(TypeKind.Time64),
        ["timestamp"] = DataType.Timestamp, ["datetime"] = DataType.Timestamp, ["timestamp without time zone"] = DataType.Timestamp,
        ["timestamptz"] = DataType.TimestampTz, ["timestamp with time zone"] = DataType.TimestampTz,
        ["interval"] = new(TypeKind.Interval),
        ["varchar"] = DataType.Utf8, ["text"] = DataType.Utf8, ["string"] = DataType.Utf8, ["char"] = DataType.Utf8,
        ["blob"] = DataType.Binary, ["bytea"] = DataType.Binary, ["binary"] = DataType.Binary,
    };

    /// <summary>The names that a hint offers.</summary>
    public static IReadOnlyList<string> Common { get; } =
        ["bigint", "integer", "double", "decimal(18,2)", "varchar", "boolean", "timestamptz", "timestamp", "date", "time", "blob"];

    /// <summary>Every simple name that is understood.</summary>
    public static IReadOnlyCollection<string> All => Simple.Keys;

    /// <summary>How deep types may nest.</summary>
    public const int Deepest = 32;

    /// <summary>Parses a type name; arrays <c>T[]</c>, <c>struct(a T, b T)</c> and <c>map(K, V)</c> nest, at most <see cref="Deepest"/> deep.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out DataType? type) => TryParse(text, 0, out type);

    private static bool TryParse(string text, int depth, [NotNullWhen(true)] out DataType? type)
    {
        type = null;
        if (depth > Deepest)
            return false;
        text = text.Trim();
        if (text.EndsWith("[]", StringComparison.Ordinal))
        {
            if (TryParse(text[..^2], depth + 1, out var element))
                type = new DataType(TypeKind.List, Children: [new Field("element", element)]);
            return type is not null;
        }
        var open = text.IndexOf('(', StringComparison.Ordinal);
        if (open < 0 || !text.EndsWith(')'))
        {
            if (text.Equals("decimal", StringComparison.OrdinalIgnoreCase) || text.Equals("numeric", StringComparison.OrdinalIgnoreCase))
                type = new DataType(TypeKind.Decimal128, 18, 3);
            else
                type = Simple.GetValueOrDefault(text);
            return type is not null;
        }
        var arguments = SplitArguments(text[(open + 1)..^1]);
        type = text[..open].Trim().ToLowerInvariant() switch
        {
            "decimal" or "numeric" => Decimal(arguments),
            "varchar" or "char" => int.TryParse(arguments[0], out _) ? DataType.Utf8 : null,
            "struct" => Struct(arguments, depth + 1),
            "map" => Map(arguments, depth + 1),
            _ => null,
        };
        return type is not null;
    }

    /// <summary>Parts between commas that are in no bracket or quotes, trimmed.</summary>
    public static IReadOnlyList<string> SplitArguments(string text)
    {
        var parts = new List<string>();
        var (depth, start, quoted) = (0, 0, false);
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] == '"')
                quoted = !quoted;
            else if (quoted)
                continue;
            else if (text[i] == '(')
                depth++;
            else if (text[i] == ')')
                depth--;
            else if (text[i] == ',' && depth == 0)
            {
                parts.Add(text[start..i].Trim());
                start = i + 1;
            }
        }
        parts.Add(text[start..].Trim());
        return parts;
    }

    private static DataType? Decimal(IReadOnlyList<string> arguments)
    {
        if (!int.TryParse(arguments[0], CultureInfo.InvariantCulture, out var precision) || precision is < 1 or > 38)
            return null;
        var scale = 0;
        if (arguments.Count == 2 && !int.TryParse(arguments[1], CultureInfo.InvariantCulture, out scale))
            return null;
        return arguments.Count <= 2 && scale >= 0 && scale <= precision ? new DataType(TypeKind.Decimal128, precision, scale) : null;
    }

    private static DataType? Struct(IReadOnlyList<string> arguments, int depth)
    {
        var fields = new List<Field>();
        foreach (var argument in arguments)
        {
            var end = argument.StartsWith('"') ? QuotedEnd(argument) : argument.IndexOf(' ', StringComparison.Ordinal);
            if (end <= 0 || !TryParse(argument[end..], depth, out var type))
                return null;
            fields.Add(new Field(argument[0] == '"' ? argument[1..(end - 1)].Replace("\"\"", "\"", StringComparison.Ordinal) : argument[..end], type));
        }
        return new DataType(TypeKind.Struct, Children: fields);
    }

    /// <summary>Where a name in double quotes ends, a doubled one standing for itself; -1 if it does not.</summary>
    private static int QuotedEnd(string text)
    {
        for (var i = 1; i < text.Length; i++)
        {
            if (text[i] != '"')
                continue;
            if (i + 1 == text.Length || text[i + 1] != '"')
                return i + 1;
            i++;
        }
        return -1;
    }

    private static DataType? Map(IReadOnlyList<string> arguments, int depth)
    {
        if (arguments.Count != 2 || !TryParse(arguments[0], depth, out var key) || !TryParse(arguments[1], depth, out var value))
            return null;
        var entry = new DataType(TypeKind.Struct, Children: [new Field("key", key, Nullable: false), new Field("value", value)]);
        return new DataType(TypeKind.Map, Children: [new Field("entries", entry, Nullable: false)]);
    }
}
