using Millrace.Kafka.Records;
using Millrace.Log.Storage;

namespace Millrace.Log.Compaction;

/// <summary>What becomes of a batch.</summary>
internal enum CleanOutcome
{
    Keep,
    Drop,
    Replace,
}

/// <param name="Now">Milliseconds of Unix time.</param>
/// <param name="DeleteRetentionMillis">How long tombstones and markers stay after they were first found to be all that is left (delete.retention.ms).</param>
/// <param name="MaxUncompressed">Of one batch.</param>
/// <param name="MarkersBefore">Markers from this offset on stay: a restart may still tell readers of the transactions that they end.</param>
internal readonly record struct CleanRules(long Now, long DeleteRetentionMillis, int MaxUncompressed, long MarkersBefore);

/// <summary>
/// Decides what is left of each batch of a partition, in order from the log's start (Kafka's Cleaner; KIP-534 for the delete horizon): the
/// newest record of each key; tombstones and markers until readers have had time to see them; nothing of an aborted transaction. Of a batch that its
/// producer may send again, the header stays: without a checkpoint a start has nothing else to tell the second from the first. Offsets do not change.
/// No I/O.
/// </summary>
/// <param name="newest">Of the part that has not been cleaned before.</param>
/// <param name="aborted">Aborted transactions that overlap [from, to).</param>
/// <param name="isRemembered">Whether a batch of this producer and offset is among its last (<see cref="ProducerTable"/>).</param>
/// <param name="rules">Times and bounds.</param>
internal sealed class BatchCleaner(
    KeyOffsets newest, Func<long, long, List<AbortedRange>> aborted, Func<long, long, bool> isRemembered, CleanRules rules)
{
    /// <summary>Producers of which a record is kept whose marker is still to come.</summary>
    private readonly HashSet<long> _unended = [];

    /// <param name="bytes">One whole batch.</param>
    /// <param name="isLast">Its header must stay even when no record does: the segment ends where it ended.</param>
    /// <param name="replaced">What takes its place, when something does.</param>
    /// <exception cref="InvalidDataException">The batch cannot be read.</exception>
    public CleanOutcome Clean(ReadOnlySpan<byte> bytes, bool isLast, out byte[] replaced)
    {
        replaced = [];
        var batch = new RecordBatch(bytes);
        if (batch.IsControl)
            return CleanMarker(bytes, isLast, ref replaced);
        if (batch.RecordCount == 0)
            return isLast || IsRemembered(batch) ? CleanOutcome.Keep : CleanOutcome.Drop;
        var isAborted = batch.IsTransactional && IsAborted(batch);
        using var open = RecordBatch.OpenRecords(bytes, rules.MaxUncompressed);
        var hasHorizon = (batch.Attributes & BatchAttributes.HasDeleteHorizon) != 0;
        var isOver = hasHorizon && rules.Now > batch.BaseTimestamp;
        int kept = 0, tombstones = 0;
        var reader = new RecordReader(open.Bytes, batch.RecordCount);
        while (reader.MoveNext())
        {
            if (!IsKept(batch, reader.Current, isAborted, isOver))
                continue;
            kept++;
            tombstones += reader.Current.HasValue ? 0 : 1;
        }
        if (batch.IsTransactional && kept > 0)
            _unended.Add(batch.ProducerId);
        if (kept == batch.RecordCount && (tombstones == 0 || hasHorizon))
            return CleanOutcome.Keep;
        if (kept == 0 && !isLast && !IsRemembered(batch))
            return CleanOutcome.Drop;
        replaced = Rebuild(batch, open.Bytes, isAborted, isOver, hasTombstones: tombstones > 0, isEmpty: kept == 0);
        return CleanOutcome.Replace;
    }

    private CleanOutcome CleanMarker(ReadOnlySpan<byte> bytes, bool isLast, ref byte[] replaced)
    {
        var batch = new RecordBatch(bytes);
        // Its transaction still has records, or it must stay for its offset, or it alone has its producer's epoch, which fences those before.
        if (_unended.Remove(batch.ProducerId) || isLast || IsRemembered(batch))
            return CleanOutcome.Keep;
        if ((batch.Attributes & BatchAttributes.HasDeleteHorizon) != 0)
            return rules.Now > batch.BaseTimestamp && batch.BaseOffset < rules.MarkersBefore ? CleanOutcome.Drop : CleanOutcome.Keep;
        replaced = Rebuild(batch, batch.Records, isAborted: false, isOver: false, hasTombstones: true, isEmpty: false);
        return CleanOutcome.Replace;
    }

    private bool IsRemembered(RecordBatch batch) => batch.ProducerId >= 0 && isRemembered(batch.ProducerId, batch.BaseOffset);

    private bool IsKept(RecordBatch batch, Record record, bool isAborted, bool isOver)
    {
        if (batch.IsControl)
            return true;
        if (isAborted || !record.HasKey || (!record.HasValue && isOver))
            return false;
        return !newest.IsSuperseded(record.Key, batch.BaseOffset + record.OffsetDelta);
    }

    private bool IsAborted(RecordBatch batch)
    {
        foreach (var range in aborted(batch.BaseOffset, batch.LastOffset + 1))
        {
            if (range.ProducerId == batch.ProducerId && range.FirstOffset <= batch.BaseOffset && range.LastOffset >= batch.LastOffset)
                return true;
        }
        return false;
    }

    private byte[] Rebuild(RecordBatch batch, ReadOnlySpan<byte> records, bool isAborted, bool isOver, bool hasTombstones, bool isEmpty)
    {
        var had = batch.Attributes & BatchAttributes.HasDeleteHorizon;
        var attributes = batch.Attributes & (BatchAttributes.LogAppendTime | BatchAttributes.Transactional | BatchAttributes.Control);
        long? horizon = null;
        if (hasTombstones)
        {
            horizon = had != 0 ? batch.BaseTimestamp : rules.Now + rules.DeleteRetentionMillis;
            attributes |= BatchAttributes.HasDeleteHorizon;
        }
        using var builder = new RecordBatchBuilder
        {
            BaseOffset = batch.BaseOffset,
            LeaderEpoch = batch.LeaderEpoch,
            ProducerId = batch.ProducerId,
            ProducerEpoch = batch.ProducerEpoch,
            BaseSequence = batch.BaseSequence,
            Attributes = attributes,
            Compression = isEmpty ? CompressionType.None : batch.Compression,
            BaseTimestamp = horizon ?? (isEmpty ? batch.BaseTimestamp : null),
            MaxTimestamp = isEmpty || (attributes & BatchAttributes.LogAppendTime) != 0 ? batch.MaxTimestamp : null,
        };
        var reader = new RecordReader(records, batch.RecordCount);
        while (!isEmpty && reader.MoveNext())
        {
            var record = reader.Current;
            if (IsKept(batch, record, isAborted, isOver))
            {
                builder.Add(
                    record.OffsetDelta, batch.BaseTimestamp + record.TimestampDelta, record.Key, record.Value, record.HasKey, record.HasValue,
                    record.HeaderCount, record.Headers);
            }
        }
        return builder.Build(batch.LastOffsetDelta);
    }
}
