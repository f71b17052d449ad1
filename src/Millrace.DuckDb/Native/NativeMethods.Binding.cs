using System.Runtime.InteropServices;

namespace Millrace.DuckDb.Native;

// Parameters of prepared statements. Single-member structs of duckdb.h (duckdb_date and its like) are passed as their member.
internal static unsafe partial class NativeMethods
{
    [DllImport(Library)]
    public static extern NativeState duckdb_clear_bindings(StatementHandle prepared);

    [DllImport(Library)]
    public static extern NativeState duckdb_bind_null(StatementHandle prepared, ulong index);

    [DllImport(Library)]
    public static extern NativeState duckdb_bind_boolean(StatementHandle prepared, ulong index, [MarshalAs(UnmanagedType.U1)] bool value);

    [DllImport(Library)]
    public static extern NativeState duckdb_bind_int16(StatementHandle prepared, ulong index, short value);

    [DllImport(Library)]
    public static extern NativeState duckdb_bind_int32(StatementHandle prepared, ulong index, int value);

    [DllImport(Library)]
    public static extern NativeState duckdb_bind_int64(StatementHandle prepared, ulong index, long value);

    [DllImport(Library)]
    public static extern NativeState duckdb_bind_uint64(StatementHandle prepared, ulong index, ulong value);

    [DllImport(Library)]
    public static extern NativeState duckdb_bind_hugeint(StatementHandle prepared, ulong index, NativeHugeInt value);

    [DllImport(Library)]
    public static extern NativeState duckdb_bind_float(StatementHandle prepared, ulong index, float value);

    [DllImport(Library)]
    public static extern NativeState duckdb_bind_double(StatementHandle prepared, ulong index, double value);

    [DllImport(Library)]
    public static extern NativeState duckdb_bind_decimal(StatementHandle prepared, ulong index, NativeDecimal value);

    [DllImport(Library)]
    public static extern NativeState duckdb_bind_varchar_length(StatementHandle prepared, ulong index, byte* value, ulong length);

    [DllImport(Library)]
    public static extern NativeState duckdb_bind_blob(StatementHandle prepared, ulong index, byte* value, ulong length);

    [DllImport(Library)]
    public static extern NativeState duckdb_bind_date(StatementHandle prepared, ulong index, int days);

    [DllImport(Library)]
    public static extern NativeState duckdb_bind_time(StatementHandle prepared, ulong index, long micros);

    [DllImport(Library)]
    public static extern NativeState duckdb_bind_timestamp(StatementHandle prepared, ulong index, long micros);

    [DllImport(Library)]
    public static extern NativeState duckdb_bind_timestamp_tz(StatementHandle prepared, ulong index, long micros);

    [DllImport(Library)]
    public static extern NativeState duckdb_bind_interval(StatementHandle prepared, ulong index, NativeInterval value);
}
