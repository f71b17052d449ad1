using System.Globalization;
using Confluent.Kafka;
using Millrace.Kafka.Clients;
using Millrace.Tests;
using Millrace.Tests.Log;
using TopicPartition = Confluent.Kafka.TopicPartition;

namespace Millrace.Interop.Log;

/// <summary>Transactions as Confluent.Kafka's producer makes them, seen by kcat, Kafka's Java console consumer and Kafka's transaction tool.</summary>
public sealed class TransactionClientTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    public TransactionClientTests() => KafkaLibraries.EnsureReady();

    [ProgramFact("kcat")]
    public async Task Readers_of_committed_records_see_whole_transactions_and_no_aborted_one()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 3);
        using (var producer = Producer(test, "tx"))
        {
            producer.InitTransactions(Patience);
            for (var round = 0; round < 12; round++)
                Transact(producer, round, commit: round % 3 != 2);
        }
        var committed = Enumerable.Range(0, 12).Where(r => r % 3 != 2).SelectMany(r => Enumerable.Range(0, 10).Select(i => $"{r}:{i}")).Order().ToArray();
        var brokers = test.Broker.BootstrapServers;
        var seen = await Programs.KcatAsync(brokers, null, "-C", "-t", "t", "-e", "-q", "-X", "isolation.level=read_committed");
        Assert.Equal(committed, Programs.Lines(seen).Order());
        var all = await Programs.KcatAsync(brokers, null, "-C", "-t", "t", "-e", "-q", "-X", "isolation.level=read_uncommitted");
        Assert.Equal(120, Programs.Lines(all).Length);
    }

    [EngineFact("kafka")]
    public async Task The_java_consumer_sees_committed_records_only_and_the_transaction_tool_ends_what_hangs()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1);
        using (var producer = Producer(test, "tx"))
        {
            producer.InitTransactions(Patience);
            Transact(producer, 0, commit: true);
            Transact(producer, 1, commit: false);
            Transact(producer, 2, commit: true);
        }
        using var client = test.Connect();
        var (id, epoch) = TransactionCalls.Init(client, "hanging");
        TransactionCalls.Add(client, "hanging", id, epoch, ("t", 0));
        var place = TransactionCalls.Produce(client, "hanging", id, epoch, 0, "hangs").BaseOffset.ToString(CultureInfo.InvariantCulture);
        client.Produce("t", 0, WireClient.Batch("behind"));
        var server = test.Broker.BootstrapServers;
        var listed = await Programs.KafkaAsync("transactions", null, "--bootstrap-server", server, "list");
        Assert.Matches("hanging\\s+\\S+\\s+" + id + "\\s+Ongoing", listed);
        Assert.Matches("tx\\s+\\S+\\s+\\S+\\s+CompleteCommit", listed);
        Assert.Contains("t-0", await Programs.KafkaAsync("transactions", null, "--bootstrap-server", server, "describe", "--transactional-id", "hanging"), StringComparison.Ordinal);
        await Programs.KafkaAsync(
            "transactions", null, "--bootstrap-server", server, "abort", "--topic", "t", "--partition", "0", "--start-offset", place);
        var seen = await Programs.KafkaAsync(
            "console-consumer", null, "--bootstrap-server", server, "--topic", "t", "--from-beginning", "--isolation-level", "read_committed", "--max-messages", "21");
        Assert.Equal([.. Rounds(0, 2), "behind"], Programs.Lines(seen));
    }

    [Fact]
    public async Task Offsets_that_are_sent_with_a_transaction_count_when_it_commits()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 3);
        using var consumer = new ConsumerBuilder<Ignore, Ignore>(new ConsumerConfig { BootstrapServers = test.Broker.BootstrapServers, GroupId = "g" })
            .SetLogHandler((_, _) => { }).Build();
        using var producer = Producer(test, "tx");
        producer.InitTransactions(Patience);
        foreach (var (offset, commit, expected) in new[] { (5, true, 5L), (9, false, 5L), (7, true, 7L) })
        {
            producer.BeginTransaction();
            producer.Produce(new TopicPartition("t", 0), new Message<Null, string> { Value = "x" });
            producer.SendOffsetsToTransaction([new TopicPartitionOffset("t", 1, offset)], consumer.ConsumerGroupMetadata, Patience);
            if (commit)
                producer.CommitTransaction(Patience);
            else
                producer.AbortTransaction(Patience);
            Assert.Equal(expected, test.Broker.Lags().Single(l => l.Group == "g").CommittedOffset);
        }
    }

    [Fact]
    public async Task A_second_producer_of_the_same_id_fences_the_first()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1);
        using var first = Producer(test, "tx");
        first.InitTransactions(Patience);
        first.BeginTransaction();
        await first.ProduceAsync(new TopicPartition("t", 0), new Message<Null, string> { Value = "zombie" }).WaitAsync(Patience);
        using var second = Producer(test, "tx");
        second.InitTransactions(Patience);
        Assert.True(Assert.Throws<KafkaException>(() => first.CommitTransaction(Patience)).Error.IsFatal);
        Transact(second, 0, commit: true);
        using var client = test.Connect();
        Assert.Equal(Rounds(0), client.Committed("t", 0));
    }

    private static string[] Rounds(params int[] rounds) => [.. rounds.SelectMany(r => Enumerable.Range(0, 10).Select(i => $"{r}:{i}"))];

    private static void Transact(IProducer<Null, string> producer, int round, bool commit)
    {
        producer.BeginTransaction();
        for (var i = 0; i < 10; i++)
            producer.Produce("t", new Message<Null, string> { Value = string.Create(CultureInfo.InvariantCulture, $"{round}:{i}") });
        producer.Flush(Patience);
        if (commit)
            producer.CommitTransaction(Patience);
        else
            producer.AbortTransaction(Patience);
    }

    private static IProducer<Null, string> Producer(TestBroker test, string id) =>
        new ProducerBuilder<Null, string>(new ProducerConfig { BootstrapServers = test.Broker.BootstrapServers, TransactionalId = id, LingerMs = 1 })
            .SetLogHandler((_, _) => { }).SetErrorHandler((_, _) => { }).Build();
}
