using System.Globalization;
using System.Text;
using Millrace.Storage.Files;
using Millrace.Streams.Running;

namespace Millrace.Tests.Streams;

public sealed class StreamPipelineTests
{
    [BrokerFact]
    public async Task Good_rows_reach_tables_topics_and_the_live_view_and_bad_ones_quarantine()
    {
        await using var bed = await StreamTestBed.StartAsync();
        bed.Produce(3000);
        await using var pipeline = await bed.StartPipelineAsync(bed.Plan());
        await StreamTestBed.UntilAsync(() => pipeline.Status.Sources.Sum(s => s.In) == 3000, "all is taken in", pipeline);
        bed.Produce(2000);
        bed.CloseAllWindows();
        await OrderAssertions.SettledAsync(bed, pipeline);
        TestLogs.Note("settled");
        OrderAssertions.Exact(bed, pipeline);
        TestLogs.Note("compared");
        var newest = pipeline.NewestQuarantined(5);
        Assert.Equal(5, newest.Count);
        Assert.All(newest, q => Assert.StartsWith("not JSON", q.Reasons.Single(), StringComparison.Ordinal));
        await pipeline.StopAsync(CancellationToken.None);
        TestLogs.Note("stopped");
        Assert.Equal(PipelineState.Stopped, pipeline.Status.State);
        await pipeline.Completion;
    }

    [BrokerFact]
    public async Task A_stopped_pipeline_goes_on_where_it_was()
    {
        await using var bed = await StreamTestBed.StartAsync();
        for (var life = 0; life < 4; life++)
        {
            bed.Produce(500);
            await using var pipeline = await bed.StartPipelineAsync(bed.Plan());
            await StreamTestBed.UntilAsync(() => pipeline.Status.Sources.Sum(s => s.In) == 500 * (life + 1), "all is taken in", pipeline);
            await pipeline.StopAsync(CancellationToken.None);
        }
        bed.CloseAllWindows();
        await using var last = await bed.StartPipelineAsync(bed.Plan());
        await OrderAssertions.SettledAsync(bed, last);
        OrderAssertions.Exact(bed, last);
    }

    [BrokerFact]
    public async Task The_same_pipeline_started_twice_is_refused_by_name_of_the_holder()
    {
        await using var bed = await StreamTestBed.StartAsync();
        await using var pipeline = await bed.StartPipelineAsync(bed.Plan());
        var error = await Assert.ThrowsAsync<FolderLockedException>(() => bed.StartPipelineAsync(bed.Plan()));
        Assert.Contains(Environment.ProcessId.ToString(CultureInfo.InvariantCulture), error.Message, StringComparison.Ordinal);
    }
}

/// <summary>Compares all that a pipeline left behind with the one-pass truth.</summary>
internal static class OrderAssertions
{
    /// <summary>Waits until all is taken in, delivered and committed.</summary>
    public static Task SettledAsync(StreamTestBed bed, IRunningPipeline pipeline, int seconds = 60) => StreamTestBed.UntilAsync(
        () =>
        {
            var status = pipeline.Status;
            return status.Sources.Count == 1 && status.Sources[0].In == bed.Truth.Good + bed.Truth.Bad
                && status.Outputs.Any(o => o.Name == "by_country" && o.Rows == bed.Truth.ClosedWindows().Count)
                && status.Sinks.All(s => s.Pending == 0)
                && status.Sinks.Single(s => s.Target == "iceberg:sales.orders").Committed == bed.Truth.Good
                && status.Sinks.Single(s => s.Target == "iceberg:sales.by_country").Committed == bed.Truth.ClosedWindows().Count
                && status.Sinks.Single(s => s.Target.EndsWith(".quarantine", StringComparison.Ordinal)).Committed == bed.Truth.Bad
                && status.Sinks.Single(s => s.Target.EndsWith("_big", StringComparison.Ordinal)).Committed == bed.Truth.BigOrders.Count;
        },
        "all is settled", pipeline, seconds);

    /// <summary>Waits until all records are taken in and something was committed; for at most a few seconds.</summary>
    public static async Task IntakeAsync(StreamTestBed bed, IRunningPipeline pipeline)
    {
        var deadline = DateTime.UtcNow.AddSeconds(3);
        while (DateTime.UtcNow < deadline && !pipeline.Completion.IsCompleted)
        {
            var status = pipeline.Status;
            if (status.Sources.Count == 1 && status.Sources[0].In == bed.Truth.Good + bed.Truth.Bad && status.Sinks.All(s => s.Pending == 0))
                return;
            await Task.Delay(10);
        }
    }

    public static void Exact(StreamTestBed bed, IRunningPipeline pipeline)
    {
        var truth = bed.Truth;
        Assert.Equal(truth.Orders.Order(StringComparer.Ordinal), bed.Table("sales.orders", "order_id, country, amount"));
        Assert.Equal(truth.ClosedWindows(), bed.Table("sales.by_country", "country, epoch_us(window_start), revenue, orders"));
        Assert.Equal(truth.OpenWindows(), Live(pipeline));
        var quarantine = bed.ReadTopic(bed.Name + ".quarantine");
        Assert.Equal(
            truth.BadValues.Order(StringComparer.Ordinal), quarantine.Select(r => r.Value).Order(StringComparer.Ordinal));
        Assert.All(quarantine, r => Assert.StartsWith("not JSON", r.Header("millrace.reason"), StringComparison.Ordinal));
        Assert.Equal(
            quarantine.Count,
            quarantine.Select(r => r.Header("millrace.source-partition") + "/" + r.Header("millrace.source-offset")).Distinct().Count());
        Assert.Equal(truth.BigOrders.Order(StringComparer.Ordinal), bed.ReadTopic(bed.Name + "_big").Select(r => r.Key).Order(StringComparer.Ordinal));
        var source = pipeline.Status.Sources.Single();
        Assert.Equal((truth.Good, truth.Bad, 0), (source.Good, source.Quarantined, source.Late));
    }

    public static List<string> Live(IRunningPipeline pipeline)
    {
        using var rows = pipeline.LiveRows("by_country")!;
        return Enumerable.Range(0, rows.RowCount).Select(r => string.Join(
            "|", Encoding.UTF8.GetString(rows["country"].GetBytes(r)), rows["window_start"].Values<long>()[r],
            ((decimal)rows["revenue"].Values<Int128>()[r] / 100).ToString("0.00", CultureInfo.InvariantCulture), rows["orders"].Values<long>()[r]))
            .Order(StringComparer.Ordinal).ToList();
    }
}
