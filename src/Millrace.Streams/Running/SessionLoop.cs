using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Millrace.Columnar;
using Millrace.Streams.Checkpoints;
using Millrace.Streams.Plans;
using Millrace.Streams.Sources;
using Millrace.Streams.Windows;

namespace Millrace.Streams.Running;

/// <summary>
/// The stream's thread: polls sources, routes rows through queries to sinks, closes windows, cuts barriers. Barriers are made durable
/// beside it, one at a time.
/// </summary>
internal sealed class SessionLoop
{
    private readonly PipelineSession _session;
    private readonly StatusBoard _board;
    private readonly TimeProvider _time;
    private readonly CheckpointOptions _checkpoints;
    private readonly StreamOptions _options;
    private readonly TimeSpan _wait;
    private readonly StageClock _clock;
    private Task<CheckpointResult>? _persisting;
    private long _lastBarrier;
    private long _id;
    private bool _changed;
    private bool _paused;

    public SessionLoop(PipelineSession session, StatusBoard board)
    {
        _session = session;
        _board = board;
        _time = session.Environment.Time;
        _checkpoints = session.Plan.Checkpoints;
        _options = session.Environment.Options;
        var share = _options.MaxBatchWait / session.Sources.Count;
        _wait = share < TimeSpan.FromMilliseconds(1) ? TimeSpan.FromMilliseconds(1) : share;
        _id = session.CheckpointId;
        _clock = new StageClock(_time, session.Log);
    }

    /// <summary>Runs until told to stop; then cuts a last checkpoint, delivers what is owed, and notes that.</summary>
    /// <param name="stopping">Asks for an orderly stop.</param>
    /// <param name="abandon">Asks to leave at once, as a crash would.</param>
    public void Run(CancellationToken stopping, CancellationToken abandon)
    {
        _lastBarrier = _time.GetTimestamp();
        _board.Session(_session);
        while (!stopping.IsCancellationRequested && !IsLimitReached())
        {
            abandon.ThrowIfCancellationRequested();
            ThrowIfFailed();
            var took = false;
            foreach (var source in _session.Sources)
                took |= ReadOnce(source);
            CloseWindows();
            _clock.Enter(Stage.Publish);
            _board.Publish(_session, took || _changed);
            _clock.Enter(Stage.Barrier);
            FinishPersisting(wait: false);
            BarrierWhenDue();
            Press();
            _clock.Leave();
        }
        Finish(abandon);
    }

    private bool IsLimitReached()
    {
        foreach (var ((name, partition), offset) in _session.StopBefore)
        {
            var source = _session.Sources.First(s => s.Plan.Name == name);
            if (!source.Watermarks.TryGet(partition, out var progress) || progress.NextOffset < offset)
                return false;
        }
        return _session.StopBefore.Count > 0;
    }

    private void ThrowIfFailed()
    {
        if (_session.Failure is { } failure)
            throw new SessionPartException(failure);
    }

    private bool ReadOnce(SourceReader source)
    {
        _clock.Enter(Stage.Poll);
        using var rows = source.Read(_wait);
        _clock.Enter(Stage.Route);
        if (rows is null)
            return false;
        _clock.Count(rows.RowCount);
        Route(_session.Output(source.Plan.Name), rows, null);
        _board.Latencies(source.LastTimestamps, _time.GetUtcNow().ToUnixTimeMilliseconds());
        _changed = true;
        return true;
    }

    private void Route(OutputNode output, ColumnBatch rows, ClosedSpan? closed)
    {
        if (rows.RowCount == 0)
            return;
        output.Rows += rows.RowCount;
        output.KeepNewest(rows);
        foreach (var table in output.Tables)
            table.Add(rows);
        foreach (var topic in output.Topics)
            topic.Add(rows);
        foreach (var alert in output.Alerts)
        {
            var span = closed ?? Now(output);
            alert.Observe(rows, span.Start, span.End);
        }
        foreach (var step in output.Windowed)
            step.Add(rows);
        foreach (var step in output.Stateless)
        {
            using var next = step.Run(rows);
            Route(_session.Output(step.Plan.Name), next, null);
        }
    }

    // Rows that belong to no window are judged at the event time that their source has reached.
    private ClosedSpan Now(OutputNode output)
    {
        var name = _session.Plan.Queries.FirstOrDefault(q => q.Name == output.Name) is { } query ? _session.SourceOf(query) : output.Name;
        var newest = WatermarkTracker.None;
        foreach (var (_, partition) in _session.Sources.First(s => s.Plan.Name == name).Watermarks.Partitions)
            newest = Math.Max(newest, partition.NewestMicros);
        return new ClosedSpan(newest, newest);
    }

    private void CloseWindows()
    {
        _clock.Enter(Stage.Close);
        foreach (var source in _session.Sources)
            source.Advance();
        foreach (var step in _session.Windowed)
        {
            var name = _session.SourceOf(step.Plan);
            var watermark = _session.Sources.First(s => s.Plan.Name == name).Watermarks.Current;
            foreach (var window in step.Close(watermark))
            {
                using var rows = window.Rows;
                Route(_session.Output(step.Plan.Name), rows, new ClosedSpan(window.Start, window.Start + step.State.SizeMicros));
                _changed = true;
            }
        }
    }

    private void BarrierWhenDue()
    {
        var pending = PendingBytes();
        var due = _time.GetElapsedTime(_lastBarrier) >= _checkpoints.Every || pending >= _checkpoints.MaxPendingBytes / 2;
        if (!due || !HasNews())
            return;
        // Memory is bounded: with too much pending the stream waits for the checkpoint that is being written.
        if (_persisting is not null && pending < _checkpoints.MaxPendingBytes)
            return;
        FinishPersisting(wait: true);
        Barrier();
    }

    private bool HasNews() =>
        _changed || _session.Topics.Values.Any(t => t.HasNews) || _session.Tables.Exists(t => t.HasNews) || _session.Notifier is { HasNews: true };

    private long PendingBytes()
    {
        long bytes = 0;
        foreach (var table in _session.Tables)
            bytes += table.PendingBytes;
        foreach (var source in _session.Sources)
            bytes += source.Quarantine.ByteLength + source.Late.ByteLength;
        foreach (var output in _session.Outputs)
        {
            foreach (var topic in output.Topics)
                bytes += topic.Pending.ByteLength;
        }
        return bytes;
    }

    /// <summary>Cuts the stream: all that came before belongs to this checkpoint, all that comes after to a later one.</summary>
    private void Barrier()
    {
        _session.Environment.FailPoints.Hit(StreamFailPoints.BeforeBarrier);
        var draft = new CheckpointDraft(++_id);
        try
        {
            Fill(draft);
        }
        catch
        {
            draft.Dispose();
            throw;
        }
        _changed = false;
        _lastBarrier = _time.GetTimestamp();
        _persisting = Task.Run(() =>
        {
            using (draft)
                return _session.Writer.Write(draft);
        });
    }

    private void Fill(CheckpointDraft draft)
    {
        foreach (var source in _session.Sources)
        {
            source.AssertBalanced();
            draft.Sources[source.Plan.Name] = source.ToCheckpoint();
            source.PutState(draft.Batch, draft.Id);
            var (quarantine, late) = source.TakeOwed();
            draft.Topics.Add((_session.Topics[$"topic:{source.Plan.QuarantineTopic}"], quarantine));
            draft.Topics.Add((_session.Topics[$"topic:{source.Plan.LateTopic}"], late));
        }
        foreach (var output in _session.Outputs)
        {
            draft.Queries[output.Name] = new QueryCheckpoint { Rows = output.Rows };
            foreach (var topic in output.Topics)
                draft.Topics.Add((topic.Delivery, topic.TakePending()));
            foreach (var table in output.Tables)
                draft.Tables.Add((table.Sink, table.Sink.TakeRows()));
            foreach (var alert in output.Alerts)
                draft.Alerts[alert.Tracker.Plan.Name] = alert.Checkpoint(n => _session.Notifier!.TakeTold(n));
        }
        long state = 0;
        foreach (var step in _session.Windowed)
        {
            step.WithState(windows =>
            {
                _session.Store.PutWindows(draft.Batch, step.Plan.Name, windows);
                state += windows.ByteLength;
            });
            draft.Queries[step.Plan.Name] = new QueryCheckpoint
            {
                Layout = PlanFingerprint.Of(step.Plan), ClosedUpTo = step.State.ClosedUpTo, LateRows = step.State.LateRows,
                Rows = _session.Output(step.Plan.Name).Rows,
            };
        }
        if (state > _options.MaxStateBytes)
        {
            throw new InvalidOperationException(
                $"open windows hold {state} bytes, more than the {_options.MaxStateBytes} of MaxStateBytes: make windows shorter, keys fewer, or raise it");
        }
    }

    private void FinishPersisting(bool wait)
    {
        if (_persisting is null || (!wait && !_persisting.IsCompleted))
            return;
        var result = _persisting.GetAwaiter().GetResult();
        _persisting = null;
        foreach (var source in _session.Sources)
        {
            source.ShowProgress(result.Record.Sources[source.Plan.Name]);
            source.OnDurable(result.Record.Id);
        }
        foreach (var (_, alert) in result.Record.Alerts)
        {
            foreach (var notice in alert.Owed)
                _session.Notifier!.EnqueueOnce(notice);
        }
        SessionLog.Checkpoint(_session.Log, result.Record.Id, result.Took.TotalMilliseconds, result.Bytes);
        _board.Checkpoint(result);
    }

    /// <summary>Stops intake while a sink is too far behind or the breaker is open, and goes on when it is not.</summary>
    private void Press()
    {
        var reason = Pressure();
        if (reason is not null && !_paused)
        {
            _paused = true;
            foreach (var source in _session.Sources)
                source.Pause();
            SessionLog.Paused(_session.Log, _session.Plan.Name, reason);
        }
        else if (reason is null && _paused)
        {
            _paused = false;
            foreach (var source in _session.Sources)
                source.Resume();
            SessionLog.Resumed(_session.Log, _session.Plan.Name);
        }
        _board.Pressure(reason);
    }

    private string? Pressure()
    {
        foreach (var source in _session.Sources)
        {
            if (source.BreakerOpen is { } open)
                return open;
        }
        // Going on needs some room, else it would toggle with every delivery.
        var (numerator, denominator) = _paused ? (3, 4) : (1, 1);
        foreach (var topic in _session.Topics.Values)
        {
            if (topic.OwedBytes > _options.MaxOwedBytes / denominator * numerator)
                return $"{topic.Name} is behind by {topic.OwedBytes >> 20} MiB (MaxOwedBytes){(topic.Trouble is { } why ? ": " + why : "")}";
        }
        foreach (var table in _session.Tables)
        {
            if (table.StagedBytes > _options.MaxStagedBytes / denominator * numerator)
                return $"{table.Name} is behind by {table.StagedBytes >> 20} MiB (MaxStagedBytes){(table.Trouble is { } why ? ": " + why : "")}";
        }
        return null;
    }

    private void Finish(CancellationToken abandon)
    {
        _board.Stopping();
        FinishPersisting(wait: true);
        if (HasNews())
        {
            Barrier();
            FinishPersisting(wait: true);
        }
        foreach (var topic in _session.Topics.Values)
            topic.DrainAsync(abandon).GetAwaiter().GetResult();
        foreach (var table in _session.Tables)
            table.DrainAsync(abandon).GetAwaiter().GetResult();
        _session.Notifier?.DrainAsync(abandon).GetAwaiter().GetResult();
        if (HasNews())
        {
            Barrier();
            FinishPersisting(wait: true);
        }
        _board.Publish(_session, changed: true, always: true);
    }

    private readonly record struct ClosedSpan(long Start, long End);
}

/// <summary>A part that runs beside the stream failed.</summary>
internal sealed class SessionPartException(Exception failure) : Exception(failure.Message, failure);

internal enum Stage
{
    Poll,
    Route,
    Close,
    Publish,
    Barrier,
}

/// <summary>Where the stream's thread spends its time, told to the debug log every ten seconds.</summary>
internal sealed class StageClock(TimeProvider time, ILogger log)
{
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(10);

    private readonly long[] _spent = new long[Enum.GetValues<Stage>().Length];
    private long _entered = time.GetTimestamp();
    private long _told = time.GetTimestamp();
    private Stage? _stage;
    private long _batches;
    private long _rows;

    public void Enter(Stage stage)
    {
        Leave();
        _stage = stage;
    }

    public void Count(int rows)
    {
        _batches++;
        _rows += rows;
    }

    public void Leave()
    {
        var now = time.GetTimestamp();
        if (_stage is { } stage)
            _spent[(int)stage] += now - _entered;
        _entered = now;
        _stage = null;
        if (time.GetElapsedTime(_told, now) < Every)
            return;
        if (log.IsEnabled(LogLevel.Debug))
            SessionLog.Stages(log, Millis(Stage.Poll), Millis(Stage.Route), Millis(Stage.Close), Millis(Stage.Barrier), Millis(Stage.Publish), _batches, _rows);
        Array.Clear(_spent);
        _batches = _rows = 0;
        _told = now;
    }

    private double Millis(Stage stage) => _spent[(int)stage] * 1000.0 / time.TimestampFrequency;
}
