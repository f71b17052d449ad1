namespace Millrace.Query.PgCatalog;

/// <param name="Oid">Its number in pg_type.dat.</param>
/// <param name="Name">typname.</param>
/// <param name="Size">typlen.</param>
/// <param name="Category">typcategory.</param>
/// <param name="Element">typelem: of arrays.</param>
/// <param name="Array">typarray.</param>
/// <param name="Display">As format_type prints it.</param>
internal sealed record TypeRow(int Oid, string Name, short Size, char Category, int Element, int Array, string Display);

/// <summary>The rows of pg_type: the types that results can have, and those that clients look for by name (PostgreSQL 15, pg_type.dat).</summary>
internal static class TypeRows
{
    private static readonly TypeRow[] Scalars =
    [
        new(16, "bool", 1, 'B', 0, 1000, "boolean"),
        new(17, "bytea", -1, 'U', 0, 1001, "bytea"),
        new(18, "char", 1, 'Z', 0, 1002, "\"char\""),
        new(19, "name", 64, 'S', 0, 1003, "name"),
        new(20, "int8", 8, 'N', 0, 1016, "bigint"),
        new(21, "int2", 2, 'N', 0, 1005, "smallint"),
        new(23, "int4", 4, 'N', 0, 1007, "integer"),
        new(24, "regproc", 4, 'N', 0, 1008, "regproc"),
        new(25, "text", -1, 'S', 0, 1009, "text"),
        new(26, "oid", 4, 'N', 0, 1028, "oid"),
        new(114, "json", -1, 'U', 0, 199, "json"),
        new(142, "xml", -1, 'U', 0, 143, "xml"),
        new(700, "float4", 4, 'N', 0, 1021, "real"),
        new(701, "float8", 8, 'N', 0, 1022, "double precision"),
        new(790, "money", 8, 'N', 0, 791, "money"),
        new(829, "macaddr", 6, 'U', 0, 1040, "macaddr"),
        new(869, "inet", -1, 'I', 0, 1041, "inet"),
        new(650, "cidr", -1, 'I', 0, 651, "cidr"),
        new(1042, "bpchar", -1, 'S', 0, 1014, "character"),
        new(1043, "varchar", -1, 'S', 0, 1015, "character varying"),
        new(1082, "date", 4, 'D', 0, 1182, "date"),
        new(1083, "time", 8, 'D', 0, 1183, "time without time zone"),
        new(1114, "timestamp", 8, 'D', 0, 1115, "timestamp without time zone"),
        new(1184, "timestamptz", 8, 'D', 0, 1185, "timestamp with time zone"),
        new(1186, "interval", 16, 'T', 0, 1187, "interval"),
        new(1266, "timetz", 12, 'D', 0, 1270, "time with time zone"),
        new(1560, "bit", -1, 'V', 0, 1561, "bit"),
        new(1562, "varbit", -1, 'V', 0, 1563, "bit varying"),
        new(1700, "numeric", -1, 'N', 0, 1231, "numeric"),
        new(2205, "regclass", 4, 'N', 0, 2210, "regclass"),
        new(2206, "regtype", 4, 'N', 0, 2211, "regtype"),
        new(2950, "uuid", 16, 'U', 0, 2951, "uuid"),
        new(3802, "jsonb", -1, 'U', 0, 3807, "jsonb"),
    ];

    private static readonly TypeRow[] Pseudo =
    [
        new(705, "unknown", -2, 'X', 0, 0, "unknown"),
        new(2249, "record", -1, 'P', 0, 0, "record"),
        new(2278, "void", 4, 'P', 0, 0, "void"),
        new(2275, "cstring", -2, 'P', 0, 0, "cstring"),
        new(2276, "any", 4, 'P', 0, 0, "\"any\""),
        new(2277, "anyarray", -1, 'P', 0, 0, "anyarray"),
    ];

    public static readonly IReadOnlyList<TypeRow> All =
    [
        .. Scalars,
        .. Scalars.Select(t => new TypeRow(t.Array, "_" + t.Name, -1, 'A', t.Oid, 0, t.Display + "[]")),
        .. Pseudo,
    ];
}
