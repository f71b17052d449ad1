using Millrace.Raft.Consensus;

namespace Millrace.Simulation.Consensus;

/// <summary>The weather of one simulated run, drawn from its seed. Times are microseconds of true time; "every" is a mean.</summary>
internal sealed record SimulationPlan
{
    public required int Seed { get; init; }

    public int Members { get; init; } = 3;

    /// <summary>Members that wait to be added.</summary>
    public int Spares { get; init; }

    public long Duration { get; init; } = 20_000_000;

    /// <summary>The duration is so many storms, each followed by calm, with quiet time between them.</summary>
    public int Storms { get; init; } = 1;

    /// <summary>Mean of the quiet time between storms.</summary>
    public long RestMean { get; init; } = 36 * 3_600_000_000L;

    public double Loss { get; init; }

    public double Duplication { get; init; }

    public long DelayMin { get; init; } = 100;

    public long DelayMax { get; init; } = 2_000;

    public long DiskMin { get; init; } = 100;

    public long DiskMax { get; init; } = 2_000;

    /// <summary>0: never; so for all that follow.</summary>
    public long CrashEvery { get; init; }

    /// <summary>The longest time a crashed member stays down.</summary>
    public long RestartMax { get; init; } = 1_500_000;

    public long PartitionEvery { get; init; }

    /// <summary>The leader is cut off while all others crash, to come back soon.</summary>
    public long LonelyLeaderEvery { get; init; }

    public long ChangeEvery { get; init; }

    public long TransferEvery { get; init; }

    public long PauseEvery { get; init; }

    public long FailedFlushEvery { get; init; }

    /// <summary>Bits that flip in what one member has on disk, while all others' is whole. Never together with <see cref="ChangeEvery"/>: it takes three.</summary>
    public long RotEvery { get; init; }

    /// <summary>A disk stands still for up to two seconds.</summary>
    public long StallEvery { get; init; }

    public bool Leases { get; init; }

    public double ClockDrift { get; init; } = 0.02;

    /// <summary>Entries between snapshots; 0: none.</summary>
    public int SnapshotEvery { get; init; }

    public int Clients { get; init; } = 4;

    public int Keys { get; init; } = 2;

    /// <summary>Chance that a client reads; it writes or swaps otherwise.</summary>
    public double Reads { get; init; } = 0.5;

    /// <summary>Chance that a read is a quorum read.</summary>
    public double QuorumReads { get; init; } = 0.2;

    public int MaxAppendBytes { get; init; } = 4096;

    /// <summary>How long a leader may keep a commit to itself.</summary>
    public long CommitNotice { get; init; }

    public ConsensusAlgorithm Algorithm { get; init; }

    /// <summary>Chance that a client looks for the leader first.</summary>
    public double AtLeader { get; init; } = 0.8;

    /// <summary>How long fast rounds rest after collisions.</summary>
    public long FastPause { get; init; } = 1_000_000;

    /// <summary>Up to which round trip one message with entries at a time is on the way.</summary>
    public long ShortRoundTrip { get; init; } = 500;

    public bool IsPaxos => Algorithm != ConsensusAlgorithm.Raft;

    public Faults Faults { get; init; } = Faults.None;

    public static SimulationPlan Draw(int seed)
    {
        var random = new Random(seed);
        long Every(double chance, long min, long max) => random.NextDouble() < chance ? random.NextInt64(min, max) : 0;
        var slowNetwork = random.NextDouble() < 0.3;
        var slowDisk = random.NextDouble() < 0.3;
        return new SimulationPlan
        {
            Seed = seed,
            Members = random.NextDouble() < 0.1 ? 1 : random.NextDouble() < 0.6 ? 3 : 5,
            Spares = random.Next(3),
            Loss = random.NextDouble() < 0.5 ? random.NextDouble() * 0.2 : 0,
            Duplication = random.NextDouble() < 0.5 ? random.NextDouble() * 0.2 : 0,
            DelayMin = random.NextInt64(20, 500),
            DelayMax = slowNetwork ? random.NextInt64(5_000, 100_000) : random.NextInt64(600, 5_000),
            DiskMin = 50,
            DiskMax = slowDisk ? random.NextInt64(10_000, 150_000) : random.NextInt64(100, 3_000),
            CrashEvery = Every(0.7, 500_000, 5_000_000),
            RestartMax = random.NextDouble() < 0.3 ? random.NextInt64(2_000, 100_000) : 1_500_000,
            PartitionEvery = Every(0.6, 500_000, 5_000_000),
            ChangeEvery = Every(0.5, 300_000, 4_000_000),
            TransferEvery = Every(0.3, 300_000, 4_000_000),
            PauseEvery = Every(0.3, 500_000, 5_000_000),
            FailedFlushEvery = Every(0.2, 2_000_000, 6_000_000),
            Leases = random.NextDouble() < 0.4,
            ClockDrift = random.NextDouble() * 0.1,
            SnapshotEvery = random.NextDouble() < 0.6 ? random.Next(5, 100) : 0,
            Clients = random.Next(2, 7),
            Keys = random.Next(1, 4),
            Reads = 0.2 + (random.NextDouble() * 0.6),
            QuorumReads = random.NextDouble() * 0.5,
            MaxAppendBytes = random.Next(1, 4096),
            Algorithm = (seed % 4) switch { 0 => ConsensusAlgorithm.MultiPaxos, 2 => ConsensusAlgorithm.FastPaxos, _ => ConsensusAlgorithm.Raft },
            CommitNotice = random.NextDouble() < 0.5 ? 0 : random.NextInt64(100, 50_000),
            AtLeader = (seed % 4) == 2 ? 0.3 : 0.8,
            StallEvery = Every(0.3, 1_000_000, 6_000_000),
            ShortRoundTrip = seed % 3 == 0 ? 1_000_000 : 500,
            FastPause = 10_000 + ((seed * 7919L) % 300_000),
            RotEvery = Every(0.3, 1_000_000, 6_000_000),
        };
    }
}
