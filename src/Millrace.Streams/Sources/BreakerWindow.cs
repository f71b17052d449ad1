using Millrace.Streams.Plans;

namespace Millrace.Streams.Sources;

/// <summary>
/// Counts rows and failures over the breaker's span in slots of a tenth of it, and tells when the share is passed. Pure: time is
/// passed in as monotonic milliseconds. Not thread-safe.
/// </summary>
/// <param name="plan">The share and the span.</param>
/// <param name="leastRows">Fewer rows than this in the span are not judged.</param>
internal sealed class BreakerWindow(BreakerPlan plan, int leastRows)
{
    private const int Slots = 10;

    private readonly long[] _rows = new long[Slots];
    private readonly long[] _failed = new long[Slots];
    private readonly long _slotMillis = Math.Max(1, (long)plan.Over.TotalMilliseconds / Slots);
    private long _slot = long.MinValue;

    /// <summary>Adds rows and returns true when the breaker is to open.</summary>
    public bool Add(long rows, long failed, long nowMillis)
    {
        var slot = nowMillis / _slotMillis;
        if (_slot == long.MinValue)
            _slot = slot;
        for (var passed = 0; _slot < slot && passed < Slots; passed++)
        {
            _slot++;
            _rows[_slot % Slots] = 0;
            _failed[_slot % Slots] = 0;
        }
        if (_slot < slot)
        {
            Array.Clear(_rows);
            Array.Clear(_failed);
            _slot = slot;
        }
        _rows[slot % Slots] += rows;
        _failed[slot % Slots] += failed;
        var (total, bad) = Totals();
        return total >= leastRows && bad > total * plan.Share;
    }

    /// <summary>Rows and failures in the span.</summary>
    public (long Rows, long Failed) Totals()
    {
        long rows = 0, failed = 0;
        for (var i = 0; i < Slots; i++)
        {
            rows += _rows[i];
            failed += _failed[i];
        }
        return (rows, failed);
    }
}
