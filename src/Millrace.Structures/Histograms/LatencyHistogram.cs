using System.Numerics;

namespace Millrace.Structures.Histograms;

/// <summary>
/// Counts of durations in buckets that grow with the value, in the way of G. Tene's HdrHistogram: a percentile is never below the true one
/// and at most 1/128 (0.8 %) above it, from 0 to 2^62 units, in 58 KB. Merges exactly.
/// </summary>
/// <remarks><see cref="Record"/> is thread-safe and lock-free; reading beside it sees some recent state.</remarks>
public sealed class LatencyHistogram
{
    private const int PrecisionBits = 7;
    private const int Buckets = ((62 - PrecisionBits + 1) << PrecisionBits) + (1 << PrecisionBits);

    private readonly long[] _counts = new long[Buckets];
    private long _count;
    private long _sum;
    private long _max;

    /// <summary>Values recorded.</summary>
    public long Count => Interlocked.Read(ref _count);

    /// <summary>The largest value recorded, exactly; 0 when there is none.</summary>
    public long Max => Interlocked.Read(ref _max);

    /// <summary>The mean, exactly; 0 when there is none.</summary>
    public double Mean => Count is > 0 and var count ? (double)Interlocked.Read(ref _sum) / count : 0;

    /// <param name="value">In the caller's unit, e.g. microseconds; below 0 counts as 0, above 2^62 as 2^62.</param>
    /// <param name="times">How often.</param>
    public void Record(long value, long times = 1)
    {
        value = Math.Clamp(value, 0, 1L << 62);
        Interlocked.Add(ref _counts[IndexOf(value)], times);
        Interlocked.Add(ref _count, times);
        Interlocked.Add(ref _sum, value * times);
        var max = Interlocked.Read(ref _max);
        while (value > max && Interlocked.CompareExchange(ref _max, value, max) is var seen && seen != max)
            max = seen;
    }

    /// <summary>The value that a share of all values (0 to 1) does not pass; 0 when there is none.</summary>
    public long Percentile(double share)
    {
        var count = Count;
        if (count == 0)
            return 0;
        var rank = Math.Clamp((long)Math.Ceiling(share * count), 1, count);
        long seen = 0;
        for (var i = 0; i < Buckets; i++)
        {
            seen += Interlocked.Read(ref _counts[i]);
            if (seen >= rank)
                return Math.Min(HighestIn(i), Max);
        }
        return Max;
    }

    /// <summary>Adds what the other holds.</summary>
    public void Merge(LatencyHistogram other)
    {
        for (var i = 0; i < Buckets; i++)
        {
            if (Interlocked.Read(ref other._counts[i]) is not 0 and var count)
                Interlocked.Add(ref _counts[i], count);
        }
        Interlocked.Add(ref _count, other.Count);
        Interlocked.Add(ref _sum, Interlocked.Read(ref other._sum));
        var theirs = other.Max;
        var max = Interlocked.Read(ref _max);
        while (theirs > max && Interlocked.CompareExchange(ref _max, theirs, max) is var seen && seen != max)
            max = seen;
    }

    /// <summary>Forgets all values.</summary>
    public void Clear()
    {
        Array.Clear(_counts);
        Interlocked.Exchange(ref _count, 0);
        Interlocked.Exchange(ref _sum, 0);
        Interlocked.Exchange(ref _max, 0);
    }

    // Below 2^7 a bucket a value; above, 2^7 buckets for each power of two.
    private static int IndexOf(long value)
    {
        var shift = Math.Max(0, 63 - BitOperations.LeadingZeroCount((ulong)value) - PrecisionBits);
        return (shift << PrecisionBits) + (int)(value >> shift);
    }

    private static long HighestIn(int index)
    {
        var shift = Math.Max(0, (index >> PrecisionBits) - 1);
        var mantissa = (long)index - ((long)shift << PrecisionBits);
        return ((mantissa + 1) << shift) - 1;
    }
}
