using Google.Protobuf;
using Millrace.Coordination.Machine;
using Millrace.Coordination.Store;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Watches;

/// <summary>
/// Gives each revision's changes to the watches that want them, the moment it is applied. A stream that does not keep up loses its
/// place here and reads the store's history until it has caught up, so that a slow reader holds up nobody and memory stays bounded.
/// </summary>
internal sealed class WatchHub(CoordinationMachine machine, ReaderWriterLockSlim gate)
{
    private const int RevisionsAtOnce = 1000;
    private readonly Lock _lock = new();
    private readonly Dictionary<ByteString, List<Watcher>> _single = new(KeyEquality.Instance);
    private readonly List<Watcher> _ranges = [];
    private readonly List<(Watcher Watcher, WatchEvents Changes)> _matched = [];
    private readonly List<BlockId> _changes = [];

    public int Count
    {
        get
        {
            lock (_lock)
                return _single.Values.Sum(l => l.Count) + _ranges.Count;
        }
    }

    /// <summary>Called by the applier within the write lock.</summary>
    public void Changed(long revision)
    {
        lock (_lock)
        {
            if (_single.Count == 0 && _ranges.Count == 0)
                return;
            var byKey = _single.GetAlternateLookup<ReadOnlySpan<byte>>();
            _changes.Clear();
            machine.Store.ChangesOf(revision, _changes);
            foreach (var id in _changes)
            {
                var change = machine.Store.View(id);
                WatchEvents? plain = null;
                WatchEvents? full = null;
                if (byKey.TryGetValue(change.Key, out var watchers))
                {
                    foreach (var watcher in watchers)
                        Match(watcher, change, ref plain, ref full);
                }
                foreach (var watcher in _ranges)
                {
                    if (watcher.Range.Contains(change.Key))
                        Match(watcher, change, ref plain, ref full);
                }
            }
            if (_matched.Count == 0)
                return;
            Deliver(revision, _changes.Count == 1);
            _matched.Clear();
        }
    }

    /// <summary>
    /// Reads on for a watch that is behind; returns what there is, and whether it is now up to date and will be told of all that follows.
    /// </summary>
    /// <param name="watcher">Not in the hub.</param>
    /// <param name="into">Receives changes, oldest first.</param>
    /// <param name="compacted">Set when history before this revision is gone, so that the watch must end.</param>
    public bool CatchUp(Watcher watcher, List<WatchItem> into, out long compacted)
    {
        compacted = 0;
        gate.EnterReadLock();
        try
        {
            var store = machine.Store;
            if (watcher.Next < store.CompactedRevision)
            {
                compacted = store.CompactedRevision;
                return false;
            }
            var last = Math.Min(store.Revision, watcher.Next + RevisionsAtOnce - 1);
            var changes = new List<BlockId>();
            for (var revision = watcher.Next; revision <= last; revision++)
            {
                var events = new List<Event>();
                changes.Clear();
                store.ChangesOf(revision, changes);
                foreach (var id in changes)
                {
                    var change = store.View(id);
                    if (watcher.Range.Contains(change.Key) && watcher.Wants(change))
                        events.Add(ToEvent(change, watcher.WithPrevious));
                }
                if (events.Count > 0)
                    into.Add(new WatchItem(watcher, revision, new WatchEvents([.. events])));
            }
            watcher.Next = Math.Max(watcher.Next, last + 1);
            if (watcher.Next <= store.Revision)
                return false;
            // Nothing is applied while this lock is held, so nothing can fall between history and hub. A watch of the future waits here
            // too, and passes over what comes before.
            Add(watcher);
            return true;
        }
        finally
        {
            gate.ExitReadLock();
        }
    }

    public void Remove(Watcher watcher)
    {
        lock (_lock)
            RemoveLocked(watcher);
    }

    /// <summary>The revision that all watches in the hub have been given.</summary>
    public long Revision()
    {
        gate.EnterReadLock();
        try
        {
            return machine.Store.Revision;
        }
        finally
        {
            gate.ExitReadLock();
        }
    }

    private void Add(Watcher watcher)
    {
        lock (_lock)
        {
            if (watcher.IsCanceled)
                return;
            if (!watcher.Range.IsSingle)
            {
                _ranges.Add(watcher);
                return;
            }
            if (!_single.TryGetValue(watcher.Range.Key, out var watchers))
                _single[watcher.Range.Key] = watchers = [];
            watchers.Add(watcher);
        }
    }

    private void RemoveLocked(Watcher watcher)
    {
        if (!watcher.Range.IsSingle)
        {
            _ranges.Remove(watcher);
            return;
        }
        if (!_single.TryGetValue(watcher.Range.Key, out var watchers))
            return;
        watchers.Remove(watcher);
        if (watchers.Count == 0)
            _single.Remove(watcher.Range.Key);
    }

    private void Match(Watcher watcher, VersionView change, ref WatchEvents? plain, ref WatchEvents? full)
    {
        if (watcher.Next > change.ModRevision || !watcher.Wants(change))
            return;
        // All watches share one event, or one with the value before.
        var shared = watcher.WithPrevious ? full ??= new WatchEvents(ToEvent(change, true)) : plain ??= new WatchEvents(ToEvent(change, false));
        _matched.Add((watcher, shared));
    }

    private void Deliver(long revision, bool isSingle)
    {
        if (isSingle)
        {
            foreach (var (watcher, changes) in _matched)
                Push(new WatchItem(watcher, revision, changes));
            return;
        }
        foreach (var group in _matched.GroupBy(m => m.Watcher))
            Push(new WatchItem(group.Key, revision, new WatchEvents([.. group.SelectMany(m => m.Changes.Events)])));
    }

    private void Push(WatchItem item)
    {
        if (item.Watcher.Stream.TryPush(item))
            return;
        item.Watcher.Next = item.Revision;
        RemoveLocked(item.Watcher);
        item.Watcher.Stream.Lag(item.Watcher);
    }

    private Event ToEvent(VersionView change, bool withPrevious) => new()
    {
        Type = change.Version > 0 ? Event.Types.EventType.Put : Event.Types.EventType.Delete,
        Kv = change.ToMessage(),
        PrevKv = withPrevious ? machine.Store.Before(change) : null,
    };
}
