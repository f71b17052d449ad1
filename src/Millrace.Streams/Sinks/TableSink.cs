using Microsoft.Extensions.Logging;
using Millrace.Columnar;
using Millrace.DuckDb;
using Millrace.Storage.Files;
using Millrace.Streams.Checkpoints;
using Millrace.Streams.Running;

namespace Millrace.Streams.Sinks;

/// <summary>
/// Rows on their way into a table. Before a checkpoint its rows are staged as a Parquet file that the checkpoint's record names; beside
/// the stream the staged files up to the newest durable checkpoint are committed as one snapshot that carries the checkpoint's id; a
/// later checkpoint drops them. After a restart or an error the table's history is asked which checkpoint it holds before anything is
/// committed again.
/// </summary>
/// <remarks>
/// <see cref="Add"/> and <see cref="TakeRows"/> belong to the stream's thread, <see cref="Stage"/> to the checkpoint's, the loop to itself; the
/// lock guards what they share.
/// </remarks>
internal sealed class TableSink : IAsyncDisposable
{
    private readonly Context _context;
    private readonly DuckDbConnection _connection;
    private readonly BatchTable _rows;
    private readonly Lock _lock = new();
    private readonly List<StagedFile> _staged = [];
    private readonly List<StagedFile> _committable = [];
    private readonly List<string> _dropped = [];
    private readonly SemaphoreSlim _wake = new(0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _loop;
    private readonly Task _upkeep;
    private List<ColumnBatch> _pending = [];
    private long _pendingRows;
    private long _pendingBytes;
    private TableCheckpoint _state;
    private string? _trouble;
    private bool _draining;
    private bool _lookFirst;

    /// <param name="context">The table, and how to write to it.</param>
    /// <param name="restored">What the newest durable checkpoint says.</param>
    /// <exception cref="InvalidDataException">The table holds a later checkpoint of this state than the state knows, or that of another state.</exception>
    public TableSink(Context context, TableCheckpoint? restored)
    {
        _context = context;
        _state = restored ?? new TableCheckpoint();
        Directory.CreateDirectory(context.StagingFolder);
        _staged.AddRange(_state.Staged);
        _committable.AddRange(_state.Staged);
        DeleteUnnamed();
        try
        {
            Look();
            context.Port.Ensure();
        }
        catch (TableUnavailableException error)
        {
            // The loop looks again before it commits.
            _lookFirst = true;
            _trouble = error.Message;
        }
        _connection = context.Database.Connect();
        _rows = _connection.RegisterBatches("staged_rows", context.Schema);
        _loop = Task.Run(RunAsync);
        _upkeep = Task.Run(UpkeepAsync);
    }

    public string Name => _context.Name;

    /// <summary>Bytes of rows that wait for the next checkpoint. For the stream's thread.</summary>
    public long PendingBytes => _pendingBytes;

    /// <summary>Bytes that wait for the table.</summary>
    public long StagedBytes
    {
        get
        {
            lock (_lock)
                return _staged.Sum(s => s.Bytes);
        }
    }

    /// <summary>Something was committed that the next checkpoint may forget.</summary>
    public bool HasNews
    {
        get
        {
            lock (_lock)
                return _dropped.Count > 0;
        }
    }

    public string? Trouble
    {
        get
        {
            lock (_lock)
                return _trouble;
        }
    }

    /// <summary>Rows in the table, rows that wait for it (as of the newest checkpoint), and its newest commit.</summary>
    public (long Committed, long Pending, string? LastCommit, DateTimeOffset? At) Progress
    {
        get
        {
            lock (_lock)
            {
                return (_state.CommittedRows, _staged.Sum(s => s.Rows) + Interlocked.Read(ref _pendingRows), _state.LastCommit,
                    _state.LastCommit is null ? null : DateTimeOffset.FromUnixTimeMilliseconds(_state.LastCommitAtMillis));
            }
        }
    }

    /// <summary>Takes a handle on rows for the next checkpoint.</summary>
    public void Add(ColumnBatch batch)
    {
        _pending.Add(batch.Retain());
        Interlocked.Add(ref _pendingRows, batch.RowCount);
        _pendingBytes += BatchSize.Of(batch);
    }

    /// <summary>The rows since the last barrier, handed to the checkpoint that is being cut.</summary>
    public List<ColumnBatch> TakeRows()
    {
        var rows = _pending;
        _pending = [];
        _pendingBytes = 0;
        return rows;
    }

    /// <summary>Writes a checkpoint's rows as a durable file and disposes of them; null when there are none.</summary>
    public StagedFile? Stage(long checkpoint, List<ColumnBatch> rows)
    {
        if (rows.Count == 0)
            return null;
        var name = $"{_context.FilePrefix}-{checkpoint:D12}.parquet";
        var path = Path.Combine(_context.StagingFolder, name);
        var count = rows.Sum(r => (long)r.RowCount);
        try
        {
            _rows.Set(rows);
            // Read once, by the commit: dictionaries cost a third of the writing and are made again there.
            _connection.Execute($"COPY (SELECT * FROM staged_rows) TO {DuckDbSql.Literal(path)} (FORMAT parquet, COMPRESSION snappy, DICTIONARY_SIZE_LIMIT 1)");
        }
        finally
        {
            _rows.Clear();
            foreach (var batch in rows)
                batch.Dispose();
        }
        long bytes;
        using (var file = DiskFileSystem.Instance.Open(path))
        {
            file.Flush();
            bytes = file.Length;
        }
        DiskFileSystem.Instance.FlushFolder(_context.StagingFolder);
        Interlocked.Add(ref _pendingRows, -count);
        return new StagedFile(checkpoint, name, count, bytes);
    }

    /// <summary>What a checkpoint is to say of this table, and the files that need not be kept once it is durable.</summary>
    public (TableCheckpoint Checkpoint, IReadOnlyList<string> Dropped) Snapshot(StagedFile? added)
    {
        lock (_lock)
        {
            var staged = new List<StagedFile>(_staged);
            if (added is not null)
                staged.Add(added);
            return (_state with { Staged = staged }, _dropped.ToArray());
        }
    }

    /// <summary>The checkpoint made from <see cref="Snapshot"/> is durable: its file may be committed, the dropped ones go.</summary>
    public void OnDurable(StagedFile? added, IReadOnlyList<string> dropped)
    {
        lock (_lock)
        {
            if (added is not null)
            {
                _staged.Add(added);
                _committable.Add(added);
            }
            _dropped.RemoveAll(dropped.Contains);
        }
        foreach (var name in dropped)
            File.Delete(Path.Combine(_context.StagingFolder, name));
        if (added is not null)
            _wake.Release();
    }

    /// <summary>Commits all that is staged and ends the loop.</summary>
    public async Task DrainAsync(CancellationToken cancellation)
    {
        lock (_lock)
            _draining = true;
        _wake.Release();
        await _loop.WaitAsync(cancellation);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _loop.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _upkeep.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        foreach (var batch in TakeRows())
            batch.Dispose();
        _rows.Dispose();
        _connection.Dispose();
        _context.Port.Dispose();
        _stop.Dispose();
        _wake.Dispose();
    }

    /// <summary>A file that no record names was staged for a checkpoint that never was: its rows come again.</summary>
    private void DeleteUnnamed()
    {
        var named = _staged.Select(s => s.Name).ToHashSet(StringComparer.Ordinal);
        foreach (var path in Directory.EnumerateFiles(_context.StagingFolder, _context.FilePrefix + "-*"))
        {
            if (!named.Contains(Path.GetFileName(path)))
                File.Delete(path);
        }
        foreach (var file in _staged)
        {
            var info = new FileInfo(Path.Combine(_context.StagingFolder, file.Name));
            if (!info.Exists || info.Length != file.Bytes)
            {
                throw new InvalidDataException(
                    $"{info.FullName} {(info.Exists ? $"has {info.Length} bytes, checkpoint {file.Checkpoint} says {file.Bytes}" : $"is missing; checkpoint {file.Checkpoint} names it")}; "
                    + "restore the state folder from a copy, or move it away and start the job under a new name");
            }
        }
    }

    private async Task RunAsync()
    {
        try
        {
            var look = _lookFirst;
            var backoff = _context.Options.MinBackoff;
            while (true)
            {
                try
                {
                    if (look)
                        Look();
                    look = false;
                    if (!CommitOnce())
                    {
                        lock (_lock)
                        {
                            if (_draining && _committable.Count == 0)
                                return;
                        }
                        await _wake.WaitAsync(_stop.Token);
                        continue;
                    }
                    backoff = _context.Options.MinBackoff;
                    await PauseAsync();
                }
                catch (TableUnavailableException error)
                {
                    // Whether the commit reached the table is unknown: look before committing again.
                    look = true;
                    if (SetTrouble(error.Message))
                        DeliveryLog.Trouble(_context.Log, _context.Name, error.Message);
                    await Task.Delay(backoff, _context.Time, _stop.Token);
                    backoff = TimeSpan.FromTicks(Math.Min(backoff.Ticks * 2, _context.Options.MaxBackoff.Ticks));
                }
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
        }
        catch (Exception failure)
        {
            _context.Failed(failure);
            throw;
        }
    }

    /// <summary>Keeps the table in shape beside the commits, as long as there are some. Rows never wait for it, and it ends no pipeline.</summary>
    private async Task UpkeepAsync()
    {
        string? seen = null;
        try
        {
            while (true)
            {
                await Task.Delay(_context.UpkeepEvery, _context.Time, _stop.Token);
                var newest = Progress.LastCommit;
                if (newest == seen)
                    continue;
                try
                {
                    if (_context.Port.Upkeep(_stop.Token) is { } done)
                        DeliveryLog.Upkeep(_context.Log, _context.Name, done);
                    seen = newest;
                }
                catch (TableUnavailableException error)
                {
                    DeliveryLog.UpkeepTrouble(_context.Log, _context.Name, error.Message);
                }
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
        }
        catch (Exception failure)
        {
            _context.Failed(failure);
            throw;
        }
    }

    /// <summary>Waits until the next snapshot may be made, or all is to be committed now.</summary>
    private async Task PauseAsync()
    {
        var until = _context.Time.GetTimestamp() + (long)(_context.CommitEvery.TotalSeconds * _context.Time.TimestampFrequency);
        while (true)
        {
            lock (_lock)
            {
                if (_draining)
                    return;
            }
            var rest = _context.Time.GetElapsedTime(_context.Time.GetTimestamp(), until);
            if (rest <= TimeSpan.Zero)
                return;
            using var timeout = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
            var woken = _wake.WaitAsync(timeout.Token);
            await Task.WhenAny(woken, Task.Delay(rest, _context.Time, timeout.Token));
            await timeout.CancelAsync();
            await woken.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            _stop.Token.ThrowIfCancellationRequested();
        }
    }

    /// <summary>Asks the table which checkpoint it holds, and drops the files that it has already.</summary>
    private void Look()
    {
        var newest = _context.Port.NewestOf(_context.Writer);
        if (newest is null)
            return;
        long known;
        lock (_lock)
            known = _committable.Count > 0 ? _committable[^1].Checkpoint : _state.CommittedCheckpoint;
        if (newest.Incarnation != _context.Incarnation)
        {
            throw new InvalidDataException(
                $"{_context.Name} already holds rows of '{_context.Writer}' from another state of that pipeline (up to its checkpoint {newest.Checkpoint}); "
                + "reading the topic again would double them: give the pipeline a new name, drop the table, or put the old state folder back");
        }
        if (newest.Checkpoint > known)
        {
            throw new InvalidDataException(
                $"{_context.Name} holds checkpoint {newest.Checkpoint} of '{_context.Writer}', the state folder knows only {known}: the folder is older than the table; "
                + "put the newest state folder back, or give the pipeline a new name");
        }
        lock (_lock)
        {
            var committed = _committable.Where(f => f.Checkpoint <= newest.Checkpoint).ToArray();
            if (committed.Length > 0)
                NoteCommitted(committed, newest);
        }
    }

    private bool CommitOnce()
    {
        StagedFile[] files;
        lock (_lock)
            files = _committable.ToArray();
        if (files.Length == 0)
            return false;
        _context.FailPoints.Hit(StreamFailPoints.BeforeTableCommit);
        var commit = new TableCommit(_context.Writer, _context.Incarnation, files[^1].Checkpoint);
        var paths = Array.ConvertAll(files, f => Path.Combine(_context.StagingFolder, f.Name));
        var snapshot = _context.Port.Append(paths, commit, _stop.Token);
        _context.FailPoints.Hit(StreamFailPoints.AfterTableCommit);
        lock (_lock)
            NoteCommitted(files, commit with { Snapshot = snapshot });
        return true;
    }

    private void NoteCommitted(StagedFile[] files, TableCommit commit)
    {
        foreach (var file in files)
        {
            _staged.Remove(file);
            _committable.Remove(file);
            _dropped.Add(file.Name);
        }
        _state = _state with
        {
            CommittedCheckpoint = commit.Checkpoint,
            CommittedRows = _state.CommittedRows + files.Sum(f => f.Rows),
            LastCommit = commit.Snapshot,
            LastCommitAtMillis = _context.Time.GetUtcNow().ToUnixTimeMilliseconds(),
        };
        _trouble = null;
    }

    private bool SetTrouble(string message)
    {
        lock (_lock)
        {
            var changed = _trouble != message;
            _trouble = message;
            return changed;
        }
    }

    /// <summary>What a table sink works with.</summary>
    internal sealed record Context
    {
        /// <summary>The table's name, for status and errors.</summary>
        public required string Name { get; init; }

        /// <summary>The name that snapshots carry: pipeline and input.</summary>
        public required string Writer { get; init; }

        public required string Incarnation { get; init; }

        public required ITablePort Port { get; init; }

        public required DuckDbDatabase Database { get; init; }

        public required string StagingFolder { get; init; }

        /// <summary>Tells this sink's files from those of others in the folder.</summary>
        public required string FilePrefix { get; init; }

        public required Schema Schema { get; init; }

        public required TimeSpan CommitEvery { get; init; }

        public TimeSpan UpkeepEvery { get; init; } = TimeSpan.FromMinutes(1);

        public required TimeProvider Time { get; init; }

        public required ILogger Log { get; init; }

        public DeliveryOptions Options { get; init; } = new();

        public StreamFailPoints FailPoints { get; init; } = StreamFailPoints.None;

        /// <summary>Told once when the sink cannot go on.</summary>
        public Action<Exception> Failed { get; init; } = _ => { };
    }
}
