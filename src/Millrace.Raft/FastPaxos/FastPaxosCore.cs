using Millrace.Raft.Consensus;

namespace Millrace.Raft.FastPaxos;

/// <summary>
/// One member of a group that agrees on a log by Fast Paxos, as a pure state machine: every member may propose to all acceptors without
/// asking a leader, and a command is chosen after one round trip when three quarters accept it for the same slot. When commands collide,
/// the first member settles the slot in a classic round, and the loser tries the next slot. Not thread-safe; time is a parameter.
/// </summary>
/// <remarks>
/// Lamport: Fast Paxos, 2005: fast rounds, coordinated recovery (the votes of a failed fast round serve as promises of round 1), and rule
/// O4 for what may have been chosen.
/// </remarks>
public sealed class FastPaxosCore
{
    private readonly MemberId[] _members;
    private readonly Random _random;
    private readonly long _patience;
    private readonly FastFaults _faults;
    private readonly Dictionary<long, Acceptance> _accepted;
    private readonly SortedDictionary<long, FastValue> _chosen = [];
    private readonly Dictionary<long, Dictionary<MemberId, FastValue>> _fastVotes = [];
    private readonly Dictionary<long, Attempt> _attempts = [];
    private readonly Dictionary<long, (FastValue Value, long Slot, long Deadline)> _own = [];
    private readonly Dictionary<long, Acceptance> _writes = [];
    private readonly List<FastMessage> _messages = [];
    private readonly List<(long Slot, FastValue Value)> _delivered = [];
    private long _lastDelivered;
    private long _lastSeen;
    private long _lastChosen;
    private long _lastNumber;
    private long _gapDeadline = long.MaxValue;

    /// <param name="self">This member.</param>
    /// <param name="members">All of them, the same everywhere.</param>
    /// <param name="accepted">What its disk holds, by slot.</param>
    /// <param name="incarnation">Higher at every start, so that numbers of commands never come again.</param>
    /// <param name="patienceMicros">After this long without a decision a member settles a slot itself.</param>
    /// <param name="random">Spreads attempts of several members.</param>
    public FastPaxosCore(
        MemberId self, IEnumerable<MemberId> members, IReadOnlyDictionary<long, Acceptance> accepted, int incarnation, long patienceMicros, Random random)
        : this(self, members, accepted, incarnation, patienceMicros, random, FastFaults.None)
    {
    }

    internal FastPaxosCore(
        MemberId self, IEnumerable<MemberId> members, IReadOnlyDictionary<long, Acceptance> accepted, int incarnation, long patienceMicros,
        Random random, FastFaults faults)
    {
        Self = self;
        _members = [.. members.Order()];
        _accepted = new Dictionary<long, Acceptance>(accepted);
        _lastNumber = (long)incarnation << 32;
        _patience = patienceMicros;
        _random = random;
        _faults = faults;
        _lastSeen = accepted.Count == 0 ? 0 : accepted.Keys.Max();
    }

    public MemberId Self { get; }

    /// <summary>Slots up to here are chosen and were handed out.</summary>
    public long DeliveredSlot => _lastDelivered;

    /// <summary>Two fast quorums and a classic one always have a member in common.</summary>
    public int FastQuorum => _faults.MajorityIsFast ? Majority : ((3 * _members.Length) + 3) / 4;

    public int Majority => (_members.Length / 2) + 1;

    public long NextDeadline
    {
        get
        {
            var next = _gapDeadline;
            foreach (var (_, _, deadline) in _own.Values)
                next = Math.Min(next, deadline);
            return next;
        }
    }

    /// <summary>Proposes a command; it is chosen for some slot, sooner or later, once a majority is up and reachable.</summary>
    /// <returns>Its number, by which it is known when it is delivered.</returns>
    public long Propose(long now, ReadOnlyMemory<byte> data)
    {
        var value = new FastValue(Self, ++_lastNumber, data);
        ProposeFor(now, value);
        return value.Number;
    }

    public void Step(long now, FastMessage message)
    {
        ArgumentNullException.ThrowIfNull(message);
        _lastSeen = Math.Max(_lastSeen, message.Slot);
        if (message is FastChosen chosen)
        {
            Learn(now, chosen.Slot, chosen.Value);
            return;
        }
        if (_chosen.TryGetValue(message.Slot, out var value))
        {
            if (message is not FastVote && message.From != Self)
                _messages.Add(new FastChosen(Self, message.From, message.Slot, value));
            return;
        }
        switch (message)
        {
            case FastPropose propose:
                VoteFast(now, propose);
                break;
            case FastVote { Round: 0 } vote:
                CountFast(now, vote);
                break;
            case FastVote vote:
                CountClassic(now, vote);
                break;
            case FastPrepare prepare:
                Promise(now, prepare);
                break;
            case FastPromise promise:
                Gather(now, promise);
                break;
            case FastAccept accept:
                Accept(now, accept);
                break;
        }
    }

    /// <summary>Settles slots that have waited too long.</summary>
    public void Tick(long now)
    {
        foreach (var (number, own) in _own.ToArray())
        {
            if (own.Deadline > now || !_own.ContainsKey(number))
                continue;
            _own[number] = own with { Deadline = Later(now) };
            BeginRound(now, own.Slot);
        }
        if (now < _gapDeadline)
            return;
        _gapDeadline = Later(now);
        BeginRound(now, _lastDelivered + 1);
    }

    public FastReady? TakeReady()
    {
        if (_writes.Count == 0 && _messages.Count == 0 && _delivered.Count == 0)
            return null;
        var ready = new FastReady([.. _writes.Select(static w => (w.Key, w.Value))], [.. _messages], [.. _delivered]);
        _writes.Clear();
        _messages.Clear();
        _delivered.Clear();
        return ready;
    }

    private void ProposeFor(long now, FastValue value)
    {
        var slot = ++_lastSeen;
        _own[value.Number] = (value, slot, Later(now));
        Broadcast(now, to => new FastPropose(Self, to, slot, value));
    }

    private void VoteFast(long now, FastPropose propose)
    {
        var state = _accepted.GetValueOrDefault(propose.Slot, Acceptance.None);
        if (state.VotedRound < 0 && (state.Promised == 0 || _faults.BreakPromises))
        {
            state = state with { VotedRound = 0, Value = propose.Value };
            Write(propose.Slot, state);
        }
        if (state.VotedRound != 0)
            return;
        // Whoever lost hears of it as well, and so does the one who settles conflicts.
        Send(now, new FastVote(Self, propose.From, propose.Slot, 0, state.Value!));
        if (_members[0] != propose.From)
            Send(now, new FastVote(Self, _members[0], propose.Slot, 0, state.Value!));
    }

    private void CountFast(long now, FastVote vote)
    {
        if (!_fastVotes.TryGetValue(vote.Slot, out var votes))
            _fastVotes[vote.Slot] = votes = [];
        votes[vote.From] = vote.Value;
        var best = votes.Values.GroupBy(static v => v).Max(static g => g.Count());
        if (votes.Values.Count(v => v == vote.Value) >= FastQuorum)
        {
            Choose(now, vote.Slot, vote.Value);
            return;
        }
        // Round 1 is the first member's, once; the votes of round 0 say all that promises for it would say. That it was begun is durable
        // before anyone else hears of it, since its first acceptor is this member.
        if (Self != _members[0] || _accepted.GetValueOrDefault(vote.Slot, Acceptance.None).Promised > 0 || votes.Count < Majority || best + _members.Length - votes.Count >= FastQuorum || _attempts.ContainsKey(vote.Slot))
            return;
        var attempt = new Attempt(1) { IsAccepting = true };
        _attempts[vote.Slot] = attempt;
        var value = Pick(vote.Slot, votes.Select(static v => (0L, (FastValue?)v.Value)).ToArray());
        Broadcast(now, to => new FastAccept(Self, to, vote.Slot, 1, value));
    }

    /// <summary>A classic round of this member's own, higher than any it knows of.</summary>
    private void BeginRound(long now, long slot)
    {
        if (_chosen.ContainsKey(slot))
            return;
        var highest = Math.Max(_accepted.GetValueOrDefault(slot, Acceptance.None).Promised, _attempts.GetValueOrDefault(slot)?.Round ?? 0);
        var index = Array.IndexOf(_members, Self);
        var round = (highest / _members.Length * _members.Length) + 1 + index;
        // Round 1 is only for what the fast round's votes tell.
        while (round <= Math.Max(1, highest))
            round += _members.Length;
        _attempts[slot] = new Attempt(round);
        Broadcast(now, to => new FastPrepare(Self, to, slot, round));
    }

    private void Promise(long now, FastPrepare prepare)
    {
        var state = _accepted.GetValueOrDefault(prepare.Slot, Acceptance.None);
        if (prepare.Round < state.Promised || prepare.Round <= state.VotedRound)
            return;
        Write(prepare.Slot, state with { Promised = prepare.Round });
        Send(now, new FastPromise(Self, prepare.From, prepare.Slot, prepare.Round, state.VotedRound, state.Value));
    }

    private void Gather(long now, FastPromise promise)
    {
        if (!_attempts.TryGetValue(promise.Slot, out var attempt) || attempt.Round != promise.Round || attempt.IsAccepting)
            return;
        attempt.Promises[promise.From] = (promise.VotedRound, promise.Value);
        if (attempt.Promises.Count < Majority)
            return;
        attempt.IsAccepting = true;
        var value = Pick(promise.Slot, [.. attempt.Promises.Values]);
        Broadcast(now, to => new FastAccept(Self, to, promise.Slot, promise.Round, value));
    }

    /// <summary>
    /// The value that must be proposed next. Of the highest round voted in: a classic round has one value; of the fast round, the one that a
    /// fast quorum may have chosen, which then has more votes here than those outside could make up for; else any (rule O4).
    /// </summary>
    private FastValue Pick(long slot, (long Round, FastValue? Value)[] votes)
    {
        var highest = votes.Max(static v => v.Round);
        if (highest < 0)
            return _own.Values.FirstOrDefault(o => o.Slot == slot).Value ?? FastValue.Noop;
        var voted = votes.Where(v => v.Round == highest).Select(static v => v.Value!).ToArray();
        if (highest > 0)
            return voted[0];
        if (_faults.PickAny)
            return voted[_random.Next(voted.Length)];
        // Votes are counted against the fast quorum that the theory asks for.
        return voted.GroupBy(static v => v).OrderByDescending(static g => g.Count()).First().Key;
    }

    private void Accept(long now, FastAccept accept)
    {
        var state = _accepted.GetValueOrDefault(accept.Slot, Acceptance.None);
        if ((accept.Round < state.Promised || accept.Round < state.VotedRound) && !_faults.BreakPromises)
            return;
        Write(accept.Slot, new Acceptance(accept.Round, accept.Round, accept.Value));
        Send(now, new FastVote(Self, accept.From, accept.Slot, accept.Round, accept.Value));
    }

    private void CountClassic(long now, FastVote vote)
    {
        if (!_attempts.TryGetValue(vote.Slot, out var attempt) || attempt.Round != vote.Round)
            return;
        attempt.Votes.Add(vote.From);
        if (attempt.Votes.Count >= Majority)
            Choose(now, vote.Slot, vote.Value);
    }

    private void Choose(long now, long slot, FastValue value)
    {
        foreach (var member in _members)
        {
            if (member != Self)
                _messages.Add(new FastChosen(Self, member, slot, value));
        }
        Learn(now, slot, value);
    }

    private void Learn(long now, long slot, FastValue value)
    {
        if (_chosen.TryGetValue(slot, out var known))
        {
            if (known != value)
                throw new RaftInvariantException($"slot {slot} is chosen as {known.Proposer}/{known.Number} and as {value.Proposer}/{value.Number}");
            return;
        }
        _chosen[slot] = value;
        _fastVotes.Remove(slot);
        _attempts.Remove(slot);
        if (value.Proposer == Self)
            _own.Remove(value.Number);
        while (_chosen.TryGetValue(_lastDelivered + 1, out var next))
            _delivered.Add((++_lastDelivered, next));
        if (_lastChosen < slot)
            _lastChosen = slot;
        // Whoever has missed much asks for the next slot as soon as it has one.
        _gapDeadline = _lastChosen == _lastDelivered ? long.MaxValue : _delivered.Count > 0 ? now : Math.Min(_gapDeadline, Later(now));
        foreach (var own in _own.Values.Where(o => o.Slot == slot).ToArray())
            ProposeFor(now, own.Value);
    }

    private void Broadcast(long now, Func<MemberId, FastMessage> make)
    {
        foreach (var member in _members)
            Send(now, make(member));
    }

    /// <summary>To oneself at once: writes come before messages anyway.</summary>
    private void Send(long now, FastMessage message)
    {
        if (message.To == Self)
            Step(now, message);
        else
            _messages.Add(message);
    }

    private void Write(long slot, Acceptance state)
    {
        _accepted[slot] = state;
        _writes[slot] = state;
    }

    private long Later(long now) => now + _patience + _random.NextInt64(_patience);

    private sealed class Attempt(long round)
    {
        public long Round => round;

        public bool IsAccepting { get; set; }

        public Dictionary<MemberId, (long Round, FastValue? Value)> Promises { get; } = [];

        public HashSet<MemberId> Votes { get; } = [];
    }
}
