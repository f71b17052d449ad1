using Millrace.Raft.Messages;

namespace Millrace.Raft.Consensus;

/// <summary>
/// A member's part in Fast Paxos: proposing to all voters at once, voting for what others propose, and learning what a fast quorum chose.
/// While the leader has opened a window of slots, a member may vote once for each of them in the leader's term; votes are written like
/// entries, and told to proposer and leader when they are durable.
/// </summary>
/// <remarks>
/// Lamport: Fast Paxos, 2005. The leader's window is his "any" message. A window holds for one life of a member, told by its incarnation, so
/// that a member which has agreed to a window's end and then lost its memory takes no late copy of the window's beginning for a new one.
/// </remarks>
internal sealed class FastRounds
{
    private readonly RaftCore _core;
    private readonly SortedDictionary<long, FastVote> _votes = [];
    private readonly List<FastVote> _unwritten = [];
    private readonly Queue<(long WriteId, FastVote[] Votes)> _writing = new();
    private readonly HashSet<long> _durableVotes = [];
    private readonly SortedDictionary<long, OwnValue> _own = [];
    private readonly Dictionary<long, FastVote> _chosen = [];
    private readonly List<long> _lost = [];
    private readonly List<Entry> _scratch = [];
    private (long Term, long Commit) _told;
    private long _windowTerm;
    private long _windowSequence;
    private long _windowFirst;
    private long _lastNumber;

    public FastRounds(RaftCore core, RecoveredState state)
    {
        _core = core;
        if (!IsUsed)
            return;
        Incarnation = 1 + core.Draw(long.MaxValue - 1);
        _lastNumber = core.Draw(1L << 62);
        foreach (var vote in state.Votes)
        {
            FurthestVote = Math.Max(FurthestVote, vote.Slot);
            if (vote.Slot > state.Applied)
                _votes[vote.Slot] = vote;
        }
        FurthestSeen = FurthestVote;
    }

    public bool IsUsed => _core.Options.Algorithm == ConsensusAlgorithm.FastPaxos;

    /// <summary>Of this life of the member; 0 when Fast Paxos is not used.</summary>
    public long Incarnation { get; }

    /// <summary>The last slot that this member ever voted for.</summary>
    public long FurthestVote { get; private set; }

    /// <summary>The last slot that anyone is known to have proposed for.</summary>
    public long FurthestSeen { get; private set; }

    public bool IsOpen => _windowFirst > 0 && _windowTerm == _core.Term;

    public int OwnCount => _own.Count;

    public bool HasUnwritten => _unwritten.Count > 0;

    /// <summary>Votes for slots that are not committed here; of those that are, the log tells.</summary>
    public IEnumerable<FastVote> Votes => _votes.Values.Where(v => v.Slot > _core.Log.Commit);

    /// <summary>Proposes commands for the next slots, if a window is open and there is room.</summary>
    /// <returns>The number of the first; the others follow. 0: not this way.</returns>
    public long Propose(long now, IReadOnlyList<ReadOnlyMemory<byte>> commands, MemberId origin)
    {
        if (!IsOpen || _core.IsHealing || !_core.Configuration.IsVoter(_core.Self) || _own.Count + commands.Count > _core.Options.MaxFastValues)
            return 0;
        var slot = Math.Max(Math.Max(FurthestSeen, _core.Log.LastIndex), _windowFirst - 1);
        var values = new FastVote[commands.Count];
        for (var i = 0; i < values.Length; i++)
            values[i] = new FastVote(_core.Self, ++_lastNumber, new Entry(_core.Term, ++slot, EntryKind.Command, commands[i]));
        foreach (var value in values)
            _own[value.Slot] = new OwnValue(value, origin);
        foreach (var voter in _core.Configuration.Voters)
        {
            if (voter != _core.Self)
                _core.Send(new FastPropose(_core.Self, voter, _core.Term, values));
        }
        Vote(values);
        return values[0].Number;
    }

    public void Step(FastPropose propose)
    {
        if (_core.IsHealing)
            return;
        var told = Vote(propose.Values);
        if (told.Count == 0)
            return;
        var leader = _core.Leader;
        if (propose.From != leader)
        {
            // The proposer knows what it proposed. One that may lead, which a restarted member does not know yet, takes what is told for the value itself.
            var brief = leader.IsNone && !_core.Faults.BriefToLeader ? told : told.ConvertAll(v => v.Proposer == propose.From ? v with { Entry = v.Entry with { Data = default } } : v);
            _core.SendAfterWrite(new FastVotes(_core.Self, propose.From, _core.Term, brief, 0));
        }
        if (!leader.IsNone && leader != _core.Self)
            _core.SendAfterWrite(new FastVotes(_core.Self, leader, _core.Term, told, 0));
    }

    /// <summary>Votes of others for what this member proposed.</summary>
    public void Count(MemberId from, IReadOnlyList<FastVote> votes)
    {
        foreach (var vote in votes)
        {
            FurthestSeen = Math.Max(FurthestSeen, vote.Slot);
            if (!_own.TryGetValue(vote.Slot, out var own) || own.Value.Term != vote.Term || !own.Value.IsSameValue(vote)
                || !_core.Configuration.IsVoter(from) || !own.Voters.Add(from))
                continue;
            if (own.Voters.Count >= FastQuorum.Of(_core.Configuration.Voters.Length, _core.Faults))
                _chosen[vote.Slot] = own.Value;
        }
    }

    public void Step(FastWindow window)
    {
        if (window.Sequence < _windowSequence && window.Term == _windowTerm)
            return;
        if (window.FirstSlot == 0)
        {
            _windowTerm = window.Term;
            _windowSequence = window.Sequence;
            if (!_core.Faults.VoteAfterClose)
                _windowFirst = 0;
            // A member may know what was chosen before its leader does: the leader must hear of those votes too, or it would count this member as
            // one that voted for nothing. Whoever has lost them, by a restart from a snapshot, says nothing: others answer for the majority.
            if (_core.Faults.ForgetSettledVotes || HasVotesUnknownToLeader())
            {
                _core.SendAfterWrite(new FastVotes(
                    _core.Self, window.From, _core.Term,
                    [.. _votes.Values.Where(v => v.Term == _core.Term && (v.Slot > _core.Log.Commit || !_core.Faults.ForgetSettledVotes))], window.Sequence));
            }
        }
        else if (window.Incarnation == Incarnation)
        {
            _windowTerm = window.Term;
            _windowSequence = window.Sequence;
            _windowFirst = window.FirstSlot;
        }
    }

    /// <summary>The leader's own window.</summary>
    public void SetWindow(long sequence, long firstSlot) => (_windowTerm, _windowSequence, _windowFirst) = (_core.Term, sequence, firstSlot);

    public void CloseWindow() => _windowFirst = 0;

    /// <summary>The leader of this term has committed so much.</summary>
    public void LeaderCommitted(long index) => _told = (_core.Term, _told.Term == _core.Term ? Math.Max(_told.Commit, index) : index);

    public void Seen(long slot) => FurthestSeen = Math.Max(FurthestSeen, slot);

    /// <summary>Votes to be written with this write.</summary>
    public IReadOnlyList<FastVote> TakeUnwritten(long writeId)
    {
        if (_unwritten.Count == 0)
            return [];
        var taken = _unwritten.ToArray();
        _unwritten.Clear();
        _writing.Enqueue((writeId, taken));
        return taken;
    }

    /// <summary>This member's votes that have become durable and so count.</summary>
    public List<FastVote> Persisted(long writeId)
    {
        var counted = new List<FastVote>();
        while (_writing.TryPeek(out var write) && write.WriteId <= writeId)
        {
            foreach (var vote in _writing.Dequeue().Votes)
            {
                if (!_votes.TryGetValue(vote.Slot, out var held) || held.Term != vote.Term)
                    continue;
                _durableVotes.Add(vote.Slot);
                if (vote.Term == _core.Term)
                    counted.Add(vote);
            }
        }
        if (counted.Count > 0)
            Count(_core.Self, counted);
        return counted;
    }

    /// <summary>Takes over what was chosen, and forgets what is settled.</summary>
    public void Settle()
    {
        if (_core.Role == Role.Follower)
            AppendChosen();
        var commit = _core.Log.Commit;
        // What the leader has not settled yet it may still ask for; of other terms the log says more.
        var settled = _core.Role == Role.Leader ? commit : Math.Min(commit, LeaderCommit);
        while (FirstVote() is { } vote && vote.Slot <= (vote.Term == _core.Term ? settled : commit))
        {
            _votes.Remove(vote.Slot);
            _durableVotes.Remove(vote.Slot);
        }
        while (FirstOwn() is var slot && slot <= commit)
        {
            _own.Remove(slot, out var own);
            _chosen.Remove(slot);
            if (!IsLost(slot, own!.Value))
                continue;
            if (Retry is not null)
                Retry(own.Value.Entry.Data, own.Origin);
            else
                _lost.Add(own.Value.Number);
        }
    }

    /// <summary>Set while this member leads: proposes again itself what others got the slot of.</summary>
    public Action<ReadOnlyMemory<byte>, MemberId>? Retry { get; set; }

    public IReadOnlyList<long> TakeLost()
    {
        if (_lost.Count == 0)
            return [];
        var taken = _lost.ToArray();
        _lost.Clear();
        return taken;
    }

    /// <summary>Whether what was chosen there is on this disk already, as a vote.</summary>
    public bool HasDurable(in FastVote value) =>
        _durableVotes.Contains(value.Slot) && _votes.TryGetValue(value.Slot, out var held) && held.IsSameValue(value);

    private List<FastVote> Vote(IReadOnlyList<FastVote> values)
    {
        var told = new List<FastVote>();
        foreach (var value in values)
        {
            FurthestSeen = Math.Max(FurthestSeen, value.Slot);
            var isHeld = _votes.TryGetValue(value.Slot, out var held) && held.Term == value.Term;
            // What the leader has proposed for a slot comes after the fast round of its term.
            var isFree = IsOpen && value.Slot >= _windowFirst && value.Slot > _core.Log.Commit
                && value.Slot <= _core.Log.LastIndex + _core.Options.MaxFastAhead
                && _core.Log.TermAt(value.Slot) < _core.Term;
            if (!isHeld && isFree && value.Term == _core.Term && _core.Configuration.IsVoter(_core.Self))
            {
                _votes[value.Slot] = held = value;
                _durableVotes.Remove(value.Slot);
                FurthestVote = Math.Max(FurthestVote, value.Slot);
                _unwritten.Add(value);
                isHeld = true;
            }
            if (isHeld)
                told.Add(held);
        }
        return told;
    }

    private void AppendChosen()
    {
        var log = _core.Log;
        while (_chosen.TryGetValue(log.Commit + 1, out var value) && value.Term == _core.Term)
        {
            // A snapshot beyond what the disk's log agrees to makes the log begin anew, which must not lose entries accepted behind it.
            var isClean = value.Slot > log.LastIndex;
            if (log.TermAt(value.Slot) != value.Term)
            {
                var kept = isClean ? [] : log.Reopen(value.Slot, value.Slot);
                log.Append(value.Entry);
                foreach (var entry in kept)
                    log.Append(entry);
            }
            log.CommitTo(value.Slot);
            if (isClean && HasDurable(value))
                log.Vouch(value.Slot);
            _chosen.Remove(value.Slot);
        }
    }

    private long LeaderCommit => _told.Term == _core.Term ? _told.Commit : 0;

    /// <summary>Of each slot that is committed here and perhaps not at the leader, this member's vote is still known.</summary>
    private bool HasVotesUnknownToLeader()
    {
        for (var slot = LeaderCommit + 1; slot <= _core.Log.Commit; slot++)
        {
            if (!_votes.TryGetValue(slot, out var vote) || vote.Term != _core.Term)
                return false;
        }
        return true;
    }

    private bool IsLost(long slot, in FastVote value)
    {
        // Behind a snapshot nobody can tell: whoever waits is told so in time.
        if (slot <= _core.Log.Base.Index)
            return false;
        _scratch.Clear();
        _core.Log.Read(slot, slot, 1, _scratch);
        return _scratch[0].Kind != EntryKind.Command || !_scratch[0].Data.Span.SequenceEqual(value.Entry.Data.Span);
    }

    private FastVote? FirstVote()
    {
        foreach (var vote in _votes.Values)
            return vote;
        return null;
    }

    private long FirstOwn()
    {
        foreach (var slot in _own.Keys)
            return slot;
        return long.MaxValue;
    }

    private sealed class OwnValue(FastVote value, MemberId origin)
    {
        public FastVote Value => value;

        public MemberId Origin => origin;

        public HashSet<MemberId> Voters { get; } = [];
    }
}
