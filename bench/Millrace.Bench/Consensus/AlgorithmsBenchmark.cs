using Millrace.Raft;
using Millrace.Raft.Consensus;
using Millrace.Raft.FastPaxos;
using Millrace.Raft.Messages;

namespace Millrace.Bench.Consensus;

/// <summary>
/// Raft, Multi-Paxos and Fast Paxos as they are, on one simulated network of 10 ms each way with five members: what a command costs when one,
/// two or three members propose at the same moment. Nothing is measured by a clock, so every run gives the same table.
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
        var figures = new List<Figure>();
        foreach (var conflicts in new[] { 0, 1, 2 })
        {
            var proposers = Ids[1..(conflicts + 2)];
            Add(figures, "Raft", conflicts, RunLeader(ConsensusAlgorithm.Raft, proposers));
            Add(figures, "Multi-Paxos", conflicts, RunLeader(ConsensusAlgorithm.MultiPaxos, proposers));
            Add(figures, "Fast Paxos", conflicts, RunFast(proposers));
        }
        Add(figures, "Raft, proposed at the leader", 0, RunLeader(ConsensusAlgorithm.Raft, Ids[..1]));
        return Task.FromResult<IReadOnlyList<Figure>>(figures);
    }

    private static void Add(List<Figure> figures, string name, int conflicts, (double Micros, int Messages) run)
    {
        figures.Add(new Figure($"{name}, {conflicts} conflicts: proposer knows", run.Micros / (2 * OneWay), "round trips"));
        figures.Add(new Figure($"{name}, {conflicts} conflicts: messages", run.Messages / (double)(conflicts + 1), "a command"));
    }

    /// <summary>With a leader there is no conflict: it puts commands in order. A follower's command takes a hop to it and a hop back.</summary>
    private static (double Micros, int Messages) RunLeader(ConsensusAlgorithm algorithm, MemberId[] proposers)
    {
        var world = new World();
        var voters = Configuration.Of(Ids);
        var cores = Ids.ToDictionary(static id => id, id => new RaftCore(
            id, RecoveredState.Fresh(voters),
            new RaftOptions { Algorithm = algorithm, CommitNoticeDelay = TimeSpan.Zero, ElectionTimeoutMax = TimeSpan.FromSeconds(3) },
            new NothingStored(), new Random((int)id.Value), 0));
        var done = new Dictionary<MemberId, long>();
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
            if (isCounting && message is not Heartbeat and not HeartbeatResponse)
                messages++;
            world.After(OneWay, () => Act(message.To, core => core.Step(world.Now, message)));
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
            messages++;
            world.After(OneWay, () => Act(Ids[0], core => core.Propose(world.Now, [new[] { (byte)proposer.Value }], proposer)));
        }
        world.RunUntil(start + 400_000);
        return (proposers.Average(p => done[p] - start), messages);
    }

    private static void Tick(RaftCore core, long now)
    {
        if (now >= core.NextDeadline)
            core.Tick(now);
    }

    private static (double Micros, int Messages) RunFast(MemberId[] proposers)
    {
        var world = new World();
        var cores = Ids.ToDictionary(static id => id, static id => new FastPaxosCore(
            id, Ids, new Dictionary<long, Acceptance>(), 1, 1_000_000, new Random((int)id.Value)));
        var done = new Dictionary<MemberId, long>();
        var messages = 0;
        void Act(MemberId id, Action<FastPaxosCore> act)
        {
            act(cores[id]);
            while (cores[id].TakeReady() is { } ready)
            {
                foreach (var message in ready.Messages)
                {
                    messages++;
                    // Whoever proposes first is heard first only nearby: what comes from elsewhere arrives in an order of its own.
                    var jitter = (message.From.Value * 7 + message.To.Value * 13) % 5;
                    world.After(OneWay + (long)jitter, () => Act(message.To, core => core.Step(world.Now, message)));
                }
                foreach (var (_, value) in ready.Delivered)
                {
                    if (value.Proposer == id)
                        done.TryAdd(id, world.Now);
                }
            }
        }
        foreach (var proposer in proposers)
            Act(proposer, core => core.Propose(world.Now, new byte[] { 1 }));
        world.RunUntil(900_000);
        return (proposers.Average(p => (double)done[p]), messages);
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
