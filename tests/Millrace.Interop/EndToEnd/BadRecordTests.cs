using System.Globalization;
using System.Text;
using Confluent.Kafka;
using Millrace.Bench.Running;
using Millrace.Kafka.Clients;

namespace Millrace.Interop.EndToEnd;

/// <summary>Records that nothing can be done with, from an ordinary client to <c>NAME.quarantine</c>, as a user meets them.</summary>
public sealed class BadRecordTests
{
    private const string Pipeline = """
        pipeline: orders
        sources:
          orders:
            from: kafka:orders?time=ts&watermark=1s
            schema: {order_id: bigint, country: varchar, amount: double, ts: timestamptz}
        checks:
          orders:
            - not_null(order_id, country, ts)
            - amount between 0 and 1000
        sinks:
          orders: iceberg:sales.orders?commit=1s
        """;

    [Fact]
    public async Task Each_is_quarantined_with_its_reasons_and_nothing_else_is_disturbed()
    {
        var folder = Directory.CreateTempSubdirectory("millrace-bad-").FullName;
        try
        {
            await using var platform = PlatformProcess.Create(folder);
            KafkaLibraries.EnsureReady();
            await platform.StartAsync(CancellationToken.None);
            await platform.DoAsync("topic", "create", "orders", "--partitions", "1");
            var file = Path.Combine(folder, "orders.yaml");
            await File.WriteAllTextAsync(file, Pipeline);
            await platform.DoAsync("run", file);

            var bad = BadRecords();
            using (var producer = new ProducerBuilder<Null, byte[]>(new ProducerConfig { BootstrapServers = platform.Brokers, MessageMaxBytes = 12 << 20 }).Build())
            {
                foreach (var (value, _) in bad)
                {
                    producer.Produce("orders", new Message<Null, byte[]> { Value = value });
                    producer.Produce("orders", new Message<Null, byte[]> { Value = Good() });
                }
                producer.Flush(TimeSpan.FromSeconds(30));
            }
            await platform.UntilJobAsync(
                "orders", j => j.Committed("kafka:orders.quarantine") == bad.Count && j.Committed("iceberg:sales.orders") == bad.Count, "all have gone their way");

            var told = (await platform.DoAsync("topic", "tail", "orders.quarantine", "-n", "100", "--json")).Lines
                .OrderBy(r => int.Parse(r["headers"]!["millrace.source-offset"]!.GetValue<string>(), CultureInfo.InvariantCulture)).ToList();
            Assert.Equal(bad.Count, told.Count);
            for (var i = 0; i < bad.Count; i++)
            {
                var headers = told[i]["headers"]!;
                Assert.Equal((2 * i).ToString(CultureInfo.InvariantCulture), headers["millrace.source-offset"]!.GetValue<string>());
                Assert.Equal("orders", headers["millrace.source-topic"]!.GetValue<string>());
                Assert.Equal(Encoding.UTF8.GetString(bad[i].Value), told[i]["value"]!.GetValue<string>());
                foreach (var reason in bad[i].Reasons)
                    Assert.Contains(reason, headers["millrace.reason"]!.ToJsonString(new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }));
            }
            Assert.Equal((long)bad.Count, (await platform.SqlAsync("SELECT count(*) FROM sales.orders", CancellationToken.None))[0]![0]!.GetValue<long>());
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static byte[] Good() => """{"order_id":1,"country":"AT","amount":5,"ts":"2026-01-01T00:00:00Z"}"""u8.ToArray();

    private static List<(byte[] Value, string[] Reasons)> BadRecords()
    {
        var big = new byte[10 << 20];
        big.AsSpan().Fill((byte)' ');
        (string Value, string[] Reasons)[] texts =
        [
            ("this is not JSON", ["not JSON"]),
            ("""{"order_id":1,"country":"AT","amount":""", ["not JSON"]),
            ("[1,2]", ["a JSON object is expected"]),
            ("""{"order_id":"one","country":"AT","amount":5,"ts":"2026-01-01T00:00:00Z"}""", ["column order_id: "]),
            ("""{"order_id":1,"country":7,"amount":5,"ts":"2026-01-01T00:00:00Z"}""", ["column country: text is expected"]),
            ("""{"order_id":1,"country":"AT","amount":5,"ts":"yesterday"}""", ["column ts: "]),
            ("""{"country":"AT","amount":5,"ts":"2026-01-01T00:00:00Z"}""", ["order_id is null"]),
            ("""{"order_id":1,"country":"AT","amount":5,"ts":"2026-01-01T00:00:00Z","colour":"red"}""", ["colour"]),
            ("""{"order_id":1,"country":"AT","amount":NaN,"ts":"2026-01-01T00:00:00Z"}""", ["NaN and Infinity are not JSON"]),
            ($$"""{"order_id":1,"country":{{new string('[', 300)}}{{new string(']', 300)}},"amount":5,"ts":"2026-01-01T00:00:00Z"}""", ["nested more than 64 levels deep"]),
            ($$"""{"order_id":1,"country":"AT","amount":5,"ts":"2026-01-01T00:00:00Z","deep":{{new string('[', 300)}}{{new string(']', 300)}}}""", ["unknown field"]),
            ("""{"order_id":1,"order_id":2,"country":"AT","amount":5,"ts":"2026-01-01T00:00:00Z"}""", ["duplicate key"]),
            ("""{"order_id":null,"amount":5000,"ts":"2026-01-01T00:00:00Z"}""", ["not_null(order_id, country, ts): order_id", "amount between 0 and 1000: amount = 5000"]),
        ];
        return
        [
            .. texts.Select(t => (Encoding.UTF8.GetBytes(t.Value), t.Reasons)),
            ([.. "{\"order_id\":1,\"country\":\""u8, 0xC3, 0x28, .. "\",\"amount\":5,\"ts\":\"2026-01-01T00:00:00Z\"}"u8], ["invalid UTF-8"]),
            (big, ["the record has 10485760 bytes"]),
        ];
    }
}
