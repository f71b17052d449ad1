using System.Diagnostics;
using Millrace.Coordination.Client;
using Millrace.Raft;
using Millrace.Raft.Consensus;
using Millrace.Raft.Messages;

namespace Millrace.Bench.Consensus;

/// <summary>
/// Raft, Multi-Paxos and Fast Paxos as they are, on one simulated network of 10 ms each way with five members: what a command costs when one,
/// two or three members propose at the same moment; the same every time. Then real processes, three members on loopback with fsync, and what
/// clients at one, two or three of them wait for a put at the same moment.
/// </summary>
internal sealed class AlgorithmsBenchmark : IBenchmark
{
    private const int Members = 5;
    private const long OneWay = 10_000;
    private static readonly MemberId[] Ids = [.. Enumerable.Range(1, Members).Select(static i => new MemberId((ulong)i))];

    public string Name => "algorithms";

    public string Summary => "Raft, Multi-Paxos and Fast Paxos compared: round trips and messages at 0, 1 and 2 conflicts (simulated network)";

    public Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options, CancellationToken cancellation)
    {
        return MeasureAsync(options, cancellation);
    }

    private static readonly (string Name, string Setting, ConsensusAlgorithm Algorithm)[] All =
    [
        ("Raft", "raft", ConsensusAlgorithm.Raft), ("Multi-Paxos", "multi-paxos", ConsensusAlgorithm.MultiPaxos),
        ("Fast Paxos", "fast-paxos", ConsensusAlgorithm.FastPaxos),
    ];

    private static async Task<IReadOnlyList<Figure>> MeasureAsync(BenchOptions options, CancellationToken cancellation)
    {
        var figures = new List<Figure>();
        foreach (var conflicts in new[] { 0, 1, 2 })
        {
            foreach (var (name, _, algorithm) in All)
                Add(figures, name, conflicts, Simulate(algorithm, Ids[1..(conflicts + 2)]));
        }
        Add(figures, "Raft, proposed at the leader", 0, Simulate(ConsensusAlgorithm.Raft, Ids[..1]));
        foreach (var (name, setting, _) in All)
        {
            var folder = Directory.CreateTempSubdirectory("millrace-algorithms-").FullName;
            await using var group = new MillraceGroup(Path.Combine(folder, setting), consensus: setting);
            await group.StartAsync(cancellation);
            var leader = await group.LeaderAsync(cancellation);
            string[] members = [.. StoreGroup.Names.Where(n => n != leader), leader];
            foreach (var conflicts in new[] { 0, 1, 2 })
            {
                var (middle, worst) = await PutTogetherAsync(group, members[..(conflicts + 1)], options.Quick ? 100 : 400, cancellation);
                figures.Add(new Figure($"{name}, {conflicts} conflicts: put in real processes, median", middle, "ms"));
                figures.Add(new Figure($"{name}, {conflicts} conflicts: put in real processes, P99", worst, "ms"));
            }
        }
        return figures;
    }

    /// <summary>One client at each of these members, all putting at the same moment, again and again.</summary>
    private static async Task<(double Median, double P99)> PutTogetherAsync(StoreGroup group, string[] members, int rounds, CancellationToken cancellation)
    {
        var clients = members.Select(m => new CoordinationClient([group.AddressOf(m)], TimeSpan.FromSeconds(10))).ToArray();
        var times = new List<double>();
        try
        {
            for (var round = -50; round < rounds; round++)
            {
                var taken = await Task.WhenAll(clients.Select(async (client, i) =>
                {
                    var clock = Stopwatch.StartNew();
                    await client.PutAsync($"bench/{i}", "x", cancellation);
                    return clock.Elapsed.TotalMilliseconds;
                }));
                if (round >= 0)
                    times.AddRange(taken);
            }
        }
        finally
        {
            foreach (var client in clients)
                client.Dispose();
        }
        times.Sort();
        return (times[times.Count / 2], times[(int)(times.Count * 0.99)]);
    }

    private static void Add(List<Figure> figures, string name, int conflicts, (double Micros, int Messages) run)
    {
        figures.Add(new Figure($"{name}, {conflicts} conflicts: proposer knows", run.Micros / (2 * OneWay), "round trips"));
        figures.Add(new Figure($"{name}, {conflicts} conflicts: messages", run.Messages / (double)(conflicts + 1), "a command"));
    }

    /// <summary>
    /// With a leader that orders there is no conflict: a follower's command takes a hop to it and a hop back. In Fast Paxos it goes to all at
    /// once, and to the leader only when another got its slot.
    /// </summary>
    private static (double Micros, int Messages) Simulate(ConsensusAlgorithm algorithm, MemberId[] proposers)
    {
        var world = new World();
        var voters = Configuration.Of(Ids);
        var cores = Ids.ToDictionary(static id => id, id => new RaftCore(
            id, RecoveredState.Fresh(voters),
            new RaftOptions { Algorithm = algorithm, CommitNoticeDelay = TimeSpan.Zero, ElectionTimeoutMax = TimeSpan.FromSeconds(3) },
            new NothingStored(), new Random((int)id.Value), 0));
        var done = new Dictionary<MemberId, long>();
        var numbers = new Dictionary<long, MemberId>();
        var messages = 0;
        var isCounting = false;
        void Act(MemberId id, Action<RaftCore> act)
        {
            var core = cores[id];
            act(core);
            while (core.TakeReady(world.Now) is { } ready)
            {
                foreach (var message in ready.Messages)
                    Send(message);
                if (ready.Write is { } write)
                {
                    foreach (var message in write.MessagesAfter)
                        Send(message);
                    core.Persisted(world.Now, write.Id);
                }
                foreach (var number in ready.Lost)
                    Forward(number);
                foreach (var entry in ready.Committed)
                {
                    if (entry.Kind == EntryKind.Command && entry.Data.Span[0] == id.Value)
                        done.TryAdd(id, world.Now);
                }
            }
        }
        void Send(Message message)
        {
            // Heartbeats go out whether anyone proposes or not.
            if (isCounting && message is not Heartbeat and not HeartbeatResponse and not FastWindow)
                messages++;
            // Whoever proposes first is heard first only nearby: what comes from elsewhere arrives in an order of its own.
            var jitter = (long)(((message.From.Value * 7) + (message.To.Value * 13)) % 5);
            world.After(OneWay + jitter, () => Act(message.To, core => core.Step(world.Now, message)));
        }
        void Forward(long number)
        {
            messages++;
            var proposer = numbers[number];
            world.After(OneWay, () => Act(Ids[0], core => core.Propose(world.Now, [new[] { (byte)proposer.Value }], proposer)));
        }
        Act(Ids[0], core => core.Tick(core.NextDeadline));
        for (long at = 1_000; at < 1_000_000; at += 1_000)
            world.At(at, () => Array.ForEach(Ids, id => Act(id, core => Tick(core, world.Now))));
        world.RunUntil(500_000);
        if (cores[Ids[0]].Role != Role.Leader)
            throw new InvalidOperationException("the first member does not lead");
        var start = world.Now;
        isCounting = true;
        foreach (var proposer in proposers)
        {
            if (proposer == Ids[0])
            {
                Act(proposer, core => core.Propose(world.Now, [new[] { (byte)proposer.Value }], proposer));
                continue;
            }
            var number = 0L;
            Act(proposer, core => numbers[number = core.ProposeFast(world.Now, [new[] { (byte)proposer.Value }])] = proposer);
            if (number == 0)
                Forward(0);
        }
        world.RunUntil(start + 400_000);
        return (proposers.Average(p => done[p] - start), messages);
    }

    private static void Tick(RaftCore core, long now)
    {
        if (now >= core.NextDeadline)
            core.Tick(now);
    }

    private sealed class NothingStored : IEntryReader
    {
        public void Read(long first, long last, long maxBytes, List<Entry> into) =>
            throw new InvalidOperationException("everything is in memory here");
    }

    private sealed class World
    {
        private readonly PriorityQueue<Action, (long Time, long Order)> _events = new();
        private long _order;

        public long Now { get; private set; }

        public void After(long delay, Action action) => At(Now + delay, action);

        public void At(long time, Action action) => _events.Enqueue(action, (time, _order++));

        public void RunUntil(long end)
        {
            while (_events.TryPeek(out _, out var when) && when.Time <= end)
            {
                var action = _events.Dequeue();
                Now = when.Time;
                action();
            }
            Now = end;
        }
    }
}
