using Millrace.Raft.Messages;

namespace Millrace.Raft.Consensus;

/// <summary>
/// Linearizable reads without an entry in the log: a read notes the commit index, and is granted once a majority has answered a
/// heartbeat that was sent after the read came (thesis, 6.4), or at once while a majority's promises last (6.4.1).
/// </summary>
internal sealed class ReadRounds(RaftCore core, Leadership leadership)
{
    private readonly List<(long ReadId, MemberId Origin)> _held = [];
    private readonly Queue<(long ReadId, MemberId Origin, long Index, long Round)> _waiting = new();
    private long _round;

    /// <summary>Some read waits for a round that has not been sent.</summary>
    public bool NeedsRound { get; private set; }

    public void Add(long now, long readId, MemberId origin)
    {
        if (!leadership.HasCommittedInTerm && !core.Faults.ReadBeforeFirstCommit)
        {
            _held.Add((readId, origin));
            return;
        }
        if (core.Faults.ReadWithoutRound || HasLease(now))
        {
            Grant(readId, origin, core.Log.Commit);
            return;
        }
        _waiting.Enqueue((readId, origin, core.Log.Commit, _round + 1));
        NeedsRound = true;
    }

    /// <summary>The first entry of the term is committed.</summary>
    public void BeginHeld()
    {
        foreach (var (readId, origin) in _held)
        {
            _waiting.Enqueue((readId, origin, core.Log.Commit, _round + 1));
            NeedsRound = true;
        }
        _held.Clear();
    }

    public long NextRound()
    {
        NeedsRound = false;
        return ++_round;
    }

    public void Release(long now)
    {
        if (_waiting.Count == 0)
            return;
        var confirmed = leadership.Reached(_round, static p => p.AnsweredRound);
        while (_waiting.TryPeek(out var read) && read.Round <= confirmed)
        {
            _waiting.Dequeue();
            // What a fast quorum chose without this leader has votes in every majority.
            Grant(read.ReadId, read.Origin, Math.Max(read.Index, leadership.FurthestVote));
        }
    }

    public void RefuseAll()
    {
        foreach (var (readId, origin) in _held)
            Refuse(readId, origin);
        foreach (var read in _waiting)
            Refuse(read.ReadId, read.Origin);
        _held.Clear();
        _waiting.Clear();
    }

    private bool HasLease(long now) =>
        core.Options.LeaseReads && !leadership.IsLeaseRenounced
        && leadership.Reached(long.MaxValue, static p => p.PromisedUntil) > now;

    private void Grant(long readId, MemberId origin, long index)
    {
        if (origin == core.Self)
            core.Grant(readId, index);
        else
            core.Send(new ReadResponse(core.Self, origin, core.Term, readId, index));
    }

    private void Refuse(long readId, MemberId origin)
    {
        if (origin == core.Self)
            core.Grant(readId, -1);
    }
}
