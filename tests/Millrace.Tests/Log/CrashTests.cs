using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Kafka.Messages;
using Millrace.Kafka.Records;
using Millrace.Log.Storage;
using Millrace.Storage.Files.Faults;
using Xunit.Abstractions;

namespace Millrace.Tests.Log;

/// <summary>The log store on a disk that loses, tears and reorders what was not flushed.</summary>
public sealed class CrashTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_crash_at_any_change_of_the_disk_loses_no_acknowledged_record(bool hasCheckpoint)
    {
        var seed = Seeds.Next(output);
        const int steps = 60;
        var whole = new CrashingFileSystem(new SimulatedFileSystem(seed));
        using (var store = LogWorkload.Open(whole))
        {
            var load = new LogWorkload(seed);
            load.Run(store, steps);
            Assert.True(load.Acknowledged > 10);
        }
        for (var at = 1; at <= whole.Changes; at++)
            CrashOnce(seed, at, steps, hasCheckpoint);
    }

    [Fact]
    public void Crash_after_crash_the_log_goes_on()
    {
        var seed = Seeds.Next(output);
        for (var round = 0; round < 15; round++)
        {
            var random = new Random(seed + round);
            var disk = new SimulatedFileSystem(seed + round);
            var load = new LogWorkload(seed + round) { Trace = output.WriteLine };
            for (var life = 0; life < 6; life++)
            {
                var crashing = new CrashingFileSystem(disk, random.Next(20, 400));
                LogStore? store = null;
                try
                {
                    store = LogWorkload.Open(crashing);
                    load.Check(store);
                    load.Run(store, 200);
                }
                catch (PowerOff)
                {
                }
                store?.Abandon();
                disk.Crash();
                load.Forget();
            }
            using var last = LogWorkload.Open(disk);
            load.Check(last);
        }
    }

    [Fact]
    public void A_failed_flush_of_the_journal_stops_all_acknowledgements_until_a_restart()
    {
        var disk = new SimulatedFileSystem(1);
        var store = LogWorkload.Open(disk);
        var partition = store.Create("t", 1, new Dictionary<string, string>()).Topic.Partitions[0];
        var kept = Append(store, partition, 1);
        disk.FailFlush("journal-0");
        var lost = Append(store, partition, 2);
        var refused = partition.Append(Batch(3), 1, Marker.None, null, 0);
        Assert.Equal(ErrorCode.None, kept.Outcome);
        Assert.Equal(ErrorCode.StorageError, lost.Outcome);
        Assert.Equal(ErrorCode.StorageError, refused.Error);
        Assert.Contains("fsync", store.Committer.Broken, StringComparison.Ordinal);
        Assert.Equal(1, partition.HighWatermark);
        store.Abandon();
        disk.Crash();
        using var again = LogWorkload.Open(disk);
        Assert.InRange(again.Find("t")!.Partitions[0].HighWatermark, 1, 2);
    }

    [Fact]
    public void A_full_disk_refuses_and_goes_on_when_there_is_room()
    {
        var disk = new SimulatedFileSystem(1);
        using var store = LogWorkload.Open(disk);
        var partition = store.Create("t", 1, new Dictionary<string, string>()).Topic.Partitions[0];
        Assert.Equal(ErrorCode.None, Append(store, partition, 1).Outcome);
        disk.Faults = disk.Faults with { CapacityBytes = disk.UsedBytes + 100 };
        Assert.Equal(ErrorCode.StorageError, Append(store, partition, 2).Outcome);
        Assert.Equal(ErrorCode.StorageError, Append(store, partition, 3).Outcome);
        Assert.Equal(1, partition.HighWatermark);
        disk.Faults = DiskFaults.None;
        var after = Append(store, partition, 4);
        Assert.Equal(ErrorCode.None, after.Outcome);
        Assert.Equal(2, partition.HighWatermark);
        Assert.Null(store.Committer.Broken);
    }

    [Fact]
    public void Bit_rot_in_the_middle_of_the_journal_is_told_with_file_and_place()
    {
        var disk = new SimulatedFileSystem(1);
        var store = LogWorkload.Open(disk);
        var partition = store.Create("t", 1, new Dictionary<string, string>()).Topic.Partitions[0];
        for (var i = 0; i < 3; i++)
            Append(store, partition, i);
        store.Abandon();
        disk.Crash(CrashOutcome.NothingUnflushed);
        disk.FlipBit("/data/log/journal/journal-0", 512 + 200);
        var damage = Assert.Throws<SegmentDamagedException>(() => LogWorkload.Open(disk));
        Assert.Equal(("/data/log/journal/journal-0", 512L), (damage.Path, damage.Position));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Bit_rot_in_the_last_group_is_told_when_something_stands_behind_it(bool hasNextFile)
    {
        var disk = new SimulatedFileSystem(1);
        var store = LogWorkload.Open(disk);
        var partition = store.Create("t", 2, new Dictionary<string, string>()).Topic.Partitions[0];
        for (var i = 0; i < 3; i++)
            Append(store, partition, i);
        long length;
        using (var file = disk.Open("/data/log/journal/journal-0"))
            length = file.Length;
        // A checkpoint that cannot be saved has gone over to the next file; without one the log has fallen idle.
        disk.Faults = disk.Faults with { CapacityBytes = hasNextFile ? disk.UsedBytes : long.MaxValue };
        if (hasNextFile)
            store.Committer.RequestCheckpoint();
        store.Committer.RunCycle();
        disk.Faults = DiskFaults.None;
        if (hasNextFile)
            Append(store, store.Find("t")!.Partitions[1], 3);
        store.Abandon();
        disk.FlipBit("/data/log/journal/journal-0", length - 200);
        var damage = Assert.Throws<SegmentDamagedException>(() => LogWorkload.Open(disk));
        Assert.Equal(("/data/log/journal/journal-0", length - 512), (damage.Path, damage.Position));
    }

    [Fact]
    public void A_checkpoint_begins_when_the_ends_of_segments_fill_their_memory()
    {
        var disk = new SimulatedFileSystem(1);
        // An end takes 2 KiB at least.
        var options = new LogStoreOptions { Folder = "/data/log", Files = disk, Inline = true, TailMemoryBytes = 30 << 10 };
        using var store = LogStore.Open(options, NullLogger.Instance);
        var partitions = store.Create("t", 7, new Dictionary<string, string>()).Topic.Partitions;
        for (var i = 0; i < 5; i++)
            Append(store, partitions[i], i);
        Assert.DoesNotContain(partitions, p => p.Segments.Active is { } end && disk.FileExists(end.Path));
        Append(store, partitions[5], 5);
        Assert.All(partitions[..6], p => Assert.True(disk.FileExists(p.Segments.Active!.Path)));
        Append(store, partitions[6], 6);
        Assert.False(disk.FileExists(partitions[6].Segments.Active!.Path));
    }

    [Fact]
    public void Bit_rot_in_a_segment_is_told_when_it_is_read()
    {
        var disk = new SimulatedFileSystem(1);
        using (var store = LogWorkload.Open(disk))
        {
            var partition = store.Create("t", 1, new Dictionary<string, string>()).Topic.Partitions[0];
            for (var i = 0; i < 5; i++)
                Append(store, partition, i);
        }
        disk.FlipBit("/data/log/topics/t/0/00000000000000000000.log", 100);
        using var again = LogWorkload.Open(disk);
        var damage = Assert.Throws<SegmentDamagedException>(() => again.Find("t")!.Partitions[0].Segments.Read(0, 5, 10_000, true));
        Assert.EndsWith("00000000000000000000.log", damage.Path, StringComparison.Ordinal);
        Assert.Contains("CRC", damage.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_its_checkpoint_the_log_is_rebuilt_from_the_segments_and_a_torn_tail_is_cut()
    {
        var disk = new SimulatedFileSystem(1);
        using (var store = LogWorkload.Open(disk))
        {
            var partition = store.Create("t", 1, new Dictionary<string, string>()).Topic.Partitions[0];
            for (var i = 0; i < 30; i++)
                Append(store, partition, i);
        }
        disk.DeleteFile("/data/log/checkpoint");
        foreach (var journal in disk.ListFiles("/data/log/journal"))
            disk.DeleteFile("/data/log/journal/" + journal);
        var folder = "/data/log/topics/t/0";
        var last = folder + "/" + disk.ListFiles(folder).Last(f => f.EndsWith(".log", StringComparison.Ordinal));
        using (var file = disk.Open(last))
            file.SetLength(file.Length - 10);
        using var again = LogWorkload.Open(disk);
        Assert.Equal(29, again.Find("t")!.Partitions[0].HighWatermark);
        Assert.Equal(29, Append(again, again.Find("t")!.Partitions[0], 99).Offset);
    }

    [Fact]
    public void A_damaged_checkpoint_and_topic_file_are_told_with_what_to_do()
    {
        var disk = new SimulatedFileSystem(1);
        using (var store = LogWorkload.Open(disk))
            store.Create("t", 1, new Dictionary<string, string>());
        disk.FlipBit("/data/log/checkpoint", 20);
        Assert.Contains("move it away", Assert.Throws<CheckpointDamagedException>(() => LogWorkload.Open(disk)).Message, StringComparison.Ordinal);
        disk.FlipBit("/data/log/checkpoint", 20);
        disk.FlipBit("/data/log/topics/t/topic.json", 0, 6);
        Assert.Contains("topic.json", Assert.Throws<InvalidDataException>(() => LogWorkload.Open(disk)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_topic_that_needs_no_flush_keeps_a_beginning_of_what_was_sent_and_costs_others_nothing()
    {
        var seed = Seeds.Next(output);
        for (var round = 0; round < 30; round++)
        {
            var random = new Random(seed + round);
            var disk = new SimulatedFileSystem(seed + round);
            var store = LogWorkload.Open(disk);
            var lazy = store.Create("lazy", 1, new Dictionary<string, string> { ["flush.messages"] = "1000000" }).Topic.Partitions[0];
            var safe = store.Create("safe", 1, new Dictionary<string, string>()).Topic.Partitions[0];
            var sent = new List<byte[]>();
            var acknowledged = 0;
            var flushedLazy = 0;
            for (var i = 0; i < 60; i++)
            {
                if (random.Next(4) == 0)
                {
                    acknowledged += Append(store, safe, i).Acknowledged ? 1 : 0;
                    flushedLazy = sent.Count;
                }
                else
                {
                    var attempt = Append(store, lazy, i);
                    Assert.True(attempt.Acknowledged);
                    sent.Add(attempt.AsRead);
                }
                if (random.Next(20) == 0)
                    store.Committer.RequestCheckpoint();
            }
            store.Abandon();
            var isPowerLoss = round % 3 != 0;
            if (isPowerLoss)
                disk.Crash();
            using var again = LogWorkload.Open(disk);
            Assert.Equal(acknowledged, again.Find("safe")!.Partitions[0].HighWatermark);
            var kept = again.Find("lazy")!.Partitions[0].HighWatermark;
            Assert.InRange(kept, isPowerLoss ? flushedLazy : sent.Count, sent.Count);
            for (var offset = 0; offset < kept; offset++)
            {
                var (buffer, _) = again.Find("lazy")!.Partitions[0].Segments.Read(offset, kept, 1, atLeastOne: true);
                Assert.True(buffer.AsSpan(0, sent[offset].Length).SequenceEqual(sent[offset]));
            }
        }
    }

    [Fact]
    public void What_has_not_reached_its_segments_file_is_read_and_outlives_a_crash()
    {
        var disk = new SimulatedFileSystem(1);
        var store = LogWorkload.Open(disk);
        var partition = store.Create("t", 1, new Dictionary<string, string>()).Topic.Partitions[0];
        var attempts = new List<LogWorkload.Attempt>();
        for (var i = 0; i < 10; i++)
            attempts.Add(Append(store, partition, i));
        var segment = partition.Segments.Active!;
        Assert.InRange(segment.File.Length, 1, segment.Readable - 1);
        CheckAll(partition, attempts);
        store.Abandon();
        disk.Crash(CrashOutcome.NothingUnflushed);
        using var again = LogWorkload.Open(disk);
        CheckAll(again.Find("t")!.Partitions[0], attempts);
    }

    [Fact]
    public void A_checkpoint_that_finds_the_disk_full_is_made_later_and_keeps_everything()
    {
        var disk = new SimulatedFileSystem(1);
        var store = LogWorkload.Open(disk);
        var partition = store.Create("t", 1, new Dictionary<string, string>()).Topic.Partitions[0];
        var attempts = new List<LogWorkload.Attempt> { Append(store, partition, 0), Append(store, partition, 1) };
        disk.Faults = disk.Faults with { CapacityBytes = disk.UsedBytes };
        store.Committer.RequestCheckpoint();
        store.Committer.RunCycle();
        CheckAll(partition, attempts);
        disk.Faults = DiskFaults.None;
        attempts.Add(Append(store, partition, 2));
        Assert.Equal(ErrorCode.None, attempts[2].Outcome);
        store.Committer.RequestCheckpoint();
        store.Committer.RunCycle();
        store.Abandon();
        disk.Crash(CrashOutcome.NothingUnflushed);
        using var again = LogWorkload.Open(disk);
        CheckAll(again.Find("t")!.Partitions[0], attempts);
    }

    [Fact]
    public void Journal_files_of_full_length_take_turns_and_what_they_hold_is_read_back()
    {
        var folder = Directory.CreateTempSubdirectory("millrace-journal-").FullName;
        var options = new LogStoreOptions { Folder = Path.Combine(folder, "log"), JournalBytes = 2 << 20, TailBytes = 4_000 };
        try
        {
            var attempts = new List<LogWorkload.Attempt>();
            var copy = Path.Combine(folder, "copy");
            using (var store = LogStore.Open(options, NullLogger.Instance))
            {
                var partition = store.Create("t", 1, new Dictionary<string, string>()).Topic.Partitions[0];
                var journals = Path.Combine(options.Folder, "journal");
                bool Prepared() => Directory.GetFiles(journals).Count(f => new FileInfo(f).Length >= options.JournalBytes) >= 2;
                var patience = System.Diagnostics.Stopwatch.StartNew();
                for (var i = 0; i < 40_000 || (!Prepared() && patience.Elapsed < TimeSpan.FromSeconds(60)); i++)
                {
                    var attempt = new LogWorkload.Attempt(Batch(i), -1);
                    attempt.Offset = partition.Append(attempt.Bytes, 1, Marker.None, attempt, 0).BaseOffset;
                    attempts.Add(attempt);
                }
                Assert.True(Prepared());
                Assert.True(SpinWait.SpinUntil(() => partition.HighWatermark == attempts.Count, TimeSpan.FromSeconds(60)));
                // What a killed process leaves: while nothing is written, for a copy is not made in one instant.
                var copied = false;
                void CopyIdle()
                {
                    // Checkpoints begin on this thread only.
                    if (!copied && store.IsCheckpointIdle)
                        Copy(options.Folder, copy);
                    copied |= Directory.Exists(copy);
                }
                Assert.True(SpinWait.SpinUntil(
                    () =>
                    {
                        store.Committer.BetweenAndWait(CopyIdle);
                        return copied;
                    },
                    TimeSpan.FromSeconds(60)));
            }
            using (var killed = LogStore.Open(options with { Folder = copy }, NullLogger.Instance))
                CheckAll(killed.Find("t")!.Partitions[0], attempts);
            File.Delete(Path.Combine(copy, "checkpoint"));
            using (var rebuilt = LogStore.Open(options with { Folder = copy }, NullLogger.Instance))
                CheckAll(rebuilt.Find("t")!.Partitions[0], attempts);
            using var again = LogStore.Open(options, NullLogger.Instance);
            CheckAll(again.Find("t")!.Partitions[0], attempts);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void A_free_journal_file_that_was_being_wiped_is_no_damage_to_a_start_without_a_checkpoint(int later)
    {
        var disk = new SimulatedFileSystem(1);
        var store = LogWorkload.Open(disk);
        var partition = store.Create("t", 1, new Dictionary<string, string>()).Topic.Partitions[0];
        var attempts = new List<LogWorkload.Attempt>();
        for (var i = 0; i < 3; i++)
            attempts.Add(Append(store, partition, i));
        store.Committer.RequestCheckpoint();
        store.Committer.RunCycle();
        for (var i = 0; i < later; i++)
            attempts.Add(Append(store, partition, 3 + i));
        store.Abandon();
        disk.Crash(CrashOutcome.NothingUnflushed);
        var root = "/data/log";
        using (var file = disk.Open(Path.Combine(root, "journal", "journal-0")))
            file.Write(0, new byte[JournalFormat.Alignment]);
        disk.DeleteFile(Path.Combine(root, Checkpoint.FileName));
        using var again = LogWorkload.Open(disk);
        CheckAll(again.Find("t")!.Partitions[0], attempts);
    }

    private static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var file in Directory.GetFiles(from).Where(f => Path.GetFileName(f) != "LOCK"))
            File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
        foreach (var folder in Directory.GetDirectories(from))
            Copy(folder, Path.Combine(to, Path.GetFileName(folder)));
    }

    private static void CheckAll(Partition partition, List<LogWorkload.Attempt> attempts)
    {
        Assert.Equal(attempts.Count, partition.HighWatermark);
        var next = 0;
        while (next < attempts.Count)
        {
            var (buffer, bytes) = partition.Segments.Read(next, attempts.Count, 100_000, atLeastOne: true);
            Assert.True(bytes > 0);
            for (var at = 0; at < bytes; next++)
            {
                Assert.True(buffer.AsSpan(at, attempts[next].Bytes.Length).SequenceEqual(attempts[next].AsRead), $"offset {next}");
                at += attempts[next].Bytes.Length;
            }
        }
    }

    private void CrashOnce(int seed, int at, int steps, bool hasCheckpoint)
    {
        var disk = new SimulatedFileSystem(seed + at);
        var load = new LogWorkload(seed) { Trace = output.WriteLine };
        var crashing = new CrashingFileSystem(disk, at);
        LogStore? store = null;
        try
        {
            store = LogWorkload.Open(crashing);
            load.Run(store, steps);
            store.Dispose();
        }
        catch (PowerOff)
        {
        }
        store?.Abandon();
        disk.Crash();
        try
        {
            if (!hasCheckpoint)
                StartWithoutCheckpoint(disk);
            using var again = LogWorkload.Open(disk);
            load.Check(again);
        }
        catch (Exception)
        {
            output.WriteLine($"crash at change {at}");
            throw;
        }
    }

    /// <summary>
    /// It was damaged, say, and has been moved away. A segment that was being written may then not be told from a damaged one: that is refused, and the
    /// checkpoint is put back. The journal never is.
    /// </summary>
    private static void StartWithoutCheckpoint(SimulatedFileSystem disk)
    {
        const string path = "/data/log/" + Checkpoint.FileName;
        if (!disk.FileExists(path))
            return;
        disk.Rename(path, path + ".kept");
        try
        {
            LogWorkload.Open(disk).Dispose();
        }
        catch (SegmentDamagedException damage) when (damage.Message.Contains("and not in the journal", StringComparison.Ordinal))
        {
            disk.Rename(path + ".kept", path);
        }
    }

    private static LogWorkload.Attempt Append(LogStore store, Partition partition, int value)
    {
        var attempt = new LogWorkload.Attempt(Batch(value), -1);
        var result = partition.Append(attempt.Bytes, 1, Marker.None, attempt, 0);
        if (result.Error != ErrorCode.None)
            attempt.Appended(0, result.Error);
        attempt.Offset = result.BaseOffset;
        store.Committer.RunCycle();
        return attempt;
    }

    private static byte[] Batch(int value)
    {
        using var builder = new RecordBatchBuilder();
        builder.Add(value, "key"u8, new byte[200]);
        return builder.Build();
    }
}
