using Millrace.Bench.Running;
using Millrace.Interop.Log;
using Millrace.Interop.Schemas;

namespace Millrace.Interop.EndToEnd;

/// <summary>Topics that land in Iceberg tables by a setting of their own.</summary>
public sealed class TopicTableTests : PlatformTests
{
    [Fact]
    public async Task A_topic_of_JSON_lands_without_a_pipeline_file_also_across_a_crash_and_stops_when_the_setting_goes()
    {
        await Platform.DoAsync("topic", "create", "Clicks.v1", "--partitions", "2", "--iceberg", "web.clicks", "--set", "millrace.iceberg.commit.ms=1000");
        await ProduceAsync("Clicks.v1", 0, 500);
        await CountAsync("web.clicks", 500);
        await Platform.KillAsync();
        await Platform.StartAsync(CancellationToken.None);
        await ProduceAsync("Clicks.v1", 500, 900);
        await CountAsync("web.clicks", 900);
        var job = Assert.Single((await Platform.DoAsync("job", "list", "--json")).Json["jobs"]!.AsArray())!;
        Assert.StartsWith("topic_clicks_v1_", job["name"]!.ToString(), StringComparison.Ordinal);
        await Platform.DoAsync("topic", "delete", "Clicks.v1");
        await UntilAsync(async () => (await Platform.DoAsync("job", "list", "--json")).Json["jobs"]!.AsArray().Count == 0, "the job is gone");
        await CountAsync("web.clicks", 900);
    }

    [PythonFact("confluent_kafka")]
    public async Task A_topic_of_Avro_lands_with_the_columns_of_its_registered_schema()
    {
        await Platform.DoAsync("topic", "create", "orders", "--partitions", "1", "--iceberg", "shop.orders");
        var root = Platform.Address.ToString().TrimEnd('/');
        PythonPrograms.Run("Schemas/produce_avro.py", Platform.Brokers, root, "orders", "2", "0", "200");
        await CountAsync("shop.orders", 200);
        var table = (await Platform.DoAsync("table", "show", "shop.orders", "--json")).Output;
        Assert.Contains("timestamptz", table, StringComparison.OrdinalIgnoreCase);
        var job = (await Platform.DoAsync("job", "list", "--json")).Json["jobs"]!.AsArray();
        Assert.Equal("topic_orders", Assert.Single(job)!["name"]!.ToString());
    }

    [Fact]
    public async Task The_table_of_a_topic_evolves_with_its_schema_also_across_kill_9_and_a_schema_that_does_not_fit_is_refused()
    {
        await RegisterAsync("events-value", """{"type":"record","name":"E","fields":[{"name":"id","type":"int"}]}""");
        await Platform.DoAsync("topic", "create", "events", "--partitions", "2", "--iceberg", "web.events", "--set", "millrace.iceberg.commit.ms=1000");
        Send(1, Enumerable.Range(0, 100).Select(i => Zigzag(i)));
        await CountAsync("web.events", 100);
        // Wider, and a field more: registered while the job runs.
        await RegisterAsync("events-value", """{"type":"record","name":"E","fields":[{"name":"id","type":"long"},{"name":"page","type":"string","default":""}]}""");
        Send(2, Enumerable.Range(100, 50).Select(i => (byte[])[.. Zigzag(i), 4, (byte)'/', (byte)('a' + (i % 5))]));
        await Platform.KillAsync();
        await Platform.StartAsync(CancellationToken.None);
        Send(2, Enumerable.Range(150, 50).Select(i => (byte[])[.. Zigzag(i + 5_000_000_000), 4, (byte)'/', (byte)('a' + (i % 5))]));
        Send(1, Enumerable.Range(200, 10).Select(i => Zigzag(i)));
        await CountAsync("web.events", 210);
        await UntilAsync(
            async () =>
            {
                try
                {
                    var row = (await Platform.SqlAsync("SELECT count(DISTINCT id), max(id), count(DISTINCT page) FROM web.events WHERE page > ''", CancellationToken.None))[0]!;
                    return (row[0]!.ToString(), row[2]!.ToString()) == ("100", "5") && row[1]!.ToString() == "5000000199";
                }
                catch (InvalidOperationException)
                {
                    return false;
                }
            }, "pages and wide ids are in the table");
        // A type that no column can become: the running job goes on with what it has, and the log says why.
        using (var http = new HttpClient { BaseAddress = Platform.Address })
        {
            using var body = new StringContent("{\"compatibility\": \"NONE\"}", System.Text.Encoding.UTF8, "application/json");
            (await http.PutAsync("/config/events-value", body)).EnsureSuccessStatusCode();
        }
        await RegisterAsync("events-value", """{"type":"record","name":"E","fields":[{"name":"id","type":"string"}]}""");
        await UntilAsync(() => Task.FromResult(Platform.Errors.Contains("column 'id' is long in the table and string in the rows", StringComparison.Ordinal)), "the misfit is told");
        Send(2, Enumerable.Range(300, 5).Select(i => (byte[])[.. Zigzag(i), 2, (byte)'x']));
        Send(3, [[2, (byte)'x']]);
        Send(2, Enumerable.Range(305, 5).Select(i => (byte[])[.. Zigzag(i), 2, (byte)'x']));
        await CountAsync("web.events", 220);
        await UntilAsync(async () => (await Platform.DoAsync("topic", "list", "--json")).Output.Contains("events.quarantine", StringComparison.Ordinal), "the other is in quarantine");
        var all = (await Platform.SqlAsync("SELECT count(*) - count(DISTINCT id) FROM web.events", CancellationToken.None))[0]!;
        Assert.Equal("0", all[0]!.ToString());
    }

    [Fact]
    public async Task The_table_of_a_JSON_topic_evolves_with_its_registered_schema_across_kill_9_and_one_that_does_not_fit_is_refused()
    {
        const string subject = "visits-value";
        await RegisterAsync(subject, """{"type":"object","properties":{"id":{"type":"integer","format":"int32"},"share":{"type":"number","format":"float"}},"additionalProperties":false}""", "schema.json");
        await Platform.DoAsync("topic", "create", "visits", "--partitions", "2", "--iceberg", "web.visits", "--set", "millrace.iceberg.commit.ms=1000");
        await SendLinesAsync("visits", Enumerable.Range(0, 100).Select(i => $$"""{"id": {{i}}, "share": 0.5}"""));
        await CountAsync("web.visits", 100);
        // Wider, and a field more: registered while the job runs.
        await RegisterAsync(subject, """{"type":"object","properties":{"id":{"type":"integer"},"share":{"type":"number"},"page":{"type":["null","string"]}},"additionalProperties":false}""", "schema.json");
        await UntilAsync(async () => (await Platform.DoAsync("table", "show", "web.visits", "--json")).Output.Contains("page", StringComparison.Ordinal), "the table has the new column");
        await SendLinesAsync("visits", Enumerable.Range(100, 50).Select(i => $$"""{"id": {{i + 5_000_000_000}}, "share": 1e300, "page": "/a"}"""));
        await Platform.KillAsync();
        await Platform.StartAsync(CancellationToken.None);
        await SendLinesAsync("visits", Enumerable.Range(150, 50).Select(i => $$"""{"id": {{i}}, "page": null}"""));
        await CountAsync("web.visits", 200);
        var row = (await Platform.SqlAsync("SELECT count(DISTINCT id), max(id), max(share), count(page) FROM web.visits", CancellationToken.None))[0]!;
        Assert.Equal(("200", "5000000149", 1e300, "50"), (row[0]!.ToString(), row[1]!.ToString(), row[2]!.GetValue<double>(), row[3]!.ToString()));
        // A type that no column can become: the running job goes on with what it has, and the log says why.
        using (var http = new HttpClient { BaseAddress = Platform.Address })
        {
            using var body = new StringContent("{\"compatibility\": \"NONE\"}", System.Text.Encoding.UTF8, "application/json");
            (await http.PutAsync("/config/" + subject, body)).EnsureSuccessStatusCode();
        }
        await RegisterAsync(subject, """{"type":"object","properties":{"id":{"type":"string"}}}""", "schema.json");
        await UntilAsync(() => Task.FromResult(Platform.Errors.Contains("column 'id' is long in the table and string in the rows", StringComparison.Ordinal)), "the misfit is told");
        await SendLinesAsync("visits", ["""{"id": 7000, "page": "/b"}"""]);
        await CountAsync("web.visits", 201);
    }

    private async Task SendLinesAsync(string topic, IEnumerable<string> lines) =>
        Assert.Equal(0, (await Platform.CommandAsync(["topic", "produce", topic], string.Concat(lines.Select(l => l + "\n")))).Code);

    private async Task RegisterAsync(string subject, string schema, string name = "schema.avsc")
    {
        var file = Path.Combine(Folder, name);
        await File.WriteAllTextAsync(file, schema);
        await Platform.DoAsync("schema", "register", subject, file);
    }

    private void Send(int schema, IEnumerable<byte[]> records)
    {
        Millrace.Kafka.Clients.KafkaLibraries.EnsureReady();
        using var producer = new Confluent.Kafka.ProducerBuilder<Confluent.Kafka.Null, byte[]>(
            new Confluent.Kafka.ProducerConfig { BootstrapServers = Platform.Brokers, Acks = Confluent.Kafka.Acks.All }).Build();
        foreach (var record in records)
            producer.Produce("events", new Confluent.Kafka.Message<Confluent.Kafka.Null, byte[]> { Value = [0, 0, 0, 0, (byte)schema, .. record] });
        producer.Flush(TimeSpan.FromSeconds(20));
    }

    private static byte[] Zigzag(long value)
    {
        var bytes = new List<byte>();
        var left = (ulong)value << 1;
        for (; left >= 0x80; left >>= 7)
            bytes.Add((byte)(left | 0x80));
        bytes.Add((byte)left);
        return [.. bytes];
    }

    [Fact]
    public async Task A_table_name_that_is_none_is_refused_when_the_topic_is_made()
    {
        var answer = await Platform.CommandAsync(["topic", "create", "t", "--iceberg", "nodot"]);
        Assert.Equal(2, answer.Code);
        Assert.Contains("namespace.table", answer.Errors, StringComparison.Ordinal);
    }

    private async Task ProduceAsync(string topic, int from, int to)
    {
        var lines = string.Concat(Enumerable.Range(from, to - from).Select(i => $$"""{"id": {{i}}, "page": "/p{{i % 7}}"}""" + "\n"));
        Assert.Equal(0, (await Platform.CommandAsync(["topic", "produce", topic], lines)).Code);
    }

    private async Task CountAsync(string table, int rows)
    {
        var seen = "no table";
        await UntilAsync(
            async () =>
            {
                try
                {
                    seen = (await Platform.SqlAsync($"SELECT count(*) FROM {table}", CancellationToken.None))[0]![0]!.ToString();
                }
                catch (InvalidOperationException)
                {
                    // The table is made with the first commit.
                }
                return seen == $"{rows}";
            },
            () => $"{rows} rows in {table}, seen: {seen}");
    }

    private Task UntilAsync(Func<Task<bool>> condition, string what) => UntilAsync(condition, () => what);

    private async Task UntilAsync(Func<Task<bool>> condition, Func<string> what)
    {
        var deadline = DateTime.UtcNow.AddSeconds(60);
        while (!await condition())
        {
            if (DateTime.UtcNow > deadline)
                Assert.Fail($"not in time: {what()}\n{(await Platform.DoAsync("job", "list", "--json")).Output}\n{(await Platform.DoAsync("topic", "list", "--json")).Output}\n{Platform.Errors}");
            await Task.Delay(100);
        }
    }
}
