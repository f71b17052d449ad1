using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;
using Confluent.Kafka;
using Millrace.Kafka.Clients;
using Millrace.Tests;

namespace Millrace.Interop.EndToEnd;

/// <summary>The example of retries and dead letters, in a platform that is killed while records wait.</summary>
public sealed class DeadLetterTests : PlatformTests
{
    private const string Schema = """{"type":"record","name":"E","fields":[{"name":"id","type":"long"}]}""";

    [Fact]
    public async Task Records_that_wait_for_their_schema_survive_kill_9_once_each_and_poison_is_a_dead_letter()
    {
        await Platform.DoAsync("topic", "create", "events", "--partitions", "2");
        Assert.Equal(1, await RegisterAsync("events-value", null));
        await Platform.DoAsync("run", Path.Combine(Repository.Root, "examples", "dead_letters.yaml"));
        Produce(schema: 1, 0, 50);
        Produce(schema: 77, 50, 80);
        Produce([0x7B, 0x7D]);
        await UntilAsync(s => Number(s, "good") == 50 && Number(s, "waiting") == 30 && Number(s, "quarantined") == 1 && Number(s, "retried") >= 30, "30 records wait");
        Assert.Contains("schema 77 is not in the registry", (await Platform.DoAsync("job", "show", "dead_letters")).Output, StringComparison.Ordinal);
        await Platform.KillAsync();
        await Platform.StartAsync(CancellationToken.None);
        Produce(schema: 77, 80, 90);
        await UntilAsync(s => Number(s, "waiting") == 40, "they wait again");
        Assert.Equal(77, await RegisterAsync("late", 77));
        await UntilAsync(s => Number(s, "good") == 90 && Number(s, "waiting") == 0 && Number(s, "quarantined") == 1, "all are good");
        await Platform.UntilJobAsync("dead_letters", job => job.Committed("iceberg:shop.events") == 90, "all are in the table");
        var rows = await Platform.DoAsync("sql", "SELECT count(*) AS n, count(DISTINCT id) AS d FROM shop.events", "--json");
        Assert.Contains("90", rows.Output, StringComparison.Ordinal);
        var counts = rows.Json["rows"]![0]!.AsArray();
        Assert.Equal(["90", "90"], counts.Select(c => c!.ToString()));
        var dead = (await Platform.DoAsync("topic", "tail", "events.dead", "--json")).Lines.Single();
        Assert.Contains("begins with a zero byte", dead.ToJsonString(), StringComparison.Ordinal);
        Assert.Contains("millrace.attempts", dead.ToJsonString(), StringComparison.Ordinal);
        using var http = new HttpClient { BaseAddress = Platform.Address };
        Assert.Contains("millrace_events_waiting{job=\"dead_letters\",source=\"events\"} 0", await http.GetStringAsync("/metrics"), StringComparison.Ordinal);
    }

    private async Task<int> RegisterAsync(string subject, int? id)
    {
        using var http = new HttpClient { BaseAddress = Platform.Address };
        async Task<JsonNode> Send(HttpMethod method, string path, JsonObject body)
        {
            using var request = new HttpRequestMessage(method, path) { Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json") };
            using var response = await http.SendAsync(request);
            var text = await response.Content.ReadAsStringAsync();
            Assert.True(response.IsSuccessStatusCode, text);
            return JsonNode.Parse(text)!;
        }
        var body = new JsonObject { ["schema"] = id is null ? Schema : Schema.Replace("\"E\"", "\"E\",\"doc\":\"late\"", StringComparison.Ordinal) };
        if (id is not null)
        {
            // As a registry that is filled from another one is: the id is given.
            await Send(HttpMethod.Put, "/mode/" + subject, new JsonObject { ["mode"] = "IMPORT" });
            (body["id"], body["version"]) = (id, 1);
        }
        return (await Send(HttpMethod.Post, $"/subjects/{subject}/versions", body))["id"]!.GetValue<int>();
    }

    private void Produce(int schema, int from, int to)
    {
        var records = new List<byte[]>();
        for (var id = from; id < to; id++)
        {
            var frame = new List<byte> { 0, 0, 0, 0, 0 };
            BinaryPrimitives.WriteInt32BigEndian(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(frame)[1..], schema);
            var zigzag = (ulong)id << 1;
            for (; zigzag >= 0x80; zigzag >>= 7)
                frame.Add((byte)(zigzag | 0x80));
            frame.Add((byte)zigzag);
            records.Add([.. frame]);
        }
        Produce([.. records]);
    }

    private void Produce(params byte[][] values)
    {
        KafkaLibraries.EnsureReady();
        using var producer = new ProducerBuilder<Null, byte[]>(new ProducerConfig { BootstrapServers = Platform.Brokers, Acks = Acks.All }).Build();
        foreach (var value in values)
            producer.Produce("events", new Message<Null, byte[]> { Value = value });
        producer.Flush(TimeSpan.FromSeconds(20));
    }

    private Task UntilAsync(Func<JsonNode, bool> condition, string what) =>
        Platform.UntilJobAsync("dead_letters", job => job["sources"]![0] is { } source && condition(source), what);

    private static long Number(JsonNode source, string name) => source[name]?.GetValue<long>() ?? 0;
}
