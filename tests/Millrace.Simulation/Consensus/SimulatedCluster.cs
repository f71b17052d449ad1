using Millrace.Raft;
using Millrace.Raft.Consensus;
using Millrace.Simulation.Linearizability;

namespace Millrace.Simulation.Consensus;

/// <summary>One run of a whole group under a plan: every event in order of simulated time, everything from one seed.</summary>
internal sealed class SimulatedCluster
{
    private readonly PriorityQueue<Action, (long Time, long Order)> _events = new();
    private readonly List<SimulatedMember> _members = [];
    private readonly Dictionary<int, int> _lastValues = [];
    private readonly Queue<string> _trace = new();
    private long _order;
    private long _event;
    private int _value;

    public SimulatedCluster(SimulationPlan plan)
    {
        Plan = plan;
        Random = new Random(plan.Seed);
        Network = new SimulatedNetwork(this);
        Invariants = new Invariants(this);
        var voters = Configuration.Of(Enumerable.Range(1, plan.Members).Select(i => new MemberId((ulong)i)));
        for (var i = 1; i <= plan.Members + plan.Spares; i++)
            _members.Add(new SimulatedMember(this, new MemberId((ulong)i), i <= plan.Members ? voters : Configuration.Empty));
    }

    public SimulationPlan Plan { get; }

    public Random Random { get; }

    /// <summary>True time, in microseconds.</summary>
    public long Time { get; private set; }

    public SimulatedNetwork Network { get; }

    public Invariants Invariants { get; }

    public IReadOnlyList<SimulatedMember> Members => _members;

    public List<Operation<RegisterInput, RegisterOutput>> History { get; } = [];

    /// <summary>The first thing that must not be.</summary>
    public string? Violation { get; private set; }

    public long Acknowledged { get; set; }

    public long Installs { get; set; }

    public long FailedFlushes { get; set; }

    public long FastProposals { get; set; }

    public long LostSlots { get; set; }

    /// <summary>Of all time: calm in which nothing but heartbeats happens, so that it was not played.</summary>
    public long Skipped { get; private set; }

    public long Stalls { get; private set; }

    /// <summary>Clients and faults go on until then.</summary>
    public long StormEnd { get; private set; }

    public long Crashes { get; private set; }

    public long Changes { get; private set; }

    public long Heals { get; set; }

    public long Misdirected { get; set; }

    /// <summary>Rot that the group must survive: a majority is left that has everything.</summary>
    public bool HasRot => Plan is { RotEvery: > 0, ChangeEvery: 0, Members: >= 3 };

    public Verdict Verdict { get; private set; } = Verdict.Undecided;

    /// <summary>The leader of the newest term among those that are up.</summary>
    public SimulatedMember? Leader => _members.Where(m => m.Core?.Role == Role.Leader).MaxBy(m => m.Core!.Term);

    public SimulatedMember? MemberOf(MemberId id) => _members.FirstOrDefault(m => m.Id == id);

    public bool Happens(double chance) => chance > 0 && Random.NextDouble() < chance;

    public long NextEvent() => ++_event;

    public int NextValue() => ++_value;

    public int? LastValueOf(int key) => _lastValues.TryGetValue(key, out var value) ? value : null;

    public void SetLastValue(int key, int value) => _lastValues[key] = value;

    public void Report(string violation) => Violation ??= $"at {Time / 1e6:F3} s: {violation}";

    /// <summary>The last things that happened, kept when one seed was chosen, to be read after a failure.</summary>
    public IEnumerable<string> TraceLines => _trace;

    public void Trace(Func<string> line)
    {
        if (!Seeds.IsChosen)
            return;
        _trace.Enqueue($"{Time / 1e6:F6} {line()}");
        if (_trace.Count > 2000)
            _trace.Dequeue();
    }

    public void After(long delay, Action action) => _events.Enqueue(action, (Time + Math.Max(0, delay), _order++));

    /// <summary>Runs the storm, then the calm after it, then judges.</summary>
    public void Run()
    {
        for (var storm = 0; storm < Plan.Storms; storm++)
        {
            if (storm > 0)
                Rest(Random.NextInt64(Plan.RestMean / 2, Plan.RestMean * 3 / 2));
            Network.IsHealed = false;
            StormEnd = Time + (Plan.Duration / Plan.Storms);
            Disturb();
            for (var i = 0; i < Plan.Clients; i++)
                new SimulatedClient(this, i + (storm * Plan.Clients)).Start();
            RunUntil(StormEnd);
            if (Violation is null)
                Calm();
            if (Violation is not null)
                return;
        }
        var checker = new Checker<int, RegisterInput, RegisterOutput>(new RegisterModel(), 300_000);
        Verdict = checker.Check(History);
        if (Verdict == Verdict.NotLinearizable)
            Report($"the history of key {checker.GuiltyKey} is not linearizable");
    }

    private void RunUntil(long end)
    {
        while (Violation is null && _events.TryPeek(out _, out var when) && when.Time <= end)
        {
            var action = _events.Dequeue();
            Time = when.Time;
            action();
        }
        Time = end;
    }

    /// <summary>
    /// Quiet time, of which only the first second is played. A core knows no time but differences, and a quiet group does nothing but to beat
    /// and to answer, so it comes out as it went in; <c>Quiet_time_changes_nothing</c> plays some and looks.
    /// </summary>
    private void Rest(long duration)
    {
        RunUntil(Time + 1_000_000);
        Skipped += duration;
        var waiting = new List<(Action, (long, long))>();
        while (_events.TryDequeue(out var action, out var when))
            waiting.Add((action, (when.Time + duration, when.Order)));
        _events.EnqueueRange(waiting);
        foreach (var member in _members)
            member.Skip(duration);
        Time += duration;
        foreach (var member in _members)
            member.Interact(static (_, _) => { });
    }

    /// <summary>Plays quiet time after the storm, every heartbeat of it.</summary>
    public void PlayQuiet(long duration)
    {
        RunUntil(Time + 1_000_000);
        RunUntil(Time + duration);
    }

    /// <summary>Liveness: without disturbance the group elects, commits, and all its members come to the same state.</summary>
    private void Calm()
    {
        Network.IsHealed = true;
        Network.Heal();
        foreach (var member in _members)
            member.Restart();
        var isDone = false;
        var mark = 0;
        var end = StormEnd + 60_000_000;
        for (var until = StormEnd + 2_000_000; until <= end && Violation is null && !isDone; until += 1_000_000)
        {
            RunUntil(until);
            Invariants.CheckLogs();
            if (Leader is not { } leader)
                continue;
            mark = NextValue();
            leader.Propose(SimulatedMachine.Encode(0, 99, 0, mark), _ => { });
            RunUntil(until + 900_000);
            isDone = leader.Core is { Role: Role.Leader } core && core.CommitIndex == core.LastIndex && !core.Configuration.IsJoint
                && _members.Where(m => core.Configuration.Contains(m.Id)).All(m => m.Applied == core.CommitIndex)
                && leader.Machine.Values.TryGetValue(99, out var last) && last == mark;
        }
        if (Violation is not null)
            return;
        if (!isDone)
        {
            Report("liveness: no agreement within 60 s of calm: " + string.Join("; ", _members.Select(m => m.Core is { } c
                ? $"{m.Id} {c.Role} term {c.Term} leader {c.Leader} commit {c.CommitIndex} last {c.LastIndex} applied {m.Applied} {c.Configuration}"
                : $"{m.Id} down")));
            return;
        }
        var expected = Leader!.Machine.Values;
        foreach (var member in _members.Where(m => Leader.Core!.Configuration.Contains(m.Id)))
        {
            if (!member.Machine.Values.SequenceEqual(expected))
                Report($"member {member.Id} ends in another state than the leader {Leader.Id}");
        }
    }

    /// <summary>Connections to the dead end, which some notice sooner or later; now and then one ends for no reason.</summary>
    private void TellOfLostConnections(SimulatedMember dead)
    {
        // With leases a member does not heed them.
        if (Plan.Leases)
            return;
        foreach (var other in _members)
        {
            var lost = Happens(0.1) ? _members[Random.Next(_members.Count)].Id : dead.Id;
            if (other != dead && lost != other.Id && Happens(0.7))
                After(Random.NextInt64(20_000), () => other.Interact((core, now) => core.ConnectionLost(now, lost)));
        }
    }

    private void Disturb()
    {
        Repeat(Plan.CrashEvery, () =>
        {
            var member = _members[Random.Next(_members.Count)];
            if (Happens(0.3) && Leader is { } leader)
                member = leader;
            Crashes++;
            member.Crash();
            TellOfLostConnections(member);
            After(Random.NextInt64(1_000, Plan.RestartMax), member.Restart);
            // Now and then all at once.
            if (!Happens(0.1))
                return;
            foreach (var other in _members)
            {
                other.Crash();
                After(Random.NextInt64(1_000, Plan.RestartMax), other.Restart);
            }
        });
        Repeat(Plan.PartitionEvery, () =>
        {
            Network.Cut();
            After(Random.NextInt64(50_000, 2_500_000), Network.Heal);
        });
        Repeat(Plan.TransferEvery, () => Leader?.Interact(
            (core, now) => core.Transfer(now, _members[Random.Next(_members.Count)].Id)));
        Repeat(Plan.PauseEvery, () =>
        {
            var member = Happens(0.6) && Leader is { } leader ? leader : _members[Random.Next(_members.Count)];
            member.Pause(Random.NextInt64(10_000, 1_500_000));
        });
        Repeat(Plan.StallEvery, () =>
        {
            Stalls++;
            _members[Random.Next(_members.Count)].StallDisk(Random.NextInt64(50_000, 2_000_000));
        });
        Repeat(Plan.FailedFlushEvery, () => _members[Random.Next(_members.Count)].FailNextFlush());
        Repeat(HasRot ? Plan.RotEvery : 0, () =>
        {
            if (_members.Exists(m => m.IsRotten))
                return;
            var member = _members[Random.Next(Plan.Members)];
            member.Rot();
            After(Random.NextInt64(1_000, Plan.RestartMax), member.Restart);
        });
        Repeat(Plan.ChangeEvery, ChangeMembers);
        Repeat(Plan.LonelyLeaderEvery, LeaveLeaderAlone);
        Repeat(500_000, Invariants.CheckLogs);
    }

    private void LeaveLeaderAlone()
    {
        if (Leader is not { } leader)
            return;
        Network.CutOff(leader.Id);
        foreach (var other in _members.Where(m => m != leader))
        {
            other.Crash();
            After(Random.NextInt64(1_000, Plan.RestartMax), other.Restart);
        }
        After(Random.NextInt64(500_000, 1_500_000), Network.Heal);
    }

    private void ChangeMembers() => Leader?.Interact((core, now) =>
    {
        if (core.Configuration.Voters.IsEmpty || Plan.Algorithm is ConsensusAlgorithm.FastPaxos)
            return;
        var ids = _members.Select(m => m.Id).ToArray();
        Random.Shuffle(ids);
        if (Plan.IsPaxos)
        {
            if (core.ProposeConfiguration(now, ChangeOne(core.Configuration, ids), default).Outcome == ProposalOutcome.Accepted)
                Changes++;
            return;
        }
        var voters = ids[..Random.Next(1, Math.Min(ids.Length, 5) + 1)];
        var learners = ids[voters.Length..].Where(_ => Happens(0.5));
        if (core.ProposeConfiguration(now, Configuration.Of(voters, learners), default).Outcome == ProposalOutcome.Accepted)
            Changes++;
    });

    /// <summary>One voter more or less, or other learners.</summary>
    private Configuration ChangeOne(Configuration current, MemberId[] shuffled)
    {
        var voters = current.Voters.ToArray();
        var isVoter = current.IsVoter(shuffled[0]);
        if (isVoter ? voters.Length > 1 : voters.Length < 5)
            voters = isVoter ? [.. voters.Where(v => v != shuffled[0])] : [.. voters, shuffled[0]];
        return Configuration.Of(voters, shuffled.Where(id => !voters.Contains(id) && Happens(0.5)));
    }

    private void Repeat(long every, Action action)
    {
        if (every == 0)
            return;
        After(Random.NextInt64(every / 2, every + (every / 2) + 1), () =>
        {
            if (Time >= StormEnd)
                return;
            action();
            Repeat(every, action);
        });
    }
}
