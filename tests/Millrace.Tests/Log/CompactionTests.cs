using System.Globalization;
using System.Text;
using Millrace.Kafka.Messages;
using Millrace.Kafka.Records;
using Millrace.Log.Storage;
using Millrace.Storage.Files.Faults;
using Xunit.Abstractions;

namespace Millrace.Tests.Log;

/// <summary>Compaction: the newest record of each key, and nothing else, for ever, also through crashes.</summary>
public sealed class CompactionTests(ITestOutputHelper output)
{
    private const long DeleteRetention = 1000;

    private static readonly Dictionary<string, string> Compacted = new()
    {
        ["cleanup.policy"] = "compact", ["min.cleanable.dirty.ratio"] = "0", ["delete.retention.ms"] = "1000", ["segment.bytes"] = "2048",
    };

    [Fact]
    public void The_newest_record_of_each_key_stays_at_its_offset()
    {
        var disk = new SimulatedFileSystem(1);
        using var store = LogWorkload.Open(disk);
        var partition = store.Create("c", 1, Compacted).Topic.Partitions[0];
        for (var i = 0; i < 200; i++)
            Append(store, partition, Batch(i, ("k" + i % 7, "v" + i)));
        Roll(store, partition);
        Compact(store, now: 500);
        var left = Records(partition);
        Assert.True(left.Count < 40, $"{left.Count} records are left");
        for (var i = 193; i < 200; i++)
            Assert.Contains(left, r => r == (i, "k" + i % 7, "v" + i));
        Assert.Equal(200, partition.HighWatermark);
        // Readers get past every gap.
        Assert.Equal(Enumerable.Range(193, 7), left.Select(r => (int)r.Offset).Where(o => o >= 193));
    }

    [Fact]
    public void A_tombstone_goes_when_readers_have_had_time_to_see_it()
    {
        var disk = new SimulatedFileSystem(1);
        using var store = LogWorkload.Open(disk);
        var partition = store.Create("c", 1, Compacted).Topic.Partitions[0];
        Append(store, partition, Batch(0, ("gone", "x"), ("stays", "y")));
        Append(store, partition, Batch(1, ("gone", null)));
        Append(store, partition, Batch(2, ("other", "z")));
        Roll(store, partition);
        Compact(store, now: 100);
        Assert.Equal([(1L, "stays", "y"), (2L, "gone", null), (3L, "other", "z")], Records(partition));
        // The horizon is set by the first round that finds the tombstone to be the newest; it needs something new to be compacted again.
        Append(store, partition, Batch(3, ("more", "1")));
        Roll(store, partition);
        Compact(store, now: 100 + DeleteRetention);
        Assert.Contains(Records(partition), r => r.Key == "gone");
        Append(store, partition, Batch(4, ("more", "2")));
        Roll(store, partition);
        Compact(store, now: 101 + DeleteRetention);
        Assert.DoesNotContain(Records(partition), r => r.Key == "gone");
        Assert.Contains(Records(partition), r => r.Key == "stays");
    }

    [Fact]
    public void Aborted_records_go_at_once_and_markers_after_their_records()
    {
        var disk = new SimulatedFileSystem(1);
        using var store = LogWorkload.Open(disk);
        var partition = store.Create("c", 1, Compacted).Topic.Partitions[0];
        Append(store, partition, Batch(0, ("a", "old")));
        Append(store, partition, Transactional(7, 0, ("a", "aborted")));
        Append(store, partition, ControlRecord.Build(7, 0, commit: false, 0, 1), Marker.Abort);
        Append(store, partition, Transactional(8, 0, ("b", "committed")));
        Append(store, partition, ControlRecord.Build(8, 0, commit: true, 0, 1), Marker.Commit);
        Append(store, partition, Batch(5, ("z", "last")));
        Roll(store, partition);
        Compact(store, now: 100);
        Assert.Equal([(0L, "a", "old"), (3L, "b", "committed"), (5L, "z", "last")], Records(partition));
        Assert.Equal([2L, 4L], Markers(partition));
        Append(store, partition, Batch(6, ("y", "more")));
        Roll(store, partition);
        Compact(store, now: 5000);
        Assert.Equal([4L], Markers(partition));
        Assert.Empty(partition.AbortedIn(0, 100));
        // An open transaction holds compaction up.
        Append(store, partition, Transactional(9, 0, ("a", "open")));
        Append(store, partition, Batch(8, ("a", "newest")));
        Roll(store, partition);
        Compact(store, now: 6000);
        Assert.Contains(Records(partition), r => r.Value == "old");
    }

    [Fact]
    public void A_batch_that_is_sent_again_is_known_though_compaction_took_its_records_and_the_checkpoint_is_lost()
    {
        var disk = new SimulatedFileSystem(1);
        var store = LogWorkload.Open(disk);
        var partition = store.Create("c", 1, Compacted).Topic.Partitions[0];
        for (var i = 0; i < 8; i++)
            Append(store, partition, Idempotent(5, i, ("k", "v" + i)));
        Append(store, partition, Transactional(6, 0, ("k", "aborted")));
        Append(store, partition, ControlRecord.Build(6, 0, commit: false, 0, 1), Marker.Abort);
        // A fence, in a partition that its producer has not written to since.
        Append(store, partition, ControlRecord.Build(7, 3, commit: false, 0, 1), Marker.Abort);
        for (var i = 0; i < 10; i++)
            Append(store, partition, Batch(i, ("k", "w" + i)));
        for (var round = 0; round < 3; round++)
        {
            Roll(store, partition);
            Compact(store, now: 100 + round * 5000);
            Append(store, partition, Batch(0, ("k", "x" + round)));
        }
        // The newest, and the five that were durable when it came.
        Assert.Equal([2L, 3, 4, 5, 6, 7], Batches(partition).Where(b => b.Producer == 5).Select(b => b.Offset));
        Assert.Equal([10L], Markers(partition));
        store = WithoutCheckpoint(disk, store);
        partition = store.Find("c")!.Partitions[0];
        Assert.Equal(partition.HighWatermark, partition.LastStableOffset);
        var end = partition.HighWatermark;
        for (var i = 3; i < 8; i++)
            Assert.Equal((ErrorCode.None, i), Send(store, partition, Idempotent(5, i, ("k", "v" + i))));
        Assert.Equal((ErrorCode.None, 8L), Send(store, partition, Transactional(6, 0, ("k", "aborted"))));
        Assert.Equal(ErrorCode.OutOfOrderSequenceNumber, Send(store, partition, Idempotent(5, 9, ("k", "too far"))).Error);
        Assert.Equal(ErrorCode.InvalidProducerEpoch, Send(store, partition, Idempotent(7, 0, ("k", "of a zombie"))).Error);
        Assert.Equal(end, partition.HighWatermark);
        Append(store, partition, Idempotent(5, 8, ("k", "next")));
        // A producer that is forgotten leaves nothing.
        store.Maintain(20_000, 20_000, 1);
        store.Maintain(20_000, 20_010, 1);
        Append(store, partition, Batch(0, ("k", "last")));
        Roll(store, partition);
        Compact(store, now: 30_000);
        Assert.DoesNotContain(Batches(partition), b => b.Producer == 5 && b.Records == 0);
        store.Dispose();
    }

    [Fact]
    public void Random_loads_end_as_a_dictionary_would()
    {
        var seed = Seeds.Next(output);
        var random = new Random(seed);
        for (var round = 0; round < 8; round++)
        {
            var disk = new SimulatedFileSystem(seed + round);
            var model = new Dictionary<string, string>();
            var store = LogWorkload.Open(disk);
            var partition = store.Create("c", 1, Compacted).Topic.Partitions[0];
            var now = 10L;
            for (var step = 0; step < 100; step++)
            {
                now += random.Next(200);
                switch (random.Next(12))
                {
                    case 0:
                        Roll(store, partition);
                        break;
                    case 1:
                        Compact(store, now);
                        break;
                    case 2:
                        store.Dispose();
                        store = LogWorkload.Open(disk);
                        partition = store.Find("c")!.Partitions[0];
                        break;
                    default:
                        var records = Enumerable.Range(0, random.Next(1, 5)).Select(_ =>
                            ("k" + random.Next(30), random.Next(5) == 0 ? null : "v" + random.Next(1_000_000).ToString(CultureInfo.InvariantCulture))).ToArray();
                        Append(store, partition, Batch(now, records));
                        foreach (var (key, value) in records)
                        {
                            if (value is null)
                                model.Remove(key);
                            else
                                model[key] = value;
                        }
                        break;
                }
                var found = new Dictionary<string, string>();
                foreach (var (_, key, value) in Records(partition))
                {
                    if (value is null)
                        found.Remove(key);
                    else
                        found[key] = value;
                }
                Assert.Equal(model.OrderBy(m => m.Key), found.OrderBy(m => m.Key));
            }
            store.Dispose();
        }
    }

    [Fact]
    public void A_crash_at_any_change_of_the_disk_keeps_the_newest_acknowledged_record_of_each_key()
    {
        var seed = Seeds.Next(output);
        var count = new CrashingFileSystem(new SimulatedFileSystem(seed));
        using (var store = LogWorkload.Open(count))
            Load(store, new Random(seed), []);
        Assert.True(count.Changes > 200, $"only {count.Changes} changes");
        for (var at = 1; at <= count.Changes; at += count.Changes / 80 + 1)
        {
            var disk = new SimulatedFileSystem(seed + at);
            var attempts = new List<(string Key, string? Value, LogWorkload.Attempt Attempt)>();
            LogStore? store = null;
            try
            {
                store = LogWorkload.Open(new CrashingFileSystem(disk, at));
                Load(store, new Random(seed), attempts);
                store.Dispose();
            }
            catch (PowerOff)
            {
            }
            store?.Abandon();
            disk.Crash();
            using var again = LogWorkload.Open(disk);
            if (again.Find("c") is not { } topic)
                continue;
            var found = Records(topic.Partitions[0]).ToDictionary(r => r.Offset);
            foreach (var group in attempts.Where(a => a.Attempt.Acknowledged).GroupBy(a => a.Key))
            {
                var newest = group.MaxBy(a => a.Attempt.Offset);
                var isSuperseded = attempts.Exists(a => a.Key == group.Key && a.Attempt.Offset > newest.Attempt.Offset);
                if (newest.Value is not null && !isSuperseded)
                {
                    Assert.True(found.TryGetValue(newest.Attempt.Offset, out var there), $"crash at {at}: {group.Key} at {newest.Attempt.Offset} is gone");
                    Assert.Equal((newest.Key, newest.Value), (there.Key, there.Value));
                }
                else if (newest.Value is null && !isSuperseded)
                {
                    // Deleted for good: no older value may come back.
                    Assert.DoesNotContain(found.Values, r => r.Key == group.Key && r.Value is not null && !found.Values.Any(t => t.Key == r.Key && t.Offset > r.Offset));
                }
            }
            foreach (var (offset, key, value) in found.Values)
                Assert.Contains(attempts, a => a.Attempt.Offset == offset && (a.Key, a.Value) == (key, value));
        }
    }

    private static LogStore WithoutCheckpoint(SimulatedFileSystem disk, LogStore store)
    {
        store.Dispose();
        disk.DeleteFile("/data/log/" + Checkpoint.FileName);
        return LogWorkload.Open(disk);
    }

    /// <summary>As a client sends a batch, for the first time or again.</summary>
    private static (ErrorCode Error, long Offset) Send(LogStore store, Partition partition, byte[] batch)
    {
        var attempt = new LogWorkload.Attempt(batch, -1);
        var result = partition.Append(batch, 1, Marker.None, attempt, 0);
        store.Committer.RunCycle();
        return (result.Error, result.BaseOffset);
    }

    private static void Load(LogStore store, Random random, List<(string, string?, LogWorkload.Attempt)> attempts)
    {
        var partition = store.Create("c", 1, Compacted).Topic.Partitions[0];
        var now = 0L;
        for (var i = 0; i < 120; i++)
        {
            now += 100;
            var (key, value) = ("k" + random.Next(9), random.Next(6) == 0 ? null : new string('v', 100) + i);
            var attempt = new LogWorkload.Attempt(Batch(now, (key, value)), -1);
            attempts.Add((key, value, attempt));
            var result = partition.Append(attempt.Bytes, now, Marker.None, attempt, 0);
            attempt.Offset = result.BaseOffset;
            if (random.Next(2) == 0)
                store.Committer.RunCycle();
            if (random.Next(15) != 0)
                continue;
            store.Committer.RunCycle();
            store.Committer.RequestCheckpoint();
            store.Committer.RunCycle();
            store.Maintain(now, now, long.MaxValue / 2);
        }
    }

    private static void Compact(LogStore store, long now)
    {
        store.Committer.RequestCheckpoint();
        store.Committer.RunCycle();
        store.Maintain(now, now, 1_000_000);
    }

    private static void Roll(LogStore store, Partition partition)
    {
        store.Committer.RunCycle();
        if (partition.Segments.Active is not { Readable: > 0 })
            return;
        partition.Segments.Roll(partition.HighWatermark);
        // As LogStart: what changed without an append must be in the next checkpoint.
        store.NoteLogStart(partition);
        store.Committer.RunCycle();
    }

    private static void Append(LogStore store, Partition partition, byte[] batch, Marker marker = Marker.None)
    {
        var attempt = new LogWorkload.Attempt(batch, -1);
        Assert.Equal(ErrorCode.None, partition.Append(batch, 1, marker, attempt, 0).Error);
        store.Committer.RunCycle();
        Assert.True(attempt.Acknowledged);
    }

    private static byte[] Batch(long time, params (string Key, string? Value)[] records)
    {
        using var builder = new RecordBatchBuilder { Compression = (CompressionType)(time % 5) };
        foreach (var (key, value) in records)
            builder.Add(time, Encoding.UTF8.GetBytes(key), value is null ? default : Encoding.UTF8.GetBytes(value), hasValue: value is not null);
        return builder.Build();
    }

    private static byte[] Transactional(long producer, int sequence, params (string Key, string? Value)[] records) =>
        Idempotent(producer, sequence, BatchAttributes.Transactional, records);

    private static byte[] Idempotent(long producer, int sequence, params (string Key, string? Value)[] records) => Idempotent(producer, sequence, 0, records);

    private static byte[] Idempotent(long producer, int sequence, BatchAttributes attributes, (string Key, string? Value)[] records)
    {
        using var builder = new RecordBatchBuilder { ProducerId = producer, ProducerEpoch = 0, BaseSequence = sequence, Attributes = attributes };
        foreach (var (key, value) in records)
            builder.Add(1, Encoding.UTF8.GetBytes(key), Encoding.UTF8.GetBytes(value!));
        return builder.Build();
    }

    private static List<(long Offset, string Key, string? Value)> Records(Partition partition)
    {
        var found = new List<(long, string, string?)>();
        Walk(partition, bytes =>
        {
            var batch = new RecordBatch(bytes);
            if (batch.IsControl)
                return;
            using var open = RecordBatch.OpenRecords(bytes, 1 << 24);
            var reader = new RecordReader(open.Bytes, batch.RecordCount);
            while (reader.MoveNext())
            {
                var record = reader.Current;
                found.Add((batch.BaseOffset + record.OffsetDelta, Encoding.UTF8.GetString(record.Key), record.HasValue ? Encoding.UTF8.GetString(record.Value) : null));
            }
        });
        return found;
    }

    private static List<long> Markers(Partition partition)
    {
        var found = new List<long>();
        Walk(partition, bytes =>
        {
            if (new RecordBatch(bytes).IsControl)
                found.Add(new RecordBatch(bytes).BaseOffset);
        });
        return found;
    }

    private static List<(long Offset, long Producer, int Records)> Batches(Partition partition)
    {
        var found = new List<(long, long, int)>();
        Walk(partition, bytes =>
        {
            var batch = new RecordBatch(bytes);
            found.Add((batch.BaseOffset, batch.ProducerId, batch.RecordCount));
        });
        return found;
    }

    private delegate void Seen(ReadOnlySpan<byte> bytes);

    private static void Walk(Partition partition, Seen seen)
    {
        for (var offset = partition.LogStart; offset < partition.HighWatermark;)
        {
            var (buffer, bytes) = partition.Segments.Read(offset, partition.HighWatermark, 3000, atLeastOne: true);
            Assert.True(bytes > 0, $"nothing can be read at {offset} of {partition.HighWatermark}");
            for (var at = 0; at < bytes;)
            {
                var batch = new RecordBatch(buffer.AsSpan(at));
                Assert.True(batch.LastOffset >= offset);
                seen(buffer.AsSpan(at, batch.TotalBytes));
                at += batch.TotalBytes;
                offset = batch.LastOffset + 1;
            }
        }
    }
}
