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
        };
    }
}
