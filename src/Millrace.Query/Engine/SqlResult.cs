using Millrace.Columnar;
using Millrace.Query.Engine;
using Millrace.Query.Text;

namespace Millrace.Query;

/// <summary>
/// What a statement gave: rows, read forward once, or none. Read it to its end or dispose of it: until then its snapshots stay pinned.
/// One reader at a time.
/// </summary>
public sealed class SqlResult : IAsyncDisposable
{
    private readonly RowSource? _rows;
    private readonly SqlSession _session;
    private readonly long _maxRows;
    private readonly Action<SqlResult, SqlException?>? _ended;
    private bool _isOver;

    internal SqlResult(
        SqlSession session, string tag, IReadOnlyList<SqlColumn>? columns, RowSource? rows, long maxRows = long.MaxValue,
        Action<SqlResult, SqlException?>? ended = null)
    {
        _session = session;
        Tag = tag;
        Columns = columns ?? [];
        _rows = rows;
        _maxRows = maxRows;
        _ended = ended;
    }

    public IReadOnlyList<SqlColumn> Columns { get; }

    /// <summary>False for statements such as SET.</summary>
    public bool ReturnsRows => _rows is not null;

    /// <summary>Rows read so far.</summary>
    public long RowCount { get; private set; }

    /// <summary>How PostgreSQL tells what was done, e.g. <c>SELECT 12</c> once the rows are read, or <c>SET</c>.</summary>
    public string CommandTag => Tag switch
    {
        "SELECT" or "FETCH" or "COPY" => $"{Tag} {RowCount + Counted}",
        "MOVE" => $"MOVE {Counted}",
        _ => Tag,
    };

    /// <summary>Time that the engine worked and waited, not that of the reader.</summary>
    public TimeSpan Worked => _rows?.Worked ?? TimeSpan.Zero;

    internal string Tag { get; }

    /// <summary>Rows that were counted and not returned.</summary>
    internal long Counted { get; init; }

    /// <summary>Set for COPY TO STDOUT: how the wire is to write the rows.</summary>
    internal CopyFormat? Copy { get; init; }

    internal string? Notice { get; init; }

    /// <summary>The next rows, which the caller disposes of; null at the end.</summary>
    /// <exception cref="SqlException">The statement failed on the way, was cancelled, or passed a cap.</exception>
    public async ValueTask<ColumnBatch?> NextAsync(CancellationToken cancellation = default)
    {
        if (_rows is null || _isOver)
            return null;
        try
        {
            var batch = await _rows.NextAsync(cancellation);
            if (batch is null)
            {
                End(null);
                return null;
            }
            RowCount += batch.RowCount;
            if (RowCount <= _maxRows)
                return batch;
            batch.Dispose();
            throw new SqlException(
                $"the result passed {_maxRows} rows", SqlStates.LimitExceeded, hint: "add LIMIT, aggregate, or raise MaxResultRows");
        }
        catch (SqlException error)
        {
            _session.Failed();
            End(error);
            throw;
        }
    }

    /// <summary>All batches; each is the caller's to dispose of.</summary>
    public async IAsyncEnumerable<ColumnBatch> ReadAllAsync(
        [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation = default)
    {
        while (await NextAsync(cancellation) is { } batch)
            yield return batch;
    }

    public async ValueTask DisposeAsync()
    {
        End(null);
        if (_rows is not null)
            await _rows.DisposeAsync();
    }

    private void End(SqlException? error)
    {
        if (_isOver)
            return;
        _isOver = true;
        _ended?.Invoke(this, error);
    }
}
