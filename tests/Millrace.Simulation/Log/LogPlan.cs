using Millrace.Log.Storage;

namespace Millrace.Simulation.Log;

/// <summary>One run, drawn from a seed: who works on the log, and what befalls it.</summary>
internal sealed record LogPlan
{
    public required int Seed { get; init; }

    /// <summary>Steps of all clients and the log together between two ends of the process.</summary>
    public int StepsEach { get; init; } = 250;

    /// <summary>How often the process ends and begins again.</summary>
    public int Lives { get; init; } = 5;

    /// <summary>Of the ends, how many are a power failure in the middle of some change of the disk; the others are SIGKILL or orderly.</summary>
    public double PowerFailures { get; init; } = 0.7;

    public int Producers { get; init; } = 3;

    public int Transactors { get; init; } = 3;

    /// <summary>Chance of a flush that fails, in each life.</summary>
    public double FailedFlush { get; init; } = 0.1;

    public int JournalBytes { get; init; } = 6_000;

    /// <summary>What of a segment may wait in memory; null: a quarter of the journal.</summary>
    public int? TailBytes { get; init; }

    /// <summary>Producers with several batches on their way, whose connections are cut.</summary>
    public int Pipelines { get; init; }

    /// <summary>Members of a group by the classic protocol, some static, that stall, vanish and come back.</summary>
    public int ClassicMembers { get; init; }

    /// <summary>Likewise, by the consumer protocol.</summary>
    public int ConsumerMembers { get; init; }

    /// <summary>Of the members of a group, one in so many is static.</summary>
    public int StaticEach { get; init; } = 3;

    /// <summary>Records that retention deletes after a while.</summary>
    public bool Aging { get; init; }

    /// <summary>The machine's clock is set forward and back by up to three days.</summary>
    public bool ClockJumps { get; init; }

    /// <summary>The disk is full for a while, and again.</summary>
    public bool FullDisk { get; init; }

    /// <summary>Of so many steps the disk fills up in one.</summary>
    public int FullEach { get; init; } = 60;

    /// <summary>The longest that a flush takes.</summary>
    public int SlowFlushMillis { get; init; }

    /// <summary>Bits flip in segments, checkpoints and journal files.</summary>
    public bool Rot { get; init; }

    /// <summary>Checkpoints are moved away while the process is.</summary>
    public bool LosesCheckpoints { get; init; }

    /// <summary>Transactions are begun by producers that vanish.</summary>
    public bool Ghosts { get; init; }

    public LogFaults Faults { get; init; } = LogFaults.None;

    public static LogPlan Draw(int seed)
    {
        var random = new Random(seed);
        return new LogPlan
        {
            Seed = seed,
            StepsEach = random.Next(80, 400),
            Lives = random.Next(2, 7),
            Producers = random.Next(1, 4),
            Transactors = random.Next(1, 4),
            FailedFlush = random.Next(3) == 0 ? 0.3 : 0,
            JournalBytes = random.Next(2_000, 20_000),
            Pipelines = random.Next(3),
            ClassicMembers = random.Next(3) == 0 ? random.Next(2, 6) : 0,
            ConsumerMembers = random.Next(3) == 0 ? random.Next(2, 6) : 0,
            Aging = random.Next(3) == 0,
            ClockJumps = random.Next(3) == 0,
            FullDisk = random.Next(3) == 0,
            SlowFlushMillis = random.Next(4) == 0 ? random.Next(1, 2_000) : 0,
            Rot = random.Next(3) == 0,
            Ghosts = random.Next(3) == 0,
        };
    }
}
