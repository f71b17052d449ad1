using Millrace.Bench.Running;
using Millrace.Interop.EndToEnd;

namespace Millrace.Interop.Log;

/// <summary>Records that go from topic to topic, and how far groups are behind, by the commands that a user types.</summary>
public sealed class TopicCommandTests
{
    private const string Pipeline = """
        pipeline: orders
        sources:
          orders: {from: kafka:orders, schema: {order_id: bigint}}
        checks:
          orders: [not_null(order_id)]
        sinks:
          orders: kafka:checked
        """;

    [Fact]
    public async Task Quarantined_records_are_repaired_and_replayed_once_and_those_that_come_back_are_counted()
    {
        var folder = Directory.CreateTempSubdirectory("millrace-replay-").FullName;
        try
        {
            await using var platform = PlatformProcess.Create(folder);
            await platform.StartAsync(CancellationToken.None);
            await platform.DoAsync("topic", "create", "orders", "--partitions", "1");
            await platform.DoAsync("topic", "create", "checked", "--partitions", "1");
            var file = Path.Combine(folder, "orders.yaml");
            await File.WriteAllTextAsync(file, Pipeline);
            await platform.DoAsync("run", file);
            await platform.CommandAsync(["topic", "produce", "orders"], "{\"order_id\": 1}\n{\"order_id\": 2,,}\n{\"order_id\": null}\n");
            await platform.UntilJobAsync("orders", j => j.Committed("kafka:orders.quarantine") == 2, "two are quarantined");
            var first = (await platform.DoAsync("topic", "replay", "orders.quarantine", "--through", "sed -u 's/,,/ /'", "--json")).Json;
            Assert.Equal((2, 0), ((int)first["sent"]!, (int)first["passed"]!));
            await platform.UntilJobAsync("orders", j => j.Committed("kafka:checked") == 2 && j.Committed("kafka:orders.quarantine") == 3, "one is repaired, one comes back");
            var told = (await platform.DoAsync("topic", "tail", "orders.quarantine", "-n", "10", "--json")).Lines;
            Assert.Equal("1", Assert.Single(told, r => r["headers"]!["millrace.retries"] is not null)["headers"]!["millrace.retries"]!.GetValue<string>());
            // What came back may wait, and goes no more than so often.
            var waiting = (await platform.DoAsync("topic", "replay", "orders.quarantine", "--backoff", "1000", "--json")).Json;
            Assert.Equal((0, 1), ((int)waiting["sent"]!, (int)waiting["waiting"]!));
            var given = (await platform.DoAsync("topic", "replay", "orders.quarantine", "--max-retries", "1", "--json")).Json;
            Assert.Equal((0, 1), ((int)given["sent"]!, (int)given["passed"]!));
            Assert.Equal(0, (int)(await platform.DoAsync("topic", "replay", "orders.quarantine", "--json")).Json["sent"]!);

            await platform.DoAsync("topic", "copy", "orders", "again");
            Assert.Equal(5, (await platform.DoAsync("topic", "tail", "again", "-n", "10", "--json")).Lines.Count);
            var lag = (await platform.DoAsync("topic", "lag", "--json")).Json["groups"]!.AsArray();
            Assert.Contains(lag, g => (string?)g!["id"] == "millrace-replay.orders.quarantine" && (int)g["lag"]! == 0);
            Assert.Contains("orders.quarantine", (await platform.DoAsync("topic", "lag", "millrace-replay.orders.quarantine")).Output, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
