using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Millrace.Columnar;
using Millrace.DuckDb.Native;

namespace Millrace.DuckDb.Scanning;

/// <summary>
/// The table function through which DuckDB reads batches. A prepared statement over it keeps its plan when the batches are exchanged,
/// which a scan by <c>duckdb_arrow_scan</c> (a new view each time) does not.
/// </summary>
internal static unsafe class BatchScan
{
    public const string FunctionName = "millrace_batches";

    public static void Register(ConnectionHandle connection, BatchRegistry registry)
    {
        var function = NativeMethods.duckdb_create_table_function();
        var bigint = NativeMethods.duckdb_create_logical_type((int)DuckDbType.BigInt);
        try
        {
            NativeMethods.duckdb_table_function_set_name(function, FunctionName);
            NativeMethods.duckdb_table_function_add_parameter(function, bigint);
            NativeMethods.duckdb_table_function_set_extra_info(function, Pin(registry), &Unpin);
            NativeMethods.duckdb_table_function_set_bind(function, &Bind);
            NativeMethods.duckdb_table_function_set_init(function, &Init);
            NativeMethods.duckdb_table_function_set_function(function, &Scan);
            NativeMethods.duckdb_table_function_supports_projection_pushdown(function, true);
            if (NativeMethods.duckdb_register_table_function(connection, function) != NativeState.Success)
                throw new DuckDbException($"cannot register {FunctionName}", DuckDbErrorType.Catalog);
        }
        finally
        {
            NativeMethods.duckdb_destroy_logical_type(ref bigint);
            NativeMethods.duckdb_destroy_table_function(ref function);
        }
    }

    private static void* Pin(object target) => (void*)GCHandle.ToIntPtr(GCHandle.Alloc(target));

    private static T Target<T>(void* handle)
        where T : class
        => (T)GCHandle.FromIntPtr((IntPtr)handle).Target!;

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Unpin(void* handle)
    {
        var pinned = GCHandle.FromIntPtr((IntPtr)handle);
        (pinned.Target as BatchCursor)?.Dispose();
        pinned.Free();
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Bind(nint info)
    {
        // An exception must not cross into native code; each of these callbacks reports it as the statement's error.
        try
        {
            var registry = Target<BatchRegistry>(NativeMethods.duckdb_bind_get_extra_info(info));
            var parameter = NativeMethods.duckdb_bind_get_parameter(info, 0);
            var id = NativeMethods.duckdb_get_int64(parameter);
            NativeMethods.duckdb_destroy_value(ref parameter);
            var table = registry.Find(id) ?? throw new InvalidOperationException($"there is no batch table {id}");
            foreach (var field in table.Schema.Fields)
            {
                var type = LogicalTypes.Create(field.Type);
                NativeMethods.duckdb_bind_add_result_column(info, field.Name, type);
                NativeMethods.duckdb_destroy_logical_type(ref type);
            }
            NativeMethods.duckdb_bind_set_bind_data(info, Pin(table), &Unpin);
        }
        catch (Exception error)
        {
            NativeMethods.duckdb_bind_set_error(info, error.Message);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Init(nint info)
    {
        try
        {
            var table = Target<BatchTable>(NativeMethods.duckdb_init_get_bind_data(info));
            var columns = new int[NativeMethods.duckdb_init_get_column_count(info)];
            for (var i = 0; i < columns.Length; i++)
                columns[i] = (int)NativeMethods.duckdb_init_get_column_index(info, (ulong)i);
            // One thread, so that rows keep their order.
            NativeMethods.duckdb_init_set_max_threads(info, 1);
            NativeMethods.duckdb_init_set_init_data(info, Pin(new BatchCursor(table.Snapshot(), columns)), &Unpin);
        }
        catch (Exception error)
        {
            NativeMethods.duckdb_init_set_error(info, error.Message);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Scan(nint info, nint chunk)
    {
        try
        {
            Target<BatchCursor>(NativeMethods.duckdb_function_get_init_data(info)).Fill(chunk);
        }
        catch (Exception error)
        {
            NativeMethods.duckdb_function_set_error(info, error.Message);
        }
    }
}

/// <summary>One scan's place in its batches.</summary>
internal sealed class BatchCursor(ColumnBatch[] batches, int[] columns) : IDisposable
{
    private static readonly int VectorSize = (int)NativeMethods.duckdb_vector_size();

    private int _batch;
    private int _row;

    /// <summary>Fills the chunk with the next rows, or none at the end.</summary>
    public void Fill(nint chunk)
    {
        while (_batch < batches.Length && _row == batches[_batch].RowCount)
        {
            _batch++;
            _row = 0;
        }
        if (_batch == batches.Length)
        {
            NativeMethods.duckdb_data_chunk_set_size(chunk, 0);
            return;
        }
        var batch = batches[_batch];
        var count = Math.Min(VectorSize, batch.RowCount - _row);
        for (var i = 0; i < columns.Length; i++)
        {
            // DuckDB asks for a virtual column (no column at all) when only rows are counted.
            if (columns[i] < 0 || columns[i] >= batch.Columns.Count)
                continue;
            VectorWriter.Write(NativeMethods.duckdb_data_chunk_get_vector(chunk, (ulong)i), batch.Columns[columns[i]], _row, count);
        }
        NativeMethods.duckdb_data_chunk_set_size(chunk, (ulong)count);
        _row += count;
    }

    public void Dispose()
    {
        foreach (var batch in batches)
            batch.Dispose();
    }
}
