using System.Collections.Concurrent;
using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Millrace.Tests.Log;
using TopicPartition = Confluent.Kafka.TopicPartition;

namespace Millrace.Interop.Log;

/// <summary>Confluent.Kafka's consumer, its transactions and the admin calls that answer with partitions.</summary>
public sealed class ConfluentConsumerTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    public ConfluentConsumerTests() => OlderLibrdkafka.EnsureReadable();

    [Theory]
    [InlineData(PartitionAssignmentStrategy.Range)]
    [InlineData(PartitionAssignmentStrategy.RoundRobin)]
    [InlineData(PartitionAssignmentStrategy.CooperativeSticky)]
    public async Task A_group_shares_partitions_and_reads_every_record(PartitionAssignmentStrategy strategy)
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 6);
        var seen = new ConcurrentDictionary<string, int>();
        using var first = new Member(test, "g", seen, c => c.PartitionAssignmentStrategy = strategy);
        await first.Until(m => m.Assigned.Count == 6);
        await ProduceAsync(test, 0, 60);
        await first.Until(_ => seen.Count == 60);
        using (var second = new Member(test, "g", seen, c => c.PartitionAssignmentStrategy = strategy))
        {
            await first.Until(m => m.Assigned.Count == 3 && second.Assigned.Count == 3);
            Assert.Empty(first.Assigned.Keys.Intersect(second.Assigned.Keys));
            // Eager members give everything back at a rebalance; cooperative ones only what another one gets (KIP-429).
            Assert.Equal(strategy == PartitionAssignmentStrategy.CooperativeSticky ? 3 : 6, first.Revoked);
            await ProduceAsync(test, 60, 120);
            await first.Until(_ => seen.Count == 120);
        }
        await first.Until(m => m.Assigned.Count == 6);
        await ProduceAsync(test, 120, 180);
        await first.Until(_ => seen.Count == 180);
        Assert.All(seen.Values, times => Assert.Equal(1, times));
    }

    [Fact]
    public async Task A_static_member_comes_back_without_a_rebalance()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 2);
        var seen = new ConcurrentDictionary<string, int>();
        using var stays = new Member(test, "g", seen, c => c.GroupInstanceId = "stays");
        TopicPartition[] owned;
        using (var leaves = new Member(test, "g", seen, c => c.GroupInstanceId = "leaves"))
        {
            await stays.Until(m => m.Assigned.Count == 1 && leaves.Assigned.Count == 1);
            owned = [.. leaves.Assigned.Keys];
        }
        var revoked = stays.Revoked;
        using var again = new Member(test, "g", seen, c => c.GroupInstanceId = "leaves");
        await stays.Until(_ => again.Assigned.Count == 1);
        Assert.Equal(owned, again.Assigned.Keys);
        Assert.Equal(revoked, stays.Revoked);
    }

    [Fact]
    public async Task Positions_times_headers_and_pauses_are_what_they_should_be()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1);
        await ProduceAsync(test, 0, 10);
        using var consumer = new ConsumerBuilder<string, string>(Config(test, "g")).Build();
        var partition = new TopicPartition("t", 0);
        consumer.Assign(new TopicPartitionOffset(partition, 4));
        Assert.Equal("v4", consumer.Consume(Patience).Message.Value);
        consumer.Seek(new TopicPartitionOffset(partition, 7));
        var record = consumer.Consume(Patience);
        Assert.Equal(("k7", "v7", 7), (record.Message.Key, record.Message.Value, record.Offset.Value));
        Assert.Equal("7"u8.ToArray(), record.Message.Headers.GetLastBytes("n"));
        var time = new TopicPartitionTimestamp(partition, new Timestamp(Time(5)));
        Assert.Equal(5, consumer.OffsetsForTimes([time], Patience)[0].Offset.Value);
        Assert.Equal((0, 10), (consumer.QueryWatermarkOffsets(partition, Patience).Low.Value, consumer.QueryWatermarkOffsets(partition, Patience).High.Value));
        consumer.Commit([new TopicPartitionOffset(partition, 8)]);
        Assert.Equal(8, consumer.Committed([partition], Patience)[0].Offset.Value);
        consumer.Pause([partition]);
        Assert.Null(consumer.Consume(TimeSpan.FromMilliseconds(300)));
        consumer.Resume([partition]);
        Assert.Equal("v8", consumer.Consume(Patience).Message.Value);
    }

    [Fact]
    public async Task What_is_read_and_written_in_a_transaction_is_read_once()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1);
        test.Broker.CreateTopic("out", 1);
        await ProduceAsync(test, 0, 20);
        using var source = new ConsumerBuilder<string, string>(Config(test, "g")).Build();
        using var producer = new ProducerBuilder<string, string>(new ProducerConfig { BootstrapServers = test.Broker.BootstrapServers, TransactionalId = "copy", LingerMs = 1 }).Build();
        producer.InitTransactions(Patience);
        source.Subscribe("t");
        for (var i = 0; i < 20; i++)
        {
            var record = source.Consume(Patience);
            producer.BeginTransaction();
            producer.Produce("out", new Message<string, string> { Key = record.Message.Key, Value = record.Message.Value + (i % 4 == 3 ? " aborted" : "") });
            producer.SendOffsetsToTransaction([new TopicPartitionOffset(record.TopicPartition, record.Offset + 1)], source.ConsumerGroupMetadata, Patience);
            if (i % 4 == 3)
            {
                producer.AbortTransaction(Patience);
                continue;
            }
            producer.CommitTransaction(Patience);
        }
        Assert.Equal(19, source.Committed([new TopicPartition("t", 0)], Patience)[0].Offset.Value);
        var config = Config(test, "reader");
        config.IsolationLevel = IsolationLevel.ReadCommitted;
        config.EnablePartitionEof = true;
        using var reader = new ConsumerBuilder<string, string>(config).Build();
        reader.Assign(new TopicPartitionOffset("out", 0, 0));
        var values = new List<string>();
        while (reader.Consume(Patience) is { IsPartitionEOF: false } read)
            values.Add(read.Message.Value);
        Assert.Equal(Enumerable.Range(0, 20).Where(i => i % 4 != 3).Select(i => $"v{i}"), values);
    }

    [Fact]
    public async Task Groups_and_records_are_administered()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 2);
        await ProduceAsync(test, 0, 20);
        using var admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = test.Broker.BootstrapServers }).Build();
        var partition = new TopicPartition("t", 0);
        using (var consumer = new ConsumerBuilder<string, string>(Config(test, "g")).Build())
        {
            consumer.Subscribe("t");
            Assert.NotNull(consumer.Consume(Patience));
            consumer.Close();
        }
        await admin.AlterConsumerGroupOffsetsAsync([new ConsumerGroupTopicPartitionOffsets("g", [new TopicPartitionOffset(partition, 3)])]).WaitAsync(Patience);
        var offsets = await admin.ListConsumerGroupOffsetsAsync([new ConsumerGroupTopicPartitions("g", [partition])]).WaitAsync(Patience);
        Assert.Equal(3, offsets[0].Partitions[0].Offset.Value);
        var deleted = await admin.DeleteRecordsAsync([new TopicPartitionOffset(partition, 5)]).WaitAsync(Patience);
        Assert.Equal((5, 5), (deleted[0].Offset.Value, test.Broker.Topic("t")!.Partitions[0].LogStart));
        await admin.DeleteGroupsAsync(["g"]).WaitAsync(Patience);
        var gone = await admin.ListConsumerGroupOffsetsAsync([new ConsumerGroupTopicPartitions("g", [partition])]).WaitAsync(Patience);
        Assert.Equal(Offset.Unset, gone[0].Partitions[0].Offset);
    }

    private static DateTimeOffset Time(int n) => DateTimeOffset.UnixEpoch.AddDays(20_000).AddSeconds(n);

    private static ConsumerConfig Config(TestBroker test, string group) => new()
    {
        BootstrapServers = test.Broker.BootstrapServers, GroupId = group, AutoOffsetReset = AutoOffsetReset.Earliest, EnableAutoCommit = false,
        HeartbeatIntervalMs = 200, SessionTimeoutMs = 6000, FetchWaitMaxMs = 50,
    };

    private static async Task ProduceAsync(TestBroker test, int from, int to)
    {
        var config = new ProducerConfig { BootstrapServers = test.Broker.BootstrapServers, EnableIdempotence = true, LingerMs = 1 };
        using var producer = new ProducerBuilder<string, string>(config).Build();
        var partitions = test.Broker.Topic("t")!.Partitions.Count;
        await Task.WhenAll(Enumerable.Range(from, to - from).Select(i => producer.ProduceAsync(
            new TopicPartition("t", i % partitions),
            new Message<string, string> { Key = $"k{i}", Value = $"v{i}", Headers = new Headers { { "n", System.Text.Encoding.UTF8.GetBytes($"{i}") } }, Timestamp = new Timestamp(Time(i)) })));
    }

    /// <summary>A consumer that reads on a thread of its own and commits what it has read.</summary>
    private sealed class Member : IDisposable
    {
        private readonly CancellationTokenSource _stop = new();
        private readonly Thread _thread;
        private volatile Exception? _fault;

        public Member(TestBroker test, string group, ConcurrentDictionary<string, int> seen, Action<ConsumerConfig> change)
        {
            var config = Config(test, group);
            change(config);
            _thread = new Thread(() => Read(config, seen));
            _thread.Start();
        }

        public ConcurrentDictionary<TopicPartition, bool> Assigned { get; } = new();

        public int Revoked { get; private set; }

        public async Task Until(Func<Member, bool> done)
        {
            var started = TimeProvider.System.GetTimestamp();
            while (!done(this))
            {
                if (_fault is { } fault)
                    throw new InvalidOperationException("the member failed", fault);
                Assert.True(TimeProvider.System.GetElapsedTime(started) < Patience, $"it did not come to pass in {Patience}");
                await Task.Delay(10);
            }
        }

        public void Dispose()
        {
            _stop.Cancel();
            _thread.Join();
            _stop.Dispose();
        }

        private void Read(ConsumerConfig config, ConcurrentDictionary<string, int> seen)
        {
            using var consumer = new ConsumerBuilder<string, string>(config)
                .SetPartitionsAssignedHandler((_, partitions) => partitions.ForEach(p => Assigned[p] = true))
                .SetPartitionsRevokedHandler((_, partitions) => partitions.ForEach(p =>
                {
                    Assigned.TryRemove(p.TopicPartition, out bool _);
                    Revoked++;
                }))
                .Build();
            consumer.Subscribe("t");
            try
            {
                while (true)
                {
                    var record = consumer.Consume(_stop.Token);
                    seen.AddOrUpdate(record.Message.Value, 1, (_, times) => times + 1);
                    consumer.Commit(record);
                }
            }
            catch (OperationCanceledException)
            {
                consumer.Close();
            }
            catch (KafkaException error)
            {
                _fault = error;
            }
        }
    }
}
