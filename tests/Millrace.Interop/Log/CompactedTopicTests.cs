using Millrace.Kafka.Messages;
using Millrace.Kafka.Records;
using Millrace.Tests;
using Millrace.Tests.Log;

namespace Millrace.Interop.Log;

/// <summary>What compaction leaves, read by others.</summary>
public sealed class CompactedTopicTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private static readonly Dictionary<string, string> Configs = new()
    {
        ["cleanup.policy"] = "compact", ["segment.ms"] = "1", ["min.cleanable.dirty.ratio"] = "0",
    };

    [EngineFact("kafka")]
    public async Task Batches_that_only_their_headers_are_left_of_are_passed_over_by_clients_and_still_known_when_sent_again()
    {
        var test = await TestBroker.StartAsync(o => o with { MaintenanceInterval = TimeSpan.FromMilliseconds(50) });
        test.Broker.CreateTopic("t", 1, Configs);
        using (var client = test.Connect())
        {
            // All have one key; of each producer the last batch says where it stands.
            for (var producer = 1; producer <= 3; producer++)
                Assert.Equal(ErrorCode.None, client.Produce("t", 0, WireClient.Batch(producer, 0, 0, $"of {producer}")).ErrorCode);
            await Until(() =>
            {
                client.Produce("t", 0, WireClient.Batch("newest"));
                return Counts(client) is [0, 0, 0, ..];
            });
        }
        var brokers = test.Broker.BootstrapServers;
        Assert.Equal("newest", Programs.Lines(await Programs.KcatAsync(brokers, null, "-C", "-t", "t", "-p", "0", "-o", "beginning", "-e", "-q"))[^1]);
        Assert.Equal("newest", Programs.Lines(await Programs.KafkaAsync(
            "console-consumer", null, "--bootstrap-server", brokers, "--topic", "t", "--partition", "0", "--offset", "0", "--max-messages", "1"))[^1]);
        await test.Broker.DisposeAsync();
        File.Delete(Path.Combine(test.Folder, "checkpoint"));
        await using var again = await TestBroker.StartAsync(folder: test.Folder);
        using var second = again.Connect();
        var end = again.Broker.Topic("t")!.Partitions[0].EndOffset;
        for (var producer = 1; producer <= 3; producer++)
        {
            var retry = second.Produce("t", 0, WireClient.Batch(producer, 0, 0, $"of {producer}"));
            Assert.Equal((ErrorCode.None, producer - 1L), (retry.ErrorCode, retry.BaseOffset));
        }
        Assert.Equal(end, again.Broker.Topic("t")!.Partitions[0].EndOffset);
        Assert.Equal(end, second.Produce("t", 0, WireClient.Batch(1, 0, 1, "goes on")).BaseOffset);
        Assert.Equal("goes on", Programs.Lines(await Programs.KcatAsync(again.Broker.BootstrapServers, null, "-C", "-t", "t", "-p", "0", "-e", "-q"))[^1]);
    }

    private static List<int> Counts(WireClient client)
    {
        var counts = new List<int>();
        for (var rest = client.Fetch("t", 0, 0).Records; rest.Length > 0;)
        {
            var batch = new RecordBatch(rest.Span);
            counts.Add(batch.RecordCount);
            rest = rest[batch.TotalBytes..];
        }
        return counts;
    }

    private static async Task Until(Func<bool> isSo)
    {
        var began = TimeProvider.System.GetTimestamp();
        while (!isSo())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(began) < Patience, "it was not compacted");
            await Task.Delay(50);
        }
    }
}
