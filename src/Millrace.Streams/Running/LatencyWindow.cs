namespace Millrace.Streams.Running;

/// <summary>
/// Latencies of the last seconds: milliseconds in buckets of one up to a second and of a sixteenth of their size above. For one thread.
/// </summary>
internal sealed class LatencyWindow(TimeProvider time)
{
    private const int Fine = 1024;
    private const int Buckets = Fine + (16 * 14);
    private static readonly TimeSpan Slot = TimeSpan.FromSeconds(5);

    private int[] _counts = new int[Buckets];
    private int[] _before = new int[Buckets];
    private long _began = time.GetTimestamp();

    public void Add(ReadOnlySpan<long> timestamps, long nowMillis)
    {
        if (time.GetElapsedTime(_began) >= Slot)
        {
            (_counts, _before) = (_before, _counts);
            Array.Clear(_counts);
            _began = time.GetTimestamp();
        }
        foreach (var timestamp in timestamps)
        {
            if (timestamp >= 0)
                _counts[BucketOf(nowMillis - timestamp)]++;
        }
    }

    /// <summary>Percentiles over the last five to ten seconds; zeros when nothing came.</summary>
    public LatencyPercentiles Percentiles()
    {
        long total = 0;
        var highest = 0;
        for (var i = 0; i < Buckets; i++)
        {
            var count = _counts[i] + _before[i];
            total += count;
            highest = count > 0 ? i : highest;
        }
        return total == 0 ? default : new LatencyPercentiles(At(total, 0.5), At(total, 0.95), At(total, 0.99), ValueOf(highest));
    }

    private double At(long total, double share)
    {
        var rank = (long)Math.Ceiling(total * share);
        long seen = 0;
        for (var i = 0; i < Buckets; i++)
        {
            seen += _counts[i] + _before[i];
            if (seen >= rank)
                return ValueOf(i);
        }
        return ValueOf(Buckets - 1);
    }

    private static int BucketOf(long millis)
    {
        if (millis < Fine)
            return (int)Math.Max(0, millis);
        var shift = 63 - System.Numerics.BitOperations.LeadingZeroCount((ulong)millis) - 4;
        return Math.Min(Buckets - 1, Fine + ((shift - 6) * 16) + (int)((millis >> shift) & 15));
    }

    private static double ValueOf(int bucket)
    {
        if (bucket < Fine)
            return bucket;
        var shift = ((bucket - Fine) / 16) + 6;
        return (16L + ((bucket - Fine) % 16)) << shift;
    }
}
