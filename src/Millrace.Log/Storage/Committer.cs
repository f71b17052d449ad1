using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Millrace.Kafka.Messages;
using Millrace.Storage.Files;

namespace Millrace.Log.Storage;

/// <summary>
/// Group commit: one thread that takes whatever partitions have been appended to, writes it to their segments, writes it to the
/// journal, flushes that one file, and only then tells who waits. While a flush runs, the next group gathers.
/// </summary>
internal sealed partial class Committer : IDisposable
{
    /// <summary>After so long without another group an empty one notes that the last is durable.</summary>
    private const long NoteAfterMillis = 100;

    /// <summary>Times its wanted length: from there on a running checkpoint rests no more, and from there on it is waited for.</summary>
    private const int HurryFrom = 2;
    private const int HoldFrom = 4;

    /// <summary>How often a checkpoint that is wanted looks whether the one before has ended.</summary>
    private const long LookAgainMillis = 50;

    private const long RemindMillis = 60_000;

    private readonly Journal _journal;
    private readonly Checkpointer _checkpointer;
    private readonly CommitterOptions _options;
    private readonly ILogger _log;
    private readonly ConcurrentQueue<Action> _between = new();
    private readonly List<Partition> _written = [];
    private Thread? _thread;
    private volatile bool _stopping;
    private volatile bool _checkpointWanted;
    private volatile string? _broken;
    private bool _failing;
    private bool _told;
    private long _toldAt = -RemindMillis;
    private bool _sparePrepared;
    private long _flushes;
    private long _flushDue = long.MaxValue;
    private long _noteDue = long.MaxValue;

    public Committer(Journal journal, Checkpointer checkpointer, CommitterOptions options, ILogger log)
    {
        _journal = journal;
        _checkpointer = checkpointer;
        _options = options;
        _log = log;
    }

    /// <summary>Where appends wait for it.</summary>
    public CommitQueue Queue { get; } = new();

    /// <summary>Flushes done and bytes written, for metrics.</summary>
    public CommitterFigures Figures { get; } = new();

    /// <summary>Told around the acknowledgements of each group.</summary>
    public IAnswers? Answers { get; set; }

    /// <summary>Why nothing more is acknowledged, or null.</summary>
    public string? Broken => _broken;

    /// <summary>Starts the thread. Without it, tests and simulators call <see cref="RunCycle"/> themselves.</summary>
    public void Start()
    {
        _thread = new Thread(Run) { Name = "log commit", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Asks for a checkpoint soon, before the journal is full.</summary>
    public void RequestCheckpoint()
    {
        _checkpointWanted = true;
        Queue.Wake();
    }

    /// <summary>Runs an action on the committer's thread between two flushes: whatever changes a partition's list of segments. Must be quick.</summary>
    public void Between(Action action)
    {
        _between.Enqueue(action);
        Queue.Wake();
    }

    /// <summary>As <see cref="Between"/>, and returns when the action has run.</summary>
    public void BetweenAndWait(Action action)
    {
        if (_thread is null)
        {
            // Simulators run everything on one thread.
            action();
            return;
        }
        using var done = new ManualResetEventSlim();
        Between(() =>
        {
            try
            {
                action();
            }
            finally
            {
                done.Set();
            }
        });
        done.Wait();
    }

    /// <summary>One flush of all that waits, and what is due besides; false when nothing waited.</summary>
    public bool RunCycle()
    {
        var partitions = Queue.Take(out var together);
        if (partitions.Count > 0)
            Commit(partitions, together);
        else if (_options.Inline)
            Note();
        while (_between.TryDequeue(out var action))
            action();
        if (_broken is not null)
            _checkpointWanted = false;
        else if (_checkpointer.IsIdle)
            BeginAside();
        else
            KeepBounded();
        return partitions.Count > 0;
    }

    /// <summary>What runs beside the commits, one at a time.</summary>
    private void BeginAside()
    {
        var isFilling = _options.Tails is { IsFilling: true } && !_checkpointer.Postponed;
        var isDue = _checkpointWanted || isFilling || _journal.Length > _options.JournalBytes;
        if (!_sparePrepared && _journal.Length > _options.SpareFromBytes)
        {
            _sparePrepared = true;
            // Over to it as soon as it is there: until then flushes take longer.
            _checkpointer.BeginSpare(_journal, _journal.IsPrepared ? static () => { } : RequestCheckpoint);
        }
        if (!isDue || !_checkpointer.IsIdle)
            return;
        _checkpointWanted = false;
        BeginCheckpoint();
    }

    /// <summary>More comes than the disk can take twice. In the end producers wait: a restart must not take as long as it likes.</summary>
    private void KeepBounded()
    {
        if (_journal.Length > HoldFrom * _options.JournalBytes)
            _checkpointer.Wait();
        else if (_journal.Length > HurryFrom * _options.JournalBytes)
            _checkpointer.Hurry();
    }

    /// <summary>Ends the thread after a last flush.</summary>
    public void Stop()
    {
        _stopping = true;
        Queue.Wake();
        _thread?.Join();
        _thread = null;
        while (RunCycle())
        {
        }
    }

    public void Dispose() => Stop();

    private void Run()
    {
        while (!_stopping || !Queue.IsEmpty)
        {
            Queue.Wait(Patience());
            RunCycle();
            if (FlushIsDue)
                FlushLate();
            if (NoteIsDue)
                Note();
            _noteDue = _journal.IsUnnoted && _broken is null ? Environment.TickCount64 + NoteAfterMillis : long.MaxValue;
        }
    }

    private bool NoteIsDue => Environment.TickCount64 >= _noteDue;

    /// <summary>Nothing follows for a while: the last group is not left without a witness (docs/design/log.md).</summary>
    private void Note()
    {
        _noteDue = long.MaxValue;
        if (_broken is not null || !_journal.IsUnnoted)
            return;
        try
        {
            _journal.Note();
        }
        catch (IOException)
        {
            // No room, say: whoever appends hears of it.
        }
    }

    private bool FlushIsDue => Environment.TickCount64 >= _flushDue;

    private int Patience()
    {
        var wait = Math.Min(_flushDue, _noteDue);
        if (wait != long.MaxValue)
            wait = Math.Max(0, wait - Environment.TickCount64);
        if (_checkpointWanted)
            wait = Math.Min(wait, LookAgainMillis);
        return wait > int.MaxValue ? Timeout.Infinite : (int)wait;
    }

    /// <summary>Makes durable what topics with flush.ms have had acknowledged before.</summary>
    private void FlushLate()
    {
        _flushDue = long.MaxValue;
        if (_broken is not null)
            return;
        try
        {
            _journal.Flush();
            _flushes++;
        }
        catch (JournalFlushException error)
        {
            Break(error);
        }
    }

    /// <summary>Whether this group must be flushed before it is acknowledged; notes by when else (flush.messages, flush.ms).</summary>
    private bool NeedsFlush()
    {
        var needed = false;
        foreach (var partition in _written)
        {
            var settings = partition.Settings();
            if (partition.CountUnflushed(_flushes) >= settings.FlushMessages)
                needed = true;
            else if (settings.FlushMillis < int.MaxValue)
                _flushDue = Math.Min(_flushDue, Environment.TickCount64 + settings.FlushMillis);
        }
        return needed;
    }

    /// <summary>After a failed fsync the kernel may have dropped the pages: nothing is retried, everything stops (style 12).</summary>
    private void Break(JournalFlushException error)
    {
        _broken = error.Message;
        LogBroken(error.Message, error);
    }

    private void Commit(List<Partition> partitions, bool together)
    {
        if (_broken is not null)
        {
            foreach (var partition in partitions)
                partition.Fail(ErrorCode.StorageError, poison: true);
            return;
        }
        var started = Stopwatch.GetTimestamp();
        _written.Clear();
        long length = 0;
        var entries = 0;
        foreach (var partition in partitions)
        {
            if (TryWrite(partition) is { } error)
            {
                if (!together)
                {
                    Refuse(partition, error);
                    continue;
                }
                // What belongs together fails together.
                foreach (var other in partitions)
                    Refuse(other, error);
                return;
            }
            _written.Add(partition);
            foreach (var batch in partition.Writing)
            {
                if (batch.Bytes.IsEmpty)
                    continue;
                length += JournalFormat.EntryHeaderBytes + batch.Bytes.Length;
                entries++;
            }
        }
        var flush = entries > 0 && (together || NeedsFlush());
        if (_options.Faults.AcknowledgeEarly)
            PublishWritten();
        if (entries > 0 && !TryJournal(length, entries, flush))
            return;
        if (_failing)
            TellRecovered();
        Figures.Add(length, Stopwatch.GetElapsedTime(started), flush);
        Answers?.Gather();
        PublishWritten();
        Answers?.Send(here: Queue.IsEmpty);
    }

    private void PublishWritten()
    {
        foreach (var partition in _written)
        {
            _checkpointer.MarkDirty(partition);
            partition.Publish();
        }
    }

    private static Exception? TryWrite(Partition partition)
    {
        try
        {
            partition.Segments.Write(partition.Writing, partition.Settings().SegmentBytes);
            return null;
        }
        catch (IOException error)
        {
            return error;
        }
        catch (UnauthorizedAccessException error)
        {
            return error;
        }
    }

    private bool TryJournal(long length, int entries, bool flush)
    {
        try
        {
            _journal.StartGroup(length, entries);
            foreach (var partition in _written)
                partition.StageTo(_journal);
            try
            {
                _journal.Commit(flush);
            }
            catch (JournalFlushException) when (_options.Faults.IgnoreFailedFlush)
            {
                return true;
            }
            if (flush)
            {
                _flushes++;
                _flushDue = long.MaxValue;
            }
            return true;
        }
        catch (JournalFlushException error)
        {
            Break(error);
            foreach (var partition in _written)
                partition.Fail(ErrorCode.StorageError, poison: true);
            return false;
        }
        catch (IOException error)
        {
            if (!_options.Faults.KeepRefused)
                _journal.TakeBack();
            foreach (var partition in _written)
                Refuse(partition, error);
            return false;
        }
    }

    /// <summary>A write failed, as when the disk is full: taken back and refused with a retriable error, so that work goes on when there is room.</summary>
    private void Refuse(Partition partition, Exception error)
    {
        TellRefused(partition.Segments.Folder, error);
        var poison = false;
        try
        {
            partition.Segments.TakeBack();
        }
        catch (IOException cut)
        {
            LogBroken($"{partition.Segments.Folder}: a failed write could not be taken back", cut);
            poison = true;
        }
        partition.Fail(ErrorCode.StorageError, poison);
    }

    /// <summary>Told when it begins, and while it lasts or comes again at most once a minute.</summary>
    private void TellRefused(string place, Exception error)
    {
        _failing = true;
        if (Environment.TickCount64 - _toldAt < RemindMillis)
            return;
        _toldAt = Environment.TickCount64;
        _told = true;
        LogRefused(place, error.Message);
    }

    private void TellRecovered()
    {
        _failing = false;
        if (!_told)
            return;
        _told = false;
        LogRecovered();
    }

    private void BeginCheckpoint()
    {
        try
        {
            // An empty generation is gone on with: a restart takes one that is in no file for damage.
            if (_journal.Length > 0)
                _journal.Begin();
        }
        catch (JournalFlushException error)
        {
            Break(error);
            return;
        }
        catch (IOException error)
        {
            // No room for another journal file: the running one simply grows on.
            TellRefused("journal", error);
            return;
        }
        _checkpointer.Begin(_journal.Generation, _journal.Free);
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "The log has stopped acknowledging: {Reason}. Restart it; what was acknowledged is kept")]
    private partial void LogBroken(string reason, Exception error);

    [LoggerMessage(Level = LogLevel.Information, Message = "Appends are taken again")]
    private partial void LogRecovered();

    [LoggerMessage(Level = LogLevel.Error, Message = "Appends to {Place} are refused, producers retry: {Reason}. If the disk is full, make room; work goes on by itself")]
    private partial void LogRefused(string place, string reason);
}

/// <param name="JournalBytes">Journal size after which a checkpoint is made.</param>
/// <param name="SpareFromBytes">Journal size after which the next file is prepared.</param>
internal sealed record CommitterOptions(long JournalBytes = 64 << 20, long SpareFromBytes = 1 << 20)
{
    public LogFaults Faults { get; init; } = LogFaults.None;

    /// <summary>A checkpoint is made when they get full; null: never for that.</summary>
    public TailMemory? Tails { get; init; }

    /// <summary>Everything runs on the caller's thread: simulators.</summary>
    public bool Inline { get; init; }
}

/// <summary>Counters of the committer; read by any thread.</summary>
internal sealed class CommitterFigures
{
    private long _flushes;
    private long _bytes;
    private long _ticks;

    public long Flushes => Interlocked.Read(ref _flushes);

    public long Bytes => Interlocked.Read(ref _bytes);

    public TimeSpan FlushTime => TimeSpan.FromTicks(Interlocked.Read(ref _ticks));

    public void Add(long bytes, TimeSpan took, bool flushed)
    {
        if (!flushed)
            return;
        Interlocked.Increment(ref _flushes);
        Interlocked.Add(ref _bytes, bytes);
        Interlocked.Add(ref _ticks, took.Ticks);
    }
}
