using Microsoft.Extensions.Logging;
using Millrace.Kafka.Messages;
using Millrace.Storage.Files;

namespace Millrace.Log.Storage;

/// <summary>
/// Makes durable in the segments what the journal has held, so that journal files are free again and a restart replays little. The
/// committer says when and takes the picture between two flushes; the syncing runs beside it.
/// </summary>
internal sealed partial class Checkpointer
{
    private readonly IFileSystem _files;
    private readonly string _folder;
    private readonly bool _inline;
    private readonly ILogger _log;
    private readonly Lock _gate = new();
    private readonly Dictionary<(Guid TopicId, int Partition), PartitionCheckpoint> _known = [];
    private readonly Dictionary<(Guid TopicId, int Partition), (long ActiveBase, long CleanedThrough)> _durable = [];
    private HashSet<Partition> _dirty = [];
    /// <summary>Work of a checkpoint that could not be done; touched by the checkpoint's thread, and by the committer only when none runs.</summary>
    private readonly List<(Partition Partition, PartitionCheckpoint Description, List<Segment> Segments, bool Names)> _unfinished = [];
    private volatile Task _running = Task.CompletedTask;
    private volatile bool _failed;
    private volatile Journal? _spares;
    private readonly FlushPace _pace = new();

    /// <param name="files">Where the checkpoint is.</param>
    /// <param name="folder">The data folder.</param>
    /// <param name="inline">Sync on the caller's thread: simulators.</param>
    /// <param name="log">Told of failures.</param>
    public Checkpointer(IFileSystem files, string folder, bool inline, ILogger log)
    {
        _files = files;
        _folder = folder;
        _inline = inline;
        _log = log;
    }

    public LogFaults Faults { get; init; } = LogFaults.None;

    /// <summary>A checkpoint may begin. After a failed fsync of a segment there are no more: the journal keeps what the segment may have lost.</summary>
    public bool IsIdle => _running.IsCompleted && !_failed;

    /// <summary>Base offset of the segment that a restart would append to; segments from there on must not be deleted before the next checkpoint.</summary>
    public long ActiveBase(Partition partition)
    {
        lock (_gate)
            return _durable.TryGetValue((partition.TopicId, partition.Index), out var durable) ? durable.ActiveBase : -1;
    }

    /// <summary>Up to where a restart knows that compaction has been.</summary>
    public long CleanedThrough(Partition partition)
    {
        lock (_gate)
            return _durable.GetValueOrDefault((partition.TopicId, partition.Index)).CleanedThrough;
    }

    /// <summary>The partition has been written since the last checkpoint. Committer only.</summary>
    public void MarkDirty(Partition partition) => _dirty.Add(partition);

    /// <summary>A partition as the last checkpoint had it; at start-up.</summary>
    public void Know(PartitionCheckpoint checkpoint)
    {
        lock (_gate)
        {
            _known[(checkpoint.TopicId, checkpoint.Partition)] = checkpoint;
            _durable[(checkpoint.TopicId, checkpoint.Partition)] = (checkpoint.ActiveBase, checkpoint.CleanedThrough);
        }
    }

    public void Forget(Guid topicId, int partition)
    {
        lock (_gate)
        {
            _known.Remove((topicId, partition));
            _durable.Remove((topicId, partition));
        }
    }

    /// <summary>Takes the picture and starts syncing. Committer only, between two flushes.</summary>
    /// <param name="replayFrom">The journal generation that begins now.</param>
    /// <param name="done">Called with that generation when the checkpoint is durable.</param>
    public void Begin(long replayFrom, Action<long> done)
    {
        foreach (var (partition, _, segments, names) in _unfinished)
        {
            partition.Segments.PutBackUnsynced(segments, names);
            _dirty.Add(partition);
        }
        _unfinished.Clear();
        var work = new List<(Partition Partition, PartitionCheckpoint Description, List<Segment> Segments, bool Names)>();
        foreach (var partition in _dirty)
        {
            var (segments, names) = partition.Segments.TakeUnsynced();
            var description = partition.Describe();
            if (Faults.ForgetProducers)
                description.Producers.Clear();
            work.Add((partition, description, segments, names));
        }
        _dirty = [];
        if (_inline)
        {
            // Nobody else is there to be held up.
            _pace.Hurry();
            Sync(work, replayFrom, done);
            return;
        }
        _pace.Relax();
        _running = Task.Factory.StartNew(
            () => Sync(work, replayFrom, done), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    /// <summary>Deletes what nobody needs any more beside the committer. What cannot be deleted is met again after a restart.</summary>
    public void DeleteAside(string path, Action delete)
    {
        if (_inline)
        {
            delete();
            return;
        }
        ThreadPool.UnsafeQueueUserWorkItem(
            _ =>
            {
                try
                {
                    delete();
                }
                catch (IOException error)
                {
                    LogNotDeleted(path, error);
                }
                catch (UnauthorizedAccessException error)
                {
                    LogNotDeleted(path, error);
                }
            },
            null);
    }

    /// <summary>Waits for a running checkpoint, which does not rest from now on.</summary>
    public void Wait()
    {
        _pace.Hurry();
        _running.GetAwaiter().GetResult();
        if (!_inline)
            _pace.Relax();
    }

    /// <summary>The log ends: no journal file is prepared for later.</summary>
    public void PrepareNoMore() => _spares = null;

    /// <summary>The journal grows faster than the checkpoint gets on.</summary>
    public void Hurry() => _pace.Hurry();

    private void Sync(
        List<(Partition Partition, PartitionCheckpoint Description, List<Segment> Segments, bool Names)> work, long replayFrom, Action<long> done)
    {
        // First all bytes, then all flushes: the file system makes the files' new lengths durable together with the first flush.
        if (!ForEach(work, (partition, segments, names) => PartitionSegments.WriteBack(segments, _pace, !Faults.LeaveTails))
            || !ForEach(work, (partition, segments, names) => PartitionSegments.Sync(_files, partition.Segments.Folder, segments, names, _pace)))
        {
            return;
        }
        List<PartitionCheckpoint> all;
        lock (_gate)
        {
            foreach (var (partition, description, _, _) in work)
            {
                if (partition.Fault != ErrorCode.UnknownTopicOrPartition)
                    _known[(partition.TopicId, partition.Index)] = description;
            }
            all = [.. _known.Values];
        }
        try
        {
            Checkpoint.Save(_files, _folder, replayFrom, all);
        }
        catch (IOException error)
        {
            // Disk full, say: the journal keeps everything, and the next checkpoint covers it.
            if (!_postponed)
                LogPostponed(error);
            _postponed = true;
            return;
        }
        lock (_gate)
        {
            foreach (var description in all)
                _durable[(description.TopicId, description.Partition)] = (description.ActiveBase, description.CleanedThrough);
        }
        _postponed = false;
        done(replayFrom);
        PrepareSpare();
    }

    /// <summary>There is work for prepared journal files: one is made now, others after each checkpoint. Committer only.</summary>
    /// <param name="journal">Whose.</param>
    /// <param name="done">Called when the first is there.</param>
    public void BeginSpare(Journal journal, Action done)
    {
        _spares = journal;
        if (_inline)
        {
            _pace.Hurry();
            PrepareSpare();
            done();
            return;
        }
        _pace.Relax();
        _running = Task.Factory.StartNew(
            () =>
            {
                PrepareSpare();
                done();
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    private void PrepareSpare()
    {
        try
        {
            _spares?.PrepareSpare(_pace);
        }
        catch (IOException error)
        {
            // No room, say: the journal then does without.
            LogNotPrepared(error);
        }
    }

    private bool ForEach(
        List<(Partition Partition, PartitionCheckpoint Description, List<Segment> Segments, bool Names)> work, Action<Partition, List<Segment>, bool> step)
    {
        if (Faults.FreeJournalEarly)
            return true;
        foreach (var (partition, _, segments, names) in work)
        {
            try
            {
                step(partition, segments, names);
            }
            catch (TailNotWrittenException error) when (partition.Fault != ErrorCode.UnknownTopicOrPartition)
            {
                // Disk full, say: as below, but these segments must come again.
                LogPostponed(error);
                _unfinished.AddRange(work);
                _postponed = true;
                return false;
            }
            catch (IOException error) when (partition.Fault != ErrorCode.UnknownTopicOrPartition)
            {
                _failed = true;
                LogFailed(partition.Segments.Folder, error);
                partition.Close(ErrorCode.StorageError);
                return false;
            }
            catch (IOException)
            {
                // The topic was deleted meanwhile, with its files.
            }
        }
        return true;
    }

    private volatile bool _postponed;

    /// <summary>The last checkpoint could not be saved.</summary>
    public bool Postponed => _postponed;

    [LoggerMessage(Level = LogLevel.Error, Message = "fsync of a segment in {Folder} failed: its partition takes nothing more until a restart has read the journal back")]
    private partial void LogFailed(string folder, Exception error);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The next journal file could not be prepared; flushes take a little longer without")]
    private partial void LogNotPrepared(Exception error);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Path} could not be deleted and is left; a restart tries again")]
    private partial void LogNotDeleted(string path, Exception error);

    [LoggerMessage(Level = LogLevel.Warning, Message = "A checkpoint could not be saved and will be tried again; the journal grows meanwhile")]
    private partial void LogPostponed(Exception error);
}
