namespace Millrace.Query.Engine;

/// <summary>
/// Counts the time that a statement works and waits, and stops it when that runs out or when its user cancels. The time between calls,
/// which is the reader's, does not count. Thread-safe for <see cref="Cancel"/>; else one call at a time.
/// </summary>
internal sealed class StatementClock : IDisposable
{
    private readonly TimeProvider _time;
    private readonly TimeSpan _limit;
    private readonly CancellationTokenSource _stop;
    private long _began;
    private bool _isCanceled;

    /// <param name="time">The clock.</param>
    /// <param name="limit">Zero for none.</param>
    public StatementClock(TimeProvider time, TimeSpan limit)
    {
        _time = time;
        _limit = limit;
        _stop = new CancellationTokenSource(Timeout.InfiniteTimeSpan, time);
    }

    public TimeSpan Used { get; private set; }

    public CancellationToken Token => _stop.Token;

    public void Cancel()
    {
        Volatile.Write(ref _isCanceled, true);
        try
        {
            _stop.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // The statement ended at the same moment.
        }
    }

    public void Start()
    {
        _began = _time.GetTimestamp();
        if (_limit > TimeSpan.Zero)
            _stop.CancelAfter(_limit > Used ? _limit - Used : TimeSpan.FromTicks(1));
    }

    public void Pause()
    {
        Used += _time.GetElapsedTime(_began);
        if (_limit > TimeSpan.Zero && !_stop.IsCancellationRequested)
            _stop.CancelAfter(Timeout.InfiniteTimeSpan);
    }

    /// <summary>Why it was stopped.</summary>
    public SqlException ToException() => Volatile.Read(ref _isCanceled)
        ? new SqlException("canceling statement due to user request", SqlStates.QueryCanceled)
        : new SqlException(
            "canceling statement due to statement timeout", SqlStates.QueryCanceled,
            hint: $"it may work {_limit.TotalSeconds:0.###} s; SET statement_timeout (up to the server's StatementTimeout) changes that");

    public void Dispose() => _stop.Dispose();
}

/// <summary>
/// Interrupts a connection while a token is cancelled. It does so again and again until disposed of: DuckDB forgets an interrupt that comes
/// just before a statement starts.
/// </summary>
internal sealed class Interrupts : IDisposable
{
    private static readonly TimeSpan Again = TimeSpan.FromMilliseconds(20);

    private readonly Lock _lock = new();
    private readonly DuckDb.DuckDbConnection _connection;
    private readonly TimeProvider _time;
    private readonly CancellationTokenRegistration _registration;
    private ITimer? _timer;
    private bool _isOver;

    public Interrupts(DuckDb.DuckDbConnection connection, TimeProvider time, CancellationToken token)
    {
        _connection = connection;
        _time = time;
        _registration = token.UnsafeRegister(static state => ((Interrupts)state!).Begin(), this);
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _isOver = true;
            _timer?.Dispose();
        }
        _registration.Dispose();
    }

    private void Begin()
    {
        lock (_lock)
        {
            if (!_isOver)
                _timer = _time.CreateTimer(static state => ((Interrupts)state!).Interrupt(), this, TimeSpan.Zero, Again);
        }
    }

    private void Interrupt()
    {
        lock (_lock)
        {
            if (!_isOver)
                _connection.Interrupt();
        }
    }
}
