using Millrace.Coordination.Grpc;
using Millrace.Coordination.Machine;
using Millrace.Coordination.Store;
using Millrace.Raft;
using Millrace.Raft.Snapshots;

namespace Millrace.Coordination.Node;

/// <summary>
/// Applies committed entries, releases the reads that waited for them, and asks for snapshots: on its thread, or at once on the caller's
/// when that is quick. Readers hold <see cref="Gate"/> against it.
/// </summary>
internal sealed class Applier : IDisposable
{
    private const int DiscardKeysAtOnce = 500;
    private const int MaxEntriesAhead = 1024;
    private const int MaxBytesAtOnce = 256 << 10;

    /// <summary>A state up to this size is saved however little was written since the last time.</summary>
    private const long SmallStateBytes = 64 << 20;

    /// <summary>How many times as much as usual may be written before a state is saved, while the last one is on its way to another member.</summary>
    private const int PatienceWhileSending = 4;
    private readonly Mailbox<object> _mailbox = new();
    private readonly Lock _use = new();
    private readonly PriorityQueue<ReadBatch, long> _waiting = new();
    private readonly CoordinationMachine _machine;
    private readonly SnapshotStore _snapshots;
    private readonly CoordinationOptions _options;
    private readonly ulong _self;
    private readonly PendingRequests _pending;
    private readonly Action<Exception> _failed;
    private readonly Thread _thread;
    private readonly Breaks _breaks;
    private readonly List<AppliedEntry> _applied = [];
    private readonly Queue<Entry> _uncommitted = new();
    private readonly AppliedBytes _bytes = new();
    private long _lastUncommitted;
    private long _notAhead;
    private Configuration _configuration;
    private readonly long _snapshotEveryBytes;
    private readonly bool _savesBySize;
    private long _savedBytes;
    private long _bytesSinceSnapshot;
    private long _snapshotIndex;
    private long _begunIndex;
    private bool _isSaving;
    private volatile bool _isStopping;
    private long _appliedIndex;

    public Applier(
        CoordinationMachine machine, SnapshotStore snapshots, Configuration configuration, CoordinationOptions options, ulong self,
        PendingRequests pending, TimeProvider time, Action<Exception> failed)
    {
        _breaks = new Breaks(time);
        _machine = machine;
        _snapshots = snapshots;
        _configuration = configuration;
        _options = options;
        _snapshotEveryBytes = options.SnapshotEveryBytes
            ?? (options.Consensus != Raft.Consensus.ConsensusAlgorithm.Raft ? 16 << 20 : 256 << 20);
        // The Paxos family tells candidates what was accepted since the last snapshot, so there its size alone counts.
        _savesBySize = options.SnapshotEveryBytes is null && options.Consensus == Raft.Consensus.ConsensusAlgorithm.Raft;
        _savedBytes = snapshots.Newest?.Bytes ?? 0;
        _self = self;
        _pending = pending;
        _failed = failed;
        _snapshotIndex = _begunIndex = _appliedIndex = machine.AppliedIndex;
        _thread = new Thread(Run) { Name = "raft apply", IsBackground = true };
    }

    /// <summary>Held for reading by whoever looks at the machine, for writing by this thread alone.</summary>
    public ReaderWriterLockSlim Gate { get; } = new(LockRecursionPolicy.NoRecursion);

    public required SnapshotWorker Worker { get; init; }

    /// <summary>Told when a snapshot is durable: its index, and up to where the log may go.</summary>
    public required Action<long, long> Compacted { get; init; }

    /// <summary>Told when the first entry of a term was applied.</summary>
    public required Action<long> TermBegan { get; init; }

    /// <summary>Told when the members or their addresses may have changed.</summary>
    public required Action MembersChanged { get; init; }

    public long AppliedIndex => Volatile.Read(ref _appliedIndex);

    public void Start() => _thread.Start();

    public void Apply(IReadOnlyList<Entry> entries)
    {
        var at = Visible.Now;
        if (TryApplyNow(entries))
            Visible.Note(at);
        else
            _mailbox.Post(new Committed(entries, at));
    }

    public void Install(SnapshotInfo snapshot) => _mailbox.Post(snapshot);

    /// <summary>Entries that are in the log and not committed, to be run ahead when nothing else is to be done.</summary>
    public void RunAhead(IReadOnlyList<Entry> entries) => _mailbox.Post(new Uncommitted(entries));

    /// <summary>How long committed entries took until they could be seen here.</summary>
    public CommitToVisible Visible { get; } = new();

    public void WhenApplied(long index, ReadBatch batch)
    {
        if (AppliedIndex >= index)
            batch.Release();
        else
            _mailbox.Post((index, batch));
    }

    /// <summary>Gives a state that stays readable until the function returns, and the store that it is of.</summary>
    public void Capture(Action<MachineSnapshot, KeyValueStore> use)
    {
        MachineSnapshot state;
        KeyValueStore store;
        Gate.EnterWriteLock();
        try
        {
            state = _machine.Capture();
            store = _machine.Store;
        }
        finally
        {
            Gate.ExitWriteLock();
        }
        try
        {
            use(state, store);
        }
        finally
        {
            Gate.EnterWriteLock();
            store.Release();
            Gate.ExitWriteLock();
        }
    }

    /// <summary>Takes a snapshot soon, whatever the number of entries.</summary>
    public void RequestSnapshot() => _mailbox.Post(SnapshotRequest.Instance);

    public void Dispose()
    {
        _isStopping = true;
        _mailbox.Wake();
        _breaks.Hurry();
        if (_thread.ThreadState != ThreadState.Unstarted)
            _thread.Join();
        _mailbox.Dispose();
        _breaks.Dispose();
    }

    private void Run()
    {
        var mayDiscard = false;
        try
        {
            while (!_isStopping)
            {
                _mailbox.Wait(mayDiscard ? TimeSpan.Zero : TimeSpan.FromSeconds(1));
                OutputBatch.Begin();
                lock (_use)
                {
                    while (!_isStopping && _mailbox.TryTake(out var item))
                        Take(item);
                    ReleaseReads();
                    if (IsSnapshotDue)
                        SaveSnapshot();
                    mayDiscard = Discard();
                    while (_mailbox.IsEmpty && RunNextAhead())
                    {
                    }
                }
                OutputBatch.End();
            }
        }
        catch (Exception error)
        {
            _failed(error);
        }
    }

    /// <summary>A snapshot is the whole state, so a large one is due only when what was written since the last is something beside it.</summary>
    private bool IsSnapshotDue
    {
        get
        {
            if (!_savesBySize)
                return _appliedIndex - _begunIndex >= _options.SnapshotEvery || _bytesSinceSnapshot >= _snapshotEveryBytes;
            var most = Math.Max(_snapshotEveryBytes, _savedBytes / 2);
            var isDue = _bytesSinceSnapshot >= most
                || (_appliedIndex - _begunIndex >= _options.SnapshotEvery && (_savedBytes <= SmallStateBytes || _bytesSinceSnapshot >= _savedBytes / 4));
            return isDue && (_bytesSinceSnapshot >= most * PatienceWhileSending || !Worker.IsSending);
        }
    }

    /// <summary>Plain writes that nothing is ahead of are applied by the caller, which spares a request a switch of threads.</summary>
    private bool TryApplyNow(IReadOnlyList<Entry> entries)
    {
        long bytes = 0;
        var isSmall = true;
        foreach (var entry in entries)
        {
            bytes += entry.Bytes;
            isSmall &= bytes <= MaxBytesAtOnce && entry.Kind == EntryKind.Command && entry.Data.Span[0] == (byte)CommandKind.Put;
        }
        if ((!isSmall && !_options.Speculates) || !_mailbox.IsEmpty || !_use.TryEnter())
            return false;
        try
        {
            // What ran ahead only has to be let seen.
            isSmall |= entries.Count <= _machine.AheadCount && _machine.IsAhead(entries[0]);
            // Whoever reads for long must not keep the caller waiting.
            if (!isSmall || !_mailbox.IsEmpty || !Gate.TryEnterWriteLock(0))
                return false;
            ApplyAll(entries);
            ReleaseReads();
        }
        finally
        {
            _use.Exit();
        }
        if (IsSnapshotDue && !_isSaving)
            _mailbox.Wake();
        return true;
    }

    private void ReleaseReads()
    {
        while (_waiting.TryPeek(out var batch, out var index) && index <= _appliedIndex)
        {
            _waiting.Dequeue();
            batch.Release();
        }
    }

    /// <summary>False when there is nothing to run ahead, or something must be applied first.</summary>
    private bool RunNextAhead()
    {
        while (_uncommitted.TryPeek(out var entry))
        {
            var next = _appliedIndex + _machine.AheadCount + 1;
            if (entry.Index >= next)
            {
                if (entry.Index > next || entry.Index == _notAhead || _machine.AheadCount >= MaxEntriesAhead)
                    return false;
                Gate.EnterWriteLock();
                try
                {
                    if (!_machine.RunAhead(entry))
                    {
                        _notAhead = entry.Index;
                        return false;
                    }
                }
                finally
                {
                    Gate.ExitWriteLock();
                }
                _uncommitted.Dequeue();
                return true;
            }
            _uncommitted.Dequeue();
        }
        return false;
    }

    private void Take(IReadOnlyList<Entry> uncommitted)
    {
        if (uncommitted[0].Index <= _lastUncommitted)
        {
            // Others take their place.
            _uncommitted.Clear();
            Gate.EnterWriteLock();
            try
            {
                _machine.TakeBackAhead();
            }
            finally
            {
                Gate.ExitWriteLock();
            }
        }
        foreach (var entry in uncommitted)
            _uncommitted.Enqueue(entry);
        _lastUncommitted = uncommitted[^1].Index;
        _notAhead = 0;
    }

    private void Take(object item)
    {
        switch (item)
        {
            case Uncommitted uncommitted:
                Take(uncommitted.Entries);
                break;
            case Committed committed:
                Gate.EnterWriteLock();
                ApplyAll(committed.Entries);
                Visible.Note(committed.At);
                break;
            case SnapshotInfo snapshot:
                InstallNow(snapshot);
                break;
            case (long index, ReadBatch batch):
                _waiting.Enqueue(batch, index);
                break;
            case SnapshotRequest:
                SaveSnapshot();
                break;
            case Action action:
                action();
                break;
        }
    }

    /// <summary>With the gate held, which it leaves.</summary>
    private void ApplyAll(IReadOnlyList<Entry> entries)
    {
        var newTerm = 0L;
        var membersChanged = false;
        try
        {
            foreach (var entry in entries)
            {
                _bytesSinceSnapshot += entry.Bytes;
                _bytes.Add(entry.Index, entry.Bytes);
                if (_machine.Apply(entry) is { } applied && applied.Origin == _self)
                    _applied.Add(applied);
                if (entry.Kind == EntryKind.Configuration)
                    _configuration = ConfigurationEntry.Decode(entry.Data, out _);
                newTerm = entry.Kind == EntryKind.Noop ? entry.Term : newTerm;
                membersChanged |= entry.Kind == EntryKind.Configuration
                    || (entry.Kind == EntryKind.Command && entry.Data.Span[0] == (byte)CommandKind.MemberAttributes);
            }
        }
        finally
        {
            Gate.ExitWriteLock();
        }
        Volatile.Write(ref _appliedIndex, entries[^1].Index);
        foreach (var applied in _applied)
            _pending.Complete(applied.RequestId, applied.Result);
        _applied.Clear();
        if (newTerm > 0)
            TermBegan(newTerm);
        if (membersChanged)
            MembersChanged();
    }

    private void InstallNow(SnapshotInfo snapshot)
    {
        using var stream = _snapshots.OpenNewest(_breaks.Take) ?? throw new InvalidOperationException("the snapshot to install is gone");
        if (stream.Index < snapshot.Index)
            throw new InvalidOperationException($"the snapshot to install ends at {stream.Index} instead of {snapshot.Index}");
        Gate.EnterWriteLock();
        try
        {
            Load(stream);
            _configuration = stream.Configuration;
        }
        finally
        {
            Gate.ExitWriteLock();
        }
        _snapshotIndex = _begunIndex = stream.Index;
        _bytesSinceSnapshot = 0;
        _savedBytes = snapshot.Bytes;
        Volatile.Write(ref _appliedIndex, stream.Index);
        // What was handed out may be in the snapshot, unseen: nobody here will ever know.
        _pending.FailHandedOut(StoreErrors.Timeout);
        MembersChanged();
    }

    /// <summary>On a thread of low priority, with rests: a large state takes seconds, and this member serves nobody until it has it.</summary>
    private void Load(SnapshotInputStream stream)
    {
        Exception? failure = null;
        var loader = new Thread(() =>
        {
            Priority.Lower();
            _breaks.Begin();
            try
            {
                _machine.Load(stream.Index, stream.Term, stream);
            }
            catch (Exception error)
            {
                // Thrown again by the applier, whose failure ends the member.
                failure = error;
            }
        }) { Name = "raft load", IsBackground = true };
        loader.Start();
        loader.Join();
        if (failure is not null)
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
    }

    private void SaveSnapshot()
    {
        if (_isSaving)
        {
            Worker.Hurry();
            return;
        }
        if (_appliedIndex == _snapshotIndex)
            return;
        _isSaving = true;
        _begunIndex = _appliedIndex;
        _bytesSinceSnapshot = 0;
        MachineSnapshot state;
        Gate.EnterWriteLock();
        try
        {
            state = _machine.Capture();
        }
        finally
        {
            Gate.ExitWriteLock();
        }
        var store = _machine.Store;
        Worker.Save(state, _configuration, (s, stream) => s.Write(store, stream, Gate), info => _mailbox.Post((Action)(() =>
        {
            _isSaving = false;
            _snapshotIndex = Math.Max(_snapshotIndex, info.Index);
            _savedBytes = info.Bytes;
            store.Release();
            var keepAfter = Math.Max(0, info.Index - _options.KeepBehindSnapshot);
            Compacted(info.Index, Math.Max(keepAfter, _bytes.IndexBefore(info.Index, Math.Max(_options.KeepBytesBehindSnapshot, info.Bytes / 4))));
        })));
    }

    private bool Discard()
    {
        // This thread alone writes, so it may look without the lock.
        if (!_machine.Store.HasDiscardable)
            return false;
        Gate.EnterWriteLock();
        try
        {
            return _machine.Store.Discard(DiscardKeysAtOnce);
        }
        finally
        {
            Gate.ExitWriteLock();
        }
    }

    private sealed record Uncommitted(IReadOnlyList<Entry> Entries);

    private sealed record Committed(IReadOnlyList<Entry> Entries, long At);

    private sealed class SnapshotRequest
    {
        public static readonly SnapshotRequest Instance = new();
    }
}
