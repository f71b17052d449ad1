namespace Millrace.Streams.Sources;

/// <summary>
/// Follows event time over the partitions of one source. A partition's watermark is its newest event time less the delay; the
/// source's is the least over partitions that are not idle, and never goes back (Akidau et al., The Dataflow Model, 2015).
/// </summary>
/// <remarks>
/// A partition is idle when it is read to its end and has been silent for a while. While its end is unknown or unread it holds the
/// watermark back, however long that takes: so a restart or a backlog never makes rows late. When all are idle the greatest of their
/// watermarks counts, for then the next event may come from anywhere.
/// Pure: time is passed in as monotonic milliseconds. Not thread-safe.
/// </remarks>
internal sealed class WatermarkTracker(TimeSpan delay, TimeSpan idleAfter, long restored = WatermarkTracker.None)
{
    /// <summary>No event time known.</summary>
    public const long None = long.MinValue;

    private readonly long _delayMicros = delay.Ticks / TimeSpan.TicksPerMicrosecond;
    private readonly long _idleMillis = (long)idleAfter.TotalMilliseconds;
    private readonly SortedDictionary<int, PartitionProgress> _partitions = [];

    /// <summary>Event time in microseconds before which no more rows are expected; <see cref="None"/> at first.</summary>
    public long Current { get; private set; } = restored;

    public IEnumerable<KeyValuePair<int, PartitionProgress>> Partitions => _partitions;

    /// <summary>Begins or goes on with a partition at <paramref name="nextOffset"/>; its newest event time comes from the checkpoint.</summary>
    public void Assign(int partition, long nextOffset, long newestMicros, long nowMillis)
    {
        _partitions[partition] = new PartitionProgress
        {
            NextOffset = nextOffset, NewestMicros = newestMicros, LastRecordMillis = nowMillis, Held = true,
        };
    }

    /// <summary>Another member of the group reads the partition now. Its watermark goes on to hold: its rows are not ours to give up.</summary>
    public void Revoke(int partition)
    {
        if (_partitions.TryGetValue(partition, out var progress))
        {
            progress.Held = false;
            progress.EndOffset = -1;
        }
    }

    public bool TryGet(int partition, out PartitionProgress progress) => _partitions.TryGetValue(partition, out progress!);

    /// <summary>Notes rows of a partition; <paramref name="newestMicros"/> is the newest good event time among them, or <see cref="None"/>.</summary>
    public void Observe(int partition, long newestMicros, long nextOffset, long nowMillis)
    {
        var progress = _partitions[partition];
        progress.NewestMicros = Math.Max(progress.NewestMicros, newestMicros);
        progress.NextOffset = nextOffset;
        progress.LastRecordMillis = nowMillis;
        progress.EndOffset = progress.EndOffset < 0 ? -1 : Math.Max(progress.EndOffset, nextOffset);
    }

    /// <summary>Notes where a partition ends now, as the broker tells it.</summary>
    public void SetEnd(int partition, long endOffset)
    {
        if (_partitions.TryGetValue(partition, out var progress) && progress.Held)
            progress.EndOffset = endOffset;
    }

    /// <summary>Recomputes <see cref="Current"/> and returns it.</summary>
    public long Advance(long nowMillis)
    {
        var least = long.MaxValue;
        var greatestIdle = None;
        var active = false;
        foreach (var (_, progress) in _partitions)
        {
            progress.Idle = progress.Held && progress.EndOffset >= 0 && progress.NextOffset >= progress.EndOffset
                && nowMillis - progress.LastRecordMillis >= _idleMillis;
            var watermark = WatermarkOf(progress);
            if (progress.Idle)
            {
                greatestIdle = Math.Max(greatestIdle, watermark);
                continue;
            }
            active = true;
            least = Math.Min(least, watermark);
        }
        if (_partitions.Count > 0)
            Current = Math.Max(Current, active ? least : greatestIdle);
        return Current;
    }

    /// <summary>The watermark of one partition, or <see cref="None"/>.</summary>
    public long WatermarkOf(PartitionProgress progress) => progress.NewestMicros == None ? None : progress.NewestMicros - _delayMicros;
}

/// <summary>How far a partition is read.</summary>
internal sealed class PartitionProgress
{
    public long NextOffset { get; set; }

    /// <summary>The broker's high watermark; -1 while unknown.</summary>
    public long EndOffset { get; set; } = -1;

    /// <summary>Newest event time in microseconds, or <see cref="WatermarkTracker.None"/>.</summary>
    public long NewestMicros { get; set; } = WatermarkTracker.None;

    public long LastRecordMillis { get; set; }

    public bool Idle { get; set; }

    /// <summary>The partition is assigned to this member of the group.</summary>
    public bool Held { get; set; }
}
