using Millrace.Columnar;
using Millrace.Storage.RocksDb;
using Millrace.Streams.Sinks;

namespace Millrace.Streams.Checkpoints;

/// <summary>
/// A consistent cut of the stream, taken at a barrier by the stream's thread and made durable by <see cref="CheckpointWriter"/> beside it.
/// </summary>
internal sealed class CheckpointDraft(long id) : IDisposable
{
    public long Id { get; } = id;

    /// <summary>Changes of the state that belong to the cut.</summary>
    public RocksWriteBatch Batch { get; } = new();

    public Dictionary<string, SourceCheckpoint> Sources { get; init; } = [];

    public Dictionary<string, QueryCheckpoint> Queries { get; init; } = [];

    public Dictionary<string, AlertCheckpoint> Alerts { get; init; } = [];

    /// <summary>Rows that go into tables, by sink.</summary>
    public List<(TableSink Sink, List<ColumnBatch> Rows)> Tables { get; } = [];

    /// <summary>Records that go to topics; null where none came since the last cut.</summary>
    public List<(TopicDelivery Delivery, OwedRecords? Records)> Topics { get; } = [];

    public void Dispose()
    {
        Batch.Dispose();
        foreach (var (_, rows) in Tables)
        {
            foreach (var batch in rows)
                batch.Dispose();
            rows.Clear();
        }
    }
}

/// <summary>How a checkpoint went.</summary>
internal readonly record struct CheckpointResult(CheckpointRecord Record, TimeSpan Took, long Bytes);

/// <summary>Makes drafts durable, one after another.</summary>
internal sealed class CheckpointWriter(StateStore store, string incarnation, TimeProvider time, Running.StreamFailPoints failPoints)
{
    /// <summary>
    /// In this order: data files are written and flushed; the record, with the state, the rows owed and the names of those files, is
    /// written in one synced batch; only then the sinks may deliver, and what earlier deliveries made superfluous goes.
    /// </summary>
    /// <exception cref="IOException">The disk is full or failing: the session is to be given up and begun anew from what is durable.</exception>
    public CheckpointResult Write(CheckpointDraft draft)
    {
        var began = time.GetTimestamp();
        long bytes = 0;
        var staged = new List<StagedFile?>(draft.Tables.Count);
        foreach (var (sink, rows) in draft.Tables)
        {
            var file = sink.Stage(draft.Id, rows);
            rows.Clear();
            staged.Add(file);
            bytes += file?.Bytes ?? 0;
        }
        failPoints.Hit(Running.StreamFailPoints.AfterStagedFile);
        var record = new CheckpointRecord
        {
            Id = draft.Id, AtMillis = time.GetUtcNow().ToUnixTimeMilliseconds(), Incarnation = incarnation,
            Sources = draft.Sources, Queries = draft.Queries, Alerts = draft.Alerts,
        };
        var dropped = new List<IReadOnlyList<string>>(draft.Tables.Count);
        for (var i = 0; i < draft.Tables.Count; i++)
        {
            var (checkpoint, names) = draft.Tables[i].Sink.Snapshot(staged[i]);
            record.Tables[draft.Tables[i].Sink.Name] = checkpoint;
            dropped.Add(names);
        }
        var done = new List<(OwedRows? Owed, byte[]? Records, IReadOnlyList<long> Done)>(draft.Topics.Count);
        foreach (var (delivery, records) in draft.Topics)
            done.Add(PutTopic(draft, record, delivery, records));
        StateStore.PutCheckpoint(draft.Batch, record, out _);
        bytes += draft.Batch.ByteLength;
        failPoints.Hit(Running.StreamFailPoints.BeforeStateWrite);
        store.Commit(draft.Batch);
        failPoints.Hit(Running.StreamFailPoints.AfterStateWrite);
        for (var i = 0; i < draft.Topics.Count; i++)
        {
            draft.Topics[i].Delivery.Forget(done[i].Done);
            if (done[i].Owed is { } owed)
                draft.Topics[i].Delivery.Enqueue(owed, done[i].Records);
        }
        for (var i = 0; i < draft.Tables.Count; i++)
            draft.Tables[i].Sink.OnDurable(staged[i], dropped[i]);
        failPoints.Hit(Running.StreamFailPoints.AfterStagedDelete);
        return new CheckpointResult(record, time.GetElapsedTime(began), bytes);
    }

    private static (OwedRows? Owed, byte[]? Records, IReadOnlyList<long> Done) PutTopic(
        CheckpointDraft draft, CheckpointRecord record, TopicDelivery delivery, OwedRecords? records)
    {
        OwedRows? owed = null;
        byte[]? bytes = null;
        if (records is { Count: > 0 })
        {
            bytes = records.Bytes.ToArray();
            owed = new OwedRows(draft.Id, records.Count, bytes.Length, delivery.LowerBounds());
            StateStore.PutOwed(draft.Batch, delivery.Name, draft.Id, bytes);
        }
        var (checkpoint, done) = delivery.Snapshot(owed);
        record.Topics[delivery.Name] = checkpoint;
        foreach (var id in done)
            StateStore.DeleteOwed(draft.Batch, delivery.Name, id);
        return (owed, bytes, done);
    }
}
