namespace Millrace.Coordination.Node;

/// <summary>
/// The leader's count of time for leases. It is not replicated: a new leader gives every lease its full time again, and an election's
/// time on top, since the old one may have renewed it just before (etcd: server/lease/lessor.go).
/// </summary>
internal sealed class LeaseKeeper(TimeProvider time)
{
    private static readonly TimeSpan RevokeAgain = TimeSpan.FromSeconds(1);
    private readonly Lock _lock = new();
    private readonly Dictionary<long, long> _deadlines = [];
    private readonly PriorityQueue<long, long> _order = new();
    private bool _isLeader;

    /// <summary>This member counts for some lease.</summary>
    public bool Any
    {
        get
        {
            lock (_lock)
                return _deadlines.Count > 0;
        }
    }

    /// <summary>This member leads from now on.</summary>
    public void Promote(IEnumerable<(long Id, long TtlSeconds)> leases, TimeSpan extension)
    {
        lock (_lock)
        {
            _isLeader = true;
            _deadlines.Clear();
            _order.Clear();
            foreach (var (id, ttl) in leases)
                SetDeadline(id, TimeSpan.FromSeconds(ttl) + extension);
        }
    }

    public void Demote()
    {
        lock (_lock)
        {
            _isLeader = false;
            _deadlines.Clear();
            _order.Clear();
        }
    }

    public void Granted(long id, long ttlSeconds)
    {
        lock (_lock)
        {
            if (_isLeader)
                SetDeadline(id, TimeSpan.FromSeconds(ttlSeconds));
        }
    }

    public void Revoked(long id)
    {
        lock (_lock)
            _deadlines.Remove(id);
    }

    /// <summary>Gives a lease its full time again; false when this member does not lead or knows no such lease, or its time is over.</summary>
    public bool Renew(long id, long ttlSeconds)
    {
        lock (_lock)
        {
            if (!_isLeader || !_deadlines.TryGetValue(id, out var deadline) || deadline <= time.GetTimestamp())
                return false;
            SetDeadline(id, TimeSpan.FromSeconds(ttlSeconds));
            return true;
        }
    }

    /// <summary>Seconds left, or null when this member does not count for it.</summary>
    public long? SecondsLeft(long id)
    {
        lock (_lock)
        {
            return _isLeader && _deadlines.TryGetValue(id, out var deadline)
                ? Math.Max(0, (long)Math.Floor(time.GetElapsedTime(time.GetTimestamp(), deadline).TotalSeconds))
                : null;
        }
    }

    /// <summary>Leases whose time is over; each comes again after a second unless it was revoked.</summary>
    public List<long> TakeExpired()
    {
        var expired = new List<long>();
        lock (_lock)
        {
            var now = time.GetTimestamp();
            while (_isLeader && _order.TryPeek(out var id, out var due) && due <= now)
            {
                _order.Dequeue();
                // Renewals leave their older places in the queue.
                if (!_deadlines.TryGetValue(id, out var deadline))
                    continue;
                if (deadline > now)
                    continue;
                expired.Add(id);
                _order.Enqueue(id, now + Ticks(RevokeAgain));
            }
        }
        return expired;
    }

    private void SetDeadline(long id, TimeSpan left)
    {
        var deadline = time.GetTimestamp() + Ticks(left);
        _deadlines[id] = deadline;
        _order.Enqueue(id, deadline);
    }

    private long Ticks(TimeSpan span) => (long)(span.TotalSeconds * time.TimestampFrequency);
}
