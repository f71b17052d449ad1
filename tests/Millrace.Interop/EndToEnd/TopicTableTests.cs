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

    private Task CountAsync(string table, int rows) => UntilAsync(
        async () =>
        {
            try
            {
                return (await Platform.SqlAsync($"SELECT count(*) FROM {table}", CancellationToken.None))[0]![0]!.ToString() == $"{rows}";
            }
            catch (InvalidOperationException)
            {
                // The table is made with the first commit.
                return false;
            }
        },
        $"{rows} rows in {table}");

    private async Task UntilAsync(Func<Task<bool>> condition, string what)
    {
        var deadline = DateTime.UtcNow.AddSeconds(60);
        while (!await condition())
        {
            Assert.True(DateTime.UtcNow < deadline, $"not in time: {what}\n{Platform.Errors}");
            await Task.Delay(100);
        }
    }
}
