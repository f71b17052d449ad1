using System.Globalization;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Streams.Checkpoints;
using Millrace.Streams.Running;
using Millrace.Streams.Sinks;

namespace Millrace.Tests.Streams;

public sealed class TopicDeliveryTests
{
    private readonly FakeTopic _topic = new();
    private readonly Dictionary<long, byte[]> _store = [];

    [Fact]
    public async Task Owed_records_arrive_once_each_in_order_of_checkpoints()
    {
        await using var delivery = Start(null);
        for (var checkpoint = 1; checkpoint <= 5; checkpoint++)
            Owe(delivery, checkpoint, rows: 20);
        await delivery.DrainAsync(CancellationToken.None);
        Assert.Equal(Expected(5, 20), _topic.Marks);
        Assert.Equal((100, 0), (delivery.Progress.Delivered, delivery.Progress.Owed));
        var (checkpointed, done) = delivery.Snapshot(null);
        Assert.Empty(checkpointed.Owed);
        Assert.Equal([1, 2, 3, 4, 5], done);
        delivery.Forget(done);
        Assert.Empty(delivery.Snapshot(null).Done);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Lost_acknowledgements_and_errors_double_and_lose_nothing(int seed)
    {
        _topic.Trouble = new Random(seed);
        await using var delivery = Start(null);
        for (var checkpoint = 1; checkpoint <= 30; checkpoint++)
            Owe(delivery, checkpoint, rows: 7);
        await delivery.DrainAsync(CancellationToken.None);
        Assert.Equal(Expected(30, 7), _topic.Marks.Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(13)]
    [InlineData(14)]
    public async Task A_restart_sends_only_what_the_topic_does_not_hold(int seed)
    {
        var random = new Random(seed);
        TopicCheckpoint? durable = null;
        long next = 1;
        for (var life = 0; life < 8; life++)
        {
            var dies = random.Next(0, 40);
            _topic.FailAfter = dies;
            var delivery = Start(durable);
            for (var n = 0; n < 3; n++)
                durable = PassBarrier(delivery, next++, rows: 5);
            await Task.WhenAny(delivery.DrainAsync(CancellationToken.None));
            await delivery.DisposeAsync();
        }
        _topic.FailAfter = int.MaxValue;
        await using (var last = Start(durable))
            await last.DrainAsync(CancellationToken.None);
        Assert.Equal(Expected((int)next - 1, 5), _topic.Marks.Order(StringComparer.Ordinal));
    }

    /// <summary>The checkpoint that owes the rows is durable before they are handed over.</summary>
    private TopicCheckpoint PassBarrier(TopicDelivery delivery, long checkpoint, int rows)
    {
        var (owed, records) = Make(delivery, checkpoint, rows);
        _store[owed.Checkpoint] = records;
        var (durable, done) = delivery.Snapshot(owed);
        delivery.Forget(done);
        delivery.Enqueue(owed, records);
        return durable;
    }

    [Theory]
    [InlineData(21)]
    [InlineData(22)]
    [InlineData(23)]
    public async Task What_the_topic_refuses_is_a_dead_letter_once_and_the_rest_arrives_once_over_errors_and_restarts(int seed)
    {
        var random = new Random(seed);
        var dead = new FakeTopic { Trouble = new Random(seed + 100) };
        _topic.Trouble = new Random(seed + 200);
        _topic.Refuses = s => s % 5 == 2;
        TopicCheckpoint? durable = null;
        long next = 1;
        for (var life = 0; life < 6; life++)
        {
            _topic.FailAfter = random.Next(0, 60);
            dead.FailAfter = random.Next(0, 12);
            var delivery = Start(durable, dead);
            for (var n = 0; n < 3; n++)
                durable = PassBarrier(delivery, next++, rows: 10);
            await Task.WhenAny(delivery.DrainAsync(CancellationToken.None));
            await delivery.DisposeAsync();
        }
        _topic.FailAfter = dead.FailAfter = int.MaxValue;
        // By now the topic would take all of them: what is a dead letter already must not arrive too.
        var refused = dead.Marks.ToHashSet();
        _topic.Refuses = _ => false;
        await using var last = Start(durable, dead);
        await last.DrainAsync(CancellationToken.None);
        Assert.NotEmpty(refused);
        Assert.Equal(refused.Order(StringComparer.Ordinal), dead.Marks.Order(StringComparer.Ordinal));
        Assert.All(refused, m => Assert.Contains(m[^1], "27"));
        Assert.Equal(Expected((int)next - 1, 10), _topic.Marks.Concat(dead.Marks).Order(StringComparer.Ordinal));
        Assert.Equal(((next - 1) * 10, refused.Count), (last.Progress.Delivered + last.Refused, last.Refused));
    }

    [Fact]
    public void Owed_records_keep_keys_values_absence_and_headers()
    {
        var records = new OwedRecords();
        records.Begin("key"u8, true, "value"u8, true);
        records.AddHeader(OwedHeader.Reason, "one"u8);
        records.AddHeader(OwedHeader.Reason, "two"u8);
        records.End();
        records.Begin(default, false, default, false);
        records.End();
        records.Begin(""u8, true, ""u8, true);
        records.End();
        var reader = new OwedReader(records.Bytes.ToArray());
        var first = reader.Next()!;
        Assert.Equal(("key", "value"), (Encoding.UTF8.GetString(first.Key!), Encoding.UTF8.GetString(first.Value!)));
        Assert.Equal(["one", "two"], first.Headers.Select(h => Encoding.UTF8.GetString(h.Value)));
        var second = reader.Next()!;
        Assert.Null(second.Key);
        Assert.Null(second.Value);
        var third = reader.Next()!;
        Assert.Equal((2, 0, 0), (third.Sequence, third.Key!.Length, third.Value!.Length));
        Assert.Null(reader.Next());
        var cut = new OwedReader(records.Bytes[..^1].ToArray());
        Assert.NotNull(cut.Next());
        Assert.NotNull(cut.Next());
        Assert.Throws<InvalidDataException>(() => cut.Next());
    }

    [Fact]
    public void A_checkpoint_record_reads_back_and_any_flipped_byte_is_noticed()
    {
        var record = new CheckpointRecord
        {
            Id = 7, AtMillis = 8, Incarnation = "x",
            Sources =
            {
                ["orders"] = new SourceCheckpoint
                {
                    Topic = "t", Schema = "a BIGINT", Watermark = long.MinValue, Partitions = [new(3, 44, long.MinValue)],
                    In = 5, Good = 4, Quarantined = 1, Reasons = { ["not_null(a)"] = 1 },
                },
            },
            Topics = { ["q"] = new TopicCheckpoint { Owed = [new(7, 1, 10, new() { [0] = 9 })] } },
        };
        var bytes = CheckpointCodec.Encode(record);
        var again = CheckpointCodec.Decode(bytes, "/state");
        Assert.Equal(CheckpointCodec.Encode(again), bytes);
        for (var i = 0; i < bytes.Length; i++)
        {
            var damaged = bytes.ToArray();
            damaged[i] ^= 0x10;
            Assert.Contains("/state", Assert.Throws<InvalidDataException>(() => CheckpointCodec.Decode(damaged, "/state")).Message, StringComparison.Ordinal);
        }
    }

    private static List<string> Expected(int checkpoints, int rows) =>
        Enumerable.Range(1, checkpoints).SelectMany(c => Enumerable.Range(0, rows).Select(r => $"p:i:{c:000}:{r:000}")).ToList();

    private TopicDelivery Start(TopicCheckpoint? restored, FakeTopic? dead = null) => new(
        new TopicDelivery.Context
        {
            Name = "topic t", Pipeline = "p", Incarnation = "i", Port = _topic, DeadLetters = dead, ReadOwed = c => _store.GetValueOrDefault(c),
            Time = TimeProvider.System, Log = NullLogger.Instance,
            Options = new DeliveryOptions { MinBackoff = TimeSpan.FromTicks(1), MaxBackoff = TimeSpan.FromTicks(1), Settle = TimeSpan.Zero },
        },
        restored);

    private void Owe(TopicDelivery delivery, long checkpoint, int rows)
    {
        var (owed, records) = Make(delivery, checkpoint, rows);
        _store[checkpoint] = records;
        delivery.Enqueue(owed, checkpoint % 2 == 0 ? null : records);
    }

    private static (OwedRows Owed, byte[] Records) Make(TopicDelivery delivery, long checkpoint, int rows)
    {
        var records = new OwedRecords();
        for (var row = 0; row < rows; row++)
        {
            records.Begin(default, false, Encoding.UTF8.GetBytes($"{checkpoint}/{row}"), true);
            records.End();
        }
        return (new OwedRows(checkpoint, rows, records.ByteLength, delivery.LowerBounds()), records.Bytes.ToArray());
    }

    /// <summary>Two partitions in memory that lose acknowledgements, fail half way, or stop for good.</summary>
    private sealed class FakeTopic : ITopicPort
    {
        private readonly List<string>[] _partitions = [[], []];
        private int _sent;

        public Random? Trouble { get; set; }

        public int FailAfter { get; set; } = int.MaxValue;

        public Func<int, bool> Refuses { get; set; } = _ => false;

        public List<string> Marks { get; } = [];

        public IReadOnlyDictionary<int, long> Ends(CancellationToken cancellation) =>
            new Dictionary<int, long> { [0] = _partitions[0].Count, [1] = _partitions[1].Count };

        public IReadOnlySet<int> Scan(DeliveryMark mark, IReadOnlyDictionary<int, long> from, CancellationToken cancellation)
        {
            if (Trouble?.Next(4) == 0)
                throw new TopicUnreachableException("no answer");
            var found = new HashSet<int>();
            for (var p = 0; p < 2; p++)
            {
                foreach (var text in _partitions[p].Skip((int)from.GetValueOrDefault(p)))
                {
                    if (text.StartsWith(mark.Prefix, StringComparison.Ordinal))
                        found.Add(int.Parse(text[mark.Prefix.Length..], CultureInfo.InvariantCulture));
                }
            }
            return found;
        }

        public Task SendAsync(
            DeliveryMark mark, ReadOnlyMemory<byte> records, IReadOnlySet<int> skip, IDictionary<int, long> acknowledged, ICollection<RefusedRecord>? refused,
            CancellationToken cancellation)
        {
            var reader = new OwedReader(records);
            var failed = false;
            while (reader.Next() is { } record)
            {
                if (skip.Contains(record.Sequence))
                    continue;
                if (FailAfter != int.MaxValue && _sent++ >= FailAfter)
                {
                    _sent = 0;
                    throw new IOException("the process dies here");
                }
                if (refused is not null && Refuses(record.Sequence))
                {
                    refused.Add(new RefusedRecord(record.Sequence, "t", "too large"));
                    continue;
                }
                var trouble = Trouble?.Next(10) ?? 9;
                failed |= trouble < 2;
                if (trouble == 0)
                    continue;
                var partition = record.Sequence % 2;
                _partitions[partition].Add(mark.Prefix + record.Sequence);
                Marks.Add($"{mark.Pipeline}:{mark.Incarnation}:{mark.Checkpoint:000}:{record.Sequence:000}");
                if (trouble != 1)
                    acknowledged[partition] = _partitions[partition].Count;
            }
            return failed ? throw new TopicUnreachableException("some were not acknowledged") : Task.CompletedTask;
        }

        public Task SendDeadAsync(DeliveryMark mark, ReadOnlyMemory<byte> records, IReadOnlyCollection<RefusedRecord> refused, CancellationToken cancellation)
        {
            var count = 0;
            for (var reader = new OwedReader(records); reader.Next() is not null;)
                count++;
            var others = Enumerable.Range(0, count).Except(refused.Select(r => r.Sequence)).ToHashSet();
            return SendAsync(mark, records, others, new Dictionary<int, long>(), null, cancellation);
        }

        public void Dispose()
        {
        }
    }
}
