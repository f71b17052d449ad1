using Millrace.Columnar;
using Millrace.Columnar.Arrow;
using Millrace.Columnar.Kernels;
using Millrace.DuckDb.Native;

namespace Millrace.DuckDb;

/// <summary>The rows of a statement, read forward once. One thread at a time.</summary>
public sealed unsafe class DuckDbResult : IDisposable
{
    private readonly ResultHandle _handle;
    private readonly ArrowImporter _importer;
    private readonly ArrowOptionsHandle _options;
    private readonly string _sql;
    private bool _holdsOptions;

    internal DuckDbResult(ResultHandle handle, ArrowImporter importer, ArrowOptionsHandle options, DuckDbStatementType type, string sql)
    {
        _handle = handle;
        _importer = importer;
        _options = options;
        _sql = sql;
        StatementType = type;
        // The statement may go before the result does.
        options.DangerousAddRef(ref _holdsOptions);
        ReturnsRows = NativeMethods.duckdb_result_return_type(*handle.Pointer) == NativeReturnType.QueryResult;
        RowsChanged = ReturnsRows ? 0 : (long)NativeMethods.duckdb_rows_changed(handle.Pointer);
    }

    public DuckDbStatementType StatementType { get; }

    /// <summary>False for statements that only change something (their one column counts rows).</summary>
    public bool ReturnsRows { get; }

    /// <summary>Rows inserted, updated, deleted or copied.</summary>
    public long RowsChanged { get; }

    public Schema Schema => _importer.Schema;

    /// <summary>The columns' names as the statement gave them, which may stand twice; the schema's are made distinct by <c>_1</c>.</summary>
    public IReadOnlyList<string> ColumnNames => _importer.ColumnNames;

    /// <summary>The columns by DuckDB's own names and types.</summary>
    public IReadOnlyList<DuckDbColumn> Columns()
    {
        var columns = new DuckDbColumn[ColumnNames.Count];
        for (var i = 0; i < columns.Length; i++)
        {
            var type = NativeMethods.duckdb_column_logical_type(_handle.Pointer, (ulong)i);
            columns[i] = DuckDbColumn.Read(ColumnNames[i], type);
            ResultSchema.Destroy(type);
        }
        return columns;
    }

    /// <summary>The next rows (some 2,048), which the caller disposes of and which may outlive this result; null at the end.</summary>
    /// <exception cref="DuckDbException">The statement failed on the way, or was interrupted.</exception>
    public ColumnBatch? Next()
    {
        var chunk = NativeMethods.duckdb_fetch_chunk(*_handle.Pointer);
        if (chunk == 0)
        {
            if (ResultSchema.HasError(_handle))
                throw ResultSchema.ErrorOf(_handle, _sql);
            return null;
        }
        ArrowArray array = default;
        try
        {
            ResultSchema.Check(NativeMethods.duckdb_data_chunk_to_arrow(_options.Value, chunk, &array), _sql);
        }
        finally
        {
            NativeMethods.duckdb_destroy_data_chunk(ref chunk);
        }
        return _importer.Import(&array);
    }

    /// <summary>All rows that are left, as one batch.</summary>
    public ColumnBatch ReadAll()
    {
        var batches = new List<ColumnBatch>();
        try
        {
            while (Next() is { } batch)
                batches.Add(batch);
            return Concatenation.Concat(Schema, batches);
        }
        finally
        {
            foreach (var batch in batches)
                batch.Dispose();
        }
    }

    public void Dispose()
    {
        _handle.Dispose();
        if (_holdsOptions)
            _options.DangerousRelease();
        _holdsOptions = false;
    }
}
