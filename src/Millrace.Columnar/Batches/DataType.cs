namespace Millrace.Columnar;

/// <summary>The physical kinds of a column, in Arrow's terms (Arrow Columnar Format 1.5).</summary>
public enum TypeKind : byte
{
    Null,
    Boolean,
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Float32,
    Float64,

    /// <summary>128-bit two's complement little-endian, scaled by <see cref="DataType.Scale"/>.</summary>
    Decimal128,

    /// <summary>Days since 1970-01-01, 32 bit.</summary>
    Date32,

    /// <summary>Microseconds since midnight, 64 bit.</summary>
    Time64,

    /// <summary>Microseconds since 1970-01-01T00:00, without zone, 64 bit.</summary>
    Timestamp,

    /// <summary>Microseconds since 1970-01-01T00:00Z, 64 bit.</summary>
    TimestampTz,

    /// <summary>Months i32, days i32, nanoseconds i64.</summary>
    Interval,
    Utf8,
    Binary,
    List,
    Struct,
    Map,
}

/// <summary>A column's type. Precision and scale matter to <see cref="TypeKind.Decimal128"/> only; nested kinds name their fields.</summary>
public sealed record DataType(TypeKind Kind, int Precision = 0, int Scale = 0, IReadOnlyList<Field>? Children = null)
{
    public static readonly DataType Boolean = new(TypeKind.Boolean);
    public static readonly DataType Int32 = new(TypeKind.Int32);
    public static readonly DataType Int64 = new(TypeKind.Int64);
    public static readonly DataType Float64 = new(TypeKind.Float64);
    public static readonly DataType Date32 = new(TypeKind.Date32);
    public static readonly DataType Timestamp = new(TypeKind.Timestamp);
    public static readonly DataType TimestampTz = new(TypeKind.TimestampTz);
    public static readonly DataType Utf8 = new(TypeKind.Utf8);
    public static readonly DataType Binary = new(TypeKind.Binary);

    /// <summary>Bytes of one value in the values buffer; 0 for booleans (bits), variable and nested kinds.</summary>
    public int Width => Kind switch
    {
        TypeKind.Int8 or TypeKind.UInt8 => 1,
        TypeKind.Int16 or TypeKind.UInt16 => 2,
        TypeKind.Int32 or TypeKind.UInt32 or TypeKind.Float32 or TypeKind.Date32 => 4,
        TypeKind.Int64 or TypeKind.UInt64 or TypeKind.Float64 or TypeKind.Time64 or TypeKind.Timestamp or TypeKind.TimestampTz => 8,
        TypeKind.Decimal128 or TypeKind.Interval => 16,
        _ => 0,
    };

    /// <summary>True for kinds whose values buffer is addressed by 32-bit offsets.</summary>
    public bool IsVariable => Kind is TypeKind.Utf8 or TypeKind.Binary;

    /// <summary>The SQL name that DuckDB understands, e.g. <c>BIGINT</c>, <c>DECIMAL(9,2)</c>.</summary>
    public string SqlName => Kind switch
    {
        TypeKind.Null => "\"NULL\"",
        TypeKind.Boolean => "BOOLEAN",
        TypeKind.Int8 => "TINYINT",
        TypeKind.Int16 => "SMALLINT",
        TypeKind.Int32 => "INTEGER",
        TypeKind.Int64 => "BIGINT",
        TypeKind.UInt8 => "UTINYINT",
        TypeKind.UInt16 => "USMALLINT",
        TypeKind.UInt32 => "UINTEGER",
        TypeKind.UInt64 => "UBIGINT",
        TypeKind.Float32 => "FLOAT",
        TypeKind.Float64 => "DOUBLE",
        TypeKind.Decimal128 => $"DECIMAL({Precision},{Scale})",
        TypeKind.Date32 => "DATE",
        TypeKind.Time64 => "TIME",
        TypeKind.Timestamp => "TIMESTAMP",
        TypeKind.TimestampTz => "TIMESTAMPTZ",
        TypeKind.Interval => "INTERVAL",
        TypeKind.Utf8 => "VARCHAR",
        TypeKind.Binary => "BLOB",
        TypeKind.List => $"{Children![0].Type.SqlName}[]",
        TypeKind.Struct => $"STRUCT({string.Join(", ", Children!.Select(c => $"\"{c.Name.Replace("\"", "\"\"", StringComparison.Ordinal)}\" {c.Type.SqlName}"))})",
        TypeKind.Map => $"MAP({Children![0].Type.Children![0].Type.SqlName}, {Children![0].Type.Children![1].Type.SqlName})",
        _ => throw new InvalidOperationException($"no SQL name for {Kind}"),
    };

    public override string ToString() => SqlName;

    public bool Equals(DataType? other) =>
        other is not null && Kind == other.Kind && Precision == other.Precision && Scale == other.Scale
        && (Children ?? []).SequenceEqual(other.Children ?? []);

    public override int GetHashCode() => HashCode.Combine(Kind, Precision, Scale, Children?.Count ?? 0);
}

/// <summary>A named, typed column of a schema.</summary>
public sealed record Field(string Name, DataType Type, bool Nullable = true);

/// <summary>Ordered fields with distinct names. Names compare ordinally.</summary>
public sealed class Schema : IEquatable<Schema>
{
    private readonly Dictionary<string, int> _indexes;

    /// <exception cref="ArgumentException">Two fields share a name.</exception>
    public Schema(params IReadOnlyList<Field> fields)
    {
        Fields = fields;
        _indexes = new Dictionary<string, int>(fields.Count, StringComparer.Ordinal);
        for (var i = 0; i < fields.Count; i++)
        {
            if (!_indexes.TryAdd(fields[i].Name, i))
                throw new ArgumentException($"column '{fields[i].Name}' stands twice in the schema");
        }
    }

    public IReadOnlyList<Field> Fields { get; }

    public int Count => Fields.Count;

    public Field this[int index] => Fields[index];

    /// <summary>The index of the field with that name, or -1.</summary>
    public int IndexOf(string name) => _indexes.GetValueOrDefault(name, -1);

    public bool Equals(Schema? other) => other is not null && Fields.SequenceEqual(other.Fields);

    public override bool Equals(object? obj) => Equals(obj as Schema);

    public override int GetHashCode() => Fields.Aggregate(17, (hash, field) => HashCode.Combine(hash, field));

    public override string ToString() => string.Join(", ", Fields.Select(f => $"{f.Name} {f.Type}{(f.Nullable ? "" : " NOT NULL")}"));
}
