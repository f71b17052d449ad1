using System.Runtime.InteropServices;
using Google.Protobuf;
using Millrace.Coordination.Wire;
using Millrace.Storage.Checksums;

namespace Millrace.Coordination.Store;

/// <summary>Looks at a version, which is good only for the time of the call; false to see no more.</summary>
internal delegate bool VersionVisitor(VersionView version);

/// <summary>
/// An ordered store of keys with all their versions since the last compaction, and one counter of revisions, as etcd keeps it
/// (etcd-io/etcd, server/storage/mvcc). A pure state machine: the same writes in the same order give the same state anywhere.
/// </summary>
/// <remarks>
/// Not thread-safe: one writer, and readers that hold a lock against it; who has a hold may look at versions without. All of it is in
/// <see cref="Slabs"/>; messages that reads return are copies and may be kept.
/// </remarks>
internal sealed class KeyValueStore
{
    private readonly Slabs _slabs = new();
    private readonly KeyVersions _versions;
    private readonly OrderedKeys _keys;
    private readonly RevisionHistory _history;
    private readonly List<BlockId> _changes = [];
    private readonly List<BlockId> _found = [];
    private ByteString? _compactedUpTo;
    private ByteString? _movedUpTo;
    private int _holds;
    private long _head = 1;
    private bool _isAhead;
    private long _bytes;
    private long _bytesAhead;
    private int _keysAhead;

    public KeyValueStore()
    {
        _versions = new KeyVersions(_slabs);
        _keys = new OrderedKeys(_slabs, _versions);
        _history = new RevisionHistory(_slabs);
    }

    /// <summary>The last revision; a fresh store has 1.</summary>
    public long Revision { get; private set; } = 1;

    /// <summary>What reads see: in a transaction that has written, the revision under way.</summary>
    public long ReadRevision => (_isAhead ? _head : Revision) + (_changes.Count > 0 ? 1 : 0);

    /// <summary>What reads of the newest may see: nothing that is not committed, unless they belong to a write under way.</summary>
    private long Horizon => _isAhead || _changes.Count > 0 ? long.MaxValue : Revision;

    /// <summary>Reads before this revision fail; 0 before any compaction.</summary>
    public long CompactedRevision { get; private set; }

    /// <summary>About what the versions take in memory and in a snapshot; the same on all members in the same state.</summary>
    public long Bytes => _bytes - _bytesAhead;

    /// <summary>Memory of this process that the store keeps, and how much of it is in use.</summary>
    public (long Reserved, long Used) Memory => (_slabs.Reserved, _slabs.Used);

    public int KeyCount => _keys.Count - _keysAhead;

    public LeaseTable Leases { get; } = new();

    /// <summary>While any hold is on, compacted versions stay where they are, so that a snapshot under way finds them.</summary>
    public void Hold() => _holds++;

    public void Release() => _holds--;

    public static long BytesOf(int keyBytes, int valueBytes) => 96 + keyBytes + valueBytes;

    public RangeResponse Range(RangeRequest request) => RangeQuery.Run(this, request);

    /// <summary>The newest version of a key, writes of an unfinished revision included; null when there is none.</summary>
    public KeyValue? Get(ByteString key) => Find(key.Span) is { IsNone: false } id ? View(id).ToMessage() : null;

    /// <summary>The same, where it lies; none when there is none.</summary>
    public BlockId Find(ReadOnlySpan<byte> key) => _keys.Find(key) is { IsNone: false } found ? _versions.At(found, Horizon) : default;

    public VersionView View(BlockId version) => _versions.View(version);

    /// <summary>Checks that a revision can be read; 0 stands for the newest.</summary>
    public void RequireReadable(long revision)
    {
        if (revision > Revision)
            throw StoreErrors.FutureRevision;
        if (revision > 0 && revision < CompactedRevision)
            throw StoreErrors.Compacted;
    }

    /// <summary>Walks the versions in force at a revision (0: the newest), in order of keys, until told to stop.</summary>
    public void Walk(KeyRange range, long revision, VersionVisitor visit)
    {
        if (revision <= 0)
            revision = Horizon;
        if (range.IsSingle)
        {
            if (_keys.Find(range.Key.Span) is { IsNone: false } key && _versions.At(key, revision) is { IsNone: false } only)
                visit(View(only));
            return;
        }
        for (var cursor = _keys.Seek(range.Key.Span); cursor.MoveNext();)
        {
            if (!range.IsOpenEnded && _versions.KeyOf(cursor.Key).SequenceCompareTo(range.End.Span) >= 0)
                return;
            if (_versions.At(cursor.Key, revision) is { IsNone: false } version && !visit(View(version)))
                return;
        }
    }

    /// <summary>Writes a key in the revision under way; returns what it was before, or none.</summary>
    public BlockId Put(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, long lease)
    {
        var key = _keys.Find(name);
        if (key.IsNone)
        {
            key = _versions.AddKey(name);
            _keys.Add(key);
            _keysAhead += _isAhead ? 1 : 0;
        }
        var revision = _head + 1;
        var version = new VersionHead { Lease = lease, ModRevision = revision, CreateRevision = revision, Version = 1 };
        var previous = _versions.Newest(key);
        long oldLease = 0;
        if (!previous.IsNone)
        {
            var old = View(previous);
            oldLease = old.Lease;
            version.Version = old.Version + 1;
            version.CreateRevision = old.Version > 0 ? old.CreateRevision : revision;
            previous = old.Version > 0 ? previous : default;
        }
        if (_isAhead && (lease != 0 || oldLease != 0))
        {
            if (_versions.Count(key) == 0)
                Forget(key);
            throw new NotAheadException();
        }
        if (oldLease != 0 && oldLease != lease)
            Leases.Detach(oldLease, ByteString.CopyFrom(name));
        if (lease != 0 && oldLease != lease)
            Leases.Attach(lease, ByteString.CopyFrom(name));
        Add(key, version, value);
        return previous;
    }

    /// <summary>Deletes the live keys of a range in the revision under way; returns what they were. Good until the next deletion.</summary>
    public IReadOnlyList<BlockId> Delete(KeyRange range)
    {
        var victims = _found;
        victims.Clear();
        Walk(range, 0, version =>
        {
            victims.Add(version.Id);
            return true;
        });
        foreach (var victim in victims)
        {
            var (key, lease) = (View(victim).Head.Key, View(victim).Lease);
            if (lease != 0 && _isAhead)
                throw new NotAheadException();
            if (lease != 0)
                Leases.Detach(lease, ByteString.CopyFrom(_versions.KeyOf(key)));
            Add(key, new VersionHead { ModRevision = _head + 1 }, default);
        }
        return victims;
    }

    /// <summary>Ends the revision under way; false when nothing was changed and no revision used.</summary>
    public bool Commit()
    {
        if (_changes.Count == 0)
            return false;
        Revision++;
        _head = Revision;
        _history.Add(CollectionsMarshal.AsSpan(_changes));
        _changes.Clear();
        return true;
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
                bytes += BytesOf(View(change));
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

    /// <summary>The oldest write ahead is committed: all see it from now on. False when it changed nothing.</summary>
    public bool Promote(Ahead ahead)
    {
        _bytesAhead -= ahead.Bytes;
        _keysAhead -= ahead.NewKeys;
        if (ahead.Changes.Length == 0)
            return false;
        Revision++;
        _history.Add(ahead.Changes);
        return true;
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

    /// <summary>Adds the changes of a revision to a list, in order; deletions have version 0. None before the compacted revision.</summary>
    public void ChangesOf(long revision, List<BlockId> into)
    {
        // Versions of older ones may be gone while their revisions are still listed.
        if (revision >= CompactedRevision)
            _history.Get(revision, into);
    }

    /// <summary>The same for who had a hold since before the revision was compacted.</summary>
    internal void ChangesUnderHold(long revision, List<BlockId> into) => _history.Get(revision, into);

    /// <summary>What a key was before a change; null when it was not there or that is compacted away.</summary>
    public KeyValue? Before(VersionView change) =>
        _versions.At(change.Head.Key, change.ModRevision - 1) is { IsNone: false } before ? View(before).ToMessage() : null;

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

    public bool HasDiscardable => (_compactedUpTo is not null || _movedUpTo is not null) && _holds == 0;

    /// <summary>
    /// Gives back the space of versions that no read can see, for some keys at a time, and then moves what is left in slabs that are mostly empty;
    /// false when nothing is left to do.
    /// </summary>
    public bool Discard(int maxKeys)
    {
        if (_holds > 0)
            return false;
        if (_compactedUpTo is null)
            return _movedUpTo is not null && Move(maxKeys);
        var dead = new List<BlockId>();
        ByteString? next = null;
        for (var cursor = _keys.Seek(_compactedUpTo.Span); cursor.MoveNext();)
        {
            if (maxKeys-- == 0)
            {
                next = ByteString.CopyFrom(_versions.KeyOf(cursor.Key));
                break;
            }
            _bytes -= _versions.CompactTo(cursor.Key, CompactedRevision);
            if (_versions.Count(cursor.Key) == 0)
                dead.Add(cursor.Key);
        }
        foreach (var key in dead)
            Forget(key);
        _compactedUpTo = next;
        if (next is not null)
            return true;
        _history.DropBefore(CompactedRevision);
        if (_movedUpTo is not null)
            _slabs.Reopen();
        _movedUpTo = _slabs.CloseSparse() ? ByteString.Empty : null;
        return _movedUpTo is not null;
    }

    private bool Move(int maxKeys)
    {
        for (var cursor = _keys.Seek(_movedUpTo!.Span); cursor.MoveNext();)
        {
            if (maxKeys-- == 0)
            {
                _movedUpTo = ByteString.CopyFrom(_versions.KeyOf(cursor.Key));
                return true;
            }
            cursor.Replace(_versions.Move(cursor.Key, Revision, _history));
        }
        _movedUpTo = null;
        _slabs.Reopen();
        return false;
    }

    /// <summary>A checksum of all versions that reads up to a revision (0: the newest) can see.</summary>
    public uint Hash(long revision)
    {
        if (revision <= 0)
            revision = Revision;
        uint hash = 0;
        byte[] buffer = [];
        for (var cursor = _keys.Seek([]); cursor.MoveNext();)
        {
            if (_versions.At(cursor.Key, CompactedRevision) is { IsNone: false } old)
                hash = Hash(View(old), hash, ref buffer);
            for (var i = 0; i < _versions.Count(cursor.Key); i++)
            {
                var version = View(_versions.Get(cursor.Key, i));
                if (version.ModRevision > CompactedRevision && version.ModRevision <= revision)
                    hash = Hash(version, hash, ref buffer);
            }
        }
        return hash;
    }

    /// <summary>Whether any key is there at a revision.</summary>
    public bool HasAny(long revision)
    {
        for (var cursor = _keys.Seek([]); cursor.MoveNext();)
        {
            if (!_versions.At(cursor.Key, revision).IsNone)
                return true;
        }
        return false;
    }

    /// <summary>When the version of a key that is in force at a revision was written; 0 when the key is not there.</summary>
    public long ModRevisionAt(ReadOnlySpan<byte> name, long revision) =>
        _keys.Find(name) is { IsNone: false } key && _versions.At(key, revision) is { IsNone: false } found ? View(found).ModRevision : 0;

    /// <summary>
    /// What a snapshot begins with: the versions in force at a compacted revision, and deletions at just that one, of a few keys from one on; the
    /// key to go on with.
    /// </summary>
    internal ByteString? BaseFrom(ByteString from, long compacted, int maxKeys, List<BlockId> into)
    {
        for (var cursor = _keys.Seek(from.Span); cursor.MoveNext();)
        {
            if (maxKeys-- == 0)
                return ByteString.CopyFrom(_versions.KeyOf(cursor.Key));
            if (_versions.InForce(cursor.Key, compacted) is { IsNone: false } version
                && (View(version).Version > 0 || View(version).ModRevision == compacted))
                into.Add(version);
        }
        return null;
    }

    /// <summary>The store before anything else is put back; what was in force at the compacted revision follows, then its end.</summary>
    internal void BeginRestore(long compacted)
    {
        CompactedRevision = compacted;
        Revision = _head = Math.Max(1, compacted);
    }

    internal void RestoreBase(in VersionHead version, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        var key = _versions.AddKey(name);
        _keys.Add(key);
        var id = _versions.Add(key, version, value);
        _bytes += BytesOf(name.Length, value.Length);
        if (version.ModRevision == CompactedRevision)
            _changes.Add(id);
    }

    internal void EndBase()
    {
        // A watch may still begin at the compacted revision.
        _history.Begin(Revision - 1);
        _history.Add(CollectionsMarshal.AsSpan(_changes));
        _changes.Clear();
    }

    /// <summary>A change of the next revision put back; <see cref="Commit"/> ends it.</summary>
    internal void RestoreChange(in VersionHead version, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        var key = _keys.Find(name);
        if (key.IsNone)
        {
            key = _versions.AddKey(name);
            _keys.Add(key);
        }
        Add(key, version, value);
    }

    /// <summary>Leases take their keys back once all versions are in.</summary>
    internal void RestoreAttachments()
    {
        if (Leases.All.Count == 0)
            return;
        Walk(new KeyRange(ByteString.Empty, ByteString.CopyFrom(0)), 0, version =>
        {
            if (version.Lease != 0)
                Leases.Attach(version.Lease, ByteString.CopyFrom(version.Key));
            return true;
        });
    }

    private static long BytesOf(VersionView version) => BytesOf(version.Key.Length, version.Value.Length);

    private static uint Hash(VersionView version, uint hash, ref byte[] buffer)
    {
        var size = VersionBytes.SizeOf(version);
        if (buffer.Length < size)
            buffer = new byte[Math.Max(size, 2 * buffer.Length)];
        return Crc32C.Compute(buffer.AsSpan(0, VersionBytes.Write(version, buffer)), hash);
    }

    private void Add(BlockId key, in VersionHead version, ReadOnlySpan<byte> value)
    {
        _changes.Add(_versions.Add(key, version, value));
        _bytes += BytesOf(_versions.KeyOf(key).Length, value.Length);
    }

    private void Undo(BlockId change)
    {
        var version = View(change);
        var key = version.Head.Key;
        if (_versions.Newest(key) != change)
            throw new InvalidOperationException($"what was written ahead at revision {version.ModRevision} is not the newest of its key");
        _bytes -= BytesOf(version);
        _versions.RemoveNewest(key);
        if (_versions.Count(key) == 0)
            Forget(key);
    }

    private void Forget(BlockId key)
    {
        _keys.Remove(_versions.KeyOf(key));
        _versions.FreeKey(key);
    }

    private sealed class NotAheadException : Exception;
}

/// <summary>A write that is not committed yet, as the store has it.</summary>
internal sealed record Ahead(BlockId[] Changes, long Bytes, int NewKeys);
