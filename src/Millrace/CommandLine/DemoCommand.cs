using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Millrace.Host.Demo;
using Millrace.Host.Platform;
using Millrace.Streams.Sql;
using Spectre.Console;
using static Millrace.Host.CommandLine.Values;

namespace Millrace.Host.CommandLine;

/// <summary>
/// <c>millrace demo</c>: a platform on a folder of its own, a real data set replayed at 1 M events a minute, the first example pipeline on
/// it. Headless it compares everything with the truth and exits 1 when counts do not add up.
/// </summary>
internal static class DemoCommand
{
    private const double EventsPerSecond = 1_000_000 / 60.0;
    private const string Topic = "orders";
    private const string Job = "orders_by_country";
    private const string Marker = ".millrace-demo";

    public static Command Create()
    {
        var headless = new Option<bool>("--headless") { Description = "Without a screen: run for a time, compare with the truth, end" };
        var time = new Option<string>("--for") { Description = "How long a headless run lasts, e.g. 60s or 5m", DefaultValueFactory = _ => "60s", HelpName = "TIME" };
        var data = new Option<string?>("--data") { Description = "The demo's folder, emptied first [default: ~/.millrace-demo]", HelpName = "DIR" };
        var command = new Command("demo", "See it all: real data at 1 M events a minute, checked, aggregated, in tables, on a page") { headless, time, data }
            .WithExamples("./millrace demo", "./millrace demo --headless --for 60s --json");
        command.SetAction(async (parsed, cancellation) =>
        {
            var settings = parsed.Settings();
            settings = settings with { Data = Path.GetFullPath(parsed.GetValue(data) ?? settings.Data.TrimEnd('/') + "-demo"), Brokers = null };
            Empty(settings.Data);
            using var logs = PlatformLogs.Create(quiet: true);
            await using var platform = await UpCommands.StartAsync(settings, logs, cancellation);
            using var client = new PlatformClient(platform.Console, settings.Client);
            await client.PostJsonAsync("/api/topics", new JsonObject { ["name"] = Topic, ["partitions"] = 3 }, cancellation);
            await client.PostYamlAsync("/api/jobs", await File.ReadAllTextAsync(ExampleData.Pipeline, cancellation), cancellation);
            var started = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds();
            using var producer = StartReplay(platform, started);
            try
            {
                return parsed.GetValue(headless)
                    ? await HeadlessAsync(parsed, client, producer, started, Duration(parsed.GetValue(time)!), cancellation)
                    : await OnScreenAsync(platform, client, cancellation);
            }
            finally
            {
                if (!producer.HasExited)
                    producer.Kill();
            }
        });
        return command;
    }

    private static async Task<int> HeadlessAsync(
        ParseResult parsed, PlatformClient client, Process producer, long startMillis, TimeSpan duration, CancellationToken cancellation)
    {
        await FirstEventsAsync(client, producer, cancellation);
        var clock = Stopwatch.StartNew();
        await Terminal.Error.Progress().Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new RemainingTimeColumn()).StartAsync(async progress =>
        {
            var task = progress.AddTask("replaying 1 M events a minute", maxValue: duration.TotalMilliseconds);
            using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(500));
            while (clock.Elapsed < duration && !producer.HasExited && await timer.WaitForNextTickAsync(cancellation))
                task.Value = clock.Elapsed.TotalMilliseconds;
            task.Value = duration.TotalMilliseconds;
        });
        // Latency is that of the last seconds, and soon there will be no events in them.
        var latency = (await client.GetAsync($"/api/jobs/{Job}", cancellation))["job"]!["latency"]!.DeepClone();
        producer.StandardInput.Close();
        var said = await producer.StandardOutput.ReadToEndAsync(cancellation);
        await producer.WaitForExitAsync(cancellation);
        if (producer.ExitCode != 0)
            throw new CommandException("the producer failed: " + await producer.StandardError.ReadToEndAsync(cancellation));
        var sent = JsonNode.Parse(said)!["acknowledged"]!.GetValue<long>();
        var job = await DrainAsync(client, sent, cancellation);
        var report = await CompareAsync(client, job, sent, startMillis, cancellation);
        report["latency_ms"] = latency;
        if (parsed.GetValue(MillraceCommand.Json))
        {
            Terminal.WriteJson(report);
        }
        else
        {
            foreach (var (name, value) in report)
                Console.Out.WriteLine($"{name,-28} {Text(value)}");
        }
        return report["good_counts"]!.GetValue<bool>() ? ExitCode.Success : ExitCode.Failure;
    }

    /// <summary>The time of a run counts from the first event that is through.</summary>
    private static async Task FirstEventsAsync(PlatformClient client, Process producer, CancellationToken cancellation)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        while (!producer.HasExited && await timer.WaitForNextTickAsync(cancellation))
        {
            var job = (await client.GetAsync($"/api/jobs/{Job}", cancellation))["job"]!;
            if (Rows(job["sources"]).Sum(s => s["in"]!.GetValue<long>()) > 0)
                return;
            if (Text(job["state"]) == "failed")
                throw new CommandException($"the pipeline failed: {Text(job["reason"])}");
        }
    }

    /// <summary>Waits until the job has read all that was sent and its sinks owe nothing.</summary>
    private static async Task<JsonNode> DrainAsync(PlatformClient client, long sent, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        while (true)
        {
            var job = (await client.GetAsync($"/api/jobs/{Job}", cancellation))["job"]!;
            if (Rows(job["sources"]).Sum(s => s["in"]!.GetValue<long>()) >= sent && Rows(job["sinks"]).All(s => s["pending"]!.GetValue<long>() == 0))
                return job;
            if (clock.Elapsed > TimeSpan.FromMinutes(2) || Text(job["state"]) is "failed" or "paused")
                throw new CommandException($"the pipeline did not come to its end ({Text(job["state"])}): {Text(job["reason"])} {job.ToJsonString()}");
            using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(200));
            await timer.WaitForNextTickAsync(cancellation);
        }
    }

    private static async Task<JsonObject> CompareAsync(PlatformClient client, JsonNode job, long sent, long startMillis, CancellationToken cancellation)
    {
        var truth = new RetailTruth(RetailReplay.Load(ExampleData.File, startMillis, EventsPerSecond), TimeSpan.FromSeconds(10));
        truth.CountTo(sent);
        var source = Rows(job["sources"]).First();
        long In = source["in"]!.GetValue<long>(), good = source["good"]!.GetValue<long>(), quarantined = source["quarantined"]!.GetValue<long>();
        var rows = await CountAsync(client, "SELECT count(*), count(DISTINCT LineId) FROM sales.orders", cancellation);
        var inWindows = await CountAsync(
            client, "SELECT (SELECT sum(orders) FROM sales.by_country), (SELECT coalesce(sum(orders), 0) FROM live.by_country)", cancellation);
        var inQuarantine = (await client.GetAsync($"/api/topics/{Topic}.quarantine", cancellation))["records"]!.GetValue<long>();
        var tables = await client.GetAsync("/api/tables", cancellation);
        var adds = In == sent && good == truth.Good && quarantined == truth.Quarantined && good + quarantined == In && rows[0] == truth.Good
            && rows[1] == truth.Good && inWindows[0] + inWindows[1] == truth.Good && inQuarantine == truth.Quarantined;
        return new JsonObject
        {
            ["sent"] = sent,
            ["in"] = In,
            ["good"] = good,
            ["quarantined"] = quarantined,
            ["truth_good"] = truth.Good,
            ["truth_quarantined"] = truth.Quarantined,
            ["late"] = source["late"]!.GetValue<long>(),
            ["rows_in_table"] = rows[0],
            ["distinct_rows_in_table"] = rows[1],
            ["events_in_closed_windows"] = inWindows[0],
            ["events_in_open_windows"] = inWindows[1],
            ["records_in_quarantine_topic"] = inQuarantine,
            ["snapshots"] = new JsonObject(Rows(tables["tables"]).Select(t => KeyValuePair.Create(
                $"{Text(t["namespace"])}.{Text(t["name"])}", (JsonNode?)t["snapshots"]!.GetValue<int>()))),
            ["checkpoints"] = job["checkpoint"]!["id"]!.DeepClone(),
            ["latency_ms"] = null,
            ["good_counts"] = adds,
        };
    }

    private static async Task<long[]> CountAsync(PlatformClient client, string sql, CancellationToken cancellation)
    {
        var answer = await client.PostJsonAsync("/api/sql", new JsonObject { ["sql"] = sql }, cancellation);
        return answer["rows"]![0]!.AsArray().Select(v => v is null ? 0 : (long)decimal.Parse(v.ToString(), CultureInfo.InvariantCulture)).ToArray();
    }

    private static async Task<int> OnScreenAsync(MillracePlatform platform, PlatformClient client, CancellationToken cancellation)
    {
        var postgres = platform.Postgres.Split(':');
        AnsiConsole.MarkupLine($"[bold]Millrace demo[/]: order lines of a web shop, 1 M events a minute, one in 200 bad on purpose. Ctrl-C ends it.\n");
        AnsiConsole.MarkupLine($"  [bold green]console[/]   {platform.Console}");
        // Lines to paste go out as they are: one that was wrapped here could not be.
        AnsiConsole.Markup("  [bold green]SQL[/]       ");
        Console.Out.WriteLine($"psql -h {postgres[0]} -p {postgres[1]} -U millrace -c \"SELECT * FROM live.by_country\"");
        AnsiConsole.Markup("  [bold green]bad rows[/]  ");
        Console.Out.WriteLine($"kcat -b {platform.Kafka} -t {Topic}.quarantine -C -o -5 -e -f '%h\\n%s\\n'\n");
        var stopped = UpCommands.UntilStoppedAsync(cancellation);
        if (Console.IsOutputRedirected)
        {
            await stopped;
            return ExitCode.Success;
        }
        await AnsiConsole.Live(new Text("starting")).AutoClear(false).StartAsync(async live =>
        {
            using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1));
            while (!stopped.IsCompleted && await timer.WaitForNextTickAsync(cancellation))
            {
                live.UpdateTarget(await DemoView.RenderAsync(client, Job, cancellation));
                live.Refresh();
            }
        });
        await stopped;
        return ExitCode.Success;
    }

    private static Process StartReplay(MillracePlatform platform, long startMillis)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!)
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false,
        };
        // Run by `dotnet Millrace.dll`, the process is the dotnet host and wants the program first.
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
            start.ArgumentList.Add(typeof(DemoCommand).Assembly.Location);
        foreach (var argument in (string[])["replay", Topic, "--brokers", platform.Kafka, "--start", startMillis.ToString(CultureInfo.InvariantCulture), "--attached", "--json"])
            start.ArgumentList.Add(argument);
        start.Environment["MILLRACE_ROOT"] = ExampleData.Root;
        return Process.Start(start)!;
    }

    /// <summary>Deletes a demo's folder; refuses one that is not ours.</summary>
    private static void Empty(string folder)
    {
        if (Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any())
        {
            if (!File.Exists(Path.Combine(folder, Marker)))
                throw new CommandException($"{folder} is not empty and is no demo's folder", "choose an empty one with --data", ExitCode.Usage);
            // A demo that still runs holds its folder; taking the lock shows that none does.
            Storage.Files.FolderLock.Take(folder).Dispose();
            Directory.Delete(folder, recursive: true);
        }
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, Marker), "");
    }

    private static TimeSpan Duration(string text) =>
        DurationText.TryParse(text, out var duration, out var problem) ? duration : throw new CommandException(problem, DurationText.Hint, ExitCode.Usage);
}
