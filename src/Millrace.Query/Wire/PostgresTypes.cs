using System.Collections.Frozen;
using Millrace.Columnar;

namespace Millrace.Query.Wire;

/// <summary>A PostgreSQL type by its number in pg_type.dat.</summary>
/// <param name="Oid">The number that clients know.</param>
/// <param name="Name">Its name in pg_type.</param>
/// <param name="Size">typlen: bytes, or -1 for variable.</param>
/// <param name="Array">The number of its array type, 0 when it has none.</param>
/// <param name="SqlName">What DuckDB calls it in a cast, or null when values travel as text.</param>
internal sealed record PostgresType(int Oid, string Name, short Size, int Array, string? SqlName)
{
    public bool IsText => this == PostgresTypes.Text || this == PostgresTypes.Unknown || SqlName is null or "VARCHAR";
}

/// <summary>Which PostgreSQL type a column of ours is told as, and back.</summary>
internal static class PostgresTypes
{
    public static readonly PostgresType Bool = new(16, "bool", 1, 1000, "BOOLEAN");
    public static readonly PostgresType Bytea = new(17, "bytea", -1, 1001, "BLOB");
    public static readonly PostgresType Name = new(19, "name", 64, 1003, "VARCHAR");
    public static readonly PostgresType Int8 = new(20, "int8", 8, 1016, "BIGINT");
    public static readonly PostgresType Int2 = new(21, "int2", 2, 1005, "SMALLINT");
    public static readonly PostgresType Int4 = new(23, "int4", 4, 1007, "INTEGER");
    public static readonly PostgresType Text = new(25, "text", -1, 1009, "VARCHAR");
    public static readonly PostgresType Oid = new(26, "oid", 4, 1028, "BIGINT");
    public static readonly PostgresType Json = new(114, "json", -1, 199, "JSON");
    public static readonly PostgresType Float4 = new(700, "float4", 4, 1021, "FLOAT");
    public static readonly PostgresType Float8 = new(701, "float8", 8, 1022, "DOUBLE");
    public static readonly PostgresType Unknown = new(705, "unknown", -2, 0, null);
    public static readonly PostgresType Bpchar = new(1042, "bpchar", -1, 1014, "VARCHAR");
    public static readonly PostgresType Varchar = new(1043, "varchar", -1, 1015, "VARCHAR");
    public static readonly PostgresType Date = new(1082, "date", 4, 1182, "DATE");
    public static readonly PostgresType Time = new(1083, "time", 8, 1183, "TIME");
    public static readonly PostgresType Timestamp = new(1114, "timestamp", 8, 1115, "TIMESTAMP");
    public static readonly PostgresType TimestampTz = new(1184, "timestamptz", 8, 1185, "TIMESTAMPTZ");
    public static readonly PostgresType Interval = new(1186, "interval", 16, 1187, "INTERVAL");
    public static readonly PostgresType TimeTz = new(1266, "timetz", 12, 1270, null);
    public static readonly PostgresType Bit = new(1560, "bit", -1, 1561, null);
    public static readonly PostgresType Numeric = new(1700, "numeric", -1, 1231, "DECIMAL(38,10)");
    public static readonly PostgresType Uuid = new(2950, "uuid", 16, 2951, "UUID");
    public static readonly PostgresType Jsonb = new(3802, "jsonb", -1, 3807, "JSON");

    private static readonly PostgresType[] Scalars =
    [
        Bool, Bytea, Name, Int8, Int2, Int4, Text, Oid, Json, Float4, Float8, Unknown, Bpchar, Varchar, Date, Time, Timestamp,
        TimestampTz, Interval, TimeTz, Bit, Numeric, Uuid, Jsonb,
    ];

    private static readonly FrozenDictionary<int, PostgresType> ByOid = Scalars
        .Concat(Scalars.Where(t => t.Array != 0).Select(t => new PostgresType(t.Array, "_" + t.Name, -1, 0, t.SqlName is null ? null : t.SqlName + "[]")))
        .ToFrozenDictionary(t => t.Oid);

    private static readonly FrozenDictionary<int, PostgresType> ElementByArrayOid =
        Scalars.Where(t => t.Array != 0).ToFrozenDictionary(t => t.Array);

    public static PostgresType? Find(int oid) => ByOid.GetValueOrDefault(oid);

    /// <summary>The element type of an array type, or null.</summary>
    public static PostgresType? ElementOf(int oid) => ElementByArrayOid.GetValueOrDefault(oid);

    /// <summary>
    /// The type that a column is told as. Unsigned and narrow integers become the next wider signed type; structs, maps and lists of
    /// lists become JSON, which every client can take apart.
    /// </summary>
    public static PostgresType Of(DataType type, string sqlType = "") => type.Kind switch
    {
        TypeKind.Boolean => Bool,
        TypeKind.Int8 or TypeKind.UInt8 or TypeKind.Int16 => Int2,
        TypeKind.UInt16 or TypeKind.Int32 => Int4,
        TypeKind.UInt32 when sqlType == "oid" => Oid,
        TypeKind.UInt32 or TypeKind.Int64 => Int8,
        TypeKind.UInt64 or TypeKind.Decimal128 => Numeric,
        TypeKind.Float32 => Float4,
        TypeKind.Float64 => Float8,
        TypeKind.Date32 => Date,
        TypeKind.Time64 => Time,
        TypeKind.Timestamp => Timestamp,
        TypeKind.TimestampTz => TimestampTz,
        TypeKind.Interval => Interval,
        TypeKind.Binary => Bytea,
        TypeKind.Utf8 => OfText(sqlType),
        TypeKind.List => OfList(type, sqlType),
        TypeKind.Struct or TypeKind.Map => Json,
        _ => Text,
    };

    /// <summary>The modifier that travels beside the type: of a decimal its precision and scale (numeric.c), else -1.</summary>
    public static int ModifierOf(DataType type) =>
        type.Kind == TypeKind.Decimal128 && type.Precision is > 0 and < 38 ? ((type.Precision << 16) | type.Scale) + 4 : -1;

    private static PostgresType OfText(string sqlType) => sqlType switch
    {
        "UUID" => Uuid,
        "JSON" => Json,
        "BIT" => Bit,
        "TIMETZ" or "TIME WITH TIME ZONE" => TimeTz,
        _ => Text,
    };

    private static PostgresType OfList(DataType type, string sqlType)
    {
        var element = Of(type.Children![0].Type, sqlType.EndsWith("[]", StringComparison.Ordinal) ? sqlType[..^2] : "");
        return element.Array == 0 || ElementOf(element.Oid) is not null || type.Children[0].Type.Kind is TypeKind.List or TypeKind.Struct or TypeKind.Map
            ? Json
            : ByOid[element.Array];
    }
}
