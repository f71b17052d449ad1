using Millrace.Tests;
using Millrace.Tests.Log;

namespace Millrace.Interop.Log;

/// <summary>Kafka's Java consumer with <c>group.protocol=consumer</c> (KIP-848), alone and beside members of the classic protocol.</summary>
public sealed class ConsumerProtocolTests
{
    [EngineFact("kafka")]
    public async Task Java_consumers_of_the_new_protocol_share_a_topic_and_take_over_from_one_that_leaves()
    {
        await using var test = await TestBroker.StartAsync(o => o with { ConsumerHeartbeatInterval = TimeSpan.FromMilliseconds(300) });
        test.Broker.CreateTopic("t", 4, new Dictionary<string, string> { ["retention.ms"] = "-1" });
        await using var first = Reader(test, "consumer", "a");
        await first.Until(() => first.Owned().Length == 4, "one member owns all");
        await using var second = Reader(test, "consumer", "b");
        await second.Until(() => first.Owned().Length == 2 && second.Owned().Length == 2, "two members share");
        Produce(test, 0, 20);
        await first.Until(() => Read(first, second).Length == 80, "all records are read");
        await first.StopAsync();
        await second.Until(() => second.Owned().Length == 4, "the other takes over");
        Produce(test, 20, 10);
        await second.Until(() => Read(first, second).Length == 120, "all records are read");
        Assert.Equal(120, Read(first, second).Distinct().Count());
        var described = await Programs.KafkaAsync("consumer-groups", null, "--bootstrap-server", test.Broker.BootstrapServers, "--describe", "--group", "g", "--state");
        Assert.Matches("g\\s.*uniform.*Stable", described);
    }

    [EngineFact("kafka")]
    public async Task A_running_group_goes_over_to_the_new_protocol_and_back()
    {
        await using var test = await TestBroker.StartAsync(o => o with { ConsumerHeartbeatInterval = TimeSpan.FromMilliseconds(300) });
        test.Broker.CreateTopic("t", 4, new Dictionary<string, string> { ["retention.ms"] = "-1" });
        const string quick = "heartbeat.interval.ms=300";
        await using var old = Reader(test, "classic", "old", quick, "partition.assignment.strategy=org.apache.kafka.clients.consumer.CooperativeStickyAssignor");
        await old.Until(() => old.Owned().Length == 4, "a classic member owns all");
        Produce(test, 0, 10);
        await old.Until(() => Read(old).Length == 40, "all records are read");
        await using var young = Reader(test, "consumer", "young");
        await young.Until(() => old.Owned().Length == 2 && young.Owned().Length == 2, "both share");
        Produce(test, 10, 10);
        await young.Until(() => Read(old, young).Length >= 80, "all records are read");
        Assert.Equal(80, Read(old, young).Distinct().Count());
        await young.StopAsync();
        await old.Until(() => old.Owned().Length == 4, "the classic member owns all again");
        Produce(test, 20, 5);
        await old.Until(() => Read(old, young).Distinct().Count() == 100, "all records are read");
    }

    [EngineFact("kafka")]
    public async Task A_static_member_changes_its_protocol_in_its_place_without_its_partitions_moving()
    {
        await using var test = await TestBroker.StartAsync(o => o with { ConsumerHeartbeatInterval = TimeSpan.FromMilliseconds(300) });
        test.Broker.CreateTopic("t", 4, new Dictionary<string, string> { ["retention.ms"] = "-1" });
        await using var young = Reader(test, "consumer", "young");
        await young.Until(() => young.Owned().Length == 4, "one member owns all");
        var old = Reader(test, "classic", "old", "heartbeat.interval.ms=300", "group.instance.id=i");
        await old.Until(() => old.Owned().Length == 2 && young.Owned().Length == 2, "both share");
        var (kept, others) = (old.Owned(), young.Owned());
        // As a static member it does not say that it goes, and is expected back.
        await old.StopAsync();
        await using var changed = Reader(test, "consumer", "changed", "group.instance.id=i");
        await changed.Until(() => changed.Owned().Length == 2, "it is back at its partitions");
        Assert.Equal(kept, changed.Owned());
        Assert.Equal(others, young.Owned());
        Produce(test, 0, 10);
        await changed.Until(() => Read(changed, young).Length == 40, "all records are read");
        await changed.StopAsync();
        await using var back = Reader(test, "classic", "back", "heartbeat.interval.ms=300", "group.instance.id=i");
        await back.Until(() => back.Owned().Length == 2, "it is back once more");
        Assert.Equal(kept, back.Owned());
        Assert.Equal(others, young.Owned());
        await old.DisposeAsync();
    }

    private static JavaProgram Reader(TestBroker test, string protocol, string name, params string[] more) =>
        JavaProgram.Start("GroupReader", [test.Broker.BootstrapServers, "g", "t", protocol, name, .. more]);

    private static string[] Read(params JavaProgram[] readers) =>
        [.. readers.SelectMany(r => r.Lines).Where(l => l.StartsWith("read ", StringComparison.Ordinal))];

    private static void Produce(TestBroker test, int from, int count)
    {
        using var client = test.Connect();
        for (var partition = 0; partition < 4; partition++)
        {
            for (var i = from; i < from + count; i++)
                client.Produce("t", partition, WireClient.Batch($"{partition}:{i}"));
        }
    }
}
