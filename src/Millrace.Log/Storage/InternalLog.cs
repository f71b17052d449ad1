using System.Buffers;
using Millrace.Kafka.Messages;
using Millrace.Kafka.Records;

namespace Millrace.Log.Storage;

/// <summary>A record of the broker's own state; a null value deletes the key.</summary>
internal readonly record struct StateRecord(byte[] Key, byte[]? Value);

/// <summary>Writes and reads the broker's own state in one partition of an internal topic.</summary>
internal sealed class InternalLog(Partition partition)
{
    private const int ReadBytes = 1 << 20;
    private const int MaxUncompressed = 256 << 20;

    public Partition Partition => partition;

    /// <summary>Appends records as one batch, whole or not at all.</summary>
    /// <param name="records">At least one.</param>
    /// <param name="now">Milliseconds of Unix time.</param>
    /// <param name="done">Called once, on the committer's thread or at once: hand over, do not work.</param>
    /// <param name="producerId">Of the transaction that the batch belongs to, else -1.</param>
    /// <param name="producerEpoch">Likewise.</param>
    public void Append(IReadOnlyList<StateRecord> records, long now, Action<ErrorCode> done, long producerId = -1, short producerEpoch = -1)
    {
        using var builder = new RecordBatchBuilder
        {
            ProducerId = producerId,
            ProducerEpoch = producerEpoch,
            Attributes = producerId >= 0 ? BatchAttributes.Transactional : BatchAttributes.None,
        };
        foreach (var (key, value) in records)
            builder.Add(now, key, value, hasValue: value is not null);
        AppendBatch(builder.Build(), now, Marker.None, done);
    }

    /// <summary>Appends a finished batch.</summary>
    public void AppendBatch(byte[] batch, long now, Marker marker, Action<ErrorCode> done)
    {
        var result = partition.Append(batch, now, marker, new Waiter(done), 0);
        if (result.Error != ErrorCode.None)
            done(result.Error);
    }

    /// <summary>Walks all batches from the log's start to its end.</summary>
    /// <param name="seen">Given each batch and its uncompressed records; the memory is valid during the call.</param>
    public void ReadAll(Action<StateBatch> seen)
    {
        var offset = partition.LogStart;
        var end = partition.HighWatermark;
        while (offset < end)
        {
            var (buffer, bytes) = partition.Segments.Read(offset, end, ReadBytes, atLeastOne: true);
            if (bytes == 0)
                return;
            try
            {
                for (var at = 0; at < bytes;)
                {
                    var span = buffer.AsSpan(at, bytes - at);
                    var batch = new RecordBatch(span);
                    seen(ToState(batch, span[..batch.TotalBytes]));
                    at += batch.TotalBytes;
                    offset = batch.LastOffset + 1;
                }
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(buffer);
            }
        }
    }

    private static StateBatch ToState(RecordBatch batch, ReadOnlySpan<byte> bytes)
    {
        if (batch.IsControl)
            return new StateBatch(batch.ProducerId, batch.IsTransactional, ControlRecord.MarkerOf(batch), []);
        var records = new List<StateRecord>(batch.RecordCount);
        using var open = RecordBatch.OpenRecords(bytes, MaxUncompressed);
        var reader = new RecordReader(open.Bytes, batch.RecordCount);
        while (reader.MoveNext())
            records.Add(new StateRecord(reader.Current.Key.ToArray(), reader.Current.HasValue ? reader.Current.Value.ToArray() : null));
        return new StateBatch(batch.ProducerId, batch.IsTransactional, Marker.None, records);
    }

    private sealed class Waiter(Action<ErrorCode> done) : IAppendWaiter
    {
        public void Appended(int slot, ErrorCode error) => done(error);
    }
}

/// <param name="ProducerId">Of its transaction, when it is transactional or a marker.</param>
/// <param name="IsTransactional">Its records count only when the transaction commits.</param>
/// <param name="Marker">What a control batch ends.</param>
/// <param name="Records">Empty in a control batch.</param>
internal sealed record StateBatch(long ProducerId, bool IsTransactional, Marker Marker, IReadOnlyList<StateRecord> Records);
