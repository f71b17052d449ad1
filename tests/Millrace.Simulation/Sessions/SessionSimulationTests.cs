using Millrace.Coordination.Sessions;

namespace Millrace.Simulation.Sessions;

/// <summary>
/// Five members, three copies, under loss, delay, partitions and members that die with what their disks had not flushed: stale reads come where R + W &lt;= N, and
/// nowhere else.
/// </summary>
public sealed class SessionSimulationTests
{
    private const int SeedsEach = 60;

    [Theory]
    [InlineData(2, 2)]
    [InlineData(3, 1)]
    [InlineData(1, 3)]
    public void With_R_and_W_over_N_no_read_is_stale(int read, int write)
    {
        var reads = 0;
        for (var seed = 1; seed <= SeedsEach; seed++)
        {
            var run = new SessionRun(seed, new SessionQuorum(3, write, read));
            Assert.True(run.Stale == 0, $"seed {seed}: {run.Stale} of {run.Reads} reads are stale with R {read}, W {write}");
            reads += run.Reads;
        }
        Assert.True(reads > 1000);
        Console.WriteLine($"R {read}, W {write} of 3: {reads} reads, none stale");
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(1, 2)]
    [InlineData(2, 1)]
    public void With_less_some_are(int read, int write)
    {
        int stale = 0, reads = 0;
        for (var seed = 1; seed <= SeedsEach; seed++)
        {
            var run = new SessionRun(seed, new SessionQuorum(3, write, read));
            (stale, reads) = (stale + run.Stale, reads + run.Reads);
        }
        Assert.True(stale > 0, $"R {read}, W {write}: none of {reads} reads is stale");
        Console.WriteLine($"R {read}, W {write} of 3: {stale} of {reads} reads are stale ({100.0 * stale / reads:F1} %)");
    }

    /// <summary>A mistake that is planted: members tell of a write as soon as it is put, one flush for many of them later.</summary>
    [Fact]
    public void Answers_before_the_flush_are_found()
    {
        var stale = 0;
        for (var seed = 1; seed <= SeedsEach && stale == 0; seed++)
            stale = new SessionRun(seed, new SessionQuorum(), answersBeforeFlush: true).Stale;
        Assert.True(stale > 0, "nobody noticed that members told of what they lost");
    }

    [Fact]
    public void After_the_storm_every_home_has_the_newest_by_hints_and_repair()
    {
        long repairs = 0, handoffs = 0;
        for (var seed = 1; seed <= SeedsEach; seed++)
        {
            var run = new SessionRun(seed, new SessionQuorum());
            Assert.True(run.IsConverged, $"seed {seed}: copies differ after the calm");
            (repairs, handoffs) = (repairs + run.Repairs, handoffs + run.Handoffs);
        }
        Assert.True(repairs > 0 && handoffs > 0, $"{repairs} repairs, {handoffs} hand-overs");
        Console.WriteLine($"{repairs} copies repaired by reads, {handoffs} hints handed over");
    }
}

/// <summary>One run from a seed.</summary>
internal sealed class SessionRun
{
    private const int Members = 5;
    private static readonly ulong[] Ids = [.. Enumerable.Range(1, Members).Select(static i => (ulong)i)];
    private readonly PriorityQueue<Action, (long Time, long Order)> _events = new();
    private readonly Random _random;
    private readonly SessionQuorum _quorum;
    private readonly Disk[] _disks = [.. Ids.Select(static _ => new Disk())];
    private readonly SessionCore?[] _cores = new SessionCore?[Members];
    private readonly Dictionary<(int Member, long Operation), Action<SessionOutcome>> _waiting = [];
    private readonly Dictionary<string, HybridTime> _acknowledged = [];
    private readonly long[] _skew;
    private long _order;
    private long _time;
    private long _lives;
    private int _cutOff = -1;
    private readonly bool _answersBeforeFlush;
    private bool _isCalm;

    public SessionRun(int seed, SessionQuorum quorum, bool answersBeforeFlush = false)
    {
        _answersBeforeFlush = answersBeforeFlush;
        _random = new Random(seed);
        _quorum = quorum;
        _skew = [.. Ids.Select(_ => _random.NextInt64(-2_000, 2_000))];
        for (var i = 0; i < Members; i++)
            Start(i);
        for (long at = 0; at < 20_000; at += _random.NextInt64(5, 60))
            After(at, Act);
        for (long at = 0; at < 19_000; at += _random.NextInt64(200, 2_000))
            After(at, Disturb);
        RunUntil(20_000);
        _isCalm = true;
        _cutOff = -1;
        for (var i = 0; i < Members; i++)
            Start(i);
        RunUntil(40_000);
        for (var key = 0; key < 4; key++)
            Begin(0, core => core.Get($"k{key}", new SessionQuorum(), Ids, _time + 500), static _ => { });
        RunUntil(45_000);
        IsConverged = Enumerable.Range(0, 4).All(k =>
            SessionQuorum.HomesOf($"k{k}", Ids, 3).Select(h => _disks[h - 1].Get($"k{k}")?.Time).Distinct().Count() == 1);
        Repairs += _cores.Sum(static c => c!.Repairs);
        Handoffs += _cores.Sum(static c => c!.Handoffs);
    }

    public int Reads { get; private set; }

    public int Stale { get; private set; }

    public bool IsConverged { get; }

    public long Repairs { get; private set; }

    public long Handoffs { get; private set; }

    private void Act()
    {
        var member = _random.Next(Members);
        var key = $"k{_random.Next(4)}";
        if (_random.NextDouble() < 0.5)
        {
            Begin(member, core => core.Put(_time + 10_000 + _skew[member], key, new byte[] { 1 }, 0, _quorum, Ids, _time + 500), outcome =>
            {
                if (outcome.IsEnough && (!_acknowledged.TryGetValue(key, out var newest) || outcome.Version!.Time > newest))
                    _acknowledged[key] = outcome.Version!.Time;
            });
            return;
        }
        // Whatever was acknowledged before the read began, it or something newer must be read.
        HybridTime? before = _acknowledged.TryGetValue(key, out var known) ? known : null;
        Begin(member, core => core.Get(key, _quorum, Ids, _time + 500), outcome =>
        {
            if (!outcome.IsEnough)
                return;
            Reads++;
            if (before is { } least && (outcome.Version is null || outcome.Version.Time < least))
                Stale++;
        });
    }

    private void Disturb()
    {
        var member = _random.Next(Members);
        switch (_random.Next(5))
        {
            case 0 or 1:
                _cutOff = member;
                After(_random.NextInt64(100, 1_500), () => _cutOff = -1);
                break;
            case 2 or 3:
                Crash(member, _random.NextInt64(100, 1_500));
                break;
            default:
                // The power fails.
                for (var i = 0; i < Members; i++)
                    Crash(i, _random.NextInt64(10, 100));
                break;
        }
    }

    /// <summary>What it had in memory is gone, and what its disk had not flushed but for some of the first of it.</summary>
    private void Crash(int member, long down)
    {
        if (_cores[member] is { } core)
            (Repairs, Handoffs) = (Repairs + core.Repairs, Handoffs + core.Handoffs);
        _cores[member] = null;
        _disks[member].Crash(_random);
        After(down, () => Start(member));
    }

    private void Start(int i)
    {
        if (_cores[i] is not null)
            return;
        var core = _cores[i] = new SessionCore(Ids[i], _disks[i], ++_lives << 32);
        Tick(i, core);
    }

    private void Tick(int i, SessionCore core) => After(100, () =>
    {
        if (_cores[i] != core)
            return;
        core.Tick(_time);
        if (_random.Next(5) == 0)
            core.HandOver(Ids.Where(id => id != Ids[i]), 100);
        CarryOut(i);
        Tick(i, core);
    });

    private void Begin(int i, Func<SessionCore, long> begin, Action<SessionOutcome> done)
    {
        if (_cores[i] is not { } core)
            return;
        _waiting[(i, begin(core))] = done;
        CarryOut(i);
    }

    private void CarryOut(int i)
    {
        var core = _cores[i]!;
        foreach (var message in core.TakeMessages())
        {
            var to = (int)message.To - 1;
            for (var copies = !_isCalm && _random.NextDouble() < 0.05 ? 2 : 1; copies > 0; copies--)
            {
                if (!_isCalm && _random.NextDouble() < 0.1)
                    continue;
                After(_random.NextInt64(1, 40), () =>
                {
                    if (_cores[to] is not { } receiver || _cutOff == to || _cutOff == i)
                        return;
                    receiver.Step(SessionCodec.Decode(message.From, message.To, SessionCodec.Encode(message)));
                    CarryOut(to);
                });
            }
        }
        foreach (var outcome in core.TakeOutcomes())
        {
            if (_waiting.Remove((i, outcome.Operation), out var done))
                done(outcome);
        }
        if (!core.BeginFlush())
            return;
        var upTo = _disks[i].Written;
        if (_answersBeforeFlush)
        {
            core.EndFlush();
            CarryOut(i);
        }
        After(_random.NextInt64(1, 150), () =>
        {
            if (_cores[i] != core)
                return;
            _disks[i].Flush(upTo);
            if (!_answersBeforeFlush)
                core.EndFlush();
            CarryOut(i);
        });
    }

    private void After(long delay, Action action) => _events.Enqueue(action, (_time + delay, _order++));

    private void RunUntil(long end)
    {
        while (_events.TryPeek(out _, out var when) && when.Time <= end)
        {
            var action = _events.Dequeue();
            _time = when.Time;
            action();
        }
        _time = end;
    }

    /// <summary>What is written can be read at once, and is lost at a crash unless a flush came after it.</summary>
    private sealed class Disk : ISessionDisk
    {
        private readonly List<Action<Content>> _unflushed = [];
        private readonly Content _durable = new();
        private Content _seen = new();
        private long _flushed;

        /// <summary>Writes ever.</summary>
        public long Written => _flushed + _unflushed.Count;

        public HybridTime Newest => _seen.Newest;

        public SessionVersion? Get(string key) => _seen.Copies.GetValueOrDefault(key);

        public void Put(string key, SessionVersion version) => Write(content =>
        {
            content.Copies[key] = version;
            content.Newest = version.Time > content.Newest ? version.Time : content.Newest;
        });

        public IReadOnlyList<(string Key, SessionVersion Version)> Hints(ulong member, int most) =>
            [.. _seen.Hints.Where(h => h.Key.Member == member).Take(most).Select(static h => (h.Key.Key, h.Value))];

        public void PutHint(ulong member, string key, SessionVersion version)
        {
            if (!_seen.Hints.TryGetValue((member, key), out var old) || version.Time > old.Time)
                Write(content => content.Hints[(member, key)] = version);
        }

        public bool RemoveHint(ulong member, string key, HybridTime upTo)
        {
            if (!_seen.Hints.TryGetValue((member, key), out var held) || held.Time > upTo)
                return false;
            Write(content => content.Hints.Remove((member, key)));
            return true;
        }

        public void Flush(long upTo)
        {
            for (; _flushed < upTo; _flushed++)
            {
                _unflushed[0](_durable);
                _unflushed.RemoveAt(0);
            }
        }

        public void Crash(Random random)
        {
            Flush(_flushed + random.Next(_unflushed.Count + 1));
            _unflushed.Clear();
            _seen = new Content(_durable);
        }

        private void Write(Action<Content> write)
        {
            _unflushed.Add(write);
            write(_seen);
        }

        private sealed class Content
        {
            public Content()
            {
            }

            public Content(Content other) => (Copies, Hints, Newest) = (new(other.Copies), new(other.Hints), other.Newest);

            public Dictionary<string, SessionVersion> Copies { get; } = [];

            public SortedDictionary<(ulong Member, string Key), SessionVersion> Hints { get; } = [];

            public HybridTime Newest { get; set; }
        }
    }
}
