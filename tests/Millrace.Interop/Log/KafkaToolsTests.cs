using Millrace.Tests;
using Millrace.Tests.Log;

namespace Millrace.Interop.Log;

/// <summary>Apache Kafka's own tools (the Java clients) and the franz-go client against the broker, with their usual command lines.</summary>
public sealed class KafkaToolsTests
{
    [EngineFact("kafka")]
    public async Task Topics_configs_offsets_and_groups_are_told_to_the_java_tools()
    {
        await using var test = await TestBroker.StartAsync();
        var server = test.Broker.BootstrapServers;
        await Programs.KafkaAsync("topics", null, "--bootstrap-server", server, "--create", "--topic", "t", "--partitions", "2", "--replication-factor", "1");
        Assert.Contains("PartitionCount: 2", await Programs.KafkaAsync("topics", null, "--bootstrap-server", server, "--describe", "--topic", "t"), StringComparison.Ordinal);
        await Programs.KafkaAsync("configs", null, "--bootstrap-server", server, "--alter", "--topic", "t", "--add-config", "retention.ms=123456");
        Assert.Contains("retention.ms=123456", await Programs.KafkaAsync("configs", null, "--bootstrap-server", server, "--describe", "--topic", "t"), StringComparison.Ordinal);
        await Programs.KafkaAsync("console-producer", Programs.Sequence(100), "--bootstrap-server", server, "--topic", "t");
        var consumed = await Programs.KafkaAsync(
            "console-consumer", null, "--bootstrap-server", server, "--topic", "t", "--from-beginning", "--max-messages", "100", "--group", "g");
        Assert.Equal(Programs.Lines(Programs.Sequence(100)).Order(), Programs.Lines(consumed).Order());
        var described = await Programs.KafkaAsync("consumer-groups", null, "--bootstrap-server", server, "--describe", "--group", "g");
        Assert.Contains("LAG", described, StringComparison.Ordinal);
        await Programs.KafkaAsync("consumer-groups", null, "--bootstrap-server", server, "--group", "g", "--topic", "t", "--reset-offsets", "--to-earliest", "--execute");
        Assert.Equal(100, test.Broker.Lags().Sum(l => l.Lag));
        var offsets = Path.GetTempFileName();
        await File.WriteAllTextAsync(offsets, """{"partitions":[{"topic":"t","partition":0,"offset":-1}],"version":1}""");
        await Programs.KafkaAsync("delete-records", null, "--bootstrap-server", server, "--offset-json-file", offsets);
        File.Delete(offsets);
        var first = test.Broker.Topic("t")!.Partitions[0];
        Assert.Equal(first.EndOffset, first.LogStart);
        Assert.Contains("t:0:", await Programs.KafkaAsync("get-offsets", null, "--bootstrap-server", server, "--topic", "t"), StringComparison.Ordinal);
    }

    [EngineFact("kafka")]
    public async Task The_measuring_and_the_verifying_tools_run_to_their_end()
    {
        await using var test = await TestBroker.StartAsync();
        var server = test.Broker.BootstrapServers;
        test.Broker.CreateTopic("perf", 3);
        var produced = await Programs.KafkaAsync(
            "producer-perf", null, "--bootstrap-server", server, "--topic", "perf", "--num-records", "20000", "--record-size", "100", "--throughput", "-1");
        Assert.Contains("20000 records sent", produced, StringComparison.Ordinal);
        var consumed = await Programs.KafkaAsync("consumer-perf", null, "--bootstrap-server", server, "--topic", "perf", "--num-records", "20000", "--timeout", "30000");
        Assert.Contains(", 20000, ", consumed, StringComparison.Ordinal);
        var written = await Programs.KafkaAsync(
            "verifiable-producer", null, "--bootstrap-server", server, "--topic", "verified", "--max-messages", "500", "--acks", "-1");
        Assert.Contains("\"acked\":500", written, StringComparison.Ordinal);
        var read = await Programs.KafkaAsync(
            "verifiable-consumer", null, "--bootstrap-server", server, "--topic", "verified", "--group-id", "v", "--max-messages", "500", "--reset-policy", "earliest");
        Assert.Contains("records_consumed", read, StringComparison.Ordinal);
        Assert.Equal(0, test.Broker.Lags().Where(l => l.Group == "v").Sum(l => l.Lag));
        Assert.Contains("ConsumerGroupHeartbeat(68): 0 to 1", await Programs.KafkaAsync("broker-api-versions", null, "--bootstrap-server", server), StringComparison.Ordinal);
    }

    [EngineFact("go/kload")]
    public async Task The_franz_go_client_finds_every_record_once_and_in_order()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 6);
        foreach (var compression in new[] { "none", "lz4", "zstd" })
        {
            await Programs.KloadAsync(
                "produce", test.Broker.BootstrapServers, "-topic", "t", "-n", "100000", "-size", "100", "-acks", "all", "-keys", "1000", "-compression", compression);
        }
        var outcome = await Programs.KloadAsync("consume", test.Broker.BootstrapServers, "-topic", "t", "-n", "300000");
        Assert.Equal(300000, (int)outcome["records"]!);
        test.Broker.CreateTopic("once", 6);
        await Programs.KloadAsync("produce", test.Broker.BootstrapServers, "-topic", "once", "-n", "200000", "-size", "100", "-acks", "all", "-keys", "1000");
        var verified = await Programs.KloadAsync("consume", test.Broker.BootstrapServers, "-topic", "once", "-n", "200000", "-verify");
        Assert.Equal((0, 0, 0), ((int)verified["doubled"]!, (int)verified["gaps"]!, (int)verified["out_of_order"]!));
    }
}
