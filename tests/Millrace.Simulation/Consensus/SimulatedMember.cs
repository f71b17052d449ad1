using Millrace.Raft;
using Millrace.Raft.Consensus;
using Millrace.Raft.Log;
using Millrace.Raft.Messages;
using Millrace.Storage.Files;
using Millrace.Storage.Files.Faults;

namespace Millrace.Simulation.Consensus;

/// <summary>A member: the product's core, log and snapshots on a simulated disk and clock, and a shell as thin as the real one.</summary>
internal sealed class SimulatedMember
{
    private const string Folder = "/member";
    private readonly SimulatedCluster _cluster;
    private readonly SimulatedFileSystem _disk;
    private readonly Configuration _first;
    private readonly Queue<LogWrite> _writes = new();
    private readonly Queue<object> _toApply = new();
    private readonly Dictionary<long, (long Term, byte[] Command, Action<bool?> Done)> _proposals = [];
    private readonly Dictionary<long, Action<SimulatedMachine?>> _reads = [];
    private readonly List<(long Index, Action<SimulatedMachine?> Done)> _granted = [];
    private readonly List<Message> _waiting = [];
    private readonly List<FastProposal> _fast = [];
    private readonly double _clockRate;
    private long _clockOffset;
    private long _diskStalledUntil;
    private MemberStorage? _storage;
    private SimulatedMachine _machine = new();
    private List<LogWrite> _writing = [];
    private int _life;
    private long _tickAt = long.MaxValue;
    private long _nextReadId;
    private long _applied;
    private long _snapshotAt;
    private bool _isApplying;
    private bool _mayHealNow;
    private long _persistedMeanwhile;
    private Role _seenRole;
    private long _seenTerm;

    public SimulatedMember(SimulatedCluster cluster, MemberId id, Configuration first)
    {
        _cluster = cluster;
        Id = id;
        _first = first;
        _disk = new SimulatedFileSystem(cluster.Random.Next());
        var drift = cluster.Plan.ClockDrift;
        // The worst clocks are at the ends of what is allowed.
        _clockRate = cluster.Random.Next(3) switch { 0 => 1 - drift, 1 => 1 + drift, _ => 1 + (drift * ((2 * cluster.Random.NextDouble()) - 1)) };
        _clockOffset = cluster.Random.NextInt64(1_000_000_000);
        Start();
    }

    public MemberId Id { get; }

    /// <summary>Null while the member is down.</summary>
    public RaftCore? Core { get; private set; }

    public SimulatedMachine Machine => _machine;

    public long Applied => _applied;

    public bool IsPaused { get; private set; }

    /// <summary>Something on its disk was damaged and is not whole again.</summary>
    public bool IsRotten { get; private set; }

    private long Now => _clockOffset + (long)(_cluster.Time * _clockRate);

    public void Start()
    {
        var log = new RaftLogOptions { SegmentBytes = 8192, PrepareAfterFlushes = 10, IsBySlot = _cluster.Plan.IsPaxos };
        if (_cluster.Plan.Faults.CutDamage)
            RaftLog.Open(_disk, Folder + "/log", _first, log, cutsDamage: true).Dispose();
        _storage = _cluster.HasRot ? MemberStorage.OpenOrHeal(_disk, Folder, _first, log) : MemberStorage.Open(_disk, Folder, _first, log);
        IsRotten = _storage.Healing is not null;
        _machine = new SimulatedMachine();
        using (var snapshot = _storage.Snapshots.OpenNewest())
        {
            if (snapshot is not null)
                _machine.Load(snapshot);
        }
        _applied = _snapshotAt = _storage.SnapshotIndex;
        var options = new RaftOptions
        {
            ElectionTimeoutMin = TimeSpan.FromMilliseconds(100),
            ElectionTimeoutMax = TimeSpan.FromMilliseconds(1500),
            LeaseReads = _cluster.Plan.Leases && _cluster.Plan.Algorithm != ConsensusAlgorithm.FastPaxos,
            ClockDriftBound = _cluster.Plan.ClockDrift,
            MaxAppendBytes = _cluster.Plan.MaxAppendBytes,
            MaxAppendsInFlight = 4,
            Algorithm = _cluster.Plan.Algorithm,
            CommitNoticeDelay = TimeSpan.FromMicroseconds(_cluster.Plan.CommitNotice),
            ShortRoundTrip = TimeSpan.FromMicroseconds(_cluster.Plan.ShortRoundTrip),
            FastPause = TimeSpan.FromMicroseconds(_cluster.Plan.FastPause),
            CachedLogBytes = 2000,
            MaxApplyBytes = 500,
            SnapshotChunkBytes = 64,
            SnapshotChunksInFlight = 3,
        };
        Core = new RaftCore(Id, _storage.State(), options, _storage.Log, new Random(_cluster.Random.Next()), Now, _cluster.Plan.Faults);
        _seenRole = Role.Follower;
        _cluster.Trace(() => $"{Id} starts at term {Core.Term}, base {Core.CompactedIndex}, last {Core.LastIndex}, applied {_applied}, {Core.Configuration}");
        Interact(static (_, _) => { });
    }

    /// <summary>Power off: what is being written is torn, the rest of the memory is gone.</summary>
    public void Crash()
    {
        if (Core is null)
            return;
        _cluster.Trace(() => $"{Id} crashes");
        if (_writing.Count > 0)
        {
            _disk.FailFlush("raftlog");
            try
            {
                _storage!.Log.Append(_writing);
            }
            catch (IOException)
            {
                // As planned: some sectors of the batch are on the disk.
            }
        }
        Die();
        _disk.Crash();
    }

    /// <summary>
    /// A crash after which a bit is not what it was, somewhere in what later words on the disk prove to have been durable. (In a last batch that
    /// nothing proves yet it would pass for a torn one; no single disk can tell.)
    /// </summary>
    public void Rot()
    {
        if (Core is null)
            return;
        Crash();
        var snapshots = _disk.FolderExists(Folder + "/snapshots") ? _disk.ListFiles(Folder + "/snapshots").Where(n => n.EndsWith(".snapshot", StringComparison.Ordinal)).ToArray() : [];
        var segments = _disk.ListFiles(Folder + "/log").Where(n => LogSegment.TryParseName(n, out _)).ToArray();
        if (snapshots.Length > 0 && _cluster.Happens(0.3))
        {
            Flip($"{Folder}/snapshots/{snapshots[^1]}", int.MaxValue);
            return;
        }
        var at = _cluster.Random.Next(segments.Length);
        var path = $"{Folder}/log/{segments[at]}";
        var proven = Proven(path, isLast: at == segments.Length - 1);
        if (_cluster.Happens(0.4))
            Misdirect($"{Folder}/log/{segments[_cluster.Random.Next(segments.Length)]}", path, proven);
        else
            Flip(path, proven);
    }

    /// <summary>A sector that was meant for another place, with good records in it, lies over one that was durable.</summary>
    private void Misdirect(string meantFor, string path, int below)
    {
        const int Sector = 512;
        var bytes = new byte[Sector];
        using (var source = _disk.Open(meantFor))
            source.Read(_cluster.Random.NextInt64(Math.Max(1, source.Length / Sector)) * Sector, bytes);
        var offset = below / Sector == 0 ? 0 : _cluster.Random.Next(below / Sector) * Sector;
        var length = Math.Min(Sector, below - offset);
        if (length <= 0)
            return;
        using var target = _disk.Open(path);
        var old = new byte[length];
        target.Read(offset, old);
        if (old.AsSpan().SequenceEqual(bytes.AsSpan(0, length)))
            return;
        target.Write(offset, bytes.AsSpan(0, length));
        try
        {
            target.Flush();
        }
        catch (IOException)
        {
            // A planned failure met this flush; what processes see is damaged all the same.
        }
        IsRotten = true;
        _cluster.Misdirected++;
        _cluster.Trace(() => $"{Id} has a misdirected sector at {offset} of {path}");
    }

    private void Flip(string path, int below)
    {
        using (var file = _disk.Open(path))
            below = (int)Math.Min(below, file.Length);
        if (below == 0)
            return;
        var offset = _cluster.Random.Next(below);
        _disk.FlipBit(path, offset, _cluster.Random.Next(8));
        IsRotten = true;
        _cluster.Trace(() => $"{Id} rots at byte {offset} of {path}");
    }

    private int Proven(string path, bool isLast)
    {
        var content = DurableFile.ReadAll(_disk, path);
        LogSegment.TryParseName(Path.GetFileName(path), out var sequence);
        var (offset, proven) = (0, 0);
        while (LogRecord.TryRead(content, sequence, offset, int.MaxValue, out var record))
        {
            offset = record.End;
            proven = Math.Max(proven, record.Durable);
        }
        return isLast ? proven : offset;
    }

    private void HealIfDone()
    {
        if (!_mayHealNow || _writes.Count > 0 || _writing.Count > 0)
            return;
        _mayHealNow = false;
        _storage!.Healed();
        _cluster.Heals++;
        IsRotten = false;
    }

    public void Restart()
    {
        if (Core is not null || _cluster.Violation is not null)
            return;
        try
        {
            Start();
        }
        catch (LogCorruptException error)
        {
            _cluster.Report($"member {Id} refuses its log: {error.Message}");
        }
        catch (IOException)
        {
            // A flush failed during recovery.
            _cluster.FailedFlushes++;
            Die();
            _cluster.After(100_000, Restart);
        }
    }

    /// <summary>The process stands still for a time, as under SIGSTOP; its clock goes on.</summary>
    public void Pause(long duration)
    {
        if (Core is null || IsPaused)
            return;
        IsPaused = true;
        var life = _life;
        _cluster.After(duration, () =>
        {
            IsPaused = false;
            if (life != _life)
                return;
            // What waits in its sockets may be handled before its timers are.
            var waiting = _waiting.ToArray();
            _waiting.Clear();
            if (_persistedMeanwhile > 0)
                Interact((core, now) => core.Persisted(now, _persistedMeanwhile));
            _persistedMeanwhile = 0;
            foreach (var message in waiting)
                After(_cluster.Random.NextInt64(10_000), () => Receive(message));
            After(_cluster.Happens(0.5) ? 0 : 5_000, () => Interact(static (core, now) => core.Tick(now)));
        });
    }

    /// <summary>The disk does nothing for a while, and then what it was told.</summary>
    public void StallDisk(long duration) => _diskStalledUntil = _cluster.Time + duration;

    /// <summary>Time goes on by so much without this member noticing; the caller moves the time.</summary>
    public void Skip(long duration)
    {
        _clockOffset -= (long)((_cluster.Time + duration) * _clockRate) - (long)(_cluster.Time * _clockRate);
        _tickAt = long.MaxValue;
    }

    public void FailNextFlush() => _disk.FailFlush("raftlog");

    public void Receive(Message message)
    {
        if (IsPaused)
            _waiting.Add(message);
        else if (Core is not null)
        {
            _cluster.Trace(() => $"{Id} receives {Describe(message)}");
            Interact((core, now) => core.Step(now, message));
        }
    }

    private static string Describe(Message message) => message is AppendRequest append
        ? $"append {append.From} term {append.Term} prev {append.PreviousIndex}/{append.PreviousTerm} +{append.Entries.Count} "
            + $"commit {append.Commit}"
        : message.ToString();

    /// <param name="done">True or false: applied, with this result; null: it never will be.</param>
    public ProposalOutcome Propose(byte[] command, Action<bool?> done)
    {
        var outcome = ProposalOutcome.NotLeader;
        Interact((core, now) =>
        {
            if (_cluster.Plan.Algorithm == ConsensusAlgorithm.FastPaxos)
            {
                outcome = ProposeFast(core, now, command, done);
                return;
            }
            var proposal = core.Propose(now, [command]);
            outcome = proposal.Outcome;
            if (outcome == ProposalOutcome.Accepted)
                _proposals[proposal.FirstIndex] = (proposal.Term, command, done);
        });
        return outcome;
    }

    /// <summary>Slots are not known beforehand, so commands are known again by their content, which is unique.</summary>
    private ProposalOutcome ProposeFast(RaftCore core, long now, byte[] command, Action<bool?> done)
    {
        var number = core.ProposeFast(now, [command]);
        var outcome = number > 0 ? ProposalOutcome.Accepted : core.Propose(now, [command]).Outcome;
        if (number > 0)
            _cluster.FastProposals++;
        if (outcome == ProposalOutcome.Accepted)
            _fast.Add(new FastProposal(number, command, done));
        return outcome;
    }

    /// <summary>Others got the slots: to the leader with it, as the real shell does.</summary>
    private void ProposeAgain(IReadOnlyList<long> lost)
    {
        foreach (var number in lost)
        {
            var at = _fast.FindIndex(p => p.Number == number);
            if (at < 0)
                continue;
            var proposal = _fast[at];
            _fast.RemoveAt(at);
            _cluster.LostSlots++;
            var leader = _cluster.MemberOf(Core!.Leader);
            After(1, () =>
            {
                if (leader is null || leader.Propose(proposal.Command, proposal.Done) != ProposalOutcome.Accepted)
                    proposal.Done(null);
            });
        }
    }

    /// <param name="done">The state to read from, or null when it must be asked for again.</param>
    public void Read(bool byQuorum, Action<SimulatedMachine?> done) => Interact((core, now) =>
    {
        var id = ++_nextReadId;
        _reads[id] = done;
        if (byQuorum)
            core.QuorumRead(id);
        else
            core.Read(now, id);
    });

    public void Interact(Action<RaftCore, long> act)
    {
        if (Core is null || IsPaused || _cluster.Violation is not null)
            return;
        try
        {
            act(Core, Now);
            while (Core?.TakeReady(Now) is { } ready)
                CarryOut(ready);
            if (Core is null)
                return;
            Observe();
            ScheduleTick();
        }
        catch (Exception error) when (error is RaftInvariantException or LogCorruptException)
        {
            _cluster.Report($"member {Id}: {error.Message}");
        }
    }

    private void CarryOut(Ready ready)
    {
        foreach (var message in ready.Messages)
            _cluster.Network.Send(message);
        if (ready.Write is not null)
        {
            _writes.Enqueue(ready.Write);
            BeginWriting();
        }
        _mayHealNow |= ready.IsHealed;
        HealIfDone();
        if (ready.Install is not null)
            _toApply.Enqueue(ready.Install);
        foreach (var entry in ready.Committed)
            _toApply.Enqueue(entry);
        BeginApplying();
        foreach (var grant in ready.Reads)
        {
            if (!_reads.Remove(grant.ReadId, out var done))
                continue;
            if (grant.Index < 0)
                done(null);
            else
                _granted.Add((grant.Index, done));
        }
        ServeReads();
        ProposeAgain(ready.Lost);
        foreach (var read in ready.SnapshotReads)
        {
            After(DiskDelay(), () =>
            {
                if (_storage!.Snapshots.ReadPiece(read.Offset, read.MaxBytes) is { } piece)
                    Interact((core, now) => core.ProvideSnapshotChunk(now, read.To, piece.Snapshot, read.Offset, piece.Data));
            });
        }
        foreach (var chunk in ready.SnapshotWrites)
        {
            After(DiskDelay(), () =>
            {
                var (next, isComplete) = _storage!.Snapshots.Receive(chunk.Snapshot, chunk.Offset, chunk.Data.Span);
                Interact((core, now) => core.SnapshotStored(now, chunk.From, chunk.Snapshot, next, isComplete));
            });
        }
    }

    private void BeginWriting()
    {
        if (_writing.Count > 0 || _writes.Count == 0)
            return;
        _writing = [.. _writes];
        _writes.Clear();
        After(_writing.TrueForAll(w => w.IsEmpty) ? 0 : DiskDelay(), () =>
        {
            var written = _writing;
            try
            {
                _storage!.Log.Append(written);
            }
            catch (IOException)
            {
                // A failed flush: the member must not go on.
                _cluster.FailedFlushes++;
                Die();
                if (_cluster.Happens(0.5))
                    _disk.Crash();
                _cluster.After(300_000, Restart);
                return;
            }
            _writing = [];
            _cluster.Trace(() => $"{Id} wrote {string.Join(", ", written.Select(w => $"#{w.Id} {w.HardState} {w.Reset?.Index} "
                + (w.Entries.Count > 0 ? $"entries {w.Entries[0].Index}..{w.Entries[^1].Index}/{w.Entries[^1].Term}" : "") + $" then {w.MessagesAfter.Count} messages"))}");
            if (_cluster.Happens(0.3))
            {
                _storage.Log.Mark();
                _storage.Log.TidySome();
            }
            foreach (var message in written.SelectMany(w => w.MessagesAfter))
                _cluster.Network.Send(message);
            // Whoever writes tells the others first, and now and then this member's core only some time later.
            if (_cluster.Happens(0.1))
                After(_cluster.Random.NextInt64(3_000), () => Persisted(written[^1].Id));
            else
                Persisted(written[^1].Id);
            BeginWriting();
        });
    }

    private void Persisted(long writeId)
    {
        if (IsPaused)
            _persistedMeanwhile = Math.Max(_persistedMeanwhile, writeId);
        Interact((core, now) => core.Persisted(now, writeId));
        HealIfDone();
    }

    private void BeginApplying()
    {
        if (_isApplying || _toApply.Count == 0)
            return;
        _isApplying = true;
        After(_cluster.Random.NextInt64(0, 1000), () =>
        {
            _isApplying = false;
            for (var count = _cluster.Random.Next(1, 8); count > 0 && _toApply.TryDequeue(out var item); count--)
            {
                if (item is Entry entry)
                    Apply(entry);
                else
                    Install((SnapshotInfo)item);
            }
            ServeReads();
            MaybeSnapshot();
            BeginApplying();
        });
    }

    private void Apply(Entry entry)
    {
        if (entry.Index != _applied + 1)
            _cluster.Report($"member {Id} applies entry {entry.Index} after {_applied}");
        _cluster.Invariants.Applied(Id, entry);
        _applied = entry.Index;
        var result = entry.Kind == EntryKind.Command && _machine.Apply(entry.Data.Span);
        var fast = entry.Kind == EntryKind.Command ? _fast.FindIndex(p => entry.Data.Span.SequenceEqual(p.Command)) : -1;
        if (fast >= 0)
        {
            var known = _fast[fast];
            _fast.RemoveAt(fast);
            known.Done(result);
        }
        if (_proposals.Remove(entry.Index, out var proposal))
            proposal.Done(IsSame(proposal, entry) ? result : null);
    }

    /// <summary>In Multi-Paxos an entry may be chosen in a later term than the one it was proposed in; commands are unique by their value.</summary>
    private bool IsSame((long Term, byte[] Command, Action<bool?> Done) proposal, Entry entry) =>
        _cluster.Plan.IsPaxos
            ? entry.Kind == EntryKind.Command && entry.Data.Span.SequenceEqual(proposal.Command)
            : proposal.Term == entry.Term;

    private void Install(SnapshotInfo snapshot)
    {
        _cluster.Installs++;
        using var stream = _storage!.Snapshots.OpenNewest()!;
        _machine = new SimulatedMachine();
        _machine.Load(stream);
        _applied = _snapshotAt = stream.Index;
        if (stream.Index < snapshot.Index)
            _cluster.Report($"member {Id} installs a snapshot of {stream.Index} instead of {snapshot.Index}");
        foreach (var index in _proposals.Keys.Where(i => i <= _applied).ToArray())
            _proposals.Remove(index); // Outcome unknown: the clients' timeouts tell.
    }

    private void MaybeSnapshot()
    {
        var every = _cluster.Plan.SnapshotEvery;
        if (every == 0 || _applied - _snapshotAt < every)
            return;
        var (term, configuration) = Core!.StateAt(_applied);
        if (term < 0)
            return;
        using (var stream = _storage!.Snapshots.Create(_applied, term, configuration))
        {
            _machine.Save(stream);
            stream.Complete();
        }
        _snapshotAt = _applied;
        while (_storage.Snapshots.DeleteSomeOld())
        {
        }
        var keepAfter = Math.Max(0, _applied - _cluster.Random.Next(every));
        Core.Compact(_applied, keepAfter);
        _storage.Log.CompactTo(keepAfter);
    }

    private void ServeReads()
    {
        for (var i = 0; i < _granted.Count; i++)
        {
            if (_granted[i].Index > _applied)
                continue;
            var done = _granted[i].Done;
            _granted.RemoveAt(i--);
            done(_cluster.Plan.Faults.LeakUncommitted ? RunAhead() : _machine);
        }
    }

    /// <summary>What the state would be if all of the log were committed: no read may see it.</summary>
    private SimulatedMachine RunAhead()
    {
        var machine = _machine.Copy();
        for (var next = _applied + 1; next <= Core!.LastIndex;)
        {
            var entries = new List<Entry>();
            Core.Log.Read(next, Core.LastIndex, long.MaxValue, entries);
            foreach (var entry in entries.Where(e => e.Kind == EntryKind.Command))
                machine.Apply(entry.Data.Span);
            next = entries[^1].Index + 1;
        }
        return machine;
    }

    private void Die()
    {
        _life++;
        Core = null;
        _storage?.Dispose();
        _storage = null;
        _writes.Clear();
        _writing = [];
        _toApply.Clear();
        _proposals.Clear();
        _fast.Clear();
        _reads.Clear();
        _granted.Clear();
        _waiting.Clear();
        _isApplying = false;
        _mayHealNow = false;
        _persistedMeanwhile = 0;
        IsPaused = false;
        _tickAt = long.MaxValue;
    }

    private void Observe()
    {
        if (Core!.Role != _seenRole || Core.Term != _seenTerm)
            _cluster.Trace(() => $"{Id} is {Core.Role} in term {Core.Term}");
        if (Core.Role == Role.Leader && (_seenRole != Role.Leader || _seenTerm != Core.Term))
            _cluster.Invariants.Elected(this);
        _seenRole = Core.Role;
        _seenTerm = Core.Term;
    }

    private void ScheduleTick()
    {
        var due = Math.Max(_cluster.Time + 1, (long)((Core!.NextDeadline - _clockOffset) / _clockRate) + 1);
        if (due >= _tickAt && _tickAt > _cluster.Time)
            return;
        _tickAt = due;
        After(due - _cluster.Time, () =>
        {
            if (_tickAt == due)
                _tickAt = long.MaxValue;
            if (Core is not null && Now >= Core.NextDeadline)
                Interact(static (core, now) => core.Tick(now));
            else if (Core is not null)
                ScheduleTick();
        });
    }

    private sealed record FastProposal(long Number, byte[] Command, Action<bool?> Done);

    /// <summary>Later, unless this life is over by then.</summary>
    private void After(long delay, Action action)
    {
        var life = _life;
        _cluster.After(delay, () =>
        {
            if (life == _life && Core is not null)
                action();
        });
    }

    private long DiskDelay() => Math.Max(0, _diskStalledUntil - _cluster.Time) + _cluster.Random.NextInt64(_cluster.Plan.DiskMin, _cluster.Plan.DiskMax);
}
