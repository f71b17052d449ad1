using System.Text;
using System.Text.Json.Nodes;
using Confluent.Kafka;
using Millrace.Bench.Running;
using Millrace.Interop.EndToEnd;
using Millrace.Interop.Iceberg;
using Millrace.Interop.Log;
using Millrace.Kafka.Clients;
using Millrace.Tests;

namespace Millrace.Interop.Schemas;

/// <summary>Other programs' serializers against the registry, and what they wrote as rows of a table.</summary>
public sealed class RegistryClientTests : PlatformTests
{
    private string Root => Platform.Address.ToString().TrimEnd('/');

    [PythonFact("confluent_kafka")]
    public async Task Records_of_an_unmodified_AvroProducer_land_in_a_table_across_two_versions_and_a_crash()
    {
        Produce("1", 0, 100);
        var file = Path.Combine(Folder, "orders.yaml");
        await File.WriteAllTextAsync(file, """
            pipeline: orders
            sources:
              orders: {from: "kafka:orders", format: avro}
            sinks:
              orders: iceberg:shop.orders?commit=1s
            """);
        await CommandAsync("run", file);
        await RowsAsync("SELECT count(*) AS n, sum(amount) AS s FROM shop.orders", r => Number(r[0]) == 100 && Number(r[1]) == 2475);
        // A field more and a wider id: the columns stay those of the first version.
        Produce("2", 100, 200);
        ProduceRaw([0, 0, 0, 99, 99, 1], "not framed"u8.ToArray(), [0, 0, 0, 0, 1]);
        await RowsAsync("SELECT count(*) AS n, max(order_id) AS m FROM shop.orders", r => Number(r[0]) == 200 && Number(r[1]) == 199);
        await Platform.KillAsync();
        await Platform.StartAsync(CancellationToken.None);
        Produce("2", 200, 300);
        await RowsAsync("SELECT count(DISTINCT order_id) AS n, count(*) AS m FROM shop.orders", r => Number(r[0]) == 300 && Number(r[1]) == 300);
        var reasons = Reasons("orders.quarantine", 3);
        Assert.Contains(reasons, r => r.Contains("schema 25443 is not in the registry", StringComparison.Ordinal));
        Assert.Contains(reasons, r => r.Contains("begins with the byte 0x6E", StringComparison.Ordinal));
        Assert.Contains(reasons, r => r.Contains("schema 1: a value of 8 bytes", StringComparison.Ordinal) || r.Contains("schema 1: the data ends", StringComparison.Ordinal));
    }

    [PythonFact("confluent_kafka")]
    public async Task Every_method_of_an_unmodified_SchemaRegistryClient_is_answered() => Assert.Equal(
        "OK", (await Programs.RunAsync(PythonFactAttribute.Python, null, Path.Combine(Repository.Root, "tests/Millrace.Interop/Schemas/registry_client.py"), Root)).Trim());

    [NpmFact("avsc")]
    public async Task Records_that_avsc_encodes_are_rows_and_what_the_command_line_sends_avsc_decodes()
    {
        var lines = ForeignProgram.Node("avro-registry.js", "encode", Root, "js-value", "50");
        ProduceRaw("js", [.. lines.Select(Convert.FromHexString)]);
        var file = Path.Combine(Folder, "js.yaml");
        await File.WriteAllTextAsync(file, """
            pipeline: js
            sources:
              js: kafka:js?format=avro
            sinks:
              js: iceberg:shop.js?commit=1s
            """);
        await CommandAsync("run", file);
        await RowsAsync("SELECT count(*) AS n, max(tags) AS t FROM shop.js", r => Number(r[0]) == 50 && r[1]!.ToString() == "[\"t9\"]");
        if (Repository.Shared is null)
            return;
        var person = Path.Combine(Repository.Shared, "data", "avro", "avro", "js", "person-10.avro");
        await CommandAsync("topic", "produce", "people", "--avro", person);
        var records = Records("people", 10).Select(r => Convert.ToHexStringLower(r.Value!)).ToArray();
        var decoded = await Programs.RunAsync("node", string.Join('\n', records) + "\n", Path.Combine(NpmFactAttribute.Folder, "avro-registry.js"), "decode", Root + "/schema-registry");
        Assert.Equal(10, decoded.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        Assert.Contains("people-value", await CommandAsync("schema", "list"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Rows_leave_as_Avro_with_a_registered_schema_and_are_read_back_once_each_across_a_crash()
    {
        var file = Path.Combine(Folder, "out.yaml");
        await File.WriteAllTextAsync(file, """
            pipeline: out
            sources:
              lines: {from: "kafka:lines", schema: {id: bigint, price: "decimal(10,2)", country: varchar, ts: timestamptz}, time: ts}
            sql:
              sales: SELECT id, price, country, ts FROM lines WHERE id >= 0
            sinks:
              sales: topic:sales?format=avro&key=country
            """);
        var back = Path.Combine(Folder, "back.yaml");
        await File.WriteAllTextAsync(back, """
            pipeline: back
            sources:
              sales: {from: "kafka:sales", format: avro}
            sinks:
              sales: iceberg:shop.sales?commit=1s
            """);
        await CommandAsync("topic", "create", "lines", "--partitions", "2");
        Lines(0, 200);
        await CommandAsync("run", file);
        await Platform.UntilJobAsync("out", job => job.Committed("kafka:sales") == 200, "200 rows in the topic");
        Assert.Contains(
            "\"name\":\"sales\",\"namespace\":\"millrace\"", (await Platform.DoAsync("schema", "show", "sales-value", "--json")).Json["schema"]!.ToString(), StringComparison.Ordinal);
        Assert.Contains("\"country\":\"C3\"", (await Platform.DoAsync("topic", "tail", "sales", "--decode")).Output.Replace(" ", "", StringComparison.Ordinal), StringComparison.Ordinal);
        await CommandAsync("run", back);
        Lines(200, 300);
        await Platform.KillAsync();
        await Platform.StartAsync(CancellationToken.None);
        Lines(300, 400);
        await RowsAsync(
            "SELECT count(*) AS n, count(DISTINCT id) AS d, sum(price) AS p, count(DISTINCT country) AS c FROM shop.sales",
            r => Number(r[0]) == 400 && Number(r[1]) == 400 && r[2]!.ToString() == "59850.00" && Number(r[3]) == 5);
    }

    private void Lines(int from, int to) => ProduceRaw("lines", [.. Enumerable.Range(from, to - from).Select(i =>
        Encoding.UTF8.GetBytes($"{{\"id\":{i},\"price\":{i * 0.75m:0.00},\"country\":\"C{i % 5}\",\"ts\":\"2024-01-01T00:00:{i % 60:00}Z\"}}"))]);

    [Fact]
    public async Task The_command_line_registers_checks_and_deletes()
    {
        string Schema(string name, string text)
        {
            var path = Path.Combine(Folder, name);
            File.WriteAllText(path, text);
            return path;
        }
        var first = Schema("a.avsc", """{"type":"record","name":"A","fields":[{"name":"x","type":"int"}]}""");
        var worse = Schema("b.avsc", """{"type":"record","name":"A","fields":[{"name":"x","type":"string"}]}""");
        Assert.Contains("id 1", await CommandAsync("schema", "register", "a-value", first), StringComparison.Ordinal);
        Assert.Contains("\"name\": \"x\"", await CommandAsync("schema", "show", "1"), StringComparison.Ordinal);
        var refused = await Platform.CommandAsync(["schema", "check", "a-value", worse]);
        Assert.Equal(1, refused.Code);
        Assert.Contains("TYPE_MISMATCH", refused.Output, StringComparison.Ordinal);
        Assert.Equal(2, (await Platform.CommandAsync(["schema", "register", "a-value", worse])).Code);
        Assert.Contains("BACKWARD", await CommandAsync("schema", "level", "a-value"), StringComparison.Ordinal);
        await CommandAsync("schema", "level", "a-value", "--set", "NONE");
        await CommandAsync("schema", "register", "a-value", worse);
        Assert.Contains("version 1,2", await CommandAsync("schema", "delete", "a-value"), StringComparison.Ordinal);
        await CommandAsync("schema", "register", "p", Schema("c.proto", "syntax = \"proto3\"; message C { int32 x = 1; }"));
        var list = JsonNode.Parse(await CommandAsync("schema", "list", "--json"))!.AsArray();
        Assert.Equal("PROTOBUF", Assert.Single(list)!["schemaType"]!.ToString());
    }

    private void Produce(string version, int from, int to) =>
        PythonPrograms.Run("Schemas/produce_avro.py", Platform.Brokers, Root, "orders", version, $"{from}", $"{to}");

    private void ProduceRaw(params byte[][] values) => ProduceRaw("orders", values);

    private void ProduceRaw(string topic, byte[][] values)
    {
        KafkaLibraries.EnsureReady();
        using var producer = new ProducerBuilder<Null, byte[]>(new ProducerConfig { BootstrapServers = Platform.Brokers }).Build();
        foreach (var value in values)
            producer.Produce(topic, new Message<Null, byte[]> { Value = value });
        producer.Flush(TimeSpan.FromSeconds(30));
    }

    private List<TopicRecord> Records(string topic, int count)
    {
        var deadline = DateTime.UtcNow.AddSeconds(60);
        while (true)
        {
            using var reader = new TopicReader(Platform.Brokers, TimeSpan.FromSeconds(10), TimeProvider.System);
            var records = reader.Partitions(topic) is { } partitions ? reader.Read(topic, partitions.ToDictionary(p => p, _ => 0L)).ToList() : [];
            if (records.Count >= count || DateTime.UtcNow > deadline)
                return records;
            Thread.Sleep(100);
        }
    }

    private List<string> Reasons(string topic, int count) =>
        [.. Records(topic, count).SelectMany(r => r.Headers).Where(h => h.Key.EndsWith("reason", StringComparison.Ordinal)).Select(h => Encoding.UTF8.GetString(h.Value))];

    private async Task<string> CommandAsync(params string[] arguments) => (await Platform.DoAsync(arguments)).Output;

    private async Task RowsAsync(string sql, Func<JsonArray, bool> good)
    {
        var deadline = DateTime.UtcNow.AddSeconds(60);
        string last = "";
        while (DateTime.UtcNow < deadline)
        {
            try
            {
                var rows = await Platform.SqlAsync(sql, CancellationToken.None);
                last = rows.ToJsonString();
                if (rows.Count > 0 && good(rows[0]!.AsArray()))
                    return;
            }
            catch (Exception error) when (error is InvalidOperationException or HttpRequestException)
            {
                // The table is made with the first commit.
                last = error.Message;
            }
            await Task.Delay(100);
        }
        Assert.Fail($"{sql}: {last}\n{Platform.Errors}");
    }

    private static double Number(JsonNode? node) => double.Parse(node!.ToString(), System.Globalization.CultureInfo.InvariantCulture);
}
