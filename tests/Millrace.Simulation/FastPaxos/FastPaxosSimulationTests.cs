using Millrace.Raft.FastPaxos;

namespace Millrace.Simulation.FastPaxos;

public sealed class FastPaxosSimulationTests
{
    private static readonly Dictionary<string, (FastFaults Faults, int Seeds)> Bugs = new()
    {
        ["a majority as fast quorum"] = (new FastFaults { MajorityIsFast = true }, 100),
        ["any value after a conflict"] = (new FastFaults { PickAny = true }, 100),
        ["promises are not kept"] = (new FastFaults { BreakPromises = true }, 200),
    };

    public static TheoryData<string> Names => new(Bugs.Keys);

    [Fact]
    public void Members_agree_on_every_slot_whatever_is_lost_doubled_late_or_crashed()
    {
        var chosen = 0;
        var first = Seeds.First;
        for (var seed = first; seed < first + (Seeds.IsChosen ? 1 : 60); seed++)
        {
            var cluster = new FastPaxosCluster(seed, FastFaults.None);
            cluster.Run();
            Assert.True(cluster.Violation is null, $"{cluster.Violation}\nrepeat with: ./millrace test --simulation fastPaxos --seed {seed}");
            chosen += cluster.Chosen;
        }
        Assert.True(chosen > 0);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_planted_mistake_is_found(string name)
    {
        var (faults, seeds) = Bugs[name];
        for (var seed = 1; seed <= seeds; seed++)
        {
            var cluster = new FastPaxosCluster(seed, faults);
            cluster.Run();
            if (cluster.Violation is null)
                continue;
            Console.WriteLine($"{name}: found by seed {seed} of {seeds}: {cluster.Violation}");
            return;
        }
        Assert.Fail($"{name}: not found within {seeds} seeds");
    }
}
