using Millrace.Raft.Consensus;
using Xunit.Abstractions;

namespace Millrace.Simulation.Consensus;

/// <summary>A simulator that finds nothing proves nothing: every mistake of <see cref="Faults"/>, planted, is found within the stated seeds.</summary>
public sealed class PlantedBugTests(ITestOutputHelper output)
{
    /// <summary>The mistake, the seeds within which it must be found (several times what it takes), and the weather that brings it out.</summary>
    private static readonly Dictionary<string, (Faults Faults, int Seeds, Func<SimulationPlan, SimulationPlan> Focus)> Bugs = new()
    {
        ["vote twice"] = (new Faults { VoteTwice = true }, 50, p => p),
        ["forget vote"] = (new Faults { ForgetVote = true }, 200, p => Crashes(p) with
        {
            CrashEvery = 60_000, RestartMax = 20_000, DelayMin = 1_000, DelayMax = 60_000, Leases = false,
        }),
        ["vote for shorter log"] = (new Faults { VoteForShorterLog = true }, 20, p => p),
        ["commit old term by count"] = (new Faults { CommitOldTermByCount = true }, 400, p => Crashes(p) with
        {
            Members = 3, Spares = 0, ChangeEvery = 0, CrashEvery = 80_000, RestartMax = 120_000, MaxAppendBytes = 1, Leases = false,
            Reads = 0.1, Clients = 8, DelayMax = 8_000, DiskMax = 8_000, Loss = 0.35, SnapshotEvery = 0, PauseEvery = 0,
        }),
        ["acknowledge before flush"] = (new Faults { AcknowledgeBeforeFlush = true }, 100, Crashes),
        ["count own unflushed"] = (new Faults { CountOwnUnflushed = true }, 100, p => Crashes(p) with { Members = 3, Spares = 0, ChangeEvery = 0, CrashEvery = 150_000, RestartMax = 100_000, DiskMin = 5_000, DiskMax = 60_000, DelayMax = 2_000, StallEvery = 0 }),
        ["skip previous check"] = (new Faults { SkipPreviousCheck = true }, 200, p => p),
        ["truncate agreeing entries"] = (new Faults { TruncateAgreeingEntries = true }, 200, p => p with { Duplication = 0.2 }),
        ["commit beyond match"] = (new Faults { CommitBeyondMatch = true }, 100, p => Crashes(p) with { MaxAppendBytes = 1, ChangeEvery = 0 }),
        ["read without round"] = (new Faults { ReadWithoutRound = true }, 400, p => p with
        {
            Members = 3, QuorumReads = 0, PauseEvery = 200_000, PartitionEvery = 300_000, CrashEvery = 0, Keys = 1, Clients = 10, Reads = 0.5, Leases = false,
        }),
        ["read before first commit"] = (new Faults { ReadBeforeFirstCommit = true }, 400, p => Crashes(p) with { QuorumReads = 0 }),
        ["lease without drift bound"] = (new Faults { LeaseWithoutDriftBound = true }, 400, Leases),
        ["lease during transfer"] = (new Faults { LeaseDuringTransfer = true }, 400, p => Leases(p) with
        {
            TransferEvery = 150_000, DelayMin = 1_000, DelayMax = 20_000, Reads = 0.6, ClockDrift = 0.02,
        }),
        ["forget promise at restart"] = (new Faults { ForgetPromiseAtRestart = true }, 200, p => Leases(p) with
        {
            // All followers forget at once, and on a network this slow the promise is longer than an election after a restart takes.
            ClockDrift = 0.02, DelayMin = 10_000, DelayMax = 50_000, CrashEvery = 0, RestartMax = 10_000, PartitionEvery = 0, LonelyLeaderEvery = 2_500_000, Loss = 0,
            Clients = 10, AtLeader = 0.4, RotEvery = 0, StallEvery = 0, PauseEvery = 0, ChangeEvery = 0, TransferEvery = 0, FailedFlushEvery = 0, Spares = 0,
        }),
        ["switch voters at once"] = (new Faults { SwitchVotersAtOnce = true }, 100, Changes),
        ["leave joint uncommitted"] = (new Faults { LeaveJointUncommitted = true }, 100, Changes),
        ["count learners"] = (new Faults { CountLearners = true }, 100, Changes),
        ["promise without what was accepted"] = (new Faults { ForgetAccepted = true }, 100, p => Crashes(p)),
        ["accepted entries cut off"] = (new Faults { ForgetReplaced = true }, 400, p => Crashes(p) with
        {
            Members = 5, Spares = 0, CrashEvery = 80_000, RestartMax = 120_000, MaxAppendBytes = 1, Leases = false, Clients = 8, DelayMax = 8_000,
            DiskMax = 8_000, Loss = 0.3, SnapshotEvery = 0, PauseEvery = 0,
        }),
        ["new members count at once"] = (new Faults { NewMembersAtOnce = true }, 200, Changes),
        ["proposed behind a change"] = (new Faults { ProposeBehindChange = true }, 200, Changes),
        ["promise to the past"] = (new Faults { PromiseToThePast = true }, 400, Changes),
        ["change in force forgotten"] = (new Faults { ForgetChangeInForce = true }, 400, Changes),
        ["proposed again in its old term"] = (new Faults { KeepOldTerms = true }, 400, p => Crashes(p) with
        {
            Members = 3, Spares = 0, CrashEvery = 80_000, RestartMax = 120_000, MaxAppendBytes = 1,
            Leases = false, Reads = 0.1, Clients = 8, DelayMax = 8_000, DiskMax = 8_000, Loss = 0.35, SnapshotEvery = 0, PauseEvery = 0,
        }),
        ["a majority as fast quorum"] = (new Faults { MajorityIsFast = true }, 200, Fast),
        ["any value after a collision"] = (new Faults { PickAny = true }, 400, Fast),
        ["vote after the window's end"] = (new Faults { VoteAfterClose = true }, 400, Fast),
        ["a fast round taken for newer than its leader's"] = (new Faults { FastOverClassic = true }, 400, Fast),
        ["promise without fast votes"] = (new Faults { ForgetFastVotes = true }, 200, Fast),
        ["settled votes not told"] = (new Faults { ForgetSettledVotes = true }, 400, p => Fast(p) with { AtLeader = 0.3, PartitionEvery = 300_000, Duplication = 0.1, FastPause = 50_000 }),
        ["read index below fast votes"] = (new Faults { ReadBelowVotes = true }, 200, p => Fast(p) with { QuorumReads = 0, Reads = 0.6, Keys = 1, Duplication = 0 }),
        ["damage cut like a torn tail"] = (new Faults { CutDamage = true }, 400, p => Crashes(p) with
        {
            Members = 3, Spares = 0, ChangeEvery = 0, RotEvery = 150_000, CrashEvery = 300_000, RestartMax = 50_000, Loss = 0.2, SnapshotEvery = 0,
            Leases = false, Clients = 6, Reads = 0.3,
        }),
        ["vote while healing"] = (new Faults { VoteWhileHealing = true }, 400, p => Crashes(p) with
        {
            Members = 3, Spares = 0, ChangeEvery = 0, RotEvery = 150_000, CrashEvery = 300_000, RestartMax = 50_000, Loss = 0.2, SnapshotEvery = 0,
            Leases = false, Clients = 6, Reads = 0.3,
        }),
        ["healed by what was adopted"] = (new Faults { HealOnAdopted = true }, 400, p => Crashes(p) with
        {
            Members = 3, Spares = 0, ChangeEvery = 0, RotEvery = 150_000, CrashEvery = 300_000, RestartMax = 50_000, Loss = 0.3, SnapshotEvery = 0,
            Leases = false, Clients = 8, Reads = 0.3, MaxAppendBytes = 1, DelayMax = 8_000, AtLeader = 0.8,
        }),
        ["leak of what is not committed"] = (new Faults { LeakUncommitted = true }, 200, p => Crashes(p) with { Members = 3, Keys = 1, Reads = 0.6, Loss = 0.1 }),
        ["quorum read of what is known to be durable"] = (new Faults { QuorumReadOfDurable = true }, 200, p => p with { QuorumReads = 1, Keys = 1, Reads = 0.6, Clients = 8, DelayMin = 50, DelayMax = 500, DiskMax = 2_000 }),
        ["quorum read of commits"] = (new Faults { QuorumReadOfCommits = true }, 50, p => p with { QuorumReads = 1 }),
    };

    public static TheoryData<string> Names => new(Bugs.Keys);

    [Theory]
    [MemberData(nameof(Names))]
    public void A_planted_bug_is_found(string name)
    {
        var (faults, seeds, focus) = Bugs[name];
        var algorithm = AlgorithmOf(faults);
        for (var seed = 1; seed <= seeds; seed++)
        {
            var cluster = new SimulatedCluster(focus(SimulationPlan.Draw(seed)) with { Faults = faults, Algorithm = algorithm });
            cluster.Run();
            if (cluster.Violation is null)
                continue;
            output.WriteLine($"{name}: found by seed {seed}: {cluster.Violation}");
            Console.WriteLine($"{name}: found by seed {seed} of {seeds}: {cluster.Violation}");
            return;
        }
        Assert.Fail($"{name}: not found within {seeds} seeds");
    }

    [Fact]
    public void The_weather_that_brings_bugs_out_breaks_nothing_that_is_right()
    {
        foreach (var (name, (faults, _, focus)) in Bugs)
        {
            for (var seed = 1; seed <= 10; seed++)
            {
                var cluster = new SimulatedCluster(focus(SimulationPlan.Draw(seed)) with { Algorithm = AlgorithmOf(faults) });
                cluster.Run();
                Assert.True(cluster.Violation is null, $"weather of '{name}', seed {seed}: {cluster.Violation}");
            }
        }
    }

    private static ConsensusAlgorithm AlgorithmOf(Faults faults)
    {
        var isFast = faults.MajorityIsFast || faults.PickAny || faults.VoteAfterClose || faults.FastOverClassic || faults.ForgetFastVotes || faults.ForgetSettledVotes
            || faults.ReadBelowVotes;
        return isFast ? ConsensusAlgorithm.FastPaxos
            : faults.ForgetAccepted || faults.NewMembersAtOnce || faults.ProposeBehindChange || faults.PromiseToThePast || faults.ForgetChangeInForce || faults.KeepOldTerms || faults.ForgetReplaced || faults.HealOnAdopted ? ConsensusAlgorithm.MultiPaxos : ConsensusAlgorithm.Raft;
    }

    private static SimulationPlan Fast(SimulationPlan plan) => Crashes(plan) with
    {
        Members = 5, Spares = 0, CrashEvery = 600_000, RestartMax = 100_000, Leases = false, Clients = 8, Reads = 0.3, AtLeader = 0.1, FastPause = 10_000,
        DelayMax = 8_000, DiskMax = 1_000, Loss = 0.1, SnapshotEvery = 0, PauseEvery = 0, FailedFlushEvery = 0,
    };

    private static SimulationPlan Crashes(SimulationPlan plan) =>
        plan with { Members = plan.Members == 1 ? 3 : plan.Members, CrashEvery = 400_000, Loss = Math.Max(plan.Loss, 0.05) };

    private static SimulationPlan Leases(SimulationPlan plan) => plan with
    {
        Members = 3, Leases = true, ClockDrift = 0.4, QuorumReads = 0, Reads = 0.7, PartitionEvery = 400_000, Clients = 6, Keys = 1,
        DelayMax = 1500, DiskMax = 1500, CommitNotice = 0,
    };

    private static SimulationPlan Changes(SimulationPlan plan) =>
        plan with { Members = 3, Spares = 2, ChangeEvery = 300_000, PartitionEvery = 700_000, CrashEvery = 700_000 };
}
