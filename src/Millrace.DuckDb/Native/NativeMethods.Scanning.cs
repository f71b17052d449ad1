using System.Runtime.InteropServices;

namespace Millrace.DuckDb.Native;

// Table functions and the vectors that they fill. The getters do no work worth a GC transition.
internal static unsafe partial class NativeMethods
{
    [DllImport(Library)]
    public static extern nint duckdb_create_table_function();

    [DllImport(Library)]
    public static extern void duckdb_destroy_table_function(ref nint function);

    [DllImport(Library)]
    public static extern void duckdb_table_function_set_name(nint function, [MarshalAs(UnmanagedType.LPUTF8Str)] string name);

    [DllImport(Library)]
    public static extern void duckdb_table_function_add_parameter(nint function, nint type);

    [DllImport(Library)]
    public static extern void duckdb_table_function_set_extra_info(nint function, void* info, delegate* unmanaged[Cdecl]<void*, void> destroy);

    [DllImport(Library)]
    public static extern void duckdb_table_function_set_bind(nint function, delegate* unmanaged[Cdecl]<nint, void> bind);

    [DllImport(Library)]
    public static extern void duckdb_table_function_set_init(nint function, delegate* unmanaged[Cdecl]<nint, void> init);

    [DllImport(Library)]
    public static extern void duckdb_table_function_set_function(nint function, delegate* unmanaged[Cdecl]<nint, nint, void> scan);

    [DllImport(Library)]
    public static extern void duckdb_table_function_supports_projection_pushdown(nint function, [MarshalAs(UnmanagedType.U1)] bool pushdown);

    [DllImport(Library)]
    public static extern NativeState duckdb_register_table_function(ConnectionHandle connection, nint function);

    [DllImport(Library)]
    public static extern void* duckdb_bind_get_extra_info(nint info);

    [DllImport(Library)]
    public static extern nint duckdb_bind_get_parameter(nint info, ulong index);

    [DllImport(Library)]
    public static extern long duckdb_get_int64(nint value);

    [DllImport(Library)]
    public static extern void duckdb_destroy_value(ref nint value);

    [DllImport(Library)]
    public static extern void duckdb_bind_add_result_column(nint info, [MarshalAs(UnmanagedType.LPUTF8Str)] string name, nint type);

    [DllImport(Library)]
    public static extern void duckdb_bind_set_bind_data(nint info, void* data, delegate* unmanaged[Cdecl]<void*, void> destroy);

    [DllImport(Library)]
    public static extern void duckdb_bind_set_error(nint info, [MarshalAs(UnmanagedType.LPUTF8Str)] string message);

    [DllImport(Library)]
    public static extern void* duckdb_init_get_bind_data(nint info);

    [DllImport(Library)]
    public static extern ulong duckdb_init_get_column_count(nint info);

    [DllImport(Library)]
    public static extern ulong duckdb_init_get_column_index(nint info, ulong column);

    [DllImport(Library)]
    public static extern void duckdb_init_set_max_threads(nint info, ulong threads);

    [DllImport(Library)]
    public static extern void duckdb_init_set_init_data(nint info, void* data, delegate* unmanaged[Cdecl]<void*, void> destroy);

    [DllImport(Library)]
    public static extern void duckdb_init_set_error(nint info, [MarshalAs(UnmanagedType.LPUTF8Str)] string message);

    [DllImport(Library)]
    public static extern void* duckdb_function_get_init_data(nint info);

    [DllImport(Library)]
    public static extern void duckdb_function_set_error(nint info, [MarshalAs(UnmanagedType.LPUTF8Str)] string message);

    [DllImport(Library)]
    [SuppressGCTransition]
    public static extern ulong duckdb_vector_size();

    [DllImport(Library)]
    [SuppressGCTransition]
    public static extern nint duckdb_data_chunk_get_vector(nint chunk, ulong column);

    [DllImport(Library)]
    [SuppressGCTransition]
    public static extern void duckdb_data_chunk_set_size(nint chunk, ulong size);

    [DllImport(Library)]
    [SuppressGCTransition]
    public static extern void* duckdb_vector_get_data(nint vector);

    [DllImport(Library)]
    public static extern void duckdb_vector_ensure_validity_writable(nint vector);

    [DllImport(Library)]
    [SuppressGCTransition]
    public static extern ulong* duckdb_vector_get_validity(nint vector);

    [DllImport(Library)]
    [SuppressGCTransition]
    public static extern nint duckdb_list_vector_get_child(nint vector);

    [DllImport(Library)]
    public static extern NativeState duckdb_list_vector_set_size(nint vector, ulong size);

    [DllImport(Library)]
    public static extern NativeState duckdb_list_vector_reserve(nint vector, ulong capacity);

    [DllImport(Library)]
    [SuppressGCTransition]
    public static extern nint duckdb_struct_vector_get_child(nint vector, ulong index);
}
