using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Millrace.Kafka.Messages;
using Millrace.Log.Compaction;
using Millrace.Log.Topics;
using Millrace.Storage.Files;

namespace Millrace.Log.Storage;

/// <summary>What a log store needs to know.</summary>
internal sealed record LogStoreOptions
{
    public required string Folder { get; init; }

    public IFileSystem Files { get; init; } = DiskFileSystem.Instance;

    /// <summary>Defaults for topics, by Kafka's topic configuration names.</summary>
    public IReadOnlyDictionary<string, string> TopicDefaults { get; init; } = new Dictionary<string, string>();

    /// <summary>Journal size after which a checkpoint is made.</summary>
    public long JournalBytes { get; init; } = 64 << 20;

    /// <summary>Bytes of a journal from which it is worth a file of full length: who writes less keeps a small folder.</summary>
    public long SpareFromBytes { get; init; } = 1 << 20;

    /// <summary>Memory for what is acknowledged, and in the journal, but not in its segment's file yet; 0: everything is written there at once.</summary>
    public long TailMemoryBytes { get; init; } = 48 << 20;

    /// <summary>Of that, the most of one partition.</summary>
    public int TailBytes { get; init; } = TailMemory.DefaultEach;

    /// <summary>Keys that one round of compaction remembers, about 50 bytes each; a topic with more takes several rounds.</summary>
    public int CompactionKeys { get; init; } = 1_000_000;

    /// <summary>Run everything on the caller's thread: simulators call <see cref="Committer.RunCycle"/>.</summary>
    public bool Inline { get; init; }

    public Func<Guid> NewId { get; init; } = Guid.NewGuid;

    /// <summary>For simulators.</summary>
    public LogFaults Faults { get; init; } = LogFaults.None;
}

/// <summary>
/// All topics of a data folder: opening with recovery, creating, changing, deleting, retention. Appends and reads go to the
/// <see cref="Partition"/>s. Thread-safe.
/// </summary>
/// <remarks>
/// <c>topics/NAME/N/OFFSET.log</c> hold the records, <c>journal/</c> what the segments may not hold durably yet, <c>checkpoint</c> the line
/// between both.
/// </remarks>
internal sealed partial class LogStore : IDisposable
{
    private const string DeletedPrefix = "deleted~";
    private const int ProducerIdBlock = 1000;
    private readonly LogStoreOptions _options;
    private readonly IFileSystem _files;
    private readonly ILogger _log;
    private readonly string _topicsFolder;
    private readonly FolderLock? _lock;
    private readonly ConcurrentDictionary<string, Topic> _topics = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<Guid, Topic> _topicsById = new();
    private readonly Lock _changes = new();
    private readonly Journal _journal;
    private readonly Checkpointer _checkpointer;
    private readonly TailMemory _tails;
    private ClusterFile _cluster;
    private long _nextProducerId;
    private long _topicsVersion;

    private LogStore(LogStoreOptions options, ILogger log)
    {
        _options = options;
        _files = options.Files;
        _log = log;
        _tails = new TailMemory(options.TailMemoryBytes, options.TailBytes);
        _lock = _files is DiskFileSystem ? FolderLock.Take(options.Folder) : null;
        try
        {
            var root = Path.GetFullPath(options.Folder);
            _topicsFolder = Path.Combine(root, "topics");
            var journalFolder = Path.Combine(root, "journal");
            CreateDurably(_topicsFolder);
            CreateDurably(journalFolder);
            _cluster = ClusterFile.Load(_files, options.Folder) ?? NewCluster();
            _nextProducerId = _cluster.ProducerIdsFrom;
            _checkpointer = new Checkpointer(_files, options.Folder, options.Inline, log) { Faults = options.Faults };
            var highest = Recover(journalFolder, out var replayed);
            _journal = new Journal(_files, journalFolder, _cluster.Salt, highest + 1, options.JournalBytes + options.JournalBytes / 8) { Faults = options.Faults };
            Committer = new Committer(_journal, _checkpointer, new CommitterOptions(options.JournalBytes, options.SpareFromBytes)
            {
                Faults = options.Faults, Inline = options.Inline, Tails = _tails,
            }, log);
            // What was replayed is made durable before anything new is, so that the old generations are free.
            foreach (var partition in AllPartitions())
            {
                if (replayed.Contains(partition) || partition.Segments.HasUnsynced)
                    _checkpointer.MarkDirty(partition);
            }
            _checkpointer.Begin(_journal.Generation, _journal.Free);
            _checkpointer.Wait();
            if (!_checkpointer.IsIdle || _checkpointer.Postponed)
                throw new IOException($"the log in {options.Folder} could not save its first checkpoint; make room on the disk and start again");
            _journal.FreeFound();
            if (!options.Inline)
                Committer.Start();
        }
        catch
        {
            _lock?.Dispose();
            throw;
        }
    }

    public Committer Committer { get; }

    public LogFaults Faults => _options.Faults;

    /// <summary>This thread is making, changing or deleting a topic, so that others who want to would wait: simulators have only one.</summary>
    internal bool IsChangingHere => _changes.IsHeldByCurrentThread;

    /// <summary>No checkpoint is being made.</summary>
    public bool IsCheckpointIdle => _checkpointer.IsIdle;

    public string ClusterId => _cluster.ClusterId;

    public IReadOnlyDictionary<string, string> TopicDefaults => _options.TopicDefaults;

    public IEnumerable<Topic> Topics => _topics.Values;

    /// <summary>Rises when a topic is made, grown or deleted.</summary>
    public long TopicsVersion => Interlocked.Read(ref _topicsVersion);

    public int PartitionCount => _topics.Values.Sum(t => t.Partitions.Length);

    /// <summary>Opens a data folder, creating it when absent.</summary>
    /// <exception cref="FolderLockedException">Another process has it.</exception>
    /// <exception cref="SegmentDamagedException">An acknowledged record cannot be read back.</exception>
    public static LogStore Open(LogStoreOptions options, ILogger log) => new(options, log);

    public Topic? Find(string name) => _topics.GetValueOrDefault(name);

    public Topic? Find(Guid id) => _topicsById.GetValueOrDefault(id);

    /// <summary>Creates a topic durably. The name and the configurations have been checked.</summary>
    /// <returns>The topic, and whether this call made it.</returns>
    public (Topic Topic, bool Created) Create(string name, int partitions, IReadOnlyDictionary<string, string> configs)
    {
        lock (_changes)
        {
            if (_topics.TryGetValue(name, out var existing))
                return (existing, false);
            var folder = Path.Combine(_topicsFolder, name);
            // A folder without topic.json is what a crash left of a creation that nobody was told of.
            if (_files.FolderExists(folder))
            {
                _files.DeleteFolder(folder);
                _files.FlushFolder(_topicsFolder);
            }
            _files.CreateFolder(folder);
            var topic = new Topic(name, _options.NewId(), folder, configs, _options.TopicDefaults);
            for (var i = 0; i < partitions; i++)
                _files.CreateFolder(Path.Combine(folder, i.ToString(System.Globalization.CultureInfo.InvariantCulture)));
            new TopicFile(TopicFile.CurrentFormat, name, topic.Id, partitions, new Dictionary<string, string>(configs)).Save(_files, folder);
            _files.FlushFolder(_topicsFolder);
            Attach(topic, partitions);
            return (topic, true);
        }
    }

    /// <summary>Adds partitions.</summary>
    public void Grow(Topic topic, int partitions)
    {
        lock (_changes)
        {
            if (partitions <= topic.Partitions.Length)
                return;
            for (var i = topic.Partitions.Length; i < partitions; i++)
                _files.CreateFolder(Path.Combine(topic.Folder, i.ToString(System.Globalization.CultureInfo.InvariantCulture)));
            new TopicFile(TopicFile.CurrentFormat, topic.Name, topic.Id, partitions, new Dictionary<string, string>(topic.Configs)).Save(_files, topic.Folder);
            Attach(topic, partitions);
        }
    }

    /// <summary>Replaces a topic's own configurations, which have been checked.</summary>
    public void Configure(Topic topic, IReadOnlyDictionary<string, string> configs)
    {
        lock (_changes)
        {
            new TopicFile(TopicFile.CurrentFormat, topic.Name, topic.Id, topic.Partitions.Length, new Dictionary<string, string>(configs)).Save(_files, topic.Folder);
            topic.SetConfigs(configs, _options.TopicDefaults);
        }
    }

    /// <summary>Deletes a topic and its records.</summary>
    public void Delete(Topic topic)
    {
        string grave;
        lock (_changes)
        {
            if (!_topics.TryRemove(topic.Name, out _))
                return;
            _topicsById.TryRemove(topic.Id, out _);
            Interlocked.Increment(ref _topicsVersion);
            foreach (var partition in topic.Partitions)
                partition.Close(ErrorCode.UnknownTopicOrPartition);
            grave = Path.Combine(_topicsFolder, DeletedPrefix + topic.Id.ToString("N"));
            _files.Rename(topic.Folder, grave);
            _files.FlushFolder(_topicsFolder);
        }
        foreach (var partition in topic.Partitions)
        {
            _checkpointer.Forget(topic.Id, partition.Index);
            partition.Dispose();
        }
        _files.DeleteFolder(grave);
    }

    /// <summary>A producer id that was never given out before.</summary>
    public long NextProducerId()
    {
        lock (_changes)
        {
            if (_nextProducerId >= _cluster.ProducerIdsFrom)
            {
                var reserved = _cluster with { ProducerIdsFrom = _cluster.ProducerIdsFrom + ProducerIdBlock };
                reserved.Save(_files, _options.Folder);
                // Only now: ids of a block that could not be saved would be given out again after a restart.
                _cluster = reserved;
            }
            return _nextProducerId++;
        }
    }

    /// <summary>A partition's log start has been moved by a client: the next checkpoint, asked for now, keeps it.</summary>
    public void NoteLogStart(Partition partition)
    {
        Committer.Between(() => _checkpointer.MarkDirty(partition));
        Committer.RequestCheckpoint();
    }

    /// <summary>Deletes what retention no longer keeps, rolls what is old, forgets idle producers. Any one thread at a time.</summary>
    /// <param name="now">Milliseconds of Unix time.</param>
    /// <param name="steady">Likewise, without jumps.</param>
    /// <param name="producerIdleMillis">Idle time after which a producer's state goes.</param>
    public void Maintain(long now, long steady, long producerIdleMillis)
    {
        var checkpointFirst = false;
        foreach (var topic in _topics.Values)
        {
            foreach (var partition in topic.Partitions)
            {
                partition.ExpireProducers(steady, producerIdleMillis);
                Retention.RollWhenOld(partition, topic.Settings, now, Committer, _checkpointer);
                checkpointFirst |= Retention.Apply(partition, topic.Settings, now, Committer, _checkpointer, LogDeleted);
                if (topic.Settings.Compact)
                    checkpointFirst |= Compact(topic, partition, now);
            }
        }
        if (checkpointFirst)
            Committer.RequestCheckpoint();
    }

    private bool Compact(Topic topic, Partition partition, long now)
    {
        try
        {
            return new PartitionCompactor(_files, partition, topic.Settings, Committer, _checkpointer, _options.CompactionKeys, LogCompacted) { Faults = _options.Faults }.Run(now);
        }
        catch (InvalidDataException error)
        {
            LogNotCompacted(partition.Segments.Folder, error.Message, error);
            return false;
        }
        catch (IOException error) when (partition.Fault == ErrorCode.None)
        {
            LogNotCompacted(partition.Segments.Folder, error.Message, error);
            return false;
        }
        catch (IOException)
        {
            // Its topic was deleted meanwhile.
            return false;
        }
    }

    /// <summary>Flushes, writes a last checkpoint and lets the folder go.</summary>
    public void Dispose()
    {
        _checkpointer.PrepareNoMore();
        Committer.Stop();
        foreach (var partition in AllPartitions())
            partition.Close(ErrorCode.NotLeaderOrFollower);
        _checkpointer.Wait();
        if (Committer.Broken is null && _checkpointer.IsIdle)
        {
            Committer.RequestCheckpoint();
            Committer.RunCycle();
            _checkpointer.Wait();
        }
        foreach (var partition in AllPartitions())
            partition.Dispose();
        _journal.Dispose();
        _lock?.Dispose();
    }

    /// <summary>Lets go without flushing anything, as a crash does; for simulators.</summary>
    internal void Abandon() => _lock?.Dispose();

    private IEnumerable<Partition> AllPartitions() => _topics.Values.SelectMany(t => t.Partitions);

    /// <summary>Creates a folder and makes its name durable, and those above it that had to be made.</summary>
    private void CreateDurably(string folder)
    {
        if (_files.FolderExists(folder) || Path.GetDirectoryName(folder) is not { } parent)
            return;
        CreateDurably(parent);
        _files.CreateFolder(folder);
        _files.FlushFolder(parent);
    }

    private ClusterFile NewCluster()
    {
        var id = _options.NewId().ToByteArray();
        var cluster = new ClusterFile(
            ClusterFile.CurrentFormat,
            Convert.ToBase64String(id).TrimEnd('=').Replace('+', '-').Replace('/', '_'),
            BitConverter.ToUInt32(_options.NewId().ToByteArray()),
            0);
        cluster.Save(_files, _options.Folder);
        return cluster;
    }

    private void Attach(Topic topic, int partitions)
    {
        var all = new Partition[partitions];
        for (var i = 0; i < partitions; i++)
        {
            all[i] = topic.Partition(i) ?? new Partition(
                _files,
                Path.Combine(topic.Folder, i.ToString(System.Globalization.CultureInfo.InvariantCulture)),
                topic.Id,
                i,
                () => topic.Settings.Partition,
                p => Committer.Queue.Add(p),
                _tails)
            {
                Faults = _options.Faults,
            };
        }
        topic.SetPartitions(all);
        _topics[topic.Name] = topic;
        _topicsById[topic.Id] = topic;
        Interlocked.Increment(ref _topicsVersion);
    }

    /// <summary>Brings every partition to its last acknowledged record; the highest journal generation is returned.</summary>
    private long Recover(string journalFolder, out HashSet<Partition> replayed)
    {
        var checkpoint = Checkpoint.Load(_files, _options.Folder);
        var known = (checkpoint?.Partitions ?? []).ToDictionary(p => (p.TopicId, p.Partition));
        var touched = new HashSet<Partition>();
        var held = checkpoint is null ? JournalReader.Held(_files, journalFolder, _cluster.Salt, _options.Faults) : [];
        foreach (var name in _files.ListFolders(_topicsFolder))
        {
            var folder = Path.Combine(_topicsFolder, name);
            if (name.StartsWith(DeletedPrefix, StringComparison.Ordinal))
            {
                _files.DeleteFolder(folder);
                continue;
            }
            if (!_files.FileExists(Path.Combine(folder, TopicFile.FileName)))
                continue;
            var file = TopicFile.Load(_files, folder);
            var topic = new Topic(file.Name, file.Id, folder, file.Configs, _options.TopicDefaults);
            for (var i = 0; i < file.Partitions; i++)
                _files.CreateFolder(Path.Combine(folder, i.ToString(System.Globalization.CultureInfo.InvariantCulture)));
            Attach(topic, file.Partitions);
            foreach (var partition in topic.Partitions)
            {
                if (known.TryGetValue((topic.Id, partition.Index), out var description))
                {
                    partition.Restore(description);
                    _checkpointer.Know(description);
                }
                else
                {
                    touched.Add(partition);
                    if (checkpoint is null)
                        partition.Rebuild(held.GetValueOrDefault((topic.Id, partition.Index)));
                    else
                        partition.Discard();
                }
            }
        }
        var highest = JournalReader.Replay(_files, journalFolder, _cluster.Salt, checkpoint?.ReplayFrom ?? 0, Replay, _options.Faults);
        replayed = touched;
        return Math.Max(highest, (checkpoint?.ReplayFrom ?? 1) - 1);

        void Replay(JournalEntryKind kind, Guid topicId, int index, ReadOnlySpan<byte> body)
        {
            // A topic that is gone was deleted after the entry.
            if (_topicsById.GetValueOrDefault(topicId)?.Partition(index) is not { } partition)
                return;
            touched.Add(partition);
            if (kind == JournalEntryKind.Batch)
                partition.Replay(body);
            else if (kind == JournalEntryKind.LogStart)
                partition.MoveLogStart(System.Buffers.Binary.BinaryPrimitives.ReadInt64LittleEndian(body));
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Compaction of {Folder} left {After} of {Before} bytes below offset {Through}")]
    private partial void LogCompacted(string folder, long before, long after, long through);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Folder} was not compacted and is left as it is: {Reason}")]
    private partial void LogNotCompacted(string folder, string reason, Exception error);

    [LoggerMessage(Level = LogLevel.Information, Message = "Retention deleted {Path} ({Bytes} bytes)")]
    private partial void LogDeleted(string path, long bytes);
}
