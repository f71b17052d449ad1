using System.Diagnostics;
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
        var runs = 0;
        long simulated = 0, acknowledged = 0, elections = 0, crashes = 0, installs = 0, changes = 0, heals = 0, undecided = 0;
        for (var seed = Seeds.First; IsMoreWanted(runs, watch.Elapsed); seed++, runs++)
        {
            var plan = SimulationPlan.Draw(seed);
            var cluster = new SimulatedCluster(plan);
            cluster.Run();
            if (cluster.Violation is not null && Seeds.IsChosen)
                File.WriteAllLines(Path.Combine(Path.GetTempPath(), $"consensus-{seed}.trace"), cluster.TraceLines);
            Assert.True(cluster.Violation is null,
                $"{cluster.Violation}\n{plan}\nrepeat with: ./millrace test --simulation consensus --seed {seed}");
            simulated += cluster.Time * (plan.Members + plan.Spares);
            acknowledged += cluster.Acknowledged;
            elections += cluster.Invariants.Elections;
            crashes += cluster.Crashes;
            installs += cluster.Installs;
            changes += cluster.Changes;
            heals += cluster.Heals;
            undecided += cluster.Verdict == Verdict.Undecided ? 1 : 0;
        }
        var summary = $"{runs} runs from seed {Seeds.First}: {simulated / 3.6e9:F2} member-hours in {watch.Elapsed.TotalSeconds:F1} s, "
            + $"{acknowledged} writes acknowledged, {elections} elections, {crashes} crashes, {changes} changes of members, "
            + $"{installs} snapshots installed, {heals} members healed, {undecided} histories undecided";
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

    private static bool IsMoreWanted(int runs, TimeSpan elapsed) =>
        Seeds.For is { } wanted ? elapsed < wanted : runs < (Seeds.IsChosen ? 1 : 40);
}
