using System.Globalization;
using System.Text;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Maintenance;
using Millrace.Kafka.Clients;
using Millrace.Storage.Files;
using Millrace.Streams.Plans;
using Millrace.Streams.Running;

namespace Millrace.Tests.Streams;

public sealed class StreamPipelineTests
{
    [Fact]
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

    [Fact]
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

    [Fact]
    public async Task Every_kind_of_bad_record_is_quarantined_with_all_its_reasons_and_disturbs_nothing()
    {
        await using var bed = await StreamTestBed.StartAsync(partitions: 1);
        var future = DateTimeOffset.UtcNow.AddHours(2).ToString("O", CultureInfo.InvariantCulture);
        var bad = new Dictionary<string, string[]>
        {
            ["nonsense"] = ["not JSON"],
            [""] = ["not JSON: the record is empty"],
            ["[1,2]"] = ["a JSON object is expected"],
            ["{\"order_id\":1,\"country\":5,\"amount\":1,\"ts\":\"2023-11-14T22:13:20Z\"}"] = ["column country: text is expected"],
            ["{\"country\":\"AT\",\"amount\":1,\"ts\":\"2023-11-14T22:13:20Z\"}"] = ["column order_id is missing"],
            ["{\"order_id\":1,\"order_id\":2,\"ts\":\"2023-11-14T22:13:20Z\"}"] = ["duplicate key"],
            ["{\"order_id\":1,\"amount\":NaN,\"ts\":\"2023-11-14T22:13:20Z\"}"] = ["NaN and Infinity are not JSON"],
            [$"{{\"order_id\":1,\"country\":\"AT\",\"amount\":1,\"deep\":{new string('[', 300)}{new string(']', 300)},\"ts\":\"2023-11-14T22:13:20Z\"}}"] = ["nested more than"],
            ["{\"order_id\":1,\"country\":\"AT\",\"amount\":1}"] = ["ts is null: the row has no event time"],
            [$"{{\"order_id\":1,\"country\":null,\"amount\":-1,\"ts\":\"{future}\"}}"] =
                ["event time ts is", "not_null(country): country is null", "amount between 0 and 1000: amount = -1.00"],
            ["{\"order_id\":1,\"country\":null,\"amount\":5000,\"ts\":\"2023-11-14T22:13:20Z\"}"] =
                ["not_null(country): country is null", "amount between 0 and 1000: amount = 5000.00"],
        };
        foreach (var value in bad.Keys)
        {
            bed.Send(Encoding.UTF8.GetBytes(value), 0);
            bed.Send(bed.Truth.Next(0).Value, 0);
        }
        bed.Send(null, 0);
        bed.Send([0xFF, 0xFE, (byte)'{'], 0);
        var big = new byte[10 << 20];
        big.AsSpan().Fill((byte)' ');
        bed.Send(big, 0);
        bed.Flush();
        await using var pipeline = await bed.StartPipelineAsync(bed.Plan(
            new NotNullCheck("not_null(country)", ["country"]),
            new BetweenCheck("amount between 0 and 1000", "amount", new Literal.Integer(0), new Literal.Integer(1000))));
        await StreamTestBed.UntilAsync(
            () => pipeline.Status.Sinks.Any(s => s.Target.EndsWith(".quarantine", StringComparison.Ordinal) && s.Committed == bad.Count + 3), "all is quarantined", pipeline);
        var quarantine = bed.ReadTopic(bed.Name + ".quarantine");
        Assert.Equal(bad.Count + 3, quarantine.Count);
        foreach (var (value, reasons) in bad)
        {
            var told = quarantine.Single(q => q.Value == value).Headers["millrace.reason"].ToArray();
            Assert.Equal(reasons.Length, told.Length);
            foreach (var reason in reasons)
                Assert.Contains(told, t => t.StartsWith(reason, StringComparison.Ordinal));
        }
        Assert.StartsWith("the record has no value", quarantine.Single(q => q.Value is null).Header("millrace.reason"), StringComparison.Ordinal);
        Assert.Contains(quarantine, q => q.Header("millrace.reason").StartsWith("invalid UTF-8", StringComparison.Ordinal));
        Assert.Contains(quarantine, q => q.Value?.Length == big.Length && q.Header("millrace.reason").StartsWith("the record has 10485760 bytes", StringComparison.Ordinal));
        var source = pipeline.Status.Sources.Single();
        Assert.Equal((bad.Count, bad.Count + 3), (source.Good, source.Quarantined));
        Assert.Contains(source.Reasons, r => r is { Reason: "amount between 0 and 1000", Count: 2 });
        Assert.True(source.Watermark < DateTimeOffset.UtcNow.AddYears(-1), "garbage moved the watermark");
    }

    [Fact]
    public async Task Duplicates_are_found_across_restarts()
    {
        await using var bed = await StreamTestBed.StartAsync(partitions: 1);
        var plan = bed.Plan(new UniqueCheck("unique(order_id) within 1h", ["order_id"], TimeSpan.FromHours(1)));
        var values = Enumerable.Range(0, 50).Select(_ => bed.Truth.Next(0).Value).ToArray();
        for (var life = 0; life < 3; life++)
        {
            foreach (var value in values)
                bed.Send(value, 0);
            bed.Flush();
            await using var pipeline = await bed.StartPipelineAsync(plan);
            await StreamTestBed.UntilAsync(() => pipeline.Status.Sources.Sum(s => s.In) == 50 * (life + 1), "all is taken in", pipeline);
            var source = pipeline.Status.Sources.Single();
            Assert.Equal((50, 50 * life), (source.Good, source.Quarantined));
            await pipeline.StopAsync(CancellationToken.None);
        }
        Assert.Equal(bed.Truth.Orders.Order(StringComparer.Ordinal), bed.Table("sales.orders", "order_id, country, amount"));
    }

    [Fact]
    public async Task Late_rows_go_to_a_topic_of_their_own_and_stay_in_the_raw_table()
    {
        await using var bed = await StreamTestBed.StartAsync(partitions: 1);
        await using var pipeline = await bed.StartPipelineAsync(bed.Plan());
        bed.Produce(100, badEvery: 0);
        bed.CloseAllWindows(partitions: 1);
        await OrderAssertions.SettledAsync(bed, pipeline);
        var closed = bed.Truth.ClosedWindows();
        var late = bed.Truth.Next(0).Value;
        bed.Send(late, 0);
        bed.Flush();
        await StreamTestBed.UntilAsync(
            () => pipeline.Status.Sinks.Any(s => s.Target.EndsWith(".late", StringComparison.Ordinal) && s.Committed == 1)
                && pipeline.Status.Sinks.Any(s => s.Target == "iceberg:sales.orders" && s.Committed == bed.Truth.Good), "the row is late", pipeline);
        var record = bed.ReadTopic(bed.Name + ".late").Single();
        Assert.Equal(Encoding.UTF8.GetString(late), record.Value);
        Assert.StartsWith("late for by_country: the window from", record.Header("millrace.reason"), StringComparison.Ordinal);
        Assert.Equal("101", record.Header("millrace.source-offset"));
        Assert.Equal(closed, bed.Table("sales.by_country", "country, epoch_us(window_start), revenue, orders"));
        Assert.Equal(bed.Truth.Orders.Order(StringComparer.Ordinal), bed.Table("sales.orders", "order_id, country, amount"));
        var status = pipeline.Status;
        Assert.Equal((1, 1), (status.Sources.Single().Late, status.Outputs.Single(o => o.Name == "by_country").LateRows));
    }

    [Fact]
    public async Task On_fail_stop_ends_right_before_the_record_again_and_again()
    {
        await using var bed = await StreamTestBed.StartAsync(partitions: 1);
        bed.Produce(80, badEvery: 50);
        var plan = bed.Plan();
        plan = plan with { Sources = [plan.Sources[0] with { OnFail = OnFail.Stop }] };
        for (var life = 0; life < 2; life++)
        {
            await using var pipeline = await bed.StartPipelineAsync(plan);
            var failure = await Assert.ThrowsAsync<PipelineFailedException>(() => pipeline.Completion.WaitAsync(TimeSpan.FromSeconds(30)));
            Assert.Contains($"topic {bed.Topic}, partition 0, offset 49: not JSON", failure.Message, StringComparison.Ordinal);
            Assert.Equal(PipelineState.Failed, pipeline.Status.State);
            Assert.Equal(49, bed.Table("sales.orders", "order_id").Count);
        }
    }

    [Fact]
    public async Task The_breaker_pauses_says_why_and_goes_on_when_rows_are_good_again()
    {
        await using var bed = await StreamTestBed.StartAsync(partitions: 1);
        bed.Produce(1000, badEvery: 2);
        var plan = bed.Plan();
        plan = plan with { Sources = [plan.Sources[0] with { Breaker = new BreakerPlan(0.05, TimeSpan.FromMinutes(1)) }] };
        var environment = bed.EnvironmentOf();
        environment = environment with { Options = environment.Options with { MaxBatchRecords = 200, Breaker = new(100, TimeSpan.FromSeconds(1), 400) } };
        await using var pipeline = await StreamPipeline.StartAsync(plan, environment, CancellationToken.None);
        await StreamTestBed.UntilAsync(() => pipeline.Status.State == PipelineState.Paused, "the breaker opens", pipeline);
        Assert.Contains("rows failed, more than 5 %", pipeline.Status.Reason, StringComparison.Ordinal);
        bed.Produce(2000, badEvery: 0);
        await StreamTestBed.UntilAsync(() => pipeline.Status is { State: PipelineState.Running } s && s.Sources[0].In == 3000, "it goes on", pipeline);
        Assert.Equal((2500, 500), (pipeline.Status.Sources[0].Good, pipeline.Status.Sources[0].Quarantined));
    }

    [Fact]
    public async Task A_changed_plan_of_the_same_name_is_refused_with_a_way_out()
    {
        await using var bed = await StreamTestBed.StartAsync();
        bed.Produce(100);
        var plan = bed.Plan();
        await using (var pipeline = await bed.StartPipelineAsync(plan))
        {
            await StreamTestBed.UntilAsync(() => pipeline.Status.Sources.Sum(s => s.In) == 100, "all is taken in", pipeline);
            await pipeline.StopAsync(CancellationToken.None);
        }
        var window = (WindowedQueryPlan)plan.Queries[1];
        var changed = plan with { Queries = [plan.Queries[0], window with { Size = TimeSpan.FromMinutes(1) }] };
        var error = await Assert.ThrowsAsync<IncompatiblePlanException>(() => bed.StartPipelineAsync(changed));
        Assert.Contains("query by_country is another one", error.Message, StringComparison.Ordinal);
        Assert.Contains("new name", error.Message, StringComparison.Ordinal);
        await using var same = await bed.StartPipelineAsync(plan with { Sinks = [.. plan.Sinks.Take(2)] });
    }

    [Fact]
    public async Task A_state_folder_that_was_lost_or_put_back_from_a_copy_doubles_nothing()
    {
        await using var bed = await StreamTestBed.StartAsync();
        bed.Produce(100);
        var plan = bed.Plan();
        for (var life = 0; life < 2; life++)
        {
            await using (var pipeline = await bed.StartPipelineAsync(plan))
            {
                await StreamTestBed.UntilAsync(() => pipeline.Status.Sources.Sum(s => s.In) == 100 * (life + 1), "all is taken in", pipeline);
                await pipeline.StopAsync(CancellationToken.None);
            }
            if (life == 0)
                Copy(bed.StateFolder, bed.StateFolder + "-old");
            bed.Produce(100);
        }
        Directory.Delete(bed.StateFolder, recursive: true);
        var lost = await Assert.ThrowsAsync<InvalidDataException>(() => bed.StartPipelineAsync(plan));
        Assert.Contains("from another state of that pipeline", lost.Message, StringComparison.Ordinal);
        Directory.Delete(bed.StateFolder, recursive: true);
        Directory.Move(bed.StateFolder + "-old", bed.StateFolder);
        var old = await Assert.ThrowsAsync<InvalidDataException>(() => bed.StartPipelineAsync(plan));
        Assert.Contains("the folder is older than the table", old.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_pipeline_waits_visibly_for_a_broker_that_is_not_there()
    {
        await using var bed = await StreamTestBed.StartAsync();
        var plan = bed.Plan();
        plan = plan with { Sources = [plan.Sources[0] with { Brokers = "127.0.0.1:1" }] };
        await using var pipeline = await bed.StartPipelineAsync(plan);
        await StreamTestBed.UntilAsync(() => pipeline.Status.Reason is not null, "it says why", pipeline);
        Assert.Equal(PipelineState.Starting, pipeline.Status.State);
        Assert.Contains("waits for topic", pipeline.Status.Reason, StringComparison.Ordinal);
        Assert.Contains("127.0.0.1:1", pipeline.Status.Reason, StringComparison.Ordinal);
        Assert.Contains("Connection refused", pipeline.Status.Reason, StringComparison.Ordinal);
        await pipeline.StopAsync(CancellationToken.None);
    }

    [Fact]
    public async Task A_stranger_in_the_consumer_group_is_told_and_nothing_is_lost_or_doubled_when_it_leaves()
    {
        await using var bed = await StreamTestBed.StartAsync();
        bed.Produce(500);
        await using var pipeline = await bed.StartPipelineAsync(bed.Plan());
        await StreamTestBed.UntilAsync(() => pipeline.Status.Sources.Sum(s => s.In) == 500, "all is taken in", pipeline);
        using (var stranger = new BatchConsumer(
            new BatchConsumerOptions { Brokers = bed.Brokers, GroupId = bed.Name }, _ => BatchConsumer.Earliest, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance))
        {
            stranger.Subscribe(bed.Topic);
            await StreamTestBed.UntilAsync(
                () =>
                {
                    stranger.Poll(TimeSpan.FromMilliseconds(20)).Dispose();
                    return pipeline.Status.Reason is { } reason && reason.Contains("another member of the consumer group", StringComparison.Ordinal);
                }, "it says who has the partition", pipeline);
            bed.Produce(500);
        }
        bed.CloseAllWindows();
        await OrderAssertions.SettledAsync(bed, pipeline);
        OrderAssertions.Exact(bed, pipeline);
        Assert.Null(pipeline.Status.Reason);
    }

    [Fact]
    public async Task Upkeep_beside_the_stream_keeps_tables_small_and_every_row_once_over_restarts()
    {
        await using var bed = await StreamTestBed.StartAsync();
        var environment = bed.EnvironmentOf();
        environment = environment with
        {
            Options = environment.Options with
            {
                Upkeep = new UpkeepOptions { Every = TimeSpan.FromMilliseconds(50), DefaultKeep = TimeSpan.Zero, DefaultKeepLast = 1, MinExpired = 1, MinFiles = 2 },
            },
        };
        var plan = bed.Plan();
        plan = plan with { Sinks = [.. plan.Sinks.Select(s => s is IcebergSinkPlan table ? table with { CommitEvery = TimeSpan.FromMilliseconds(50) } : s)] };
        for (var life = 0; life < 6; life++)
        {
            await using var pipeline = await StreamPipeline.StartAsync(plan, environment, CancellationToken.None);
            for (var i = 0; i < 5; i++)
            {
                bed.Produce(100);
                await OrderAssertions.IntakeAsync(bed, pipeline);
            }
            // Every other life ends as a crash would.
            if (life % 2 == 0)
                await pipeline.StopAsync(CancellationToken.None);
        }
        bed.CloseAllWindows();
        await using var last = await StreamPipeline.StartAsync(plan, environment, CancellationToken.None);
        await OrderAssertions.SettledAsync(bed, last);
        await StreamTestBed.UntilAsync(
            () => bed.Catalog.LoadTable(TableIdent.Parse("sales.orders")) is var t && t.Metadata.Snapshots.Count <= 2 && t.PlanFiles().Files.Count <= 2,
            "upkeep has caught up", last);
        OrderAssertions.Exact(bed, last);
    }

    private static void Copy(string from, string to)
    {
        foreach (var file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories))
        {
            var target = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
    }

    [Fact]
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
