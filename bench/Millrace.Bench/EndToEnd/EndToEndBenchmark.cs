using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Millrace.Bench.Running;
using Millrace.Bench.Streams;

namespace Millrace.Bench.EndToEnd;

/// <summary>
/// One event's whole way with the producer in its own process: 1 M events a minute held, then the most that goes through, then kill -9
/// again and again; each time everything is compared with a one-pass truth.
/// </summary>
internal sealed class EndToEndBenchmark : IBenchmark
{
    private const double EventsPerSecond = 1_000_000 / 60.0;

    public string Name => "e2e";

    public string Summary => "Producer to table, live view and page: cost, latency, most events a second, exactness under kill -9";

    public IReadOnlyList<string> Parts => ["sustained", "most", "kills"];

    public async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options, CancellationToken cancellation)
    {
        var figures = new List<Figure>();
        var root = Directory.CreateTempSubdirectory("millrace-e2e-").FullName;
        try
        {
            if (options.Wants("sustained"))
                await SustainedAsync(options, Path.Combine(root, "sustained"), figures, cancellation);
            if (options.Wants("most"))
                await MostAsync(options, Path.Combine(root, "most"), figures, cancellation);
            if (options.Wants("kills"))
                await KillsAsync(options, Path.Combine(root, "kills"), figures, cancellation);
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
        return figures;
    }

    /// <summary>The load goes on for a warm-up and the measured span; processor time and latencies are those of the span alone.</summary>
    private static async Task SustainedAsync(BenchOptions options, string folder, List<Figure> figures, CancellationToken cancellation)
    {
        var warm = TimeSpan.FromSeconds(options.Quick ? 10 : 30);
        var span = options.Quick ? TimeSpan.FromSeconds(20) : TimeSpan.FromMinutes(5);
        var count = (long)(EventsPerSecond * (warm + span).TotalSeconds);
        await using var platform = PlatformProcess.Create(folder);
        var ready = await platform.StartAsync(cancellation);
        await Task.Delay(TimeSpan.FromSeconds(2), cancellation);
        var idle = platform.ResidentBytes();
        var run = new RetailRun(platform);
        await run.CreateTopicAsync(cancellation);
        await run.SubmitAsync(cancellation);
        await using var page = new EventStream(platform.Address, run.Job);
        page.Start();
        options.Progress($"1 M events a minute: {warm.TotalSeconds:0} s to warm up, which no figure counts, then {span.TotalSeconds:0} s");
        var samples = Path.Combine(folder, "samples");
        var started = platform.CpuSeconds();
        using var producer = run.StartProducer(EventsPerSecond, count, samples);
        await Task.Delay(warm, cancellation);
        var clock = Stopwatch.StartNew();
        var from = DateTimeOffset.UtcNow;
        var warmed = platform.CpuSeconds();
        var threads = ThreadTimes.Read(platform.ProcessId);
        // A little before the producer's end, so that the span is one of full load.
        await Task.Delay(span - TimeSpan.FromSeconds(1), cancellation);
        var cores = (platform.CpuSeconds() - warmed) / clock.Elapsed.TotalSeconds;
        options.Progress($"cores by thread: {ThreadTimes.Describe(threads, clock.Elapsed.TotalSeconds * 1e6, platform.ProcessId)}");
        var resident = platform.ResidentBytes();
        var acknowledged = await FinishAsync(producer, cancellation);
        options.Progress($"{acknowledged} acknowledged; the first {warm.TotalSeconds:0} s took {warmed - started:0.0} processor seconds");
        await run.WaitUntilDoneAsync(acknowledged, TimeSpan.FromMinutes(1), cancellation);
        var latencies = await page.MatchAsync(samples, from);
        var differences = await CompareAsync(options, run, acknowledged, cancellation);
        figures.Add(new Figure("events at 1 M a minute", acknowledged, "events", Goal: $"{span.TotalMinutes:0.#} minutes held", Met: acknowledged == count));
        figures.Add(new Figure("processor at 1 M events a minute", cores, "cores", Goal: "under 0.4", Met: cores < 0.4));
        figures.Add(new Figure("send to server-sent event, median", At(latencies, 0.5), "ms"));
        figures.Add(new Figure("send to server-sent event, P99", At(latencies, 0.99), "ms", Goal: "under 100", Met: At(latencies, 0.99) < 100));
        figures.Add(new Figure("send to server-sent event, most", At(latencies, 1), "ms"));
        figures.Add(new Figure("samples of that latency", latencies.Count, "events"));
        figures.Add(new Figure("start to ready", ready.TotalSeconds, "s", Goal: "under 2", Met: ready.TotalSeconds < 2));
        figures.Add(new Figure("resident memory idle", idle / 1048576.0, "MiB", Goal: "under 250", Met: idle < 250L << 20));
        figures.Add(new Figure("resident memory under load", resident / 1048576.0, "MiB"));
        figures.Add(new Figure("wrong, lost or doubled", differences, "", Goal: "0", Met: differences == 0));
        await platform.StopAsync();
    }

    /// <summary>A full log read at full speed, then the same with the producer, at full speed too, beside it.</summary>
    private static async Task MostAsync(BenchOptions options, string folder, List<Figure> figures, CancellationToken cancellation)
    {
        var count = options.Quick ? 1_500_000 : 6_000_000L;
        await using var platform = PlatformProcess.Create(folder);
        await platform.StartAsync(cancellation);
        var run = new RetailRun(platform);
        await run.CreateTopicAsync(cancellation);
        options.Progress($"{count:#,0} events into the log at full speed");
        var filling = Stopwatch.StartNew();
        using (var producer = run.StartProducer(0, count))
            await FinishAsync(producer, cancellation);
        figures.Add(new Figure("producer alone at full speed, its start with it", count / filling.Elapsed.TotalSeconds, "events/s"));
        var before = platform.CpuSeconds();
        var clock = Stopwatch.StartNew();
        await run.SubmitAsync(cancellation);
        await UntilTakenAsync(platform, run, count, cancellation);
        var seconds = clock.Elapsed.TotalSeconds;
        var processor = platform.CpuSeconds() - before;
        figures.Add(new Figure(
            "most events a second, from a full log", count / seconds, "events/s", Goal: "at least 250,000", Met: count / seconds >= 250_000));
        figures.Add(new Figure("processor at that rate", processor / seconds, "cores"));
        figures.Add(new Figure("processor time an event at that rate", processor * 1e6 / count, "us"));
        figures.Add(new Figure("resident memory at that rate", platform.ResidentBytes() / 1048576.0, "MiB"));
        options.Progress($"{count:#,0} more, with the producer on the same processors");
        using (var producer = run.StartProducer(0, 2 * count, first: count))
        {
            await UntilTakenAsync(platform, run, count + 1, cancellation);
            clock.Restart();
            var taken = await TakenAsync(platform, run, cancellation);
            await UntilTakenAsync(platform, run, 2 * count, cancellation);
            figures.Add(new Figure("events a second with the producer beside it", (2 * count - taken) / clock.Elapsed.TotalSeconds, "events/s"));
            await FinishAsync(producer, cancellation);
        }
        await run.WaitUntilDoneAsync(2 * count, TimeSpan.FromMinutes(2), cancellation);
        var differences = await CompareAsync(options, run, 2 * count, cancellation);
        figures.Add(new Figure("wrong, lost or doubled at those rates", differences, "", Goal: "0", Met: differences == 0));
        await platform.StopAsync();
    }

    private static async Task KillsAsync(BenchOptions options, string folder, List<Figure> figures, CancellationToken cancellation)
    {
        var kills = options.Quick ? 5 : 200;
        await using var platform = PlatformProcess.Create(folder);
        var outcome = await CrashRun.RunAsync(platform, kills, seed: 20_261_121, options.Progress, cancellation);
        figures.Add(new Figure("kill -9 with the producer going on", kills, "times"));
        figures.Add(new Figure("events meanwhile", outcome.Records, "events"));
        figures.Add(new Figure("wrong, lost or doubled after them", outcome.Differences.Count, "", Goal: "0", Met: outcome.Differences.Count == 0));
        figures.Add(new Figure("ready again after kill -9, median", outcome.ReadyMedian.TotalSeconds, "s"));
        foreach (var difference in outcome.Differences.Take(10))
            options.Progress("WRONG: " + difference);
    }

    private static async Task<int> CompareAsync(BenchOptions options, RetailRun run, long records, CancellationToken cancellation)
    {
        var differences = await run.CompareAsync(records, cancellation);
        foreach (var difference in differences.Take(10))
            options.Progress("WRONG: " + difference);
        return differences.Count;
    }

    private static async Task UntilTakenAsync(PlatformProcess platform, RetailRun run, long records, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        while (await TakenAsync(platform, run, cancellation) < records)
        {
            if (clock.Elapsed > TimeSpan.FromMinutes(5))
                throw new InvalidOperationException($"{records} records were not taken in in five minutes");
            await Task.Delay(20, cancellation);
        }
    }

    private static async Task<long> TakenAsync(PlatformProcess platform, RetailRun run, CancellationToken cancellation)
    {
        var sources = (await platform.GetAsync($"/api/jobs/{run.Job}", cancellation))["job"]!["sources"]!.AsArray();
        return sources.Count == 0 ? 0 : sources[0]!["in"]!.GetValue<long>();
    }

    /// <summary>Waits for the producer's end and reads how much it had acknowledged.</summary>
    internal static async Task<long> FinishAsync(Process producer, CancellationToken cancellation)
    {
        var output = await producer.StandardOutput.ReadToEndAsync(cancellation);
        var errors = await producer.StandardError.ReadToEndAsync(cancellation);
        await producer.WaitForExitAsync(cancellation);
        return producer.ExitCode == 0
            ? JsonNode.Parse(output)!["acknowledged"]!.GetValue<long>()
            : throw new InvalidOperationException($"the producer ended with {producer.ExitCode.ToString(CultureInfo.InvariantCulture)}: {errors}");
    }

    private static double At(List<double> sorted, double share) => sorted.Count == 0 ? double.NaN : sorted[(int)Math.Min(sorted.Count - 1, sorted.Count * share)];
}
