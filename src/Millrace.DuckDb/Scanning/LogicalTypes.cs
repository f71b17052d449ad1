using Millrace.Columnar;
using Millrace.DuckDb.Native;

namespace Millrace.DuckDb.Scanning;

/// <summary>DuckDB's logical types for ours.</summary>
internal static unsafe class LogicalTypes
{
    /// <summary>The caller destroys it.</summary>
    public static nint Create(DataType type)
    {
        switch (type.Kind)
        {
            case TypeKind.Decimal128:
                return NativeMethods.duckdb_create_decimal_type((byte)type.Precision, (byte)type.Scale);
            case TypeKind.List:
                var child = Create(type.Children![0].Type);
                var list = NativeMethods.duckdb_create_list_type(child);
                NativeMethods.duckdb_destroy_logical_type(ref child);
                return list;
            case TypeKind.Map:
                var entry = type.Children![0].Type.Children!;
                var key = Create(entry[0].Type);
                var value = Create(entry[1].Type);
                var map = NativeMethods.duckdb_create_map_type(key, value);
                NativeMethods.duckdb_destroy_logical_type(ref key);
                NativeMethods.duckdb_destroy_logical_type(ref value);
                return map;
            case TypeKind.Struct:
                return CreateStruct(type);
            default:
                return NativeMethods.duckdb_create_logical_type((int)Flat(type.Kind));
        }
    }

    private static nint CreateStruct(DataType type)
    {
        var count = type.Children!.Count;
        var types = stackalloc nint[count];
        var names = stackalloc nint[count];
        for (var i = 0; i < count; i++)
        {
            types[i] = Create(type.Children[i].Type);
            names[i] = System.Runtime.InteropServices.Marshal.StringToCoTaskMemUTF8(type.Children[i].Name);
        }
        var created = NativeMethods.duckdb_create_struct_type(types, (byte**)names, (ulong)count);
        for (var i = 0; i < count; i++)
        {
            NativeMethods.duckdb_destroy_logical_type(ref types[i]);
            System.Runtime.InteropServices.Marshal.FreeCoTaskMem(names[i]);
        }
        return created;
    }

    /// <summary>True for kinds that one DuckDB type says all of.</summary>
    public static bool IsFlat(TypeKind kind) =>
        kind is not (TypeKind.Decimal128 or TypeKind.List or TypeKind.Map or TypeKind.Struct);

    public static DuckDbType Flat(TypeKind kind) => kind switch
    {
        TypeKind.Null => DuckDbType.SqlNull,
        TypeKind.Boolean => DuckDbType.Boolean,
        TypeKind.Int8 => DuckDbType.TinyInt,
        TypeKind.Int16 => DuckDbType.SmallInt,
        TypeKind.Int32 => DuckDbType.Integer,
        TypeKind.Int64 => DuckDbType.BigInt,
        TypeKind.UInt8 => DuckDbType.UTinyInt,
        TypeKind.UInt16 => DuckDbType.USmallInt,
        TypeKind.UInt32 => DuckDbType.UInteger,
        TypeKind.UInt64 => DuckDbType.UBigInt,
        TypeKind.Float32 => DuckDbType.Float,
        TypeKind.Float64 => DuckDbType.Double,
        TypeKind.Date32 => DuckDbType.Date,
        TypeKind.Time64 => DuckDbType.Time,
        TypeKind.Timestamp => DuckDbType.Timestamp,
        TypeKind.TimestampTz => DuckDbType.TimestampTz,
        TypeKind.Interval => DuckDbType.Interval,
        TypeKind.Utf8 => DuckDbType.Varchar,
        TypeKind.Binary => DuckDbType.Blob,
        _ => throw new InvalidOperationException($"no DuckDB type for {kind}"),
    };
}
