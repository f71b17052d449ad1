using System.Runtime.InteropServices;
using Millrace.Columnar.Arrow;
using Millrace.Storage.Native;

namespace Millrace.DuckDb.Native;

/// <summary>The part of DuckDB's C API (duckdb.h, 1.5) that is used. Pointers are owned as duckdb.h says.</summary>
internal static unsafe partial class NativeMethods
{
    private const string Library = "duckdb";

    static NativeMethods() => NativeLibraries.Use(typeof(NativeMethods).Assembly, NativeLibraries.DuckDb);

    [DllImport(Library)]
    public static extern byte* duckdb_library_version();

    [DllImport(Library)]
    public static extern void duckdb_free(void* pointer);

    [DllImport(Library)]
    public static extern NativeState duckdb_create_config(out nint config);

    [DllImport(Library)]
    public static extern NativeState duckdb_set_config(
        nint config, [MarshalAs(UnmanagedType.LPUTF8Str)] string name, [MarshalAs(UnmanagedType.LPUTF8Str)] string value);

    [DllImport(Library)]
    public static extern void duckdb_destroy_config(ref nint config);

    [DllImport(Library)]
    public static extern NativeState duckdb_open_ext(
        [MarshalAs(UnmanagedType.LPUTF8Str)] string? path, out nint database, nint config, out byte* error);

    [DllImport(Library)]
    public static extern void duckdb_close(ref nint database);

    [DllImport(Library)]
    public static extern NativeState duckdb_connect(DatabaseHandle database, out nint connection);

    [DllImport(Library)]
    public static extern void duckdb_disconnect(ref nint connection);

    [DllImport(Library)]
    public static extern void duckdb_interrupt(ConnectionHandle connection);

    [DllImport(Library)]
    public static extern void duckdb_connection_get_arrow_options(ConnectionHandle connection, out nint options);

    [DllImport(Library)]
    public static extern ulong duckdb_extract_statements(ConnectionHandle connection, byte* sql, out nint statements);

    [DllImport(Library)]
    public static extern byte* duckdb_extract_statements_error(nint statements);

    [DllImport(Library)]
    public static extern NativeState duckdb_prepare_extracted_statement(
        ConnectionHandle connection, nint statements, ulong index, out nint prepared);

    [DllImport(Library)]
    public static extern void duckdb_destroy_extracted(ref nint statements);

    [DllImport(Library)]
    public static extern byte* duckdb_prepare_error(nint prepared);

    [DllImport(Library)]
    public static extern void duckdb_destroy_prepare(ref nint prepared);

    [DllImport(Library)]
    public static extern ulong duckdb_nparams(StatementHandle prepared);

    [DllImport(Library)]
    public static extern int duckdb_param_type(StatementHandle prepared, ulong index);

    [DllImport(Library)]
    public static extern byte* duckdb_parameter_name(StatementHandle prepared, ulong index);

    [DllImport(Library)]
    public static extern int duckdb_prepared_statement_type(StatementHandle prepared);

    [DllImport(Library)]
    public static extern ulong duckdb_prepared_statement_column_count(StatementHandle prepared);

    [DllImport(Library)]
    public static extern byte* duckdb_prepared_statement_column_name(StatementHandle prepared, ulong column);

    [DllImport(Library)]
    public static extern nint duckdb_prepared_statement_column_logical_type(StatementHandle prepared, ulong column);

    [DllImport(Library)]
    public static extern NativeState duckdb_execute_prepared(StatementHandle prepared, NativeResult* result);

    [DllImport(Library)]
    public static extern NativeState duckdb_execute_prepared_streaming(StatementHandle prepared, NativeResult* result);

    [DllImport(Library)]
    public static extern void duckdb_destroy_result(NativeResult* result);

    [DllImport(Library)]
    public static extern byte* duckdb_result_error(NativeResult* result);

    [DllImport(Library)]
    public static extern int duckdb_result_error_type(NativeResult* result);

    [DllImport(Library)]
    public static extern NativeReturnType duckdb_result_return_type(NativeResult result);

    [DllImport(Library)]
    public static extern int duckdb_result_statement_type(NativeResult result);

    [DllImport(Library)]
    public static extern ulong duckdb_column_count(NativeResult* result);

    [DllImport(Library)]
    public static extern byte* duckdb_column_name(NativeResult* result, ulong column);

    [DllImport(Library)]
    public static extern int duckdb_column_type(NativeResult* result, ulong column);

    [DllImport(Library)]
    public static extern nint duckdb_column_logical_type(NativeResult* result, ulong column);

    [DllImport(Library)]
    public static extern ulong duckdb_rows_changed(NativeResult* result);

    [DllImport(Library)]
    public static extern nint duckdb_fetch_chunk(NativeResult result);

    [DllImport(Library)]
    public static extern void duckdb_destroy_data_chunk(ref nint chunk);

    [DllImport(Library)]
    public static extern nint duckdb_result_get_arrow_options(NativeResult* result);

    [DllImport(Library)]
    public static extern void duckdb_destroy_arrow_options(ref nint options);

    [DllImport(Library)]
    public static extern nint duckdb_to_arrow_schema(nint options, nint* types, byte** names, ulong count, ArrowSchema* schema);

    [DllImport(Library)]
    public static extern nint duckdb_data_chunk_to_arrow(nint options, nint chunk, ArrowArray* array);

    [DllImport(Library)]
    public static extern byte* duckdb_error_data_message(nint error);

    [DllImport(Library)]
    public static extern int duckdb_error_data_error_type(nint error);

    [DllImport(Library)]
    [return: MarshalAs(UnmanagedType.U1)]
    public static extern bool duckdb_error_data_has_error(nint error);

    [DllImport(Library)]
    public static extern void duckdb_destroy_error_data(ref nint error);

    [DllImport(Library)]
    public static extern nint duckdb_create_logical_type(int type);

    [DllImport(Library)]
    public static extern nint duckdb_create_decimal_type(byte width, byte scale);

    [DllImport(Library)]
    public static extern nint duckdb_create_list_type(nint child);

    [DllImport(Library)]
    public static extern nint duckdb_create_struct_type(nint* types, byte** names, ulong count);

    [DllImport(Library)]
    public static extern nint duckdb_create_map_type(nint key, nint value);

    [DllImport(Library)]
    public static extern int duckdb_get_type_id(nint type);

    [DllImport(Library)]
    public static extern byte* duckdb_logical_type_get_alias(nint type);

    [DllImport(Library)]
    public static extern void duckdb_destroy_logical_type(ref nint type);
}
