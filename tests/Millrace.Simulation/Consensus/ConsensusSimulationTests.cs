using System.Diagnostics;
using System.Globalization;
using Millrace.Raft.Consensus;
using Millrace.Simulation.Linearizability;
using Xunit.Abstractions;

namespace Millrace.Simulation.Consensus;

/// <summary>The whole group under storms: `./millrace test --simulation consensus [--seed N] [--for 10m]`.</summary>
public sealed class ConsensusSimulationTests(ITestOutputHelper output)
{
    [Fact]
    public void No_storm_makes_the_group_lie()
    {
        var watch = Stopwatch.StartNew();
        var totals = new Totals();
        string? violation = null;
        var next = Seeds.First - 1;
        // Each group is played by one thread from one seed, so what it does is the same however many threads there are.
        Parallel.For(0, Seeds.For is null ? 1 : Environment.ProcessorCount, _ =>
        {
            for (var seed = Interlocked.Increment(ref next); IsMoreWanted(seed - Seeds.First, watch.Elapsed) && violation is null; seed = Interlocked.Increment(ref next))
            {
                var plan = SimulationPlan.Draw(seed) with { Storms = 3 };
                var cluster = new SimulatedCluster(plan);
                try
                {
                    cluster.Run();
                }
                catch (Exception crash)
                {
                    violation = $"{crash}\n{plan}\nrepeat with: ./millrace test --simulation consensus --seed {seed}";
                    return;
                }
                if (cluster.Violation is not null && Seeds.IsChosen)
                    File.WriteAllLines(Path.Combine(Path.GetTempPath(), $"consensus-{seed}.trace"), cluster.TraceLines);
                if (cluster.Violation is not null)
                    violation = $"{cluster.Violation}\n{plan}\nrepeat with: ./millrace test --simulation consensus --seed {seed}";
                totals.Add(cluster);
            }
        });
        Assert.True(violation is null, violation);
        var summary = totals.Tell(watch.Elapsed);
        output.WriteLine(summary);
        Console.WriteLine(summary);
    }

    [Theory]
    [InlineData(ConsensusAlgorithm.MultiPaxos)]
    [InlineData(ConsensusAlgorithm.FastPaxos)]
    public void No_storm_makes_a_group_of_the_Paxos_family_lie(object algorithm)
    {
        long fast = 0, lost = 0;
        for (var seed = 1; seed <= 60; seed++)
        {
            var plan = SimulationPlan.Draw(seed) with { Algorithm = (ConsensusAlgorithm)algorithm, AtLeader = algorithm is ConsensusAlgorithm.FastPaxos ? 0.3 : 0.8 };
            var cluster = new SimulatedCluster(plan);
            cluster.Run();
            Assert.True(cluster.Violation is null, $"seed {seed} with {algorithm}: {cluster.Violation}\n{plan}");
            fast += cluster.FastProposals;
            lost += cluster.LostSlots;
        }
        if (algorithm is not ConsensusAlgorithm.FastPaxos)
            return;
        Console.WriteLine($"fast-paxos: {fast} proposals without a leader, {lost} lost their slot and went to it");
        Assert.True(fast > 1000 && lost > 10, $"only {fast} fast proposals, of which {lost} collided");
    }

    [Fact]
    public void A_seed_gives_the_same_run_again()
    {
        var first = Run(7);
        Assert.Equal(first, Run(7));

        static string Run(int seed)
        {
            var cluster = new SimulatedCluster(SimulationPlan.Draw(seed) with { Duration = 5_000_000 });
            cluster.Run();
            return $"{cluster.Time} {cluster.Acknowledged} {cluster.Invariants.LastApplied} {cluster.Invariants.Elections} "
                + string.Join(',', cluster.History.Select(o => $"{o.Call}-{o.Return}"));
        }
    }

    /// <summary>What justifies leaving quiet time out: played, it leaves a group as it was.</summary>
    [Fact]
    public void Quiet_time_changes_nothing()
    {
        for (var seed = 1; seed <= 12; seed++)
        {
            var cluster = new SimulatedCluster(SimulationPlan.Draw(seed) with { Duration = 5_000_000 });
            cluster.Run();
            cluster.PlayQuiet(0);
            var before = Tell(cluster);
            cluster.PlayQuiet(180_000_000);
            Assert.Null(cluster.Violation);
            Assert.True(before == Tell(cluster), $"seed {seed}: {before} became {Tell(cluster)} in three quiet minutes");
        }

        static string Tell(SimulatedCluster cluster) => string.Join("; ", cluster.Members.Select(m => m.Core is { } core && cluster.Leader!.Core!.Configuration.Contains(m.Id)
            ? $"{m.Id} {core.Role} term {core.Term} leader {core.Leader} last {core.LastIndex} commit {core.CommitIndex} applied {m.Applied}" : "-"));
    }

    private static bool IsMoreWanted(int runs, TimeSpan elapsed) =>
        Seeds.For is { } wanted ? elapsed < wanted : runs < (Seeds.IsChosen ? 1 : 40);

    /// <summary>Sums over all groups of a run.</summary>
    private sealed class Totals
    {
        private readonly Lock _lock = new();
        private long _groups, _all, _played, _members, _acknowledged, _elections, _crashes, _installs, _changes, _stalls, _fast, _heals, _misdirected, _undecided;

        public void Add(SimulatedCluster cluster)
        {
            lock (_lock)
            {
                _groups++;
                _all += cluster.Time;
                _played += cluster.Time - cluster.Skipped;
                _members += cluster.Time / 1_000_000 * (cluster.Plan.Members + cluster.Plan.Spares);
                _acknowledged += cluster.Acknowledged;
                _elections += cluster.Invariants.Elections;
                _crashes += cluster.Crashes;
                _installs += cluster.Installs;
                _changes += cluster.Changes;
                _stalls += cluster.Stalls;
                _fast += cluster.FastProposals;
                _heals += cluster.Heals;
                _misdirected += cluster.Misdirected;
                _undecided += cluster.Verdict == Verdict.Undecided ? 1 : 0;
            }
        }

        public string Tell(TimeSpan elapsed) => string.Create(
            CultureInfo.InvariantCulture,
            $"{_groups} groups from seed {Seeds.First}: {_all / 3.6e9:N0} simulated cluster-hours ({_members / 3.6e3:N0} member-hours) in {elapsed.TotalSeconds:F1} s, "
            + $"{_all / 3.6e9 / elapsed.TotalSeconds:N0} a second; {_played / 3.6e9:F1} of them storms and calm after them, played event by event, the rest quiet. "
            + $"{_acknowledged} writes acknowledged, {_elections} elections, {_crashes} crashes, {_changes} changes of members, {_stalls} disks stalled, "
            + $"{_fast} commands proposed without a leader, {_installs} snapshots installed, {_misdirected} writes misdirected, {_heals} damaged members healed, {_undecided} histories undecided");
    }
}
