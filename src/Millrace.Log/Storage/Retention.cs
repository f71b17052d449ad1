using Millrace.Log.Topics;

namespace Millrace.Log.Storage;

/// <summary>Decides which segments of a partition are no longer kept, and lets them go.</summary>
internal static class Retention
{
    /// <summary>Applies a topic's retention to a partition.</summary>
    /// <returns>Whether more could go after a checkpoint.</returns>
    public static bool Apply(
        Partition partition, TopicSettings settings, long now, Committer committer, Checkpointer checkpointer, Action<string, long> deleted)
    {
        var segments = partition.Segments.All;
        if (segments.Length == 0)
            return false;
        var expired = Expired(segments, settings, partition.LogStart, partition.HighWatermark, now);
        if (expired == segments.Length && segments[^1].Readable > 0)
        {
            // The segment that is appended to gives way to a new one first and goes next time.
            committer.Between(() =>
            {
                if (partition.Segments.Active == segments[^1] && segments[^1].Written == segments[^1].Readable)
                {
                    partition.Segments.Roll(partition.HighWatermark);
                    checkpointer.MarkDirty(partition);
                }
            });
            expired--;
        }
        if (checkpointer.Faults.DeleteYoung && expired > 0 && expired + 1 < segments.Length)
            expired++;
        if (expired <= 0 || expired >= segments.Length)
            return false;
        var safeBefore = checkpointer.ActiveBase(partition);
        var waits = false;
        for (var i = 0; i < expired; i++)
        {
            // A restart cuts and appends from the checkpoint's segment on: it and its successors stay until the next checkpoint.
            if (segments[i].BaseOffset >= safeBefore && !checkpointer.Faults.DeleteUnsaved)
            {
                waits = true;
                break;
            }
            Drop(partition, segments[i], segments[i + 1].BaseOffset, committer, checkpointer, deleted);
        }
        return waits;
    }

    private static void Drop(
        Partition partition, Segment segment, long newStart, Committer committer, Checkpointer checkpointer, Action<string, long> deleted)
    {
        var bytes = segment.Readable;
        committer.Between(() =>
        {
            partition.MoveLogStart(newStart);
            partition.Segments.Detach(segment);
            checkpointer.MarkDirty(partition);
            checkpointer.DeleteAside(segment.Path, () =>
            {
                partition.Segments.DeleteFiles(segment);
                deleted(segment.Path, bytes);
            });
        });
    }

    /// <summary>
    /// What is appended to is neither compacted nor deleted: when its first record is old enough, it gives way to a new one (segment.ms, and
    /// max.compaction.lag.ms where the topic is compacted).
    /// </summary>
    public static void RollWhenOld(Partition partition, TopicSettings settings, long now, Committer committer, Checkpointer checkpointer)
    {
        if (partition.Segments.Active is not { Readable: > 0 } active)
            return;
        var jitter = settings.SegmentJitterMillis == 0 ? 0 : (partition.Index * 7919L) % settings.SegmentJitterMillis;
        var most = Math.Max(1, settings.SegmentMillis - jitter);
        if (settings.Compact)
            most = Math.Min(most, settings.MaxCompactionLagMillis);
        if (now - active.FirstTimestamp() <= most)
            return;
        committer.BetweenAndWait(() =>
        {
            if (partition.Segments.Active != active || active.Written != active.Readable)
                return;
            partition.Segments.Roll(partition.HighWatermark);
            checkpointer.MarkDirty(partition);
        });
    }

    /// <summary>How many segments from the oldest on may go.</summary>
    private static int Expired(Segment[] segments, TopicSettings settings, long logStart, long highWatermark, long now)
    {
        long total = 0;
        foreach (var segment in segments)
            total += segment.Readable;
        var expired = 0;
        for (; expired < segments.Length; expired++)
        {
            var segment = segments[expired];
            var end = expired + 1 < segments.Length ? segments[expired + 1].BaseOffset : highWatermark;
            var behindStart = end <= logStart && end > segment.BaseOffset;
            var tooOld = settings is { Delete: true, RetentionMillis: >= 0 } && segment.Readable > 0
                && segment.LargestTimestamp() < now - settings.RetentionMillis;
            var tooMuch = settings is { Delete: true, RetentionBytes: >= 0 } && total - segment.Readable >= settings.RetentionBytes
                && expired + 1 < segments.Length;
            if (!behindStart && !tooOld && !tooMuch)
                break;
            total -= segment.Readable;
        }
        return expired;
    }
}
