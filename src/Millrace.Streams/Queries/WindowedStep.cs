using System.Runtime.ExceptionServices;
using Millrace.Columnar;
using Millrace.DuckDb;
using Millrace.Streams.Plans;
using Millrace.Streams.Running;
using Millrace.Streams.Windows;

namespace Millrace.Streams.Queries;

/// <summary>
/// A windowed query at work: partial rows by DuckDB, merged into the open windows, finished when the watermark closes them.
/// <see cref="LiveRows"/> may be called from any thread; all else belongs to the stream's thread.
/// </summary>
/// <remarks>
/// A statement's run costs some 0.9 ms whatever it reads, so batches wait until somebody asks for the windows (a page, a checkpoint, the
/// watermark at a window's end) or <see cref="StreamOptions.MaxDeferredRows"/> are there, and are read by one run.
/// </remarks>
internal sealed class WindowedStep : IDisposable
{
    private readonly DuckDbConnection _connection;
    private readonly BatchTable _batch;
    private readonly BatchTable _partials;
    private readonly DuckDbStatement _partialStatement;
    private readonly DuckDbStatement _finalStatement;
    private readonly LiveView _live;
    private readonly Lock _stateLock = new();
    private readonly Lock _deferredLock = new();
    private readonly int _maxDeferredRows;
    private List<ColumnBatch> _deferred = [];
    private List<ColumnBatch> _merging = [];
    private int _deferredRows;
    private ExceptionDispatchInfo? _failure;

    /// <param name="maxDeferredRows">Rows that may wait for a run of the statement.</param>
    /// <exception cref="DuckDbException">The SQL is refused.</exception>
    public WindowedStep(WindowedQueryPlan plan, DuckDbDatabase database, Schema input, int maxDeferredRows)
    {
        Plan = plan;
        _maxDeferredRows = maxDeferredRows;
        State = new WindowState(new PartialLayout(plan.Partial), plan.Size);
        _connection = database.Connect();
        _batch = _connection.RegisterBatches("batch", input);
        _partials = _connection.RegisterBatches("partials", State.Layout.Schema);
        _partialStatement = _connection.Prepare(plan.PartialSql);
        _finalStatement = _connection.Prepare(plan.FinalSql);
        _live = new LiveView(this, database);
    }

    public WindowedQueryPlan Plan { get; }

    /// <summary>The open windows. Change it only through this step.</summary>
    public WindowState State { get; }

    /// <summary>Adds a batch to the windows; they have it when they are next asked for.</summary>
    public void Add(ColumnBatch batch)
    {
        bool full;
        lock (_deferredLock)
        {
            _deferred.Add(batch.Retain());
            _deferredRows += batch.RowCount;
            full = _deferredRows >= _maxDeferredRows;
        }
        if (!full)
            return;
        lock (_stateLock)
            Merge();
    }

    /// <summary>The finished rows of each window that the watermark has passed, oldest first; the caller disposes of them.</summary>
    public IReadOnlyList<ClosedWindow> Close(long watermark)
    {
        if (watermark <= State.ClosedUpTo)
            return [];
        IReadOnlyList<ClosedWindow> closed;
        lock (_stateLock)
        {
            // What waits came before the watermark passed the window's end: it is in the window.
            if (State.PassesAnEnd(watermark))
                Merge();
            closed = State.Close(watermark);
        }
        if (closed.Count == 0)
            return [];
        var finished = new List<ClosedWindow>(closed.Count);
        foreach (var window in closed)
        {
            using var partials = window.Rows;
            finished.Add(window with { Rows = StepRows.Run(_partials, _finalStatement, [partials], Plan.Output) });
        }
        return finished;
    }

    /// <summary>The rows of all open windows as they are now; the caller disposes of them. Thread-safe.</summary>
    public ColumnBatch LiveRows() => _live.Rows();

    /// <summary>Lets a checkpoint walk the state.</summary>
    public void WithState(Action<WindowState> use)
    {
        lock (_stateLock)
        {
            Merge();
            use(State);
        }
    }

    public void Dispose()
    {
        _live.Dispose();
        foreach (var batch in _deferred)
            batch.Dispose();
        _partialStatement.Dispose();
        _finalStatement.Dispose();
        _batch.Dispose();
        _partials.Dispose();
        _connection.Dispose();
    }

    /// <summary>Runs the statement over what waits. Under the state's lock, on any thread.</summary>
    private void Merge()
    {
        // A run that failed beside the stream has left the state behind its offsets: the stream must not go on from it.
        _failure?.Throw();
        lock (_deferredLock)
        {
            if (_deferredRows == 0)
                return;
            (_merging, _deferred) = (_deferred, _merging);
            _deferredRows = 0;
        }
        try
        {
            using var partials = StepRows.Run(_batch, _partialStatement, _merging, State.Layout.Schema);
            State.Merge(partials);
        }
        catch (Exception failure)
        {
            _failure = ExceptionDispatchInfo.Capture(failure);
            throw;
        }
        finally
        {
            foreach (var batch in _merging)
                batch.Dispose();
            _merging.Clear();
        }
    }

    /// <summary>Computes the live rows on a connection of its own, at most once for a version of the state.</summary>
    private sealed class LiveView : IDisposable
    {
        private readonly WindowedStep _step;
        private readonly DuckDbConnection _connection;
        private readonly BatchTable _partials;
        private readonly DuckDbStatement _statement;
        private readonly Lock _lock = new();
        private ColumnBatch? _rows;
        private long _version = -1;
        private bool _disposed;

        public LiveView(WindowedStep step, DuckDbDatabase database)
        {
            _step = step;
            _connection = database.Connect();
            _partials = _connection.RegisterBatches("partials", step.State.Layout.Schema);
            _statement = _connection.Prepare(step.Plan.FinalSql);
        }

        public ColumnBatch Rows()
        {
            lock (_lock)
            {
                ObjectDisposedException.ThrowIf(_disposed, this);
                ColumnBatch? partials = null;
                lock (_step._stateLock)
                {
                    _step.Merge();
                    if (_rows is null || _version != _step.State.Version)
                    {
                        partials = _step.State.ToBatch();
                        _version = _step.State.Version;
                    }
                }
                if (partials is not null)
                {
                    using (partials)
                    {
                        var rows = StepRows.Run(_partials, _statement, [partials], _step.Plan.Output);
                        _rows?.Dispose();
                        _rows = rows;
                    }
                }
                return _rows!.Retain();
            }
        }

        public void Dispose()
        {
            lock (_lock)
            {
                if (_disposed)
                    return;
                _disposed = true;
                _rows?.Dispose();
                _statement.Dispose();
                _partials.Dispose();
                _connection.Dispose();
            }
        }
    }
}
