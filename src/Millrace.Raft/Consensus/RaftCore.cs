using Millrace.Raft.Messages;

namespace Millrace.Raft.Consensus;

/// <summary>
/// One member of a Raft group as a pure state machine: messages, proposals, time and finished writes go in, a <see cref="Ready"/> of
/// effects comes out. No clock, thread, socket or disk: time is a parameter in microseconds of any monotonic clock, chance is the
/// generator given. Not thread-safe.
/// </summary>
/// <remarks>
/// Diego Ongaro: Consensus: Bridging Theory and Practice, 2014; with pre-vote (9.6), check-quorum (6.2), leadership transfer (3.10),
/// joint consensus (4.3), read-index (6.4), leases (6.4.1), parallel disk writes of the leader (10.2.1), and quorum reads after
/// Charapko, Ailijiang, Demirbas: Linearizable Quorum Reads in Paxos, 2019.
/// </remarks>
public sealed class RaftCore
{
    private readonly Random _random;
    private readonly Following _following;
    private readonly QuorumReads _quorumReads;
    private readonly Promises _promises;
    private readonly Dictionary<MemberId, bool> _votes = [];
    private readonly List<Message> _messages = [];
    private readonly List<Message> _messagesAfter = [];
    private readonly List<ReadGrant> _reads = [];
    private readonly List<long> _askedReads = [];
    private readonly List<SnapshotRead> _snapshotReads = [];
    private readonly List<SnapshotChunk> _snapshotWrites = [];
    private Leadership? _leadership;
    private SnapshotInfo? _reset;
    private long _lastWrite;
    private long _selfVoteWrite;
    private bool _isHardStateDirty;

    /// <param name="self">This member.</param>
    /// <param name="state">What its disk holds.</param>
    /// <param name="options">Bounds; checked here.</param>
    /// <param name="stored">Durable entries that are no longer in memory.</param>
    /// <param name="random">Draws election timeouts.</param>
    /// <param name="now">Microseconds of this member's clock.</param>
    public RaftCore(MemberId self, RecoveredState state, RaftOptions options, IEntryReader stored, Random random, long now)
        : this(self, state, options, stored, random, now, Faults.None)
    {
    }

    internal RaftCore(
        MemberId self, RecoveredState state, RaftOptions options, IEntryReader stored, Random random, long now, Faults faults)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(state);
        options.Validate();
        Self = self;
        Options = options;
        Faults = faults;
        _random = random;
        Term = state.HardState.Term;
        Vote = state.HardState.Vote;
        IsHealing = state.IsHealing;
        Log = new LogTail(state, stored, options.CachedLogBytes, options.IsBySlot, faults);
        _following = new Following(this, now, isRestart: state.IsRestart);
        _quorumReads = new QuorumReads(this);
        _promises = new Promises(this);
        Fast = new FastRounds(this, state);
    }

    public MemberId Self { get; }

    public long Term { get; private set; }

    /// <summary>Whom this member voted for in its term.</summary>
    public MemberId Vote { get; private set; }

    public Role Role { get; private set; }

    /// <summary>
    /// This member lost what it may have acknowledged, so it neither votes nor stands nor says how far its log reaches, until it has all that a
    /// leader elected without it has committed: that holds every entry whose acknowledgement by this member could count.
    /// </summary>
    public bool IsHealing { get; private set; }

    /// <summary>The leader of this term, as far as known.</summary>
    public MemberId Leader { get; private set; }

    public long LastIndex => Log.LastIndex;

    public long CommitIndex => Log.Commit;

    /// <summary>The last entry handed out to be applied.</summary>
    public long DeliveredIndex => Log.Delivered;

    /// <summary>Entries up to here are only in snapshots.</summary>
    public long CompactedIndex => Log.Base.Index;

    /// <summary>The newest configuration in the log, committed or not; in Multi-Paxos the newest that is committed.</summary>
    public Configuration Configuration => Log.Configuration;

    /// <summary>When <see cref="Tick"/> has something to do, if nothing else comes before.</summary>
    public long NextDeadline => _leadership?.NextDeadline ?? _following.ElectionDeadline;

    internal RaftOptions Options { get; }

    internal Faults Faults { get; }

    internal LogTail Log { get; }

    internal FastRounds Fast { get; }

    /// <summary>Time has come to <paramref name="now"/>.</summary>
    public void Tick(long now)
    {
        if (_leadership is not null)
            _leadership.Tick(now);
        else if (now >= _following.ElectionDeadline)
            Campaign(now, isPreVote: true, isTransfer: false);
    }

    /// <summary>A message has come. Messages of others in another role, of old terms and the like are sorted out here.</summary>
    public void Step(long now, Message message)
    {
        ArgumentNullException.ThrowIfNull(message);
        switch (message)
        {
            case VoteRequest or Prepare or QuorumReadRequest when IsHealing && !Faults.VoteWhileHealing:
                return;
            case QuorumReadRequest request:
                _quorumReads.Answer(request);
                return;
            case QuorumReadResponse response:
                _quorumReads.Count(response);
                return;
            case Chosen chosen:
                _promises.Learn(now, chosen);
                return;
            case Prepare prepare when !_promises.KnowsMembers(prepare):
                Send(_promises.Tell(prepare));
                return;
            case VoteRequest { IsTransfer: false } request when request.Term >= Term && IsLoyal(now, request.From):
                // Whoever hears from its leader neither votes nor changes its term for one who does not (thesis, 4.2.3 and 6.4.1).
                return;
            case Prepare { IsTransfer: false } prepare when prepare.Term >= Term && IsLoyal(now, prepare.From):
                return;
        }
        if (message.Term > Term && message is not VoteRequest { IsPreVote: true } and not Prepare { IsPreVote: true } and not VoteResponse { IsPreVote: true, IsGranted: true })
            BecomeFollower(now, message.Term, message is AppendRequest or Heartbeat or SnapshotChunk or FastWindow ? message.From : MemberId.None);
        if (message.Term < Term && message is not ReadRequest and not ReadResponse)
        {
            AnswerStale(message);
            return;
        }
        switch (message)
        {
            case VoteRequest request:
                AnswerVote(now, request);
                break;
            case VoteResponse response:
                CountVote(now, response);
                break;
            case Prepare prepare:
                AnswerPrepare(now, prepare);
                break;
            case Promise promise when Role == Role.Candidate:
                _promises.Take(promise);
                foreach (var vote in promise.Votes)
                    Fast.Seen(vote.Slot);
                _votes.TryAdd(promise.From, true);
                DecideElection(now);
                break;
            case AppendRequest or Heartbeat or SnapshotChunk:
                FollowLeader(now, message.From);
                _following.Step(now, message);
                break;
            case FastPropose propose:
                Fast.Step(propose);
                break;
            case FastVotes votes:
                Fast.Count(votes.From, votes.Votes);
                _leadership?.Count(now, votes);
                break;
            case FastWindow window:
                FollowLeader(now, window.From);
                Fast.Step(window);
                break;
            case TimeoutNow:
                if (Role != Role.Leader)
                    Campaign(now, isPreVote: false, isTransfer: true);
                break;
            case ReadResponse response:
                if (_askedReads.Remove(response.ReadId))
                    Grant(response.ReadId, response.Index);
                break;
            default:
                _leadership?.Step(now, message);
                break;
        }
    }

    /// <summary>
    /// The connection on which a member spoke has ended, as it does at once when its process dies. If that was the leader, this member asks
    /// for pre-votes soon instead of waiting for silence, and hinders nobody else who does. Only a hint: a leader whose other connections
    /// stand is kept by those who have them. With leases nothing changes, since a promise holds whatever becomes of connections.
    /// </summary>
    public void ConnectionLost(long now, MemberId peer)
    {
        if (Role == Role.Follower && peer == Leader && !Options.LeaseReads)
            _following.LoseLeader(now);
    }

    /// <summary>Appends commands, if this member leads and has room.</summary>
    /// <param name="now">Microseconds of this member's clock.</param>
    /// <param name="commands">For the state machine.</param>
    /// <param name="origin">The member that waits for them and is told at once when they are committed, if not this one.</param>
    public Proposal Propose(long now, IReadOnlyList<ReadOnlyMemory<byte>> commands, MemberId origin = default) =>
        _leadership?.Propose(now, commands, origin) ?? new Proposal(ProposalOutcome.NotLeader, 0, 0);

    /// <summary>
    /// Fast Paxos: a member that does not lead proposes commands to all voters at once, if the leader lets members do so at the moment.
    /// </summary>
    /// <returns>
    /// The number of the first command, by which <see cref="Ready.Lost"/> names it when others got its slot; the others follow. 0: propose to
    /// the leader.
    /// </returns>
    public long ProposeFast(long now, IReadOnlyList<ReadOnlyMemory<byte>> commands) =>
        _leadership is null && Fast.IsUsed ? Fast.Propose(now, commands, MemberId.None) : 0;

    /// <summary>
    /// Changes who belongs to the group; other voters by the joint step, which the leader leaves by itself. One change at a time. Multi-Paxos takes
    /// one voter more or less at a time; Fast Paxos no change.
    /// </summary>
    /// <param name="now">Microseconds of this member's clock.</param>
    /// <param name="next">The voters and learners wanted.</param>
    /// <param name="context">For the state machine, with the first entry of the change.</param>
    public Proposal ProposeConfiguration(long now, Configuration next, ReadOnlySpan<byte> context)
    {
        ArgumentNullException.ThrowIfNull(next);
        return _leadership is null || Fast.IsUsed
            ? new Proposal(ProposalOutcome.NotLeader, 0, 0)
            : _leadership.ProposeConfiguration(now, next, context);
    }

    /// <summary>
    /// Asks for a read index: the answer comes as a <see cref="ReadGrant"/>, from this member's leadership or the leader; perhaps never,
    /// when messages are lost. One id may stand for many reads that all began before this call.
    /// </summary>
    public void Read(long now, long readId)
    {
        if (_leadership is not null)
        {
            _leadership.Read(now, readId, Self);
        }
        else if (Leader.IsNone)
        {
            Grant(readId, -1);
        }
        else
        {
            _askedReads.Add(readId);
            Send(new ReadRequest(Self, Leader, Term, readId));
        }
    }

    /// <summary>The same by a majority's durable logs, without the leader.</summary>
    public void QuorumRead(long readId) => _quorumReads.Ask(readId);

    /// <summary>The reads with this and older ids are no longer waited for.</summary>
    public void ForgetReads(long upToReadId)
    {
        _askedReads.RemoveAll(id => id <= upToReadId);
        _quorumReads.Forget(upToReadId);
    }

    /// <summary>Hands leadership over, once the other has the whole log. False when this member does not lead or the other is no voter.</summary>
    public bool Transfer(long now, MemberId to) => _leadership?.Transfer(now, to) ?? false;

    /// <summary>The write with this id, and all before it, are durable.</summary>
    public void Persisted(long now, long writeId)
    {
        Log.Persisted(writeId);
        if (Fast.IsUsed && Fast.Persisted(writeId) is { Count: > 0 } votes)
            _leadership?.Count(now, new FastVotes(Self, Self, Term, votes, 0));
        if (Role == Role.Candidate && _selfVoteWrite > 0 && writeId >= _selfVoteWrite)
        {
            // One's own vote counts like any other: when it cannot be forgotten.
            _selfVoteWrite = 0;
            _votes[Self] = true;
            DecideElection(now);
        }
        _leadership?.MaybeCommit(now);
    }

    /// <summary>The state machine has a durable snapshot at <paramref name="snapshotIndex"/>; entries up to <paramref name="keepAfter"/> may go.</summary>
    public void Compact(long snapshotIndex, long keepAfter) => Log.CompactTo(Math.Min(snapshotIndex, keepAfter));

    /// <summary>The newest configuration at or before an applied index: what belongs into a snapshot there, with the term.</summary>
    public (long Term, Configuration Configuration) StateAt(long index) =>
        (Log.TermAt(index), Log.ConfigurationAt(index));

    /// <summary>A piece that was asked for by <see cref="Ready.SnapshotReads"/>.</summary>
    public void ProvideSnapshotChunk(long now, MemberId to, SnapshotInfo snapshot, long offset, ReadOnlyMemory<byte> data) =>
        _leadership?.ProvideSnapshotChunk(now, to, snapshot, offset, data);

    /// <summary>
    /// The answer to <see cref="Ready.SnapshotWrites"/>: all before <paramref name="nextOffset"/> is stored; when complete, the whole
    /// file is durable and checked.
    /// </summary>
    public void SnapshotStored(long now, MemberId from, SnapshotInfo snapshot, long nextOffset, bool isComplete) =>
        _following.SnapshotStored(now, from, snapshot, nextOffset, isComplete);

    /// <summary>What is to be done now; null when nothing.</summary>
    public Ready? TakeReady(long now)
    {
        if (Fast.IsUsed)
            Fast.Settle();
        _leadership?.Flush(now);
        var lost = Fast.TakeLost();
        var committed = Log.TakeDeliverable(Options.MaxApplyBytes);
        var isHealed = IsHealing && HasAllCommitted;
        if (isHealed)
            IsHealing = false;
        var write = TakeWrite();
        if (write is null && !isHealed && committed.Count == 0 && _messages.Count == 0 && _reads.Count == 0 && lost.Count == 0 && _snapshotReads.Count == 0
            && _snapshotWrites.Count == 0)
            return null;
        return new Ready
        {
            Messages = Take(_messages),
            Write = write,
            Install = write?.Reset,
            Committed = committed,
            Reads = Take(_reads),
            Lost = lost,
            SnapshotReads = Take(_snapshotReads),
            SnapshotWrites = Take(_snapshotWrites),
            IsHealed = isHealed,
        };
    }

    /// <summary>A picture for people and metrics.</summary>
    public RaftStatus Status(long now) => new(
        Self, Role, Term, Leader, Log.Commit, Log.Delivered, Log.LastIndex, Log.Durable, Log.Base.Index, Configuration,
        _leadership?.ElectionMicros ?? _following.ElectionMicros, _leadership?.Members(now) ?? []);

    /// <summary>
    /// An entry that this term's leader proposed itself is committed, hence all before it that ever were, and all of it is on this disk. In the Paxos family
    /// what was adopted has the leader's term too; but its leader says of nothing in its term that it is committed before all that it adopted is.
    /// </summary>
    private bool HasAllCommitted
    {
        get
        {
            var known = Options.IsBySlot && !Faults.HealOnAdopted ? _following.ToldCommit : Log.Commit;
            return Role == Role.Follower && !Leader.IsNone && Log.TermAt(known) == Term && Log.Commit >= known && Log.Durable >= known;
        }
    }

    internal void Send(Message message) => _messages.Add(message);

    /// <summary>Sends once everything appended and decided so far is durable.</summary>
    internal void SendAfterWrite(Message message)
    {
        if (message is AppendResponse { IsRefused: false } next && _messagesAfter.Count > 0
            && _messagesAfter[^1] is AppendResponse { IsRefused: false } last && last.To == next.To && last.Term == next.Term)
        {
            // A later acknowledgement says all that an earlier one says.
            if (next.Match >= last.Match)
                _messagesAfter[^1] = next;
            return;
        }
        _messagesAfter.Add(message);
    }

    internal void Grant(long readId, long index) => _reads.Add(new ReadGrant(readId, index));

    internal void AskSnapshotRead(SnapshotRead read) => _snapshotReads.Add(read);

    internal void AskSnapshotWrite(SnapshotChunk chunk) => _snapshotWrites.Add(chunk);

    internal long Draw(long below) => below <= 0 ? 0 : _random.NextInt64(below);

    internal void ResetLogTo(SnapshotInfo snapshot)
    {
        if (Faults.ForgetBehindSnapshot && snapshot.Index < LastIndex)
            Log.TruncateFrom(snapshot.Index + 1);
        Log.ResetTo(snapshot);
        _reset = snapshot;
    }

    internal void StepDown(long now) => BecomeFollower(now, Term, MemberId.None);

    private bool IsLoyal(long now, MemberId candidate) =>
        (Role == Role.Leader && candidate != Self) || now < _following.PromisedUntil;

    private void FollowLeader(long now, MemberId leader)
    {
        if (Role == Role.Leader)
            throw new RaftInvariantException($"{leader} and {Self} both lead in term {Term}");
        if (Role != Role.Follower || Leader != leader)
            BecomeFollower(now, Term, leader);
    }

    private void BecomeFollower(long now, long term, MemberId leader)
    {
        if (term > Term)
        {
            Term = term;
            Vote = MemberId.None;
            _isHardStateDirty = true;
        }
        _leadership?.End();
        _leadership = null;
        if (leader != Leader || Role != Role.Follower)
            RefuseAskedReads();
        Role = Role.Follower;
        Leader = leader;
        _votes.Clear();
        _selfVoteWrite = 0;
        _following.RestartElectionTimer(now);
    }

    private void RefuseAskedReads()
    {
        foreach (var id in _askedReads)
            Grant(id, -1);
        _askedReads.Clear();
    }

    private void Campaign(long now, bool isPreVote, bool isTransfer)
    {
        _following.RestartElectionTimer(now);
        // Who has just been voted out must still stand until that is committed: it may be the only one with all entries, and others of
        // the joint step may need it (thesis, 4.2.2). Its own vote then counts for nothing.
        if (!Log.WasVoterSinceCommit(Self) || (IsHealing && !Faults.VoteWhileHealing))
            return;
        RefuseAskedReads();
        Leader = MemberId.None;
        _votes.Clear();
        _selfVoteWrite = 0;
        if (isPreVote)
        {
            Role = Role.PreCandidate;
            _votes[Self] = true;
        }
        else
        {
            Role = Role.Candidate;
            Term++;
            Vote = Self;
            _isHardStateDirty = true;
            _selfVoteWrite = _lastWrite + 1;
        }
        foreach (var voter in Configuration.All)
        {
            if (voter == Self || !Configuration.IsVoter(voter))
                continue;
            Message request = _promises.IsUsed
                ? _promises.Ask(voter, isPreVote, isTransfer)
                : new VoteRequest(Self, voter, isPreVote ? Term + 1 : Term, Log.LastIndex, Log.LastTerm, isPreVote, isTransfer);
            if (isPreVote)
                Send(request);
            else
                SendAfterWrite(request);
        }
        DecideElection(now);
    }

    private void AnswerVote(long now, VoteRequest request)
    {
        var isFree = Vote == request.From || (Vote.IsNone && Leader.IsNone) || (request.IsPreVote && request.Term > Term)
            || Faults.VoteTwice;
        var isGranted = isFree && (Log.IsUpToDate(request.LastIndex, request.LastTerm) || Faults.VoteForShorterLog);
        if (!isGranted)
        {
            Send(new VoteResponse(Self, request.From, Term, request.IsPreVote, IsGranted: false));
        }
        else if (request.IsPreVote)
        {
            Send(new VoteResponse(Self, request.From, request.Term, IsPreVote: true, IsGranted: true));
        }
        else
        {
            Vote = request.From;
            _isHardStateDirty = true;
            _following.RestartElectionTimer(now);
            SendAfterWrite(new VoteResponse(Self, request.From, Term, IsPreVote: false, IsGranted: true));
        }
    }

    private void AnswerPrepare(long now, Prepare request)
    {
        var isFree = Vote == request.From || (Vote.IsNone && Leader.IsNone) || (request.IsPreVote && request.Term > Term) || Faults.VoteTwice;
        var promise = isFree && _promises.MayPromise(request) && !request.IsPreVote ? _promises.Give(request) : null;
        if (request.IsPreVote ? !isFree || !_promises.MayPromise(request) : promise is null)
        {
            Send(new VoteResponse(Self, request.From, Term, request.IsPreVote, IsGranted: false));
        }
        else if (promise is null)
        {
            Send(new VoteResponse(Self, request.From, request.Term, IsPreVote: true, IsGranted: true));
        }
        else
        {
            Vote = request.From;
            _isHardStateDirty = true;
            _following.RestartElectionTimer(now);
            SendAfterWrite(promise);
        }
    }

    private void CountVote(long now, VoteResponse response)
    {
        var isAwaited = response.IsPreVote ? Role == Role.PreCandidate : Role == Role.Candidate;
        var term = response is { IsPreVote: true, IsGranted: true } ? Term + 1 : Term;
        if (!isAwaited || response.Term != term)
            return;
        _votes.TryAdd(response.From, response.IsGranted);
        DecideElection(now);
    }

    private void DecideElection(long now)
    {
        switch (Quorum.Count(Configuration, _votes))
        {
            case VoteResult.Won when Role == Role.PreCandidate:
                Campaign(now, isPreVote: false, isTransfer: false);
                break;
            case VoteResult.Won:
                if (_promises.IsUsed)
                    _promises.Adopt();
                Role = Role.Leader;
                Leader = Self;
                Fast.CloseWindow();
                _leadership = new Leadership(this, now);
                _leadership.Begin(now);
                break;
            case VoteResult.Lost:
                BecomeFollower(now, Term, MemberId.None);
                break;
        }
    }

    /// <summary>Tells a leader or pre-candidate of an older term that it is one.</summary>
    private void AnswerStale(Message message)
    {
        if (message is AppendRequest or Heartbeat or SnapshotChunk)
            Send(new AppendResponse(Self, message.From, Term, 0, 0, 0, 0));
        else if (message is VoteRequest request)
            Send(new VoteResponse(Self, message.From, Term, request.IsPreVote, IsGranted: false));
        else if (message is Prepare prepare)
            Send(new VoteResponse(Self, message.From, Term, prepare.IsPreVote, IsGranted: false));
    }

    private LogWrite? TakeWrite()
    {
        if (!_isHardStateDirty && _reset is null && !Log.HasUnwritten && _messagesAfter.Count == 0 && !Fast.HasUnwritten)
            return null;
        var id = ++_lastWrite;
        HardState? hardState = _isHardStateDirty ? new HardState(Term, Faults.ForgetVote ? MemberId.None : Vote) : null;
        var write = new LogWrite(id, hardState, _reset, Log.TakeUnwritten(id), Take(_messagesAfter)) { Votes = Fast.TakeUnwritten(id) };
        _isHardStateDirty = false;
        _reset = null;
        return write;
    }

    private static IReadOnlyList<T> Take<T>(List<T> list)
    {
        if (list.Count == 0)
            return [];
        var taken = list.ToArray();
        list.Clear();
        return taken;
    }
}
