using Millrace.Raft.Messages;

namespace Millrace.Raft.Consensus;

/// <summary>A member's part as leader of one term: replication, commitment, heartbeats, reads, transfer and changes of members.</summary>
internal sealed class Leadership
{
    /// <summary>Entries that a learner lacks go in messages of about this size, which keep disks and processors busy for a moment only.</summary>
    private const int LearnerAppendBytes = 256 << 10;

    /// <summary>Over how long the log's growth is measured.</summary>
    private const long LoadMicros = 1_000_000;
    private readonly RaftCore _core;
    private readonly LogTail _log;
    private readonly RaftOptions _options;
    private readonly Pace _pace;
    private readonly ReadRounds _reads;
    private readonly SnapshotSender _snapshots;
    private readonly FastLeadership _fast;
    private readonly SortedDictionary<MemberId, Progress> _progress = [];
    private readonly Queue<(long Index, int Bytes)> _uncommitted = new();
    private readonly List<Entry> _scratch = [];
    private readonly long _term;
    private long _uncommittedBytes;
    private long _firstIndex;
    private long _heartbeatDue;
    private long _checkDue;
    private long _noticeDue = long.MaxValue;
    private long _restDue = long.MaxValue;
    private long _loadBytes;
    private long _loadSince;
    private long _loadBytesPerSecond;
    private MemberId _transferee;
    private long _transferDeadline;
    private bool _hasAskedTransferee;
    private Configuration _members = Configuration.Empty;
    private bool _onlySeesChangeThrough;

    public Leadership(RaftCore core, long now)
    {
        _core = core;
        _log = core.Log;
        _options = core.Options;
        _term = core.Term;
        _loadSince = now;
        _pace = new Pace(_options);
        _reads = new ReadRounds(core, this);
        _snapshots = new SnapshotSender(core);
        _fast = new FastLeadership(core, this);
        FollowConfiguration(now);
    }

    public long ElectionMicros => _pace.ElectionMicros;

    public long NextDeadline =>
        Math.Min(Math.Min(Math.Min(Math.Min(_heartbeatDue, _checkDue), Math.Min(_noticeDue, _restDue)), _fast.NextDeadline), _transferee.IsNone ? long.MaxValue : _transferDeadline);

    /// <summary>Only then the commit index is surely that of the group (thesis, 6.4).</summary>
    public bool HasCommittedInTerm => _log.Commit >= _firstIndex;

    /// <summary>Once another was asked to campaign, its election may come at any later time, so promises stop nobody any more.</summary>
    public bool IsLeaseRenounced { get; private set; }

    public void Begin(long now)
    {
        _members = _log.Configuration;
        if (IsStopped)
        {
            _onlySeesChangeThrough = true;
            _firstIndex = _log.LastIndex;
            BroadcastHeartbeat(now);
            return;
        }
        _firstIndex = _log.LastIndex + 1;
        Append(now, EntryKind.Noop, default);
        BroadcastHeartbeat(now);
    }

    public void End()
    {
        _fast.End();
        _reads.RefuseAll();
    }

    public void Tick(long now)
    {
        if (!_transferee.IsNone && now >= _transferDeadline)
            _transferee = MemberId.None;
        if (now >= _checkDue && !CheckFollowers(now))
            return;
        if (now >= _heartbeatDue)
            BroadcastHeartbeat(now);
    }

    /// <summary>
    /// What is looked after once a heartbeat's interval, whatever sends heartbeats meanwhile: rounds of reads do as well, and must not keep a leader
    /// that nobody hears in office.
    /// </summary>
    private bool CheckFollowers(long now)
    {
        var heard = Reached(now, static p => p.LastHeard);
        if (heard < now - _pace.ElectionMicros)
        {
            // Check-quorum: a leader that a majority does not hear must not keep its clients waiting.
            _core.StepDown(now);
            return false;
        }
        AdaptPace(now);
        MeasureLoad(now);
        _checkDue = now + (_progress.Count == 0 ? _options.ElectionMaxMicros : _pace.HeartbeatMicros);
        foreach (var progress in _progress.Values)
        {
            if (progress.State != ProgressState.Snapshot)
                continue;
            _snapshots.ResumeIfStalled(now, progress, _pace.ElectionMicros);
            _snapshots.Continue(now, progress);
        }
        return true;
    }

    public void Step(long now, Message message)
    {
        if (message is ReadRequest read)
        {
            Read(now, read.ReadId, read.From);
            return;
        }
        if (!_progress.TryGetValue(message.From, out var progress))
            return;
        progress.LastHeard = now;
        switch (message)
        {
            case AppendResponse response:
                if (response.IsRefused)
                    Backtrack(progress, response);
                else
                    Acknowledged(now, progress, response.Match);
                break;
            case HeartbeatResponse response:
                Answered(now, progress, response);
                break;
            case SnapshotResponse response:
                _snapshots.Acknowledged(now, progress, response);
                break;
        }
    }

    public Proposal Propose(long now, IReadOnlyList<ReadOnlyMemory<byte>> commands, MemberId origin)
    {
        if (!_transferee.IsNone)
            return new Proposal(ProposalOutcome.Transferring, 0, 0);
        if (IsStopped)
            return new Proposal(ProposalOutcome.ChangeInProgress, 0, 0);
        if (_uncommittedBytes > _options.MaxUncommittedBytes)
            return new Proposal(ProposalOutcome.TooManyUncommitted, 0, 0);
        if (_fast.IsOpen || _fast.IsClosing)
        {
            _fast.Propose(now, commands, origin);
            return new Proposal(ProposalOutcome.Accepted, _term, _log.LastIndex + 1);
        }
        var first = _log.LastIndex + 1;
        foreach (var command in commands)
            Append(now, EntryKind.Command, command);
        if (_progress.TryGetValue(origin, out var waiting))
            waiting.WantedCommit = _log.LastIndex;
        return new Proposal(ProposalOutcome.Accepted, _term, first);
    }

    public Proposal ProposeConfiguration(long now, Configuration next, ReadOnlySpan<byte> context)
    {
        if (!_transferee.IsNone)
            return new Proposal(ProposalOutcome.Transferring, 0, 0);
        var current = _log.Configuration;
        if (current.IsJoint || _log.LastConfigurationIndex > _log.Commit || !HasCommittedInTerm)
            return new Proposal(ProposalOutcome.ChangeInProgress, 0, 0);
        if (next.Voters.IsEmpty)
            throw new ArgumentException("a group needs a voter", nameof(next));
        if (_options.IsBySlot && !next.IsOneVoterFrom(current))
            throw new ArgumentException("Multi-Paxos takes one voter more or less at a time", nameof(next));
        var first = _log.LastIndex + 1;
        var step = next.HasSameVotersAs(current) || _options.IsBySlot || _core.Faults.SwitchVotersAtOnce ? next : current.JoinTo(next);
        Append(now, EntryKind.Configuration, ConfigurationEntry.Encode(step, context));
        if (_core.Faults.LeaveJointUncommitted && step.IsJoint)
            Append(now, EntryKind.Configuration, ConfigurationEntry.Encode(step.Leave(), default));
        return new Proposal(ProposalOutcome.Accepted, _term, first);
    }

    public void Read(long now, long readId, MemberId origin) => _reads.Add(now, readId, origin);

    public bool Transfer(long now, MemberId to)
    {
        if (to == _core.Self || !_progress.TryGetValue(to, out var progress) || !_log.Configuration.IsVoter(to))
            return false;
        _transferee = to;
        _transferDeadline = now + _pace.ElectionMicros;
        _hasAskedTransferee = false;
        AskTransferee(progress);
        return true;
    }

    public void ProvideSnapshotChunk(long now, MemberId to, SnapshotInfo snapshot, long offset, ReadOnlyMemory<byte> data)
    {
        if (_progress.TryGetValue(to, out var progress))
            _snapshots.Send(now, progress, snapshot, offset, data);
    }

    /// <summary>Sends what was appended, committed or asked since the last time, as few messages as possible.</summary>
    public void Flush(long now)
    {
        _fast.Advance(now);
        if (_fast.HasChosen)
            MaybeCommit(now);
        if (_reads.NeedsRound)
            BroadcastHeartbeat(now);
        _restDue = long.MaxValue;
        foreach (var progress in _progress.Values)
            SendEntries(now, progress);
        if (now >= _noticeDue)
            _noticeDue = long.MaxValue;
    }

    /// <summary>The value that a majority of the voters has reached; this member has reached the present.</summary>
    public long Reached(long own, Func<Progress, long> valueOf) => Quorum.Reached(
        _log.Configuration, id => id == _core.Self ? own : _progress.TryGetValue(id, out var progress) ? valueOf(progress) : long.MinValue);

    public void MaybeCommit(long now)
    {
        var configuration = _log.Configuration;
        if (_core.Faults.CountLearners && configuration.Learners.Length > 0)
            configuration = Configuration.Of(configuration.All.ToArray());
        var own = _core.Faults.CountOwnUnflushed ? _log.LastIndex : _log.Durable;
        var reached = Quorum.Reached(
            configuration, id => id == _core.Self ? own : _progress.TryGetValue(id, out var progress) ? progress.Match : 0);
        // Entries of older terms are committed only by one of this term after them (paper, figure 8).
        if (reached > _log.Commit && _log.TermAt(reached) != _term && !_core.Faults.CommitOldTermByCount)
            return;
        reached = Math.Max(reached, _log.Commit);
        // What was adopted is committed together with the first entry of this leader's own, so that who is told of a commit in this term knows of all that was.
        if (_options.IsBySlot && reached < _firstIndex && !_core.Faults.HealOnAdopted)
            return;
        var vouched = 0L;
        while (_fast.TakeChosen(reached + 1, out var value))
        {
            reached++;
            if (vouched == 0 && _core.Fast.HasDurable(value))
                vouched = reached;
        }
        if (reached == _log.Commit)
            return;
        var hadCommitted = HasCommittedInTerm;
        _log.CommitTo(reached);
        for (; vouched != 0 && vouched <= reached; vouched++)
            _log.Vouch(vouched);
        _noticeDue = Math.Min(_noticeDue, now + _options.CommitNoticeMicros);
        while (_uncommitted.TryPeek(out var entry) && entry.Index <= reached)
        {
            _uncommitted.Dequeue();
            _uncommittedBytes -= entry.Bytes;
        }
        if (!hadCommitted && HasCommittedInTerm)
            _reads.BeginHeld();
        FinishChange(now);
    }

    public IReadOnlyList<MemberStatus> Members(long now) => _progress.Values.Select(p => new MemberStatus(
        p.Id, p.Match, p.LastHeard >= now - _pace.ElectionMicros, p.RoundTrip.MeanMicros, p.RoundTrip.DeviationMicros,
        p.State == ProgressState.Snapshot)).ToArray();

    public void Count(long now, FastVotes votes)
    {
        _fast.Count(votes.From, votes.Votes);
        if (votes.Closed != 0)
            _fast.Closed(now, votes.From, votes.Closed);
    }

    /// <summary>Appends what votes have settled.</summary>
    public void AppendSettled(long now, in Entry entry)
    {
        Append(now, entry.Kind, entry.Data);
    }

    /// <summary>The last slot that any member has voted for, as far as known, which is as far as whoever answered the last round knew.</summary>
    public long FurthestVote => !_core.Fast.IsUsed || _core.Faults.ReadBelowVotes
        ? 0
        : _progress.Values.Select(static p => p.FurthestVote).Append(_core.Fast.FurthestVote).Max();

    public long IncarnationOf(MemberId id) => _progress.TryGetValue(id, out var progress) ? progress.Incarnation : 0;

    public long FastPatienceMicros => (long)_options.FastPatience.TotalMicroseconds
        + (4 * _progress.Values.Where(p => p.RoundTrip.IsKnown).Select(static p => p.RoundTrip.MeanMicros).DefaultIfEmpty(0).Max());

    /// <summary>Whether a fast quorum answers and nothing else is under way.</summary>
    public bool MayOpenFast(long now, int quorum)
    {
        if (!HasCommittedInTerm || !_transferee.IsNone || _log.Configuration.IsJoint || _log.Configuration.Voters.Length < 3)
            return false;
        var active = 1;
        foreach (var progress in _progress.Values)
        {
            if (progress.Incarnation != 0 && progress.LastHeard >= now - _pace.ElectionMicros && _log.Configuration.IsVoter(progress.Id))
                active++;
        }
        return active >= quorum && _log.Configuration.IsVoter(_core.Self);
    }

    private void Append(long now, EntryKind kind, ReadOnlyMemory<byte> data)
    {
        var entry = new Entry(_term, _log.LastIndex + 1, kind, data);
        _log.Append(entry);
        _uncommitted.Enqueue((entry.Index, entry.Bytes));
        _uncommittedBytes += entry.Bytes;
        _loadBytes += entry.Bytes;
        if (kind == EntryKind.Configuration)
            FollowConfiguration(now);
        if (_core.Faults.CountOwnUnflushed)
            MaybeCommit(now);
    }

    /// <summary>Multi-Paxos: a change of members that is not chosen yet is the last entry, and nothing may come behind it.</summary>
    private bool IsStopped => _options.IsBySlot && _log.LastConfigurationIndex > _log.Commit && !_core.Faults.ProposeBehindChange;

    private void FollowConfiguration(long now)
    {
        foreach (var id in _progress.Keys.Where(id => !_log.Configuration.Contains(id)).ToArray())
            _progress.Remove(id);
        foreach (var id in _log.Configuration.All)
        {
            if (id != _core.Self && _progress.TryAdd(id, new Progress(id, _log.LastIndex + 1, now)))
                _heartbeatDue = _checkDue = Math.Min(_heartbeatDue, now);
        }
    }

    /// <summary>Leaves the joint step once it is committed, and office once a configuration without this member is.</summary>
    private void FinishChange(long now)
    {
        if (_log.LastConfigurationIndex > _log.Commit || !HasCommittedInTerm)
            return;
        if (_options.IsBySlot && !ReferenceEquals(_members, _log.Configuration))
        {
            _members = _log.Configuration;
            BroadcastHeartbeat(now);
            FollowConfiguration(now);
        }
        if (_onlySeesChangeThrough)
        {
            // It may have been in force for long, with another leader: only the new members' promises tell what comes behind it.
            _core.StepDown(now);
            return;
        }
        if (_log.Configuration.IsJoint)
        {
            Append(now, EntryKind.Configuration, ConfigurationEntry.Encode(_log.Configuration.Leave(), default));
            return;
        }
        if (_log.Configuration.IsVoter(_core.Self))
        {
            // Behind it, so that whoever starts again knows that the change is in force.
            if (_options.IsBySlot && _log.ConfigurationIndex == _log.LastIndex)
                Append(now, EntryKind.Noop, default);
            return;
        }
        BroadcastHeartbeat(now);
        Flush(now);
        var heir = _progress.Values.Where(p => _log.Configuration.IsVoter(p.Id)).MaxBy(p => p.Match);
        if (heir is not null)
            _core.Send(new TimeoutNow(_core.Self, heir.Id, _term));
        _core.StepDown(now);
    }

    private void BroadcastHeartbeat(long now)
    {
        var round = _reads.NextRound();
        _fast.Remind(now);
        // With nobody to tell there is nothing to do until somebody is added.
        _heartbeatDue = now + (_progress.Count == 0 ? _options.ElectionMaxMicros : _pace.HeartbeatMicros);
        foreach (var progress in _progress.Values)
        {
            var commit = _core.Faults.CommitBeyondMatch ? _log.Commit : Math.Min(progress.Match, _log.Commit);
            _core.Send(new Heartbeat(_core.Self, progress.Id, _term, commit, round, now, _pace.ElectionMicros));
        }
        _reads.Release(now);
    }

    /// <summary>Nobody waits for what a learner lacks, so it gets that no faster than a snapshot; but faster than the log grows.</summary>
    private long LearnerBytesPerSecond => Math.Max(_options.SnapshotBytesPerSecond, 2 * _loadBytesPerSecond);

    private void MeasureLoad(long now)
    {
        if (now - _loadSince < LoadMicros)
            return;
        _loadBytesPerSecond = _loadBytes * 1_000_000 / (now - _loadSince);
        _loadBytes = 0;
        _loadSince = now;
    }

    private void AdaptPace(long now)
    {
        long wanted = 0;
        foreach (var progress in _progress.Values)
        {
            // One that is silent or far away as a learner must not slow the others down.
            if (progress.RoundTrip.IsKnown && progress.LastHeard >= now - _pace.ElectionMicros && _log.Configuration.IsVoter(progress.Id))
            {
                wanted = Math.Max(wanted, (progress.RoundTrip.MeanMicros * _options.RoundTripsPerElectionTimeout)
                    + (progress.RoundTrip.DeviationMicros * _options.DeviationsPerElectionTimeout));
            }
        }
        _pace.Adapt(wanted);
    }

    private void Answered(long now, Progress progress, HeartbeatResponse response)
    {
        progress.AnsweredRound = Math.Max(progress.AnsweredRound, response.Round);
        progress.RoundTrip.Sample(now - response.SentAt);
        // This clock may be slow and the other fast; the promise is over for sure only after so much of this clock's time.
        var bound = _core.Faults.LeaseWithoutDriftBound ? 0 : _options.ClockDriftBound;
        var lease = (long)(response.PromiseMicros * (1 - bound) / (1 + bound));
        progress.PromisedUntil = Math.Max(progress.PromisedUntil, response.SentAt + lease);
        progress.Incarnation = response.Incarnation;
        progress.FurthestVote = Math.Max(progress.FurthestVote, response.FurthestVote);
        _core.Fast.Seen(response.FurthestVote);
        progress.IsPaused = false;
        if (progress.State == ProgressState.Replicate && progress.Match < _log.LastIndex)
        {
            if (progress.IsFull(_options))
                progress.FreeOne();
            progress.MustProbe = true;
        }
        _reads.Release(now);
    }

    private void Acknowledged(long now, Progress progress, long match)
    {
        // In Fast Paxos a member may have learnt what was chosen before its leader did.
        if (_core.Fast.IsUsed)
            match = Math.Min(match, _log.LastIndex);
        if (match > _log.LastIndex)
            throw new RaftInvariantException($"{progress.Id} acknowledges entry {match}, but the leader's log ends at {_log.LastIndex}");
        var isNews = progress.Acknowledge(match);
        // Below the base, the entries that follow are gone: the snapshot goes on.
        if (progress.State == ProgressState.Probe || (progress.State == ProgressState.Snapshot && progress.Match >= _log.Base.Index))
            progress.Replicate();
        if (isNews)
            MaybeCommit(now);
        if (progress.Id == _transferee)
            AskTransferee(progress);
    }

    private void Backtrack(Progress progress, AppendResponse response)
    {
        switch (progress.State)
        {
            case ProgressState.Replicate when response.RefusedIndex > progress.Match:
                progress.Probe(progress.Match + 1);
                break;
            case ProgressState.Probe when response.RefusedIndex == progress.Next - 1:
                var fits = _log.LastWithTermAtMost(response.HintIndex, response.HintTerm) + 1;
                progress.Probe(Math.Max(1, Math.Min(response.RefusedIndex, fits)));
                break;
        }
    }

    private void AskTransferee(Progress progress)
    {
        if (_hasAskedTransferee || progress.Match < _log.LastIndex)
            return;
        _hasAskedTransferee = true;
        IsLeaseRenounced = !_core.Faults.LeaseDuringTransfer;
        _core.Send(new TimeoutNow(_core.Self, progress.Id, _term));
    }

    private void SendEntries(long now, Progress progress)
    {
        while (progress.State != ProgressState.Snapshot)
        {
            if (progress.State == ProgressState.Probe ? progress.IsPaused : progress.IsFull(_options))
                return;
            if (now < progress.RestsUntil)
            {
                _restDue = Math.Min(_restDue, progress.RestsUntil);
                return;
            }
            var previous = progress.Next - 1;
            var previousTerm = _log.TermAt(previous);
            if (previousTerm < 0)
            {
                _snapshots.Begin(now, progress);
                return;
            }
            _scratch.Clear();
            var isLearner = !_log.Configuration.IsVoter(progress.Id);
            _log.Read(
                progress.Next, _log.LastIndex, isLearner ? Math.Min(_options.MaxAppendBytes, LearnerAppendBytes) : _options.MaxAppendBytes, _scratch);
            var isDue = progress.State == ProgressState.Probe || progress.MustProbe
                || (progress.ToldCommit < _log.Commit && (progress.ToldCommit < progress.WantedCommit || now >= _noticeDue));
            if (_scratch.Count == 0 && !isDue)
                return;
            var entries = _scratch.ToArray();
            long bytes = 0;
            foreach (var entry in entries)
                bytes += entry.Bytes;
            progress.MustProbe = false;
            progress.ToldCommit = _log.Commit;
            _core.Send(new AppendRequest(_core.Self, progress.Id, _term, previous, previousTerm, _log.Commit, entries));
            if (entries.Length == 0 && progress.State != ProgressState.Probe)
                return;
            progress.Sent(previous + entries.Length, bytes);
            if (isLearner && previous + entries.Length < _log.LastIndex)
                progress.RestsUntil = now + (bytes * 1_000_000 / LearnerBytesPerSecond);
        }
    }
}
