using Millrace.Raft.Log;

namespace Millrace.Raft.Consensus;

/// <summary>
/// What a member knows of its log: the terms of all of it, the entries of its end, the configurations in it, and how far it is
/// durable, committed and handed out. Always: base &lt;= Delivered &lt;= Commit, Delivered &lt;= Durable &lt;= LastIndex;
/// entries that are durable as votes of a fast round may be handed out before they are durable here.
/// </summary>
internal sealed class LogTail
{
    private readonly IEntryReader _stored;
    private readonly long _cacheBytes;
    private readonly LogHistory _history;
    private readonly List<(long Id, long LastIndex)> _writes = [];
    private readonly List<Entry> _entries = [];
    private readonly bool _isBySlot;
    private readonly bool _newestCounts;
    private int _dropped;
    private long _furthestDurable;
    private long _vouched;
    private long _firstCached;
    private long _cached;
    private long _handedToDisk;

    public LogTail(RecoveredState state, IEntryReader stored, long cacheBytes, bool isBySlot, Faults faults)
    {
        _isBySlot = isBySlot;
        _newestCounts = !isBySlot || faults.NewMembersAtOnce;
        _stored = stored;
        _cacheBytes = cacheBytes;
        _history = new LogHistory(state.Base, isBySlot);
        _history.Restore(state);
        _firstCached = LastIndex + 1;
        Durable = _handedToDisk = LastIndex;
        Commit = Delivered = state.Applied;
        // What a member once knew to be chosen decides whom it may ask.
        if (isBySlot && !faults.ForgetChangeInForce)
            Commit = Math.Max(Commit, _history.LastChangeInForce());
    }

    /// <summary>What came before the first entry.</summary>
    public SnapshotInfo Base => _history.Base;

    public long LastIndex => _history.LastIndex;

    public long LastTerm => _history.LastTerm;

    /// <summary>
    /// The configuration that counts. In Raft the newest, committed or not; in Multi-Paxos, where what is not chosen may be forgotten and come back,
    /// the newest that is committed.
    /// </summary>
    public Configuration Configuration => _newestCounts ? _history.Configuration : _history.ConfigurationAt(Commit);

    /// <summary>Where <see cref="Configuration"/> is.</summary>
    public long ConfigurationIndex => _newestCounts ? _history.ConfigurationIndex : _history.ConfigurationIndexAt(Commit);

    /// <summary>Where the newest is, committed or not.</summary>
    public long LastConfigurationIndex => _history.ConfigurationIndex;

    public long Commit { get; private set; }

    /// <summary>Everything up to here is on this member's disk.</summary>
    public long Durable { get; private set; }

    /// <summary>
    /// The furthest entry on this member's disk. In Multi-Paxos that can be further than <see cref="Durable"/>: an entry stays accepted
    /// while others take the place of those before it.
    /// </summary>
    public long FurthestDurable => _isBySlot ? Math.Max(_furthestDurable, Durable) : Durable;

    /// <summary>The last entry handed out to be applied.</summary>
    public long Delivered { get; private set; }

    /// <summary>The term of an entry; -1 when it is compacted away or not there yet.</summary>
    public long TermAt(long index) => _history.TermAt(index);

    public bool IsUpToDate(long lastIndex, long lastTerm) =>
        lastTerm > LastTerm || (lastTerm == LastTerm && lastIndex >= LastIndex);

    /// <summary>The last entry at or before <paramref name="index"/> whose term is at most <paramref name="term"/>: where logs may agree.</summary>
    public long LastWithTermAtMost(long index, long term) => _history.LastWithTermAtMost(index, term);

    /// <summary>The newest configuration at or before an index.</summary>
    public Configuration ConfigurationAt(long index) => _history.ConfigurationAt(index);

    /// <summary>Whether a member is a voter in any configuration that may be in force: the last committed one or those after it.</summary>
    public bool WasVoterSinceCommit(MemberId id)
    {
        if (ConfigurationAt(Commit).IsVoter(id))
            return true;
        if (!_newestCounts)
            return false;
        foreach (var (index, configuration) in _history.Configurations)
        {
            if (index > Commit && configuration.IsVoter(id))
                return true;
        }
        return false;
    }

    public void Append(in Entry entry)
    {
        _history.Append(entry);
        _entries.Add(entry);
        _cached += entry.Bytes;
    }

    /// <summary>Forgets the entries from an index on; others take their place.</summary>
    public void TruncateFrom(long index)
    {
        if (index <= Commit)
            throw new RaftInvariantException($"entry {index} would be cut off, but all up to {Commit} are committed");
        for (var count = Math.Min(_entries.Count - _dropped, LastIndex - index + 1); count > 0; count--)
        {
            _cached -= _entries[^1].Bytes;
            _entries.RemoveAt(_entries.Count - 1);
        }
        _history.TruncateFrom(index);
        _firstCached = Math.Min(_firstCached, index);
        Durable = Math.Min(Durable, LastIndex);
        _handedToDisk = Math.Min(_handedToDisk, LastIndex);
        // A write on its way proves nothing about what replaced its entries.
        for (var i = 0; i < _writes.Count; i++)
            _writes[i] = (_writes[i].Id, Math.Min(_writes[i].LastIndex, LastIndex));
    }

    /// <summary>
    /// Multi-Paxos: entries from <paramref name="index"/> on are about to be accepted anew. Those after <paramref name="last"/> are returned, to be
    /// appended behind them: what was accepted must never be forgotten, since it may have been chosen.
    /// </summary>
    public List<Entry> Reopen(long index, long last)
    {
        var kept = new List<Entry>();
        for (var next = Math.Max(last, index - 1) + 1; next <= LastIndex; next = kept[^1].Index + 1)
            Read(next, LastIndex, _cacheBytes, kept);
        _furthestDurable = Math.Max(_furthestDurable, Durable);
        TruncateFrom(index);
        return kept;
    }

    public void CommitTo(long index)
    {
        if (index > LastIndex)
            throw new RaftInvariantException($"entry {index} is said to be committed, but the log ends at {LastIndex}");
        Commit = Math.Max(Commit, index);
    }

    /// <summary>The log begins anew after a snapshot that has more than was committed here. In Multi-Paxos what was accepted behind it stays.</summary>
    public void ResetTo(SnapshotInfo snapshot)
    {
        if (_history.ResetTo(snapshot))
        {
            DropBefore(snapshot.Index + 1);
            Commit = Delivered = _vouched = snapshot.Index;
            Durable = Math.Max(Durable, snapshot.Index);
            _handedToDisk = Math.Max(_handedToDisk, snapshot.Index);
            return;
        }
        _entries.Clear();
        _dropped = 0;
        _cached = 0;
        Commit = Delivered = Durable = _handedToDisk = _furthestDurable = _vouched = snapshot.Index;
        _firstCached = LastIndex + 1;
        for (var i = 0; i < _writes.Count; i++)
            _writes[i] = (_writes[i].Id, Math.Min(_writes[i].LastIndex, LastIndex));
    }

    /// <summary>Entries up to the snapshot's index are no longer needed; those up to <paramref name="keepAfter"/> may go.</summary>
    public void CompactTo(long keepAfter)
    {
        if (keepAfter <= Base.Index)
            return;
        if (keepAfter > Delivered)
            throw new RaftInvariantException($"entry {keepAfter} would be compacted away before it was applied (up to {Delivered})");
        _history.CompactTo(keepAfter);
        DropBefore(keepAfter + 1);
    }

    /// <summary>Entries from <paramref name="first"/> on, at least one if there is one, and none past <paramref name="maxBytes"/> after it.</summary>
    public void Read(long first, long last, long maxBytes, List<Entry> into)
    {
        last = Math.Min(last, LastIndex);
        if (first > last)
            return;
        if (first < _firstCached)
        {
            // The stored part first; what is in memory follows when asked again.
            _stored.Read(first, Math.Min(last, _firstCached - 1), maxBytes, into);
            return;
        }
        long bytes = 0;
        for (var index = first; index <= last; index++)
        {
            var entry = _entries[Slot(index)];
            bytes += entry.Bytes;
            if (bytes > maxBytes && index > first)
                return;
            into.Add(entry);
        }
    }

    /// <summary>Entries that were not yet handed to the disk, as part of the write with this id.</summary>
    public IReadOnlyList<Entry> TakeUnwritten(long writeId)
    {
        if (_handedToDisk == LastIndex)
            return [];
        var taken = _entries.GetRange(Slot(_handedToDisk + 1), (int)(LastIndex - _handedToDisk));
        _handedToDisk = LastIndex;
        _writes.Add((writeId, LastIndex));
        return taken;
    }

    public bool HasUnwritten => _handedToDisk < LastIndex;

    /// <summary>The write with this id and all before it are durable.</summary>
    public void Persisted(long writeId)
    {
        var done = 0;
        while (done < _writes.Count && _writes[done].Id <= writeId)
            Durable = Math.Max(Durable, _writes[done++].LastIndex);
        _writes.RemoveRange(0, done);
        TrimCache();
    }

    public bool HasDeliverable => Delivered < Math.Min(Commit, Math.Max(Durable, _vouched));

    /// <summary>
    /// Fast Paxos: this committed entry is on this disk as a vote, so that it may be handed out before it is written as an entry too. Counts
    /// when all before it may be as well.
    /// </summary>
    public void Vouch(long index)
    {
        if (index <= Commit && index == Math.Max(Durable, _vouched) + 1)
            _vouched = index;
    }

    /// <summary>The next entries that are both committed and durable here.</summary>
    public IReadOnlyList<Entry> TakeDeliverable(int maxBytes)
    {
        var last = Math.Min(Commit, Math.Max(Durable, _vouched));
        if (Delivered >= last)
            return [];
        var taken = new List<Entry>();
        Read(Delivered + 1, last, maxBytes, taken);
        Delivered = taken[^1].Index;
        TrimCache();
        return taken;
    }

    private void TrimCache()
    {
        var keepFrom = Math.Min(Delivered, Durable);
        var first = _firstCached;
        while (_cached > _cacheBytes && first <= keepFrom)
            _cached -= _entries[Slot(first++)].Bytes;
        Forget(first);
    }

    private void DropBefore(long index)
    {
        var first = _firstCached;
        while (first < index && first <= LastIndex)
            _cached -= _entries[Slot(first++)].Bytes;
        Forget(first);
    }

    /// <summary>Frees the front of the list now and then, since each time moves the rest.</summary>
    private void Forget(long newFirst)
    {
        var count = (int)(newFirst - _firstCached);
        for (var i = 0; i < count; i++)
            _entries[_dropped + i] = default;
        _dropped += count;
        _firstCached = newFirst;
        if (_dropped < 1024 || _dropped * 2 < _entries.Count)
            return;
        _entries.RemoveRange(0, _dropped);
        _dropped = 0;
    }

    private int Slot(long index) => _dropped + (int)(index - _firstCached);
}
