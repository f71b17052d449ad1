using Google.Protobuf;
using Millrace.Coordination.Wire;
using Millrace.Storage.Checksums;

namespace Millrace.Coordination.Store;

/// <summary>
/// An ordered store of keys with all their versions since the last compaction, and one counter of revisions, as etcd keeps it
/// (etcd-io/etcd, server/storage/mvcc). A pure state machine: the same writes in the same order give the same state anywhere.
/// </summary>
/// <remarks>Not thread-safe: one writer, and readers that hold a lock against it. What reads return may be kept and shared.</remarks>
internal sealed class KeyValueStore
{
    private readonly OrderedKeys<KeyRecord> _keys = new();
    private readonly RevisionHistory _history = new();
    private readonly KeyValue[] _only = new KeyValue[1];
    private readonly List<KeyValue> _changes = [];
    private ByteString? _compactedUpTo;
    private int _holds;
    private long _head = 1;
    private bool _isAhead;
    private long _bytes;
    private long _bytesAhead;
    private int _keysAhead;

    /// <summary>The last revision; a fresh store has 1.</summary>
    public long Revision { get; private set; } = 1;

    /// <summary>What reads see: in a transaction that has written, the revision under way.</summary>
    public long ReadRevision => (_isAhead ? _head : Revision) + (_changes.Count > 0 ? 1 : 0);

    /// <summary>What reads of the newest may see: nothing that is not committed, unless they belong to a write under way.</summary>
    private long Horizon => _isAhead || _changes.Count > 0 ? long.MaxValue : Revision;

    /// <summary>Reads before this revision fail; 0 before any compaction.</summary>
    public long CompactedRevision { get; private set; }

    /// <summary>About what the versions take in memory and in a snapshot.</summary>
    public long Bytes => _bytes - _bytesAhead;

    public int KeyCount => _keys.Count - _keysAhead;

    public LeaseTable Leases { get; } = new();

    /// <summary>While any hold is on, compacted versions stay where they are, so that a snapshot under way finds them.</summary>
    public void Hold() => _holds++;

    public void Release() => _holds--;

    public static long BytesOf(KeyValue version) => 96 + version.Key.Length + version.Value.Length;

    public RangeResponse Range(RangeRequest request) => RangeQuery.Run(this, request);

    /// <summary>The newest version of a key, writes of an unfinished revision included; null when there is none.</summary>
    public KeyValue? Get(ByteString key) => _keys.Find(key.Span)?.At(Horizon);

    /// <summary>Checks that a revision can be read; 0 stands for the newest.</summary>
    public void RequireReadable(long revision)
    {
        if (revision > Revision)
            throw StoreErrors.FutureRevision;
        if (revision > 0 && revision < CompactedRevision)
            throw StoreErrors.Compacted;
    }

    /// <summary>Walks the versions in force at a revision (0: the newest), in order of keys, until told to stop.</summary>
    public void Walk(KeyRange range, long revision, Func<KeyValue, bool> visit)
    {
        if (revision <= 0)
            revision = Horizon;
        if (range.IsSingle)
        {
            if (_keys.Find(range.Key.Span)?.At(revision) is { } only)
                visit(only);
            return;
        }
        var cursor = _keys.Seek(range.Key.Span);
        while (cursor.MoveNext())
        {
            if (!range.IsOpenEnded && cursor.Key.Span.SequenceCompareTo(range.End.Span) >= 0)
                return;
            if (cursor.Value.At(revision) is { } version && !visit(version))
                return;
        }
    }

    /// <summary>Writes a key in the revision under way; returns what it was before.</summary>
    public KeyValue? Put(ByteString key, ByteString value, long lease)
    {
        var record = _keys.Find(key.Span);
        if (record is null)
        {
            record = new KeyRecord(key);
            _keys.Add(key, record);
            _keysAhead += _isAhead ? 1 : 0;
        }
        var previous = record.IsLive ? record.Newest : null;
        if (_isAhead && (lease != 0 || previous is { Lease: not 0 }))
        {
            if (record.Count == 0)
                Forget(record);
            throw new NotAheadException();
        }
        var revision = _head + 1;
        var version = new KeyValue
        {
            Key = record.Key, Value = value, Lease = lease, ModRevision = revision, CreateRevision = previous?.CreateRevision ?? revision,
            Version = (previous?.Version ?? 0) + 1,
        };
        if (previous is { Lease: not 0 } && previous.Lease != lease)
            Leases.Detach(previous.Lease, record.Key);
        if (lease != 0 && previous?.Lease != lease)
            Leases.Attach(lease, record.Key);
        Add(record, version);
        return previous;
    }

    /// <summary>Deletes the live keys of a range in the revision under way; returns what they were.</summary>
    public IReadOnlyList<KeyValue> Delete(KeyRange range)
    {
        var victims = new List<KeyValue>();
        Walk(range, 0, version =>
        {
            victims.Add(version);
            return true;
        });
        foreach (var victim in victims)
        {
            if (victim.Lease != 0 && _isAhead)
                throw new NotAheadException();
            if (victim.Lease != 0)
                Leases.Detach(victim.Lease, victim.Key);
            Add(_keys.Find(victim.Key.Span)!, new KeyValue { Key = victim.Key, ModRevision = _head + 1 });
        }
        return victims;
    }

    /// <summary>
    /// Ends the revision under way; returns its changes in order, none when nothing was changed and no revision used. Good until the next.
    /// </summary>
    public IReadOnlyList<KeyValue> Commit()
    {
        if (_changes.Count == 0)
            return [];
        // One change is the rule and gets no list of its own.
        _only[0] = _changes[0];
        var changes = _changes.Count == 1 ? _only : _changes.ToArray();
        _changes.Clear();
        Revision++;
        _head = Revision;
        _history.Add(changes);
        return changes;
    }

    /// <summary>
    /// Runs a write ahead of its commitment: at revisions after the last, which no read sees (an overlay of versions in the same place). What it returns is
    /// to be given to <see cref="Promote"/> or <see cref="TakeBack"/>, the oldest or newest first. Null when the write concerns leases, which have no
    /// versions; then nothing has changed.
    /// </summary>
    /// <exception cref="StoreException">The write would be refused; nothing has changed.</exception>
    public Ahead? RunAhead(Action write)
    {
        _isAhead = true;
        var keys = _keysAhead;
        try
        {
            write();
            var changes = _changes.ToArray();
            _changes.Clear();
            if (changes.Length > 0)
                _head++;
            long bytes = 0;
            foreach (var change in changes)
                bytes += BytesOf(change);
            _bytesAhead += bytes;
            return new Ahead(changes, bytes, _keysAhead - keys);
        }
        catch (NotAheadException)
        {
            for (var i = _changes.Count - 1; i >= 0; i--)
                Undo(_changes[i]);
            _changes.Clear();
            _keysAhead = keys;
            return null;
        }
        finally
        {
            _isAhead = false;
        }
    }

    /// <summary>The oldest write ahead is committed: all see it from now on.</summary>
    public IReadOnlyList<KeyValue> Promote(Ahead ahead)
    {
        _bytesAhead -= ahead.Bytes;
        _keysAhead -= ahead.NewKeys;
        if (ahead.Changes.Length == 0)
            return [];
        Revision++;
        _history.Add(ahead.Changes);
        return ahead.Changes;
    }

    /// <summary>The newest write ahead never was.</summary>
    public void TakeBack(Ahead ahead)
    {
        for (var i = ahead.Changes.Length - 1; i >= 0; i--)
            Undo(ahead.Changes[i]);
        _bytesAhead -= ahead.Bytes;
        _keysAhead -= ahead.NewKeys;
        if (ahead.Changes.Length > 0)
            _head--;
    }

    /// <summary>The changes of a revision; deletions have version 0.</summary>
    public IReadOnlyList<KeyValue> ChangesOf(long revision) => _history[revision];

    /// <summary>What a key was before a change; null when it was not there or that is compacted away.</summary>
    public KeyValue? Before(KeyValue change) => _keys.Find(change.Key.Span)?.Before(change.ModRevision);

    /// <summary>Reads before a revision fail from now on; the space comes back with <see cref="Discard"/>.</summary>
    public void Compact(long revision)
    {
        if (revision <= CompactedRevision)
            throw StoreErrors.Compacted;
        if (revision > Revision)
            throw StoreErrors.FutureRevision;
        CompactedRevision = revision;
        _compactedUpTo = ByteString.Empty;
    }

    public bool HasDiscardable => _compactedUpTo is not null && _holds == 0;

    /// <summary>Gives back the space of versions that no read can see, for some keys at a time; false when nothing is left to do.</summary>
    public bool Discard(int maxKeys)
    {
        if (_compactedUpTo is null || _holds > 0)
            return false;
        var dead = new List<ByteString>();
        var cursor = _keys.Seek(_compactedUpTo.Span);
        ByteString? next = null;
        while (cursor.MoveNext())
        {
            if (maxKeys-- == 0)
            {
                next = cursor.Key;
                break;
            }
            _bytes -= cursor.Value.CompactTo(CompactedRevision);
            if (cursor.Value.Count == 0)
                dead.Add(cursor.Key);
        }
        foreach (var key in dead)
            _keys.Remove(key.Span);
        _compactedUpTo = next;
        if (next is null)
            _history.DropBefore(CompactedRevision);
        return next is not null;
    }

    /// <summary>A checksum of all versions that reads up to a revision (0: the newest) can see.</summary>
    public uint Hash(long revision)
    {
        if (revision <= 0)
            revision = Revision;
        uint hash = 0;
        var cursor = _keys.Seek([]);
        while (cursor.MoveNext())
        {
            var record = cursor.Value;
            if (record.At(CompactedRevision) is { } old)
                hash = Crc32C.Compute(old.ToByteArray(), hash);
            for (var i = 0; i < record.Count; i++)
            {
                if (record[i].ModRevision > CompactedRevision && record[i].ModRevision <= revision)
                    hash = Crc32C.Compute(record[i].ToByteArray(), hash);
            }
        }
        return hash;
    }

    /// <summary>The versions in force at a compacted revision, of a few keys from one on; the key to go on with.</summary>
    internal ByteString? BaseFrom(ByteString from, long compacted, int maxKeys, List<KeyValue> into)
    {
        var cursor = _keys.Seek(from.Span);
        while (cursor.MoveNext())
        {
            if (maxKeys-- == 0)
                return cursor.Key;
            if (cursor.Value.At(compacted) is { } version)
                into.Add(version);
        }
        return null;
    }

    /// <summary>The store before anything else is put back: what was in force at the compacted revision.</summary>
    internal void RestoreBase(long compacted, IEnumerable<KeyValue> versions)
    {
        CompactedRevision = compacted;
        Revision = _head = Math.Max(1, compacted);
        var last = new List<KeyValue>();
        foreach (var version in versions)
        {
            var record = new KeyRecord(version.Key);
            _keys.Add(version.Key, record);
            record.Add(version);
            _bytes += BytesOf(version);
            if (version.ModRevision == compacted)
                last.Add(version);
        }
        // A watch may still begin at the compacted revision.
        _history.Begin(Revision - 1);
        _history.Add([.. last]);
    }

    /// <summary>The next revision's changes put back.</summary>
    internal void RestoreRevision(IReadOnlyList<KeyValue> changes)
    {
        foreach (var change in changes)
        {
            var record = _keys.Find(change.Key.Span);
            if (record is null)
            {
                record = new KeyRecord(change.Key);
                _keys.Add(change.Key, record);
            }
            change.Key = record.Key;
            Add(record, change);
        }
        Commit();
    }

    /// <summary>Leases take their keys back once all versions are in.</summary>
    internal void RestoreAttachments() => Walk(new KeyRange(ByteString.Empty, ByteString.CopyFrom(0)), 0, version =>
    {
        if (version.Lease != 0)
            Leases.Attach(version.Lease, version.Key);
        return true;
    });

    private void Add(KeyRecord record, KeyValue version)
    {
        record.Add(version);
        _changes.Add(version);
        _bytes += BytesOf(version);
    }

    private void Undo(KeyValue change)
    {
        var record = _keys.Find(change.Key.Span)!;
        if (!ReferenceEquals(record.RemoveNewest(), change))
            throw new InvalidOperationException($"what was written ahead at revision {change.ModRevision} is not the newest of its key");
        _bytes -= BytesOf(change);
        if (record.Count == 0)
            Forget(record);
    }

    private void Forget(KeyRecord record) => _keys.Remove(record.Key.Span);

    private sealed class NotAheadException : Exception;
}

/// <summary>A write that is not committed yet, as the store has it.</summary>
internal sealed record Ahead(KeyValue[] Changes, long Bytes, int NewKeys);
