using Google.Protobuf;

namespace Millrace.Coordination.Store;

/// <summary>A promise to keep keys for a time, as replicated: the time itself is counted by the leader alone.</summary>
internal sealed class Lease(long id, long ttlSeconds)
{
    private readonly HashSet<ByteString> _keys = [];

    public long Id => id;

    public long TtlSeconds => ttlSeconds;

    public IReadOnlyCollection<ByteString> Keys => _keys;

    public void Attach(ByteString key) => _keys.Add(key);

    public void Detach(ByteString key) => _keys.Remove(key);

    /// <summary>In bytewise order, so that all members delete them alike.</summary>
    public ByteString[] SortedKeys()
    {
        var keys = _keys.ToArray();
        Array.Sort(keys, static (a, b) => a.Span.SequenceCompareTo(b.Span));
        return keys;
    }
}

/// <summary>All leases and their keys.</summary>
internal sealed class LeaseTable
{
    private readonly SortedDictionary<long, Lease> _leases = [];

    public IReadOnlyCollection<Lease> All => _leases.Values;

    public Lease? Find(long id) => _leases.GetValueOrDefault(id);

    public void Grant(long id, long ttlSeconds)
    {
        if (!_leases.TryAdd(id, new Lease(id, ttlSeconds)))
            throw StoreErrors.LeaseExists;
    }

    public void Remove(long id) => _leases.Remove(id);

    public void Attach(long id, ByteString key) => Find(id)?.Attach(key);

    public void Detach(long id, ByteString key) => Find(id)?.Detach(key);
}
