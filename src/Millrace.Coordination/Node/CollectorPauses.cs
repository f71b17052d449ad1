namespace Millrace.Coordination.Node;

/// <summary>How long the garbage collector made this process stand still, as a histogram since <see cref="Begin"/>. Thread-safe.</summary>
/// <remarks>A collection that follows another at once may hide it; the total of the runtime (<see cref="GC.GetTotalPauseDuration"/>) misses none.</remarks>
public static class CollectorPauses
{
    private static readonly double[] BoundsMillis = [1, 2, 5, 10, 20, 30, 40, 60, 80, 100, 150, 200, 400];
    private static readonly long[] Counts = new long[BoundsMillis.Length + 1];
    private static int _begun;

    /// <summary>Upper ends in milliseconds; one more count than these is kept, of what is longer.</summary>
    public static IReadOnlyList<double> Bounds => BoundsMillis;

    /// <summary>Pauses of each length so far.</summary>
    public static long[] Snapshot()
    {
        var counts = new long[Counts.Length];
        for (var i = 0; i < counts.Length; i++)
            counts[i] = Interlocked.Read(ref Counts[i]);
        return counts;
    }

    /// <summary>Counts from now on; once is enough.</summary>
    public static void Begin()
    {
        if (Interlocked.Exchange(ref _begun, 1) == 0)
            _ = new Witness();
    }

    private static void Note(TimeSpan pause)
    {
        var at = 0;
        while (at < BoundsMillis.Length && pause.TotalMilliseconds > BoundsMillis[at])
            at++;
        Interlocked.Increment(ref Counts[at]);
    }

    /// <summary>Nothing refers to it, so that each collection finds it, finalizes it, and is noted; then the next one waits.</summary>
    private sealed class Witness
    {
        ~Witness()
        {
            foreach (var pause in GC.GetGCMemoryInfo(GCKind.Any).PauseDurations)
            {
                if (pause > TimeSpan.Zero)
                    Note(pause);
            }
            if (!Environment.HasShutdownStarted)
                _ = new Witness();
        }
    }
}
