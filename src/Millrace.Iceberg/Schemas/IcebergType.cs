using System.Globalization;
using System.Text.Json;

namespace Millrace.Iceberg.Schemas;

/// <summary>The primitive types of Iceberg v1 to v3 (Iceberg spec, Primitive Types).</summary>
public enum PrimitiveKind : byte
{
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Decimal,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    TimestampNs,
    TimestampTzNs,
    String,
    Uuid,
    Fixed,
    Binary,
    Unknown,
    Variant,
    Geometry,
    Geography,
}

/// <summary>A column's type: primitive, struct, list or map.</summary>
public abstract record IcebergType
{
    /// <summary>The DuckDB type that holds its values.</summary>
    public abstract string SqlName { get; }
}

/// <param name="Precision">Of decimals.</param>
/// <param name="Scale">Of decimals.</param>
/// <param name="Length">Bytes of fixed.</param>
/// <param name="Parameters">Of geometry and geography: what stands in the parentheses, as written; else null.</param>
public sealed record PrimitiveType(PrimitiveKind Kind, int Precision = 0, int Scale = 0, int Length = 0, string? Parameters = null) : IcebergType
{
    public static readonly PrimitiveType Boolean = new(PrimitiveKind.Boolean);
    public static readonly PrimitiveType Int = new(PrimitiveKind.Int);
    public static readonly PrimitiveType Long = new(PrimitiveKind.Long);
    public static readonly PrimitiveType Float = new(PrimitiveKind.Float);
    public static readonly PrimitiveType Double = new(PrimitiveKind.Double);
    public static readonly PrimitiveType Date = new(PrimitiveKind.Date);
    public static readonly PrimitiveType Time = new(PrimitiveKind.Time);
    public static readonly PrimitiveType Timestamp = new(PrimitiveKind.Timestamp);
    public static readonly PrimitiveType TimestampTz = new(PrimitiveKind.TimestampTz);
    public static readonly PrimitiveType String = new(PrimitiveKind.String);
    public static readonly PrimitiveType Uuid = new(PrimitiveKind.Uuid);
    public static readonly PrimitiveType Binary = new(PrimitiveKind.Binary);

    public static PrimitiveType DecimalOf(int precision, int scale) => new(PrimitiveKind.Decimal, precision, scale);

    public static PrimitiveType FixedOf(int length) => new(PrimitiveKind.Fixed, Length: length);

    /// <summary>True for types that only version 3 tables may have.</summary>
    public bool NeedsVersion3 => Kind is PrimitiveKind.TimestampNs or PrimitiveKind.TimestampTzNs or PrimitiveKind.Unknown
        or PrimitiveKind.Variant or PrimitiveKind.Geometry or PrimitiveKind.Geography;

    public override string SqlName => Kind switch
    {
        PrimitiveKind.Boolean => "BOOLEAN",
        PrimitiveKind.Int => "INTEGER",
        PrimitiveKind.Long => "BIGINT",
        PrimitiveKind.Float => "FLOAT",
        PrimitiveKind.Double => "DOUBLE",
        PrimitiveKind.Decimal => string.Create(CultureInfo.InvariantCulture, $"DECIMAL({Precision},{Scale})"),
        PrimitiveKind.Date => "DATE",
        PrimitiveKind.Time => "TIME",
        PrimitiveKind.Timestamp => "TIMESTAMP",
        PrimitiveKind.TimestampTz => "TIMESTAMPTZ",
        PrimitiveKind.TimestampNs or PrimitiveKind.TimestampTzNs => "TIMESTAMP_NS",
        PrimitiveKind.String => "VARCHAR",
        PrimitiveKind.Uuid => "UUID",
        PrimitiveKind.Unknown => "INTEGER",
        PrimitiveKind.Variant => "VARIANT",
        _ => "BLOB",
    };

    /// <summary>The name in schemas, e.g. <c>decimal(9,2)</c>.</summary>
    public override string ToString() => Kind switch
    {
        PrimitiveKind.Decimal => string.Create(CultureInfo.InvariantCulture, $"decimal({Precision}, {Scale})"),
        PrimitiveKind.Fixed => string.Create(CultureInfo.InvariantCulture, $"fixed[{Length}]"),
        PrimitiveKind.TimestampNs => "timestamp_ns",
        PrimitiveKind.TimestampTzNs => "timestamptz_ns",
        PrimitiveKind.Geometry or PrimitiveKind.Geography => Kind.ToString().ToLowerInvariant() + (Parameters is null ? "" : $"({Parameters})"),
        _ => Kind.ToString().ToLowerInvariant(),
    };

    /// <summary>The type of that name, or null.</summary>
    public static PrimitiveType? Parse(string name)
    {
        name = name.Trim();
        if (name.IndexOfAny(['(', '[']) is > 0 and var open && name[^1] is ')' or ']')
            return Parameterized(name[..name.IndexOfAny(['(', '['])].Trim().ToLowerInvariant(), name[(open + 1)..^1]);
        return name.ToLowerInvariant() switch
        {
            "boolean" => Boolean,
            "int" => Int,
            "long" => Long,
            "float" => Float,
            "double" => Double,
            "date" => Date,
            "time" => Time,
            "timestamp" => Timestamp,
            "timestamptz" => TimestampTz,
            "timestamp_ns" => new PrimitiveType(PrimitiveKind.TimestampNs),
            "timestamptz_ns" => new PrimitiveType(PrimitiveKind.TimestampTzNs),
            "string" => String,
            "uuid" => Uuid,
            "binary" => Binary,
            "unknown" => new PrimitiveType(PrimitiveKind.Unknown),
            "variant" => new PrimitiveType(PrimitiveKind.Variant),
            "geometry" => new PrimitiveType(PrimitiveKind.Geometry),
            "geography" => new PrimitiveType(PrimitiveKind.Geography),
            _ => null,
        };
    }

    private static PrimitiveType? Parameterized(string name, string parameters)
    {
        var parts = parameters.Split(',', StringSplitOptions.TrimEntries);
        switch (name)
        {
            case "decimal" when parts.Length == 2 && int.TryParse(parts[0], out var precision) && int.TryParse(parts[1], out var scale)
                && precision is >= 1 and <= 38 && scale >= 0 && scale <= precision:
                return DecimalOf(precision, scale);
            case "fixed" when int.TryParse(parameters, out var length) && length >= 0:
                return FixedOf(length);
            case "geometry":
                return new PrimitiveType(PrimitiveKind.Geometry, Parameters: parameters);
            case "geography":
                return new PrimitiveType(PrimitiveKind.Geography, Parameters: parameters);
            default:
                return null;
        }
    }
}

/// <summary>Named fields, in order.</summary>
public sealed record StructType(IReadOnlyList<NestedField> Fields) : IcebergType
{
    public override string SqlName =>
        "STRUCT(" + string.Join(", ", Fields.Select(f => $"{Sql.Name(f.Name)} {f.Type.SqlName}")) + ")";

    public bool Equals(StructType? other) => other is not null && Fields.SequenceEqual(other.Fields);

    public override int GetHashCode() => Fields.Aggregate(7, (hash, field) => HashCode.Combine(hash, field.Id));

    public override string ToString() => "struct<" + string.Join(", ", Fields.Select(f => $"{f.Name}: {f.Type}")) + ">";
}

public sealed record ListType(int ElementId, IcebergType Element, bool ElementRequired) : IcebergType
{
    public override string SqlName => Element.SqlName + "[]";

    public override string ToString() => $"list<{Element}>";
}

public sealed record MapType(int KeyId, IcebergType Key, int ValueId, IcebergType Value, bool ValueRequired) : IcebergType
{
    public override string SqlName => $"MAP({Key.SqlName}, {Value.SqlName})";

    public override string ToString() => $"map<{Key}, {Value}>";
}

/// <summary>A column or a struct's field; its id never changes, its name and type may.</summary>
/// <param name="InitialDefault">v3: the value of rows that were written before the field was added.</param>
/// <param name="WriteDefault">v3: the value when a writer gives none.</param>
public sealed record NestedField(
    int Id, string Name, bool Required, IcebergType Type, string? Doc = null, JsonElement? InitialDefault = null, JsonElement? WriteDefault = null)
{
    public bool Equals(NestedField? other) =>
        other is not null && Id == other.Id && Name == other.Name && Required == other.Required && Type.Equals(other.Type) && Doc == other.Doc
        && InitialDefault?.GetRawText() == other.InitialDefault?.GetRawText() && WriteDefault?.GetRawText() == other.WriteDefault?.GetRawText();

    public override int GetHashCode() => HashCode.Combine(Id, Name, Required);
}
