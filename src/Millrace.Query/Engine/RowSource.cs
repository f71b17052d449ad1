using Millrace.Columnar;

namespace Millrace.Query.Engine;

/// <summary>Where a result's rows come from.</summary>
internal abstract class RowSource : IAsyncDisposable
{
    /// <summary>The next rows, which the caller disposes of; null at the end.</summary>
    public abstract ValueTask<ColumnBatch?> NextAsync(CancellationToken cancellation);

    /// <summary>Time that the engine worked for the rows.</summary>
    public virtual TimeSpan Worked => TimeSpan.Zero;

    public abstract ValueTask DisposeAsync();
}

/// <summary>Rows that are there already.</summary>
internal sealed class MemoryRows(IEnumerable<ColumnBatch> batches) : RowSource
{
    private readonly Queue<ColumnBatch> _batches = new(batches);

    public override ValueTask<ColumnBatch?> NextAsync(CancellationToken cancellation) => new(_batches.TryDequeue(out var batch) ? batch : null);

    public override ValueTask DisposeAsync()
    {
        while (_batches.TryDequeue(out var batch))
            batch.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>Rows of texts under columns of texts; null is null.</summary>
    public static (SqlColumn[] Columns, MemoryRows Rows) Texts(string[] names, IReadOnlyList<string?[]> rows)
    {
        var columns = names.Select(n => new SqlColumn(n, DataType.Utf8, "VARCHAR")).ToArray();
        var schema = new Schema(names.Select(n => new Field(n, DataType.Utf8)).ToArray());
        var built = new Column[names.Length];
        for (var i = 0; i < names.Length; i++)
        {
            using var builder = new ColumnBuilder(DataType.Utf8, rows.Count);
            foreach (var row in rows)
            {
                if (row[i] is { } text)
                    builder.AppendBytes(System.Text.Encoding.UTF8.GetBytes(text));
                else
                    builder.AppendNull();
            }
            built[i] = builder.Build();
        }
        return (columns, new MemoryRows([new ColumnBatch(schema, rows.Count, built)]));
    }
}

/// <summary>Rows that DuckDB makes as they are read. When its session starts another statement, what is unread moves into memory.</summary>
internal sealed class EngineRows(SqlSession session, DuckDb.DuckDbResult result, StatementClock clock, long maxBufferedBytes) : RowSource
{
    private readonly Queue<ColumnBatch> _buffered = new();
    private DuckDb.DuckDbResult? _result = result;
    private SqlException? _failure;

    public override TimeSpan Worked => clock.Used;

    public override async ValueTask<ColumnBatch?> NextAsync(CancellationToken cancellation)
    {
        if (_buffered.TryDequeue(out var buffered))
            return buffered;
        if (_failure is not null)
            throw _failure;
        if (_result is null)
            return null;
        return await session.ReadAsync(this, clock, () =>
        {
            var batch = _result?.Next();
            if (batch is null)
                Close();
            return batch;
        }, cancellation);
    }

    /// <summary>Reads the rest, on the engine's thread: the connection is needed for something else.</summary>
    public void Detach()
    {
        if (_result is null)
            return;
        try
        {
            long bytes = 0;
            while (_result.Next() is { } batch)
            {
                _buffered.Enqueue(batch);
                bytes += SizeOf(batch);
                if (bytes > maxBufferedBytes)
                {
                    _failure = new SqlException(
                        $"the unread rows of an open portal or cursor passed {maxBufferedBytes} bytes when another statement was started", SqlStates.LimitExceeded,
                        hint: "read it to its end first, use a second connection, or raise MaxBufferedBytes");
                    break;
                }
            }
        }
        catch (DuckDb.DuckDbException error)
        {
            _failure = DuckDbErrors.ToSqlException(error);
        }
        Close();
    }

    public override async ValueTask DisposeAsync()
    {
        if (_result is not null)
            await session.CloseRowsAsync(this, Close);
        while (_buffered.TryDequeue(out var batch))
            batch.Dispose();
        clock.Dispose();
    }

    private void Close()
    {
        _result?.Dispose();
        _result = null;
        session.Forget(this);
    }

    private static long SizeOf(ColumnBatch batch)
    {
        long bytes = 0;
        foreach (var column in batch.Columns)
            bytes += SizeOf(column);
        return bytes;
    }

    private static long SizeOf(Column column)
    {
        long bytes = (long)column.Length * Math.Max(1, column.Type.Width) + (column.Type.IsVariable ? column.Offsets[^1] - column.Offsets[0] : 0);
        foreach (var child in column.Children)
            bytes += SizeOf(child);
        return bytes;
    }
}
