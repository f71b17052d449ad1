namespace Millrace.Query;

public enum QueryState
{
    Running,
    Done,
    Failed,
}

/// <summary>One statement that was run.</summary>
/// <param name="Id">Counts up.</param>
/// <param name="StartedAt">When it was taken up.</param>
/// <param name="User">Who asked.</param>
/// <param name="Application">The client's name for itself, e.g. <c>psql</c>.</param>
/// <param name="Sql">Its text, cut to 2,000 characters.</param>
/// <param name="Duration">How long the engine worked and waited for a place; the reader's time is not counted.</param>
/// <param name="Rows">Rows returned so far.</param>
/// <param name="State">How it stands.</param>
/// <param name="Error">Why it failed.</param>
public sealed record QueryRecord(
    long Id, DateTimeOffset StartedAt, string User, string Application, string Sql, TimeSpan Duration, long Rows, QueryState State, string? Error);

/// <summary>The newest statements, in a ring. Thread-safe.</summary>
public sealed class QueryHistory
{
    private const int MaxTextLength = 2000;

    private readonly Lock _lock = new();
    private readonly QueryRecord?[] _ring;
    private readonly TimeProvider _time;
    private long _next;

    internal QueryHistory(int length, TimeProvider time)
    {
        _ring = new QueryRecord?[Math.Max(1, length)];
        _time = time;
    }

    /// <summary>Statements since the start.</summary>
    public long Count => Interlocked.Read(ref _next);

    /// <summary>The newest first.</summary>
    public IReadOnlyList<QueryRecord> Newest(int most = int.MaxValue)
    {
        lock (_lock)
        {
            var records = new List<QueryRecord>();
            for (var id = _next - 1; id >= 0 && id >= _next - _ring.Length && records.Count < most; id--)
            {
                if (_ring[id % _ring.Length] is { } record)
                    records.Add(record);
            }
            return records;
        }
    }

    internal long Begin(string user, string application, string sql)
    {
        lock (_lock)
        {
            var id = _next++;
            _ring[id % _ring.Length] = new QueryRecord(
                id, _time.GetUtcNow(), user, application, sql.Length > MaxTextLength ? sql[..MaxTextLength] : sql, TimeSpan.Zero, 0, QueryState.Running, null);
            return id;
        }
    }

    internal void End(long id, TimeSpan duration, long rows, string? error)
    {
        lock (_lock)
        {
            if (_ring[id % _ring.Length] is { } record && record.Id == id)
            {
                _ring[id % _ring.Length] = record with
                {
                    Duration = duration, Rows = rows, State = error is null ? QueryState.Done : QueryState.Failed, Error = error,
                };
            }
        }
    }
}
