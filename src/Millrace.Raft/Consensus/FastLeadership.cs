using Millrace.Raft.Messages;

namespace Millrace.Raft.Consensus;

/// <summary>
/// The leader's part in Fast Paxos: it opens a window in which members vote without asking it, counts votes slot by slot, settles collisions
/// by proposing itself, and goes back to the classic way for a while when collisions are frequent, a fast quorum does not answer, or there
/// is more to do than fast rounds are good for.
/// </summary>
internal sealed class FastLeadership
{
    private readonly RaftCore _core;
    private readonly Leadership _leadership;
    private readonly FastRounds _rounds;
    private readonly Dictionary<long, Dictionary<MemberId, FastVote>> _votes = [];
    private readonly Dictionary<long, FastVote> _chosen = [];
    private readonly HashSet<MemberId> _closed = [];
    private readonly List<(ReadOnlyMemory<byte> Command, MemberId Origin)> _held = [];
    private readonly List<(ReadOnlyMemory<byte> Command, MemberId Origin)> _again = [];
    private long _sequence;
    private long _firstSlot;
    private bool _isClosing;
    private long _stalledSlot;
    private long _stalledUntil = long.MaxValue;
    private long _reopenAt;
    private double _collisions;

    public FastLeadership(RaftCore core, Leadership leadership)
    {
        _core = core;
        _leadership = leadership;
        _rounds = core.Fast;
        _rounds.CloseWindow();
        _rounds.Retry = (command, origin) => _again.Add((command, origin));
    }

    /// <summary>Commands go into slots by votes; the leader must not append by itself.</summary>
    public bool IsOpen => _rounds.IsUsed && _rounds.IsOpen;

    public bool IsClosing => _isClosing;

    public bool HasChosen => _chosen.Count > 0;

    public long NextDeadline => _stalledUntil;

    private int Voters => _core.Configuration.Voters.Length;

    public void End() => _rounds.Retry = null;

    /// <summary>Takes commands of the leader, or those that were sent to it.</summary>
    public void Propose(long now, IReadOnlyList<ReadOnlyMemory<byte>> commands, MemberId origin)
    {
        if (IsOpen && _rounds.Propose(now, commands, origin) > 0)
            return;
        // More at once than fast rounds are good for: a leader's own order has no collisions.
        Close(now);
        foreach (var command in commands)
            _held.Add((command, origin));
    }

    public void Count(MemberId from, IReadOnlyList<FastVote> votes)
    {
        foreach (var vote in votes)
        {
            _rounds.Seen(vote.Slot);
            if (vote.Term != _core.Term || vote.Slot <= _core.Log.LastIndex || !_core.Configuration.IsVoter(from))
                continue;
            if (!_votes.TryGetValue(vote.Slot, out var bySlot))
                _votes[vote.Slot] = bySlot = [];
            bySlot[from] = vote;
        }
    }

    public void Closed(long now, MemberId from, long sequence)
    {
        if (!_isClosing || sequence != _sequence)
            return;
        _closed.Add(from);
        MaybeFinishClosing(now);
    }

    /// <summary>Called at each round of heartbeats: says again what may have been lost.</summary>
    public void Remind(long now)
    {
        if (!_rounds.IsUsed)
            return;
        if (_isClosing || IsOpen)
            TellWindow();
        else if (now >= _reopenAt && _leadership.MayOpenFast(now, FastQuorum.Of(Voters, _core.Faults)))
            Open();
    }

    /// <summary>Settles slots in order as far as votes go.</summary>
    public void Advance(long now)
    {
        if (!_rounds.IsUsed)
            return;
        if (IsOpen)
        {
            while (DecideNext(now))
            {
            }
            WatchStall(now);
            if (_collisions > _core.Options.MaxFastCollisions)
                Close(now);
        }
        else if (!_isClosing && _leadership.HasCommittedInTerm)
        {
            // Somebody voted for a slot that was settled without it; readers may wait for that slot.
            for (var most = _core.Options.MaxFastAhead; most > 0 && _core.Log.LastIndex < _rounds.FurthestSeen; most--)
                _leadership.AppendSettled(now, FastVote.Nobody(_core.Term, _core.Log.LastIndex + 1).Entry);
        }
        if (_again.Count == 0)
            return;
        var again = _again.ToArray();
        _again.Clear();
        foreach (var (command, origin) in again)
            _leadership.Propose(now, [command], origin);
    }

    /// <summary>Whether a slot was chosen by a fast quorum, so that it needs no majority.</summary>
    public bool TakeChosen(long slot, out FastVote value) => _chosen.Remove(slot, out value);

    private void Open()
    {
        _sequence++;
        _firstSlot = _core.Log.LastIndex + 1;
        _collisions = 0;
        _stalledUntil = long.MaxValue;
        _stalledSlot = 0;
        _votes.Clear();
        _rounds.SetWindow(_sequence, _firstSlot);
        TellWindow();
    }

    private void TellWindow()
    {
        foreach (var voter in _core.Configuration.Voters)
        {
            if (voter == _core.Self)
                continue;
            var incarnation = _leadership.IncarnationOf(voter);
            if (_isClosing)
                _core.Send(new FastWindow(_core.Self, voter, _core.Term, _sequence, 0, 0));
            else if (incarnation != 0)
                _core.Send(new FastWindow(_core.Self, voter, _core.Term, _sequence, incarnation, _firstSlot));
        }
    }

    /// <summary>Ends the window: once a majority has told its votes and votes no more, all open slots can be settled.</summary>
    private void Close(long now)
    {
        if (!IsOpen)
            return;
        _reopenAt = now + (long)_core.Options.FastPause.TotalMicroseconds;
        _stalledUntil = long.MaxValue;
        _isClosing = true;
        _sequence++;
        _closed.Clear();
        _closed.Add(_core.Self);
        _rounds.CloseWindow();
        Count(_core.Self, [.. _rounds.Votes.Where(v => v.Term == _core.Term)]);
        TellWindow();
        MaybeFinishClosing(now);
    }

    private void MaybeFinishClosing(long now)
    {
        if (_closed.Count < (Voters / 2) + 1)
            return;
        _isClosing = false;
        var last = _votes.Count == 0 ? 0 : _votes.Keys.Max();
        while (_core.Log.LastIndex < last)
        {
            var slot = _core.Log.LastIndex + 1;
            var votes = VotesOf(slot);
            var value = FastQuorum.Pick(votes, _core.Term, slot, _core.Faults);
            Append(now, value, isChosen: false);
        }
        _votes.Clear();
        var held = _held.ToArray();
        _held.Clear();
        foreach (var (command, origin) in held)
            _leadership.Propose(now, [command], origin);
    }

    private bool DecideNext(long now)
    {
        var slot = _core.Log.LastIndex + 1;
        var votes = VotesOf(slot);
        if (!FastQuorum.TryMostVoted(votes, out var best, out var count))
            return false;
        var needed = FastQuorum.Of(Voters, _core.Faults);
        if (count >= needed)
        {
            _collisions *= 0.9;
            Append(now, best, isChosen: true);
            return true;
        }
        if (votes.Length < (Voters / 2) + 1 || count + Voters - votes.Length >= needed)
            return false;
        // Coordinated recovery: the votes of the failed fast round say all that promises for the next round would say.
        _collisions = (_collisions * 0.9) + 1;
        Append(now, FastQuorum.Pick(votes, _core.Term, slot, _core.Faults), isChosen: false);
        return true;
    }

    private void Append(long now, in FastVote value, bool isChosen)
    {
        _votes.Remove(value.Slot);
        if (isChosen)
            _chosen[value.Slot] = value;
        _leadership.AppendSettled(now, value.Entry);
    }

    private void WatchStall(long now)
    {
        var slot = _core.Log.LastIndex + 1;
        if (_rounds.FurthestSeen < slot)
        {
            _stalledUntil = long.MaxValue;
            _stalledSlot = 0;
        }
        else if (_stalledSlot != slot)
        {
            _stalledSlot = slot;
            _stalledUntil = now + _leadership.FastPatienceMicros;
        }
        else if (now >= _stalledUntil)
        {
            Close(now);
        }
    }

    private FastVote[] VotesOf(long slot) => _votes.TryGetValue(slot, out var votes) ? [.. votes.Values] : [];
}
