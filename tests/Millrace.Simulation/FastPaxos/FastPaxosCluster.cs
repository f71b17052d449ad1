using Millrace.Raft;
using Millrace.Raft.Consensus;
using Millrace.Raft.FastPaxos;

namespace Millrace.Simulation.FastPaxos;

/// <summary>A group of Fast Paxos members under a storm, all from one seed.</summary>
internal sealed class FastPaxosCluster
{
    private readonly PriorityQueue<Action, (long Time, long Order)> _events = new();
    private readonly Random _random;
    private readonly FastFaults _faults;
    private readonly MemberId[] _ids;
    private readonly FastPaxosCore?[] _cores;
    private readonly Dictionary<long, Acceptance>[] _disks;
    private readonly List<FastValue>[] _delivered;
    private readonly int[] _incarnations;
    private readonly Dictionary<long, FastValue> _agreed = [];
    private readonly double _loss;
    private readonly double _duplication;
    private long _order;
    private long _time;
    private bool _isCalm;

    public FastPaxosCluster(int seed, FastFaults faults)
    {
        _random = new Random(seed);
        _faults = faults;
        var count = _random.Next(3) switch { 0 => 3, 1 => 5, _ => 7 };
        _loss = _random.NextDouble() * 0.3;
        _duplication = _random.NextDouble() * 0.2;
        _ids = [.. Enumerable.Range(1, count).Select(static i => new MemberId((ulong)i))];
        _cores = new FastPaxosCore?[count];
        _disks = [.. Enumerable.Range(0, count).Select(static _ => new Dictionary<long, Acceptance>())];
        _delivered = [.. Enumerable.Range(0, count).Select(static _ => new List<FastValue>())];
        _incarnations = new int[count];
    }

    public string? Violation { get; private set; }

    public int Chosen => _agreed.Count;

    public void Run()
    {
        for (var i = 0; i < _cores.Length; i++)
            Start(i);
        Disturb();
        RunUntil(4_000_000);
        _isCalm = true;
        for (var i = 0; i < _cores.Length; i++)
            Start(i);
        // In the calm every proposal is chosen and every member comes to have all.
        for (var round = 0; round < 20 && Violation is null; round++)
        {
            Propose(round % _cores.Length);
            RunUntil(_time + 500_000);
        }
        RunUntil(_time + 5_000_000);
        var longest = _delivered.Max(static d => d.Count);
        if (Violation is null && _delivered.Any(d => d.Count < longest))
            Violation = "liveness: after the calm members have " + string.Join(", ", _delivered.Select(static d => d.Count)) + " commands";
    }

    private void Disturb()
    {
        for (long at = 0; at < 3_500_000; at += _random.NextInt64(2_000, 40_000))
        {
            After(at, () =>
            {
                // Often several at the same moment, so that they collide.
                for (var n = _random.Next(1, 4); n > 0; n--)
                    Propose(_random.Next(_cores.Length));
            });
        }
        for (long at = 0; at < 3_500_000; at += _random.NextInt64(50_000, 800_000))
        {
            After(at, () =>
            {
                var victim = _random.Next(_cores.Length);
                _cores[victim] = null;
                After(_random.NextInt64(1_000, 300_000), () => Start(victim));
            });
        }
    }

    private void Start(int i)
    {
        if (_cores[i] is not null)
            return;
        _delivered[i].Clear();
        _cores[i] = new FastPaxosCore(_ids[i], _ids, _disks[i], ++_incarnations[i], 60_000, new Random(_random.Next()), _faults);
        var life = _incarnations[i];
        Tick(i, life);
    }

    private void Tick(int i, int life) => After(5_000, () =>
    {
        if (_incarnations[i] != life || _cores[i] is not { } core)
            return;
        Guard(() => core.Tick(_time));
        CarryOut(i);
        Tick(i, life);
    });

    private void Propose(int i)
    {
        if (_cores[i] is not { } core)
            return;
        Guard(() => core.Propose(_time, new byte[] { 1 }));
        CarryOut(i);
    }

    private void CarryOut(int i)
    {
        while (_cores[i]?.TakeReady() is { } ready)
        {
            foreach (var (slot, state) in ready.Writes)
                _disks[i][slot] = state;
            foreach (var (slot, value) in ready.Delivered)
            {
                _delivered[i].Add(value);
                if (_delivered[i].Count != slot)
                    Violation ??= $"member {_ids[i]} is given slot {slot} after {_delivered[i].Count - 1}";
                if (!_agreed.TryAdd(slot, value) && _agreed[slot] != value)
                    Violation ??= $"slot {slot} is {_agreed[slot].Proposer}/{_agreed[slot].Number} for one and {value.Proposer}/{value.Number} for another";
            }
            // The machine may stop between its write and its words.
            if (!_isCalm && _random.NextDouble() < 0.002)
            {
                _cores[i] = null;
                var victim = i;
                After(_random.NextInt64(1_000, 100_000), () => Start(victim));
                return;
            }
            foreach (var message in ready.Messages)
                Send(message);
        }
    }

    private void Send(FastMessage message)
    {
        for (var copies = !_isCalm && _random.NextDouble() < _duplication ? 2 : 1; copies > 0; copies--)
        {
            if (!_isCalm && _random.NextDouble() < _loss)
                continue;
            // A proposal that comes long after its slot was settled without it is what promises are for.
            var late = message is FastPropose ? 0.15 : 0.02;
            var delay = _random.NextInt64(200, 5_000) * (!_isCalm && _random.NextDouble() < late ? 40 : 1);
            After(delay, () =>
            {
                var to = Array.IndexOf(_ids, message.To);
                if (_cores[to] is not { } core)
                    return;
                Guard(() => core.Step(_time, message));
                CarryOut(to);
            });
        }
    }

    private void Guard(Action act)
    {
        try
        {
            act();
        }
        catch (RaftInvariantException error)
        {
            Violation ??= error.Message;
        }
    }

    private void After(long delay, Action action) => _events.Enqueue(action, (_time + delay, _order++));

    private void RunUntil(long end)
    {
        while (Violation is null && _events.TryPeek(out _, out var when) && when.Time <= end)
        {
            var action = _events.Dequeue();
            _time = when.Time;
            action();
        }
        _time = end;
    }
}
