using Millrace.Structures.Histograms;

namespace Millrace.Streams.Running;

/// <summary>Latencies of the last five to ten seconds, in milliseconds. For one thread.</summary>
internal sealed class LatencyWindow(TimeProvider time)
{
    private static readonly TimeSpan Slot = TimeSpan.FromSeconds(5);

    private LatencyHistogram _present = new();
    private LatencyHistogram _before = new();
    private long _began = time.GetTimestamp();

    /// <summary>Notes records that were made at these times (milliseconds; -1: unknown) and show now.</summary>
    public void Add(ReadOnlySpan<long> timestamps, long nowMillis)
    {
        Turn();
        // Records of one poll come in runs of the same millisecond.
        for (var i = 0; i < timestamps.Length;)
        {
            var end = i + 1;
            while (end < timestamps.Length && timestamps[end] == timestamps[i])
                end++;
            if (timestamps[i] >= 0)
                _present.Record(nowMillis - timestamps[i], end - i);
            i = end;
        }
    }

    /// <summary>Zeros when nothing came.</summary>
    public LatencyPercentiles Percentiles()
    {
        Turn();
        var larger = _present.Count >= _before.Count / 4 ? _present : _before;
        return new LatencyPercentiles(
            larger.Percentile(0.5), larger.Percentile(0.95), larger.Percentile(0.99), Math.Max(_present.Max, _before.Max));
    }

    private void Turn()
    {
        if (time.GetElapsedTime(_began) < Slot)
            return;
        (_present, _before) = (_before, _present);
        _present.Clear();
        _began = time.GetTimestamp();
    }
}
