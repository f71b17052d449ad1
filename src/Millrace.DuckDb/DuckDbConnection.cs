using Millrace.Columnar;
using Millrace.DuckDb.Native;
using Millrace.DuckDb.Scanning;

namespace Millrace.DuckDb;

/// <summary>
/// A session: its transaction, settings and temporary objects. One thread at a time, except for <see cref="Interrupt"/>. Starting a new
/// statement ends the streaming result of the one before.
/// </summary>
public sealed unsafe class DuckDbConnection : IDisposable
{
    private readonly BatchRegistry _batches;

    // Whose view a name is now: a table that was replaced must not drop its successor's view.
    private readonly Dictionary<string, BatchTable> _views = new(StringComparer.OrdinalIgnoreCase);

    internal DuckDbConnection(ConnectionHandle handle, BatchRegistry batches)
    {
        Handle = handle;
        _batches = batches;
    }

    internal ConnectionHandle Handle { get; }

    /// <summary>Runs one or more statements and returns the rows that the last one changed (0 when it gives rows).</summary>
    /// <exception cref="DuckDbException">A statement was refused or failed; those before it have run.</exception>
    public long Execute(string sql, params ReadOnlySpan<object?> parameters)
    {
        using var result = Query(sql, parameters);
        while (result.Next() is { } batch)
            batch.Dispose();
        return result.RowsChanged;
    }

    /// <summary>
    /// Runs one or more statements and streams the rows of the last one. Parameters (<c>$1</c> or <c>?</c>) go to the last one: null, bool,
    /// short, int, long, ulong, float, double, decimal, string, byte[], DateOnly, TimeOnly, DateTime (no zone), DateTimeOffset, Guid, Int128.
    /// </summary>
    /// <exception cref="DuckDbException">A statement was refused or failed; those before it have run.</exception>
    public DuckDbResult Query(string sql, params ReadOnlySpan<object?> parameters)
    {
        var text = Text.Bytes(sql);
        nint extracted;
        ulong count;
        fixed (byte* bytes = text)
            count = NativeMethods.duckdb_extract_statements(Handle, bytes, out extracted);
        try
        {
            if (count == 0)
                throw NoStatement(extracted, sql);
            for (ulong i = 0; i + 1 < count; i++)
            {
                using var before = Prepare(extracted, i, sql);
                using var result = before.Execute();
            }
            using var statement = Prepare(extracted, count - 1, sql);
            statement.BindAll(parameters);
            return statement.Execute(streaming: true);
        }
        finally
        {
            NativeMethods.duckdb_destroy_extracted(ref extracted);
        }
    }

    /// <summary>Parses and plans one statement, to be run again and again.</summary>
    /// <exception cref="DuckDbException">The statement is refused, or there are several.</exception>
    public DuckDbStatement Prepare(string sql)
    {
        var text = Text.Bytes(sql);
        nint extracted;
        ulong count;
        fixed (byte* bytes = text)
            count = NativeMethods.duckdb_extract_statements(Handle, bytes, out extracted);
        try
        {
            return count switch
            {
                0 => throw NoStatement(extracted, sql),
                1 => Prepare(extracted, 0, sql),
                _ => throw new DuckDbException($"one statement is expected and {count} are given", DuckDbErrorType.InvalidInput),
            };
        }
        finally
        {
            NativeMethods.duckdb_destroy_extracted(ref extracted);
        }
    }

    /// <summary>
    /// Makes a temporary view over batches that can be exchanged between statements, without copying them: the way of a stream's batches
    /// into SQL. Prepare a statement over the view once, then <see cref="BatchTable.Set(ColumnBatch)"/> and execute for each batch.
    /// </summary>
    /// <param name="name">The view's name in this session; replaces one of that name.</param>
    /// <param name="schema">The columns of every batch to come.</param>
    public BatchTable RegisterBatches(string name, Schema schema)
    {
        var table = new BatchTable(this, _batches, name, schema);
        try
        {
            Execute($"CREATE OR REPLACE TEMP VIEW {DuckDbSql.Identifier(name)} AS SELECT * FROM {BatchScan.FunctionName}({table.Id})");
            _views[name] = table;
            return table;
        }
        catch
        {
            table.Forget();
            throw;
        }
    }

    /// <summary>As <see cref="RegisterBatches(string, Schema)"/>, with batches to begin with; the table holds its own handles on them.</summary>
    public BatchTable RegisterBatches(string name, Schema schema, IReadOnlyList<ColumnBatch> batches)
    {
        var table = RegisterBatches(name, schema);
        table.Set(batches);
        return table;
    }

    /// <summary>Stops what is running on this connection; it fails with <see cref="DuckDbErrorType.Interrupt"/>. From any thread.</summary>
    public void Interrupt()
    {
        if (!Handle.IsClosed)
            NativeMethods.duckdb_interrupt(Handle);
    }

    public void Dispose() => Handle.Dispose();

    internal void DropView(BatchTable table)
    {
        if (!_views.TryGetValue(table.Name, out var current) || current != table)
            return;
        _views.Remove(table.Name);
        if (!Handle.IsClosed)
            Execute($"DROP VIEW IF EXISTS temp.{DuckDbSql.Identifier(table.Name)}");
    }

    private DuckDbStatement Prepare(nint extracted, ulong index, string sql)
    {
        if (NativeMethods.duckdb_prepare_extracted_statement(Handle, extracted, index, out var prepared) != NativeState.Success)
        {
            var message = Text.Read(NativeMethods.duckdb_prepare_error(prepared)) ?? "cannot prepare the statement";
            NativeMethods.duckdb_destroy_prepare(ref prepared);
            throw DuckDbException.Parse(message, DuckDbErrorType.Invalid, sql);
        }
        return new DuckDbStatement(new StatementHandle(prepared, Handle), sql);
    }

    private static DuckDbException NoStatement(nint extracted, string sql) =>
        Text.Read(NativeMethods.duckdb_extract_statements_error(extracted)) is { Length: > 0 } message
            ? DuckDbException.Parse(message, DuckDbErrorType.Invalid, sql)
            : new DuckDbException("there is no statement", DuckDbErrorType.InvalidInput);
}
