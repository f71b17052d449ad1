using System.Diagnostics;
using Millrace.Bench.Running;

namespace Millrace.Bench.EndToEnd;

/// <summary>From kill -9 with 1 GB in the log to the first new output.</summary>
internal sealed class RestartBenchmark : IBenchmark
{
    public string Name => "restart";

    public string Summary => "Start of the platform: empty, and with a full log after kill -9, to the first output";

    public async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options, CancellationToken cancellation)
    {
        var root = Directory.CreateTempSubdirectory("millrace-restart-").FullName;
        try
        {
            await using var platform = PlatformProcess.Create(root);
            var empty = await platform.StartAsync(cancellation);
            var run = new RetailRun(platform);
            await run.CreateTopicAsync(cancellation);
            // 220 bytes a record, not compressed on the way: 1 GB is about 4.9 M.
            var count = options.Quick ? 400_000 : 4_900_000L;
            options.Progress($"{count:#,0} events into the log");
            using (var producer = run.StartProducer(0, count))
                await EndToEndBenchmark.FinishAsync(producer, cancellation);
            await run.SubmitAsync(cancellation);
            await run.WaitUntilDoneAsync(count, TimeSpan.FromMinutes(5), cancellation);
            var bytes = (await platform.GetAsync("/api/topics/orders", cancellation))["bytes"]!.GetValue<long>();
            var ready = new List<double>();
            var output = new List<double>();
            for (var round = 0; round < (options.Quick ? 2 : 5); round++)
            {
                await platform.KillAsync();
                var clock = Stopwatch.StartNew();
                await platform.StartAsync(cancellation);
                ready.Add(clock.Elapsed.TotalSeconds);
                // The first output: the live view answers with the windows that were open.
                while ((await TryLiveAsync(platform, cancellation)) == 0)
                    await Task.Delay(10, cancellation);
                output.Add(clock.Elapsed.TotalSeconds);
            }
            ready.Sort();
            output.Sort();
            return
            [
                new("start of an empty platform", empty.TotalSeconds, "s", Goal: "under 2", Met: empty.TotalSeconds < 2),
                new("log at restart", bytes / 1e9, "GB"),
                new("ready after kill -9, median", ready[ready.Count / 2], "s"),
                new("first output after kill -9, median", output[output.Count / 2], "s", Goal: "under 3", Met: output[output.Count / 2] < 3),
                new("first output after kill -9, worst", output[^1], "s"),
            ];
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
    }

    private static async Task<long> TryLiveAsync(PlatformProcess platform, CancellationToken cancellation)
    {
        try
        {
            return long.Parse(
                (await platform.SqlAsync("SELECT count(*) FROM live.orders_by_country", cancellation))[0]![0]!.ToString(),
                System.Globalization.CultureInfo.InvariantCulture);
        }
        catch (InvalidOperationException)
        {
            return 0;
        }
    }
}
