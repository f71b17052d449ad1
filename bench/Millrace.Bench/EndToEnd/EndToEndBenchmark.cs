using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Millrace.Bench.Running;

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

    public async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options, CancellationToken cancellation)
    {
        var figures = new List<Figure>();
        var root = Directory.CreateTempSubdirectory("millrace-e2e-").FullName;
        try
        {
            await SustainedAsync(options, Path.Combine(root, "sustained"), figures, cancellation);
            await MostAsync(options, Path.Combine(root, "most"), figures, cancellation);
            await KillsAsync(options, Path.Combine(root, "kills"), figures, cancellation);
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
        return figures;
    }

    private static async Task SustainedAsync(BenchOptions options, string folder, List<Figure> figures, CancellationToken cancellation)
    {
        var span = options.Quick ? TimeSpan.FromSeconds(20) : TimeSpan.FromMinutes(5);
        var count = (long)(EventsPerSecond * span.TotalSeconds);
        await using var platform = PlatformProcess.Create(folder);
        await platform.StartAsync(cancellation);
        var idle = platform.ResidentBytes();
        var run = new RetailRun(platform);
        await run.CreateTopicAsync(cancellation);
        await run.SubmitAsync(cancellation);
        await using var page = new EventStream(platform.Address, run.Job);
        page.Start();
        options.Progress($"1 M events a minute for {span.TotalSeconds:0} s");
        var samples = Path.Combine(folder, "samples");
        using var producer = run.StartProducer(EventsPerSecond, count, samples);
        var clock = Stopwatch.StartNew();
        var before = platform.CpuSeconds();
        var warm = TimeSpan.FromSeconds(options.Quick ? 5 : 10);
        await Task.Delay(warm, cancellation);
        var warmed = platform.CpuSeconds();
        var acknowledged = await FinishAsync(producer, cancellation);
        var cores = (platform.CpuSeconds() - warmed) / (clock.Elapsed - warm).TotalSeconds;
        var resident = platform.ResidentBytes();
        options.Progress($"{acknowledged} acknowledged; start-up and first {warm.TotalSeconds:0} s took {warmed - before:0.0} processor seconds");
        await run.WaitUntilDoneAsync(acknowledged, TimeSpan.FromMinutes(1), cancellation);
        var latencies = await page.MatchAsync(samples);
        var differences = await run.CompareAsync(acknowledged, cancellation);
        foreach (var difference in differences.Take(10))
            options.Progress("WRONG: " + difference);
        figures.Add(new Figure("events sent at 1 M a minute", acknowledged, "events", Goal: $"{span.TotalMinutes:0.#} minutes held", Met: acknowledged == count));
        figures.Add(new Figure("processor at 1 M events a minute", cores, "cores", Goal: "under 0.4", Met: cores < 0.4));
        figures.Add(new Figure("send to server-sent event, median", At(latencies, 0.5), "ms"));
        figures.Add(new Figure("send to server-sent event, P99", At(latencies, 0.99), "ms", Goal: "under 100", Met: At(latencies, 0.99) < 100));
        figures.Add(new Figure("samples of that latency", latencies.Count, "events"));
        figures.Add(new Figure("resident memory idle", idle / 1048576.0, "MiB", Goal: "under 250", Met: idle < 250L << 20));
        figures.Add(new Figure("resident memory under load", resident / 1048576.0, "MiB"));
        figures.Add(new Figure("differences from the truth", differences.Count, "", Goal: "0", Met: differences.Count == 0));
        await platform.StopAsync();
    }

    private static async Task MostAsync(BenchOptions options, string folder, List<Figure> figures, CancellationToken cancellation)
    {
        var count = options.Quick ? 1_000_000 : 6_000_000L;
        await using var platform = PlatformProcess.Create(folder);
        await platform.StartAsync(cancellation);
        var run = new RetailRun(platform);
        await run.CreateTopicAsync(cancellation);
        options.Progress($"{count:#,0} events into the log at full speed");
        var filling = Stopwatch.StartNew();
        using var producer = run.StartProducer(0, count);
        var acknowledged = await FinishAsync(producer, cancellation);
        figures.Add(new Figure("producer alone at full speed", acknowledged / filling.Elapsed.TotalSeconds, "events/s"));
        var before = platform.CpuSeconds();
        var clock = Stopwatch.StartNew();
        await run.SubmitAsync(cancellation);
        long taken;
        do
        {
            await Task.Delay(20, cancellation);
            var job = (await platform.GetAsync($"/api/jobs/{run.Job}", cancellation))["job"]!;
            taken = job["sources"]![0]!["in"]!.GetValue<long>();
        }
        while (taken < acknowledged && clock.Elapsed < TimeSpan.FromMinutes(5));
        var seconds = clock.Elapsed.TotalSeconds;
        var cores = (platform.CpuSeconds() - before) / seconds;
        await run.WaitUntilDoneAsync(acknowledged, TimeSpan.FromMinutes(2), cancellation);
        var differences = await run.CompareAsync(acknowledged, cancellation);
        foreach (var difference in differences.Take(10))
            options.Progress("WRONG: " + difference);
        figures.Add(new Figure(
            "most events a second, from a full log", taken / seconds, "events/s", Goal: "at least 250,000", Met: taken / seconds >= 250_000));
        figures.Add(new Figure("processor at that rate", cores, "cores"));
        figures.Add(new Figure("differences from the truth at that rate", differences.Count, "", Goal: "0", Met: differences.Count == 0));
        await platform.StopAsync();
    }

    private static async Task KillsAsync(BenchOptions options, string folder, List<Figure> figures, CancellationToken cancellation)
    {
        var kills = options.Quick ? 5 : 200;
        await using var platform = PlatformProcess.Create(folder);
        var outcome = await CrashRun.RunAsync(platform, kills, seed: 20_261_121, options.Progress, cancellation);
        figures.Add(new Figure("kill -9 with the producer going on", kills, "times"));
        figures.Add(new Figure("events meanwhile", outcome.Records, "events"));
        figures.Add(new Figure("lost, doubled or wrong after them", outcome.Differences.Count, "", Goal: "0", Met: outcome.Differences.Count == 0));
        figures.Add(new Figure("ready again after kill -9, median", outcome.ReadyMedian.TotalSeconds, "s"));
        foreach (var difference in outcome.Differences.Take(10))
            options.Progress("WRONG: " + difference);
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
