namespace Millrace.Log.Groups;

/// <summary>Where a group goes on in one partition.</summary>
/// <param name="Offset">The next offset to read.</param>
/// <param name="LeaderEpoch">Of the last record read, -1 when not told.</param>
/// <param name="Metadata">The client's own.</param>
/// <param name="CommittedAt">Milliseconds of Unix time.</param>
internal readonly record struct CommittedOffset(long Offset, int LeaderEpoch, string Metadata, long CommittedAt);

/// <summary>
/// The committed offsets of one group, and those that wait for their transaction's end. Durable ones only: the shell applies a commit
/// when its record has been flushed. Guarded by the group's lock.
/// </summary>
internal sealed class GroupOffsets
{
    private readonly Dictionary<(string Topic, int Partition), CommittedOffset> _committed = [];
    private readonly Dictionary<long, Dictionary<(string Topic, int Partition), CommittedOffset>> _pending = [];

    public IReadOnlyDictionary<(string Topic, int Partition), CommittedOffset> Committed => _committed;

    public bool HasPending => _pending.Count > 0;

    public bool IsEmpty => _committed.Count == 0 && _pending.Count == 0;

    public void Commit(string topic, int partition, CommittedOffset offset) => _committed[(topic, partition)] = offset;

    public void Remove(string topic, int partition) => _committed.Remove((topic, partition));

    /// <summary>Holds an offset until its producer's transaction ends.</summary>
    public void Hold(long producerId, string topic, int partition, CommittedOffset offset)
    {
        if (!_pending.TryGetValue(producerId, out var held))
            _pending[producerId] = held = [];
        held[(topic, partition)] = offset;
    }

    /// <summary>A producer's transaction has ended: its offsets count, or are dropped.</summary>
    public void End(long producerId, bool commit)
    {
        if (!_pending.Remove(producerId, out var held) || !commit)
            return;
        foreach (var (key, offset) in held)
            _committed[key] = offset;
    }

    /// <summary>Whether a transaction that is not ended yet would change this partition.</summary>
    public bool IsUnstable(string topic, int partition)
    {
        foreach (var held in _pending.Values)
        {
            if (held.ContainsKey((topic, partition)))
                return true;
        }
        return false;
    }
}
