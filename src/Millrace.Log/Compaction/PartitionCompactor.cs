using System.Buffers;
using Millrace.Kafka.Records;
using Millrace.Log.Server;
using Millrace.Log.Storage;
using Millrace.Log.Topics;
using Millrace.Storage.Files;

namespace Millrace.Log.Compaction;

/// <summary>
/// Rewrites the closed segments of one partition without what newer records of the same keys have made void. A rewritten file takes the
/// place of its sources by one rename, so a crash leaves the old ones or the new one, never parts of both.
/// </summary>
/// <remarks>Runs on a maintenance thread; only the exchange of segments in memory is the committer's.</remarks>
internal sealed class PartitionCompactor(
    IFileSystem files, Partition partition, TopicSettings settings, Committer committer, Checkpointer checkpointer, int capacity,
    Action<string, long, long, long> compacted)
{
    private const int BufferBytes = 1 << 20;

    public LogFaults Faults { get; init; } = LogFaults.None;

    private readonly int _maxUncompressed = BatchRules.MaxUncompressed(settings);

    /// <summary>One round, when enough has gathered.</summary>
    /// <returns>Whether more could be done after a checkpoint.</returns>
    /// <exception cref="IOException">Reading or writing failed; nothing has changed.</exception>
    public bool Run(long now)
    {
        var segments = Cleanable(now, out var waits);
        long total = 0, dirty = 0, oldest = long.MaxValue;
        foreach (var segment in segments)
        {
            total += segment.Readable;
            if (segment.BaseOffset < partition.CleanedThrough)
                continue;
            dirty += segment.Readable;
            oldest = Math.Min(oldest, segment.FirstTimestamp());
        }
        var isOverdue = dirty > 0 && now - oldest > settings.MaxCompactionLagMillis;
        if (dirty == 0 || (dirty < settings.MinCleanableDirtyRatio * total && !isOverdue))
            return waits;
        // All that ended below was taken out by an earlier round, before any of its markers can go.
        partition.ForgetAborted(partition.CleanedThrough);
        var newest = new KeyOffsets(capacity) { OffByOne = Faults.CompactNewest ? 1 : 0 };
        var through = Map(segments, newest);
        var cleaner = new BatchCleaner(
            newest, (from, to) => Faults.CompactKeepsAborted ? [] : partition.AbortedIn(from, to), partition.Remembers,
            new CleanRules(now, settings.DeleteRetentionMillis, _maxUncompressed, checkpointer.CleanedThrough(partition)));
        long after = 0;
        foreach (var group in Groups(segments))
            after += Clean(group, cleaner);
        committer.BetweenAndWait(() =>
        {
            partition.CleanedThrough = through;
            checkpointer.MarkDirty(partition);
        });
        compacted(partition.Segments.Folder, total, after, through);
        return waits;
    }

    /// <summary>
    /// Segments that a restart will not touch, that no open transaction reaches into, and whose records are old enough.
    /// </summary>
    private List<Segment> Cleanable(long now, out bool waits)
    {
        var segments = partition.Segments.All;
        var durable = checkpointer.ActiveBase(partition);
        var open = partition.FirstOpenTransaction;
        var list = new List<Segment>();
        waits = false;
        for (var i = 0; i + 1 < segments.Length; i++)
        {
            var end = segments[i + 1].BaseOffset;
            if (end > open || segments[i].LargestTimestamp() > now - settings.MinCompactionLagMillis)
                break;
            if (end > durable)
            {
                waits = true;
                break;
            }
            list.Add(segments[i]);
        }
        return list;
    }

    /// <summary>Notes the newest record of each key from where the last round ended; the offset is returned up to which there was room.</summary>
    private long Map(List<Segment> segments, KeyOffsets newest)
    {
        var through = partition.CleanedThrough;
        foreach (var segment in segments)
        {
            var next = partition.Segments.All.First(s => s.BaseOffset > segment.BaseOffset).BaseOffset;
            if (next <= partition.CleanedThrough)
                continue;
            var full = false;
            ForEachBatch(segment, (bytes, _) =>
            {
                var batch = new RecordBatch(bytes);
                if (full || batch.LastOffset < partition.CleanedThrough || batch.IsControl)
                    return;
                full = !TryMap(bytes, newest);
                if (!full)
                    through = batch.LastOffset + 1;
            });
            if (full)
                return through;
            through = next;
        }
        return through;
    }

    private bool TryMap(ReadOnlySpan<byte> bytes, KeyOffsets newest)
    {
        var batch = new RecordBatch(bytes);
        if (batch.IsTransactional)
        {
            foreach (var range in partition.AbortedIn(batch.BaseOffset, batch.LastOffset + 1))
            {
                if (range.ProducerId == batch.ProducerId && range.FirstOffset <= batch.BaseOffset && range.LastOffset >= batch.LastOffset)
                    return true;
            }
        }
        using var open = RecordBatch.OpenRecords(bytes, _maxUncompressed);
        var reader = new RecordReader(open.Bytes, batch.RecordCount);
        while (reader.MoveNext())
        {
            if (reader.Current.HasKey && !newest.TryNote(reader.Current.Key, batch.BaseOffset + reader.Current.OffsetDelta))
                return false;
        }
        return true;
    }

    /// <summary>Neighbours that fit into one segment.</summary>
    private List<List<Segment>> Groups(List<Segment> segments)
    {
        var groups = new List<List<Segment>>();
        long bytes = 0;
        foreach (var segment in segments)
        {
            if (groups.Count == 0 || bytes + segment.Readable > settings.Partition.SegmentBytes)
            {
                groups.Add([]);
                bytes = 0;
            }
            groups[^1].Add(segment);
            bytes += segment.Readable;
        }
        return groups;
    }

    /// <summary>Cleans a group into one segment; its bytes are returned.</summary>
    private long Clean(List<Segment> group, BatchCleaner cleaner)
    {
        var held = group.TrueForAll(s => s.TryAcquire());
        if (!held)
            throw new IOException($"{partition.Segments.Folder}: a segment went while it was being compacted; the next round tries again");
        try
        {
            var folder = partition.Segments.Folder;
            var path = Path.Combine(folder, Segment.NameOf(group[0].BaseOffset) + PartitionSegments.CleanedSuffix);
            var (index, bytes, changed) = Write(group, cleaner, path);
            if (!changed && group.Count == 1)
            {
                files.DeleteFile(path);
                return bytes;
            }
            Swap(group, path, index, bytes);
            return bytes;
        }
        finally
        {
            group.ForEach(s => s.Release());
        }
    }

    private (SegmentIndex Index, long Bytes, bool Changed) Write(List<Segment> group, BatchCleaner cleaner, string path)
    {
        using var file = files.Open(path, create: true);
        file.SetLength(0);
        var index = new SegmentIndex();
        var staging = new ArrayBufferWriter<byte>(BufferBytes);
        long written = 0;
        var changed = false;
        void Add(ReadOnlySpan<byte> bytes)
        {
            var batch = new RecordBatch(bytes);
            index.Add(batch.BaseOffset, written + staging.WrittenCount, bytes.Length, batch.MaxTimestamp);
            staging.Write(bytes);
            if (staging.WrittenCount < BufferBytes)
                return;
            file.Write(written, staging.WrittenSpan);
            written += staging.WrittenCount;
            staging.Clear();
        }
        for (var i = 0; i < group.Count; i++)
        {
            var isLastSegment = i == group.Count - 1;
            ForEachBatch(group[i], (bytes, isLast) =>
            {
                var outcome = cleaner.Clean(bytes, isLast && isLastSegment, out var replaced);
                changed |= outcome != CleanOutcome.Keep;
                if (outcome == CleanOutcome.Replace)
                    PlaceCheck.Set(replaced);
                if (outcome != CleanOutcome.Drop)
                    Add(outcome == CleanOutcome.Keep ? bytes : replaced);
            });
        }
        file.Write(written, staging.WrittenSpan);
        if (!Faults.SwapUnflushed)
            file.Flush();
        return (index, written + staging.WrittenCount, changed);
    }

    private void Swap(List<Segment> group, string cleaned, SegmentIndex index, long bytes)
    {
        var folder = partition.Segments.Folder;
        // Old indexes must not be met by the new file.
        foreach (var segment in group)
            DeleteIndex(segment);
        files.FlushFolder(folder);
        var swap = Path.Combine(
            folder, Segment.NameOf(group[0].BaseOffset) + "-" + Segment.NameOf(group[^1].BaseOffset) + PartitionSegments.SwapSuffix);
        files.Rename(cleaned, swap);
        files.FlushFolder(folder);
        var segmentOfAll = new Segment(files, folder, group[0].BaseOffset, bytes, index);
        segmentOfAll.OpenAs(swap);
        var replaced = false;
        committer.BetweenAndWait(() => replaced = partition.Segments.Replace(group, segmentOfAll));
        if (!replaced)
        {
            segmentOfAll.Retire();
            files.DeleteFile(swap);
            files.FlushFolder(folder);
            return;
        }
        for (var i = 1; i < group.Count; i++)
            files.DeleteFile(group[i].Path);
        files.FlushFolder(folder);
        files.Rename(swap, group[0].Path);
        files.FlushFolder(folder);
        segmentOfAll.TrySaveIndex();
        group.ForEach(s => s.Retire());
    }

    private void DeleteIndex(Segment segment)
    {
        var path = Path.ChangeExtension(segment.Path, Segment.IndexSuffix);
        if (files.FileExists(path))
            files.DeleteFile(path);
    }

    private delegate void BatchVisit(ReadOnlySpan<byte> bytes, bool isLast);

    /// <summary>Gives every batch of a segment, whole and with its CRC checked.</summary>
    /// <exception cref="SegmentDamagedException">A batch is not what was written: nothing is compacted away on doubt.</exception>
    private static void ForEachBatch(Segment segment, BatchVisit visit)
    {
        var length = segment.Readable;
        var buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            for (long position = 0; position < length;)
            {
                var read = segment.Read(position, buffer.AsSpan(0, (int)Math.Min(buffer.Length, length - position)));
                var used = 0;
                while (RecordBatch.WholeBytes(buffer.AsSpan(used, read - used)) is > 0 and var whole && whole <= read - used)
                {
                    var bytes = buffer.AsSpan(used, whole);
                    var batch = new RecordBatch(bytes);
                    if (!PlaceCheck.Holds(bytes) || batch.Crc != batch.ComputeCrc())
                        throw new SegmentDamagedException(segment.Path, position + used, $"the batch at offset {batch.BaseOffset} has a wrong CRC");
                    used += whole;
                    visit(bytes, position + used == length);
                }
                position += used;
                if (used > 0)
                    continue;
                var wanted = RecordBatch.WholeBytes(buffer.AsSpan(0, read));
                if (wanted <= read || position + wanted > length)
                    throw new SegmentDamagedException(segment.Path, position, "no record batch begins here");
                ArrayPool<byte>.Shared.Return(buffer);
                buffer = ArrayPool<byte>.Shared.Rent(wanted);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
