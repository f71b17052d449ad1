using Millrace.Coordination.Grpc;
using Millrace.Coordination.Store;
using Millrace.Raft;
using Millrace.Raft.Consensus;
using Millrace.Raft.Log;
using Millrace.Raft.Messages;

namespace Millrace.Coordination.Node;

/// <summary>
/// Owns the core: takes what came in, tells the core, and hands its effects to network, log, applier and snapshot worker. It decides
/// nothing by itself but where a proposal goes and when a question is asked again.
/// </summary>
/// <remarks>
/// Whoever brings something takes the turn if nobody has it and carries the matter as far as it goes, writing to the disk and applying
/// included while both are quick; otherwise the holder of the turn finds it before it leaves. A request so waits for few switches of
/// threads, and what comes meanwhile shares the next write (Hendler, Incze, Shavit, Tzafrir: Flat Combining, 2010). A thread of its own
/// keeps the time, and takes over from callers when there is more than they should do.
/// </remarks>
internal sealed class RaftLoop : IBatched, IDisposable
{
    private const long AskAgainMicros = 500_000;
    private const long StatusEveryMicros = 10_000;
    private const long RoundTripsEveryMicros = 500_000;
    private const int MaxTurnsOfCaller = 16;
    [ThreadStatic]
    private static RaftLoop? _heldHere;

    private readonly Mailbox<object> _mailbox = new();
    private readonly AutoResetEvent _clockHand = new(false);
    private readonly RaftCore _core;
    private readonly TimeProvider _time;
    private readonly PendingRequests _pending;
    private readonly ReadGate _reads;
    private readonly Dictionary<long, Question> _asked = [];
    private readonly List<PendingRequest> _homeless = [];
    private readonly List<PendingRequest> _proposals = [];
    private readonly Dictionary<long, PendingRequest> _fast = [];
    private readonly List<ReadBatch> _unasked = [];
    private readonly List<LogWrite> _writes = [];
    private readonly List<IReadOnlyList<Entry>> _ahead = [];
    private readonly Action<Exception> _failed;
    private readonly HeldBack _heldBack;
    private readonly Thread _thread;
    private long _lastReadId;
    private long _checkReadsAt;
    private long _statusShownAt;
    private bool _isStatusOld;
    private bool _isForLeader;
    private bool _isHealed;
    private int _turn;
    private int _isTurnWanted;
    private long _deadline;
    private long _sleepsUntil = long.MinValue;
    private volatile bool _isStopping;
    private volatile bool _hasFailed;
    private volatile RaftStatus _status;

    public RaftLoop(RaftCore core, TimeProvider time, PendingRequests pending, TimeSpan holdBack, Action<Exception> failed)
    {
        _core = core;
        _heldBack = new HeldBack(core, message => Send!(message), (long)holdBack.TotalMicroseconds);
        _time = time;
        _pending = pending;
        _failed = failed;
        _reads = new ReadGate(time, Post);
        _status = core.Status(Now);
        _thread = new Thread(Run) { Name = "raft", IsBackground = true };
        // Nobody has a turn before Start.
        _turn = 1;
    }

    public required Action<Message> Send { get; init; }

    /// <summary>Lets all leave that was given to <see cref="Send"/>.</summary>
    public required Action FlushSends { get; init; }

    public required Func<MemberId, byte, ReadOnlyMemory<byte>, bool> SendAside { get; init; }

    public required LogWriter Writer { get; init; }

    public required Applier Applier { get; init; }

    public required SnapshotWorker Snapshots { get; init; }

    /// <summary>Told when role, term or leader changed.</summary>
    public required Action<RaftStatus> RoleChanged { get; init; }

    /// <summary>Entries are run before they are committed, unseen.</summary>
    public bool RunsAhead { get; init; }

    /// <summary>Told when a damaged member has all again, after the write that completes it was handed on.</summary>
    public required Action Healed { get; init; }

    public RaftStatus Status => _status;

    /// <summary>Microseconds of a clock that only goes forward.</summary>
    public long Now => (long)(_time.GetTimestamp() * (1e6 / _time.TimestampFrequency));

    public void Start()
    {
        Volatile.Write(ref _turn, 0);
        _thread.Start();
    }

    public void Receive(Message message) => Post(message);

    public void Propose(PendingRequest request) => Post(request);

    public void Forwarded(ForwardedProposals proposals) => Post(proposals);

    public void Persisted(LogWrite write) => Post(write);

    public void ConnectionLost(MemberId peer) => Post((Action<RaftCore, long>)((core, now) => core.ConnectionLost(now, peer)));

    /// <summary>An entry of a term was applied, so proposals that only an older leader had are lost, and proposed again.</summary>
    public void TermBegan(long term)
    {
        var lost = _pending.LostBefore(term);
        if (lost.Length == 0)
            return;
        Post((_, _) =>
        {
            foreach (var request in lost)
            {
                // Looked at again here, where terms are set: a later call may have named it too.
                if (request.Term == 0 || request.Term >= term || !_pending.Contains(request.Id))
                    continue;
                request.Term = 0;
                _proposals.Add(request);
            }
        });
    }

    /// <summary>Completes when a read here sees everything that was acknowledged before this call.</summary>
    public ValueTask WaitForReadAsync(bool byQuorum, bool isLight) => _reads.WaitAsync(byQuorum, isLight);

    public bool HasReads => !_reads.IsEmpty;

    /// <summary>Reads that began before a time, by the provider's timestamps, are given up.</summary>
    public void FailReadsOlderThan(long timestamp) => _reads.FailOlderThan(timestamp, StoreErrors.Timeout);

    /// <summary>Runs something with the core.</summary>
    public void Post(Action<RaftCore, long> action) => Post((object)action);

    /// <summary>Goes on with what was posted and not begun, as a caller that posts many things at once does after the last.</summary>
    public void Kick()
    {
        for (var turns = 0; (!_mailbox.IsEmpty || Volatile.Read(ref _isTurnWanted) != 0) && TryTakeTurn(); turns++)
        {
            if (turns == MaxTurnsOfCaller)
            {
                Interlocked.Exchange(ref _turn, 0);
                _clockHand.Set();
                return;
            }
            TakeTurn();
        }
    }

    public void Dispose()
    {
        _isStopping = true;
        _clockHand.Set();
        if (_thread.ThreadState != ThreadState.Unstarted)
            _thread.Join();
        // The turn is never given back, so nobody touches the core any more.
        var patience = new SpinWait();
        while (!_hasFailed && !TryTakeTurn())
            patience.SpinOnce();
        _clockHand.Dispose();
        _mailbox.Dispose();
    }

    /// <summary>Called by <see cref="OutputBatch"/>.</summary>
    void IBatched.EndBatch() => Kick();

    private void Post(object item)
    {
        _mailbox.Enqueue(item);
        // Whoever has the turn looks into the mailbox before it leaves, also for what it posted itself.
        if (_heldHere != this && !OutputBatch.AddOnce(this))
            Kick();
    }

    private bool TryTakeTurn() => Interlocked.CompareExchange(ref _turn, 1, 0) == 0;

    /// <summary>With the turn taken; gives it back unless this member can go on no more.</summary>
    private void TakeTurn()
    {
        OutputBatch.Begin();
        _heldHere = this;
        try
        {
            Turn();
            _heldHere = null;
            // A full fence, so that whoever posted and found the turn taken is seen by the look into the mailbox that follows.
            Interlocked.Exchange(ref _turn, 0);
        }
        catch (Exception error)
        {
            // A broken invariant, a failed disk or our own bug: this member's state can no longer be trusted.
            _hasFailed = true;
            _failed(error);
        }
        finally
        {
            _heldHere = null;
            OutputBatch.End();
        }
        if (Interlocked.Read(ref _deadline) < Interlocked.Read(ref _sleepsUntil))
            _clockHand.Set();
    }

    private void Run()
    {
        while (!_isStopping && !_hasFailed)
        {
            Interlocked.Exchange(ref _isTurnWanted, 1);
            Kick();
            var until = Interlocked.Read(ref _deadline);
            Interlocked.Exchange(ref _sleepsUntil, until);
            // Whoever has a turn now looks at when this thread wakes only after it has set its own deadline.
            if (Interlocked.Read(ref _deadline) >= until)
            {
                // Up to whole milliseconds, which is what a wait can do: less would be a wait of nothing, again and again.
                _clockHand.WaitOne(TimeSpan.FromMilliseconds((Math.Clamp(until - Now, 1, 1_000_000) + 999) / 1000));
            }
            Interlocked.Exchange(ref _sleepsUntil, long.MinValue);
        }
    }

    private void Turn()
    {
        Volatile.Write(ref _isTurnWanted, 0);
        var now = Now;
        for (var most = 10_000; most > 0 && _mailbox.TryTake(out var item); most--)
            Take(item, now);
        // Only then the clock: after a pause, words that came meanwhile must not be taken for silence.
        if (now >= _core.NextDeadline)
            _core.Tick(now);
        Propose(now);
        // Its own time, since reads may have begun after the other was taken, and a promise may have ended in between.
        AskReads(Now);
        do
        {
            while (_core.TakeReady(Now) is { } ready)
                CarryOut(ready);
            _heldBack.ReleaseDue(Now);
            // Before anything is written, so that this disk and the others work at the same time.
            FlushSends();
        }
        while (WriteOut());
        RunAhead();
        if (_isHealed)
        {
            _isHealed = false;
            Healed();
        }
        ShowStatus(now);
        var until = Math.Min(_core.NextDeadline, _asked.Count > 0 ? _checkReadsAt : long.MaxValue);
        until = Math.Min(until, _heldBack.Deadline);
        if (_isStatusOld)
            until = Math.Min(until, _statusShownAt + StatusEveryMicros);
        Interlocked.Exchange(ref _deadline, until);
    }

    private void Take(object item, long now)
    {
        switch (item)
        {
            case Message message:
                _core.Step(now, message);
                break;
            case LogWrite write:
                _core.Persisted(now, write.Id);
                break;
            case PendingRequest request:
                _proposals.Add(request);
                break;
            case ReadBatch batch:
                _reads.Close(batch);
                _unasked.Add(batch);
                break;
            case ForwardedProposals forwarded:
                // Only for the term that it was meant for; otherwise its sender proposes it again elsewhere.
                if (_core.Role == Role.Leader && _core.Term == forwarded.Term)
                {
                    _core.Propose(now, forwarded.Commands, forwarded.From);
                    _heldBack.Prefer(forwarded.From);
                }
                break;
            case Action<RaftCore, long> action:
                action(_core, now);
                break;
        }
    }

    private void Propose(long now)
    {
        if (_homeless.Count > 0 && !_core.Leader.IsNone)
        {
            _proposals.InsertRange(0, _homeless.Where(r => _pending.Contains(r.Id)));
            _homeless.Clear();
        }
        if (_proposals.Count == 0)
            return;
        var commands = new ReadOnlyMemory<byte>[_proposals.Count];
        for (var i = 0; i < commands.Length; i++)
            commands[i] = _proposals[i].Data;
        if (!_isForLeader && _core.ProposeFast(now, commands) is var number and > 0)
        {
            foreach (var request in _proposals)
            {
                request.Term = _core.Term;
                _fast[number++] = request;
            }
        }
        else if (_core.Role == Role.Leader)
        {
            switch (_core.Propose(now, commands).Outcome)
            {
                case ProposalOutcome.Accepted:
                    foreach (var request in _proposals)
                        request.Term = _core.Term;
                    break;
                case ProposalOutcome.TooManyUncommitted:
                    foreach (var request in _proposals)
                    {
                        _pending.Remove(request.Id);
                        request.Fail(StoreErrors.TooManyRequests);
                    }
                    break;
                default:
                    _homeless.AddRange(_proposals);
                    break;
            }
        }
        else if (!_core.Leader.IsNone && SendAside(_core.Leader, NodeChannels.Proposals, ForwardedProposals.Encode(_core.Term, commands)))
        {
            foreach (var request in _proposals)
                request.Term = _core.Term;
        }
        else
        {
            _homeless.AddRange(_proposals);
        }
        _proposals.Clear();
        _isForLeader = false;
    }

    /// <summary>Fast Paxos: others got their slots, so they can never be chosen there; the leader gives them others.</summary>
    private void ProposeAgain(IReadOnlyList<long> lost)
    {
        foreach (var number in lost)
        {
            if (!_fast.Remove(number, out var request) || !_pending.Contains(request.Id))
                continue;
            request.Term = 0;
            _proposals.Add(request);
            _isForLeader = true;
        }
        if (_isForLeader)
            Volatile.Write(ref _isTurnWanted, 1);
    }

    private void AskReads(long now)
    {
        if (_asked.Count > 0 && now >= _checkReadsAt)
        {
            // Questions or answers may be lost, or there was nobody to ask.
            _checkReadsAt = now + (AskAgainMicros / 20);
            foreach (var (id, question) in _asked)
            {
                if (now < question.AskAgainAt)
                    continue;
                _asked.Remove(id);
                _unasked.AddRange(question.Batches);
            }
        }
        if (_unasked.Count == 0)
            return;
        Ask(now, byQuorum: false);
        Ask(now, byQuorum: true);
        _unasked.Clear();
    }

    /// <summary>One question for all that wait.</summary>
    private void Ask(long now, bool byQuorum)
    {
        List<ReadBatch>? batches = null;
        foreach (var batch in _unasked)
        {
            if (batch.ByQuorum == byQuorum && !batch.IsCompleted)
                (batches ??= []).Add(batch);
        }
        if (batches is null)
            return;
        if (_asked.Count == 0)
            _checkReadsAt = now + (AskAgainMicros / 20);
        var id = ++_lastReadId;
        _asked[id] = new Question(batches, now + AskAgainMicros);
        if (byQuorum)
            _core.QuorumRead(id);
        else
            _core.Read(now, id);
    }

    private void CarryOut(Ready ready)
    {
        foreach (var message in ready.Messages)
            _heldBack.Send(message, Now);
        if (ready.Write is not null)
        {
            _writes.Add(ready.Write);
            if (RunsAhead && ready.Write.Entries.Count > 0)
                _ahead.Add(ready.Write.Entries);
        }
        _isHealed |= ready.IsHealed;
        if (ready.Install is not null)
            Applier.Install(ready.Install);
        if (ready.Committed.Count > 0)
            Applier.Apply(ready.Committed);
        foreach (var grant in ready.Reads)
        {
            if (!_asked.Remove(grant.ReadId, out var question))
                continue;
            if (grant.Index >= 0)
            {
                foreach (var batch in question.Batches)
                    Applier.WhenApplied(grant.Index, batch);
                continue;
            }
            // No leader at the moment: ask again shortly. Callers stop waiting by themselves.
            _asked[++_lastReadId] = question with { AskAgainAt = Now + (AskAgainMicros / 20) };
        }
        ProposeAgain(ready.Lost);
        foreach (var read in ready.SnapshotReads)
            Snapshots.Read(read);
        foreach (var chunk in ready.SnapshotWrites)
            Snapshots.Store(chunk);
    }

    /// <summary>Makes durable what the core has to write: here while the disk is quick, otherwise by the writer's thread. True when it is done.</summary>
    private bool WriteOut()
    {
        if (_writes.Count == 0)
            return false;
        if (!Writer.TryWriteNow(_writes))
        {
            foreach (var write in _writes)
                Writer.Write(write);
            _writes.Clear();
            return false;
        }
        var now = Now;
        foreach (var write in _writes)
        {
            foreach (var message in write.MessagesAfter)
                _heldBack.Send(message, now);
            if (!write.IsEmpty)
                _core.Persisted(now, write.Id);
        }
        _writes.Clear();
        return true;
    }

    /// <summary>Only when all that others wait for has left: running takes a processor from them, and is worth nothing once the entry is handed out.</summary>
    private void RunAhead()
    {
        foreach (var entries in _ahead)
        {
            if (entries[^1].Index > _core.DeliveredIndex)
                Applier.RunAhead(entries);
        }
        _ahead.Clear();
    }

    private void ShowStatus(long now)
    {
        var old = _status;
        var isSame = old.Role == _core.Role && old.Term == _core.Term && old.Leader == _core.Leader
            && ReferenceEquals(old.Configuration, _core.Configuration);
        if (isSame && old.Commit == _core.CommitIndex && old.LastIndex == _core.LastIndex && now - _statusShownAt < RoundTripsEveryMicros)
            return;
        // Numbers that move with every request are shown now and then; the picture is made for people.
        _isStatusOld = isSame && now - _statusShownAt < StatusEveryMicros;
        if (_isStatusOld)
            return;
        _statusShownAt = now;
        // Answered requests are known by their absence from those that wait.
        foreach (var (number, request) in _fast)
        {
            if (!_pending.Contains(request.Id))
                _fast.Remove(number);
        }
        _status = _core.Status(now);
        if (old.Role != _status.Role || old.Term != _status.Term || old.Leader != _status.Leader)
            RoleChanged(_status);
    }

    private sealed record Question(List<ReadBatch> Batches, long AskAgainAt);
}
