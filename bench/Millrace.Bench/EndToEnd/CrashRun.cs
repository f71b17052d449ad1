using System.Globalization;
using Millrace.Bench.Running;

namespace Millrace.Bench.EndToEnd;

/// <param name="Differences">Between what is there and the truth, at the end; none is right.</param>
public sealed record CrashOutcome(long Records, TimeSpan ReadyMedian, IReadOnlyList<string> Differences);

/// <summary>Kills the platform at random moments while a producer goes on, starts it again each time, and compares at the end.</summary>
public static class CrashRun
{
    /// <param name="platform">Not started yet.</param>
    /// <param name="kills">How often.</param>
    /// <param name="seed">Chooses the moments; printed through <paramref name="progress"/>.</param>
    /// <param name="between">Does something else after each start, e.g. to the broker; told how many kills there were.</param>
    public static async Task<CrashOutcome> RunAsync(
        PlatformProcess platform, int kills, int seed, Action<string> progress, CancellationToken cancellation, Func<int, Task>? between = null)
    {
        progress($"{kills} kills, seed {seed.ToString(CultureInfo.InvariantCulture)}");
        var random = new Random(seed);
        await platform.StartAsync(cancellation);
        var run = new RetailRun(platform);
        await run.CreateTopicAsync(cancellation);
        await run.SubmitAsync(cancellation);
        using var producer = run.StartProducer(5_000, long.MaxValue);
        var ready = new List<TimeSpan>();
        for (var kill = 1; kill <= kills; kill++)
        {
            // Sometimes at once, so that recovery itself is hit, sometimes after checkpoints and commits.
            var wait = random.Next(4) == 0 ? random.Next(0, 300) : random.Next(300, 4000);
            await Task.Delay(wait, cancellation);
            if (producer.HasExited)
                throw new InvalidOperationException("the producer ended: " + await producer.StandardError.ReadToEndAsync(cancellation));
            await platform.KillAsync();
            ready.Add(await platform.StartAsync(cancellation));
            if (between is not null)
                await between(kill);
            if (kill % 10 == 0)
                progress($"{kill} kills");
        }
        producer.StandardInput.Close();
        var records = await EndToEndBenchmark.FinishAsync(producer, cancellation);
        await run.WaitUntilDoneAsync(records, TimeSpan.FromMinutes(3), cancellation);
        var differences = await run.CompareAsync(records, cancellation);
        await platform.StopAsync();
        ready.Sort();
        return new CrashOutcome(records, ready.Count == 0 ? TimeSpan.Zero : ready[ready.Count / 2], differences);
    }
}
