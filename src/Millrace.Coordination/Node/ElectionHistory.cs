using Millrace.Raft;
using Millrace.Raft.Consensus;

namespace Millrace.Coordination.Node;

/// <summary>A leader that this member came to know.</summary>
/// <param name="At">By this member's clock.</param>
/// <param name="Term">In which it leads.</param>
/// <param name="Leader">Its id.</param>
/// <param name="LeaderlessMillis">How long this member knew of no leader before; 0 at its start.</param>
public sealed record Election(DateTimeOffset At, long Term, ulong Leader, double LeaderlessMillis);

/// <summary>The last leaders, for people. Thread-safe.</summary>
internal sealed class ElectionHistory(TimeProvider time)
{
    private const int Kept = 50;
    private readonly Lock _lock = new();
    private readonly Queue<Election> _elections = new();
    private MemberId _leader;
    private long _term;
    private long _lostAt;
    private bool _hadLeader;

    public int Count { get; private set; }

    /// <summary>Newest last.</summary>
    public IReadOnlyList<Election> Recent
    {
        get
        {
            lock (_lock)
                return _elections.ToArray();
        }
    }

    public void Note(RaftStatus status)
    {
        lock (_lock)
        {
            if (status.Leader.IsNone)
            {
                if (!_leader.IsNone)
                    _lostAt = time.GetTimestamp();
                _leader = MemberId.None;
                return;
            }
            if (status.Leader == _leader && status.Term == _term)
                return;
            var leaderless = _hadLeader && _leader.IsNone ? time.GetElapsedTime(_lostAt).TotalMilliseconds : 0;
            (_leader, _term, _hadLeader) = (status.Leader, status.Term, true);
            Count++;
            _elections.Enqueue(new Election(time.GetUtcNow(), status.Term, status.Leader.Value, Math.Round(leaderless, 1)));
            if (_elections.Count > Kept)
                _elections.Dequeue();
        }
    }
}
