using System.Diagnostics;

namespace Millrace.Coordination.Node;

/// <summary>How long it took from the moment that entries were known to be committed and durable until they could be read, on this member. Thread-safe.</summary>
internal sealed class CommitToVisible
{
    private readonly Lock _lock = new();
    private readonly List<double> _millis = [];
    private bool _isKept;

    public long Now => Stopwatch.GetTimestamp();

    /// <summary>Keeps each one from now on, for benchmarks.</summary>
    public void Keep()
    {
        lock (_lock)
        {
            _isKept = true;
            _millis.Clear();
        }
    }

    public void Note(long committedAt)
    {
        if (!_isKept)
            return;
        lock (_lock)
            _millis.Add(Stopwatch.GetElapsedTime(committedAt).TotalMilliseconds);
    }

    /// <summary>All that were kept, in order of size.</summary>
    public double[] Sorted()
    {
        lock (_lock)
            return [.. _millis.Order()];
    }
}
