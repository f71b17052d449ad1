using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Kafka.Messages;
using Millrace.Kafka.Records;
using Millrace.Log.Storage;
using Millrace.Storage.Files;

namespace Millrace.Tests.Log;

/// <summary>
/// A random load on a log store, and the model of what it must still hold after a crash. One thread, one seed: the same calls every time.
/// </summary>
internal sealed class LogWorkload(int seed)
{
    private readonly Random _random = new(seed);
    private readonly Dictionary<(string Topic, int Partition), List<Attempt>> _attempts = [];
    private readonly Dictionary<(string Topic, int Partition, long Producer), int> _sequences = [];
    private short _epoch;

    /// <summary>Told what a failed check has found.</summary>
    public Action<string>? Trace { get; init; }

    private readonly HashSet<string> _topics = [];
    private readonly HashSet<string> _deletedTopics = [];

    internal sealed class Attempt(byte[] bytes, long offset) : IAppendWaiter
    {
        public byte[] Bytes { get; } = bytes;

        /// <summary>As readers are given it.</summary>
        public byte[] AsRead
        {
            get
            {
                var copy = (byte[])Bytes.Clone();
                PlaceCheck.Clear(copy);
                return copy;
            }
        }

        public long Offset { get; set; } = offset;

        public ErrorCode? Outcome { get; private set; }

        public bool Acknowledged => Outcome == ErrorCode.None;

        public void Appended(int slot, ErrorCode error) => Outcome = error;
    }

    public int Acknowledged => _attempts.Values.Sum(a => a.Count(x => x.Acknowledged));

    public static LogStore Open(IFileSystem files) => LogStore.Open(
        new LogStoreOptions
        {
            Folder = "/data/log",
            Files = files,
            Inline = true,
            JournalBytes = 6_000,
            SpareFromBytes = 2_000,
            TailBytes = 1_500,
            TopicDefaults = new Dictionary<string, string> { ["segment.bytes"] = "4096" },
        },
        NullLogger.Instance);

    /// <summary>Does so many random steps.</summary>
    public void Run(LogStore store, int steps)
    {
        for (var i = 0; i < steps; i++)
            Step(store);
    }

    /// <summary>After a crash: all that was acknowledged is there, at its place; nothing is there that was not attempted whole.</summary>
    public void Check(LogStore store)
    {
        foreach (var name in _topics)
            Assert.True(_deletedTopics.Contains(name) || store.Find(name) is not null, $"topic {name} was created and is gone");
        foreach (var ((topic, index), attempts) in _attempts)
        {
            if (store.Find(topic)?.Partition(index) is { } partition && !_deletedTopics.Contains(topic))
            {
                try
                {
                    CheckPartition($"{topic}-{index}", partition, attempts);
                }
                catch (Exception)
                {
                    Trace?.Invoke($"{topic}-{index}:");
                    foreach (var a in attempts)
                        Trace?.Invoke($"  {a.Offset} {a.Outcome} {new RecordBatch(a.Bytes).ProducerId}/{new RecordBatch(a.Bytes).ProducerEpoch}/{new RecordBatch(a.Bytes).BaseSequence} n{new RecordBatch(a.Bytes).RecordCount} {a.Bytes.Length}");
                    foreach (var segment in partition.Segments.All)
                    {
                        using var scan = new BatchScanner(segment, 0, segment.Readable);
                        Trace?.Invoke($"  {segment.Path} {segment.Readable} covered {segment.Index.Covered}");
                        while (scan.MoveNext())
                            Trace?.Invoke($"    {scan.Position}: {scan.Header.BaseOffset} {scan.Header.ProducerId}/{scan.Header.ProducerEpoch}/{scan.Header.BaseSequence} n{scan.Header.RecordCount} {scan.Header.TotalBytes}");
                    }
                    throw;
                }
            }
        }
    }

    /// <summary>The producers start anew after a crash, and nobody hears any more of what was on its way.</summary>
    public void Forget()
    {
        _epoch++;
        _sequences.Clear();
    }

    private void Step(LogStore store)
    {
        var choice = _random.Next(100);
        if (_topics.Count == 0 || choice < 4)
            CreateTopic(store);
        else if (choice < 5 && _topics.Count > 2)
            DeleteTopic(store);
        else if (choice < 45)
            store.Committer.RunCycle();
        else if (choice < 48)
            store.Committer.RequestCheckpoint();
        else
            Append(store);
    }

    private void CreateTopic(LogStore store)
    {
        var name = $"t{_topics.Count + _deletedTopics.Count}";
        store.Create(name, _random.Next(1, 4), new Dictionary<string, string>());
        _topics.Add(name);
    }

    private void DeleteTopic(LogStore store)
    {
        var alive = _topics.Except(_deletedTopics).Order().ToArray();
        if (alive.Length < 2)
            return;
        var name = alive[_random.Next(alive.Length)];
        // Whether the crash comes before or after the deletion, nobody may rely on the topic any more.
        _deletedTopics.Add(name);
        store.Delete(store.Find(name)!);
    }

    private void Append(LogStore store)
    {
        var alive = _topics.Except(_deletedTopics).Order().ToArray();
        var topic = store.Find(alive[_random.Next(alive.Length)])!;
        var partition = topic.Partitions[_random.Next(topic.Partitions.Length)];
        var producer = _random.Next(3);
        var key = (topic.Name, partition.Index, (long)producer);
        var sequence = _sequences.GetValueOrDefault(key);
        var count = _random.Next(1, 4);
        using var builder = new RecordBatchBuilder { ProducerId = producer, ProducerEpoch = _epoch, BaseSequence = sequence };
        for (var i = 0; i < count; i++)
        {
            var value = new byte[_random.Next(1, 900)];
            _random.NextBytes(value);
            builder.Add(i, "k"u8, value);
        }
        var attempt = new Attempt(builder.Build(), -1);
        if (!_attempts.TryGetValue((topic.Name, partition.Index), out var attempts))
            _attempts[(topic.Name, partition.Index)] = attempts = [];
        attempts.Add(attempt);
        _sequences[key] = sequence + count;
        var result = partition.Append(attempt.Bytes, 1, Marker.None, attempt, 0);
        Assert.Equal(ErrorCode.None, result.Error);
        attempt.Offset = result.BaseOffset;
    }

    private static void CheckPartition(string name, Partition partition, List<Attempt> attempts)
    {
        var found = new Dictionary<long, byte[]>();
        var offset = partition.LogStart;
        Assert.Equal(0, offset);
        while (offset < partition.HighWatermark)
        {
            var (buffer, bytes) = partition.Segments.Read(offset, partition.HighWatermark, 2000, atLeastOne: true);
            Assert.True(bytes > 0, $"{name}: nothing can be read at {offset} of {partition.HighWatermark}: "
                + string.Join(", ", partition.Segments.All.Select(s => $"{s.Path} {s.Written}/{s.Readable} index {s.Index.Covered}")));
            for (var at = 0; at < bytes;)
            {
                var batch = new RecordBatch(buffer.AsSpan(at));
                Assert.Equal(offset, batch.BaseOffset);
                found[offset] = buffer.AsSpan(at, batch.TotalBytes).ToArray();
                offset = batch.LastOffset + 1;
                at += batch.TotalBytes;
            }
        }
        foreach (var attempt in attempts)
        {
            if (!attempt.Acknowledged)
                continue;
            Assert.True(found.TryGetValue(attempt.Offset, out var bytes), $"{name}: acknowledged offset {attempt.Offset} is gone");
            Assert.True(attempt.AsRead.AsSpan().SequenceEqual(bytes), $"{name}: offset {attempt.Offset} holds something else");
            // Sent again, as by a producer that missed the answer, it must not be appended twice.
            var again = new Attempt((byte[])attempt.Bytes.Clone(), -1);
            var isRecent = attempts.Count(a => a.Offset > attempt.Offset && a.Offset >= 0
                && new RecordBatch(a.Bytes).ProducerId == new RecordBatch(attempt.Bytes).ProducerId) < ProducerTable.Window
                && new RecordBatch(attempt.Bytes).ProducerEpoch == NewestEpoch(attempts, new RecordBatch(attempt.Bytes).ProducerId);
            if (!isRecent)
                continue;
            var result = partition.Append(again.Bytes, 1, Marker.None, again, 0);
            Assert.Equal((ErrorCode.None, attempt.Offset), (result.Error, result.BaseOffset));
        }
        foreach (var (at, bytes) in found)
            Assert.True(attempts.Exists(a => a.Offset == at && a.AsRead.AsSpan().SequenceEqual(bytes)), $"{name}: offset {at} holds what nobody sent");
    }

    private static short NewestEpoch(List<Attempt> attempts, long producerId)
    {
        short newest = -1;
        foreach (var attempt in attempts)
        {
            var batch = new RecordBatch(attempt.Bytes);
            if (batch.ProducerId == producerId && attempt.Offset >= 0)
                newest = Math.Max(newest, batch.ProducerEpoch);
        }
        return newest;
    }
}
