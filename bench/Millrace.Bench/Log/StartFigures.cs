namespace Millrace.Bench.Log;

/// <summary>How soon a full log answers, after an orderly end and after SIGKILL.</summary>
internal sealed class StartFigures(BenchOptions options, Kload kload, List<Figure> figures)
{
    public async Task RunAsync(
        Contender ours, Contender kafka, IReadOnlyDictionary<Contender, TimeSpan> empty, CancellationToken cancellation)
    {
        figures.Add(new Figure(
            "start, empty", empty[ours].TotalSeconds, "s", kafka.Name, empty[kafka].TotalSeconds, empty[ours] / empty[kafka]));
        // 10 KB each.
        var records = options.Quick ? 100_000L : 2_000_000;
        foreach (var contender in new[] { ours, kafka })
        {
            await contender.CreateTopicAsync("full", 1000);
            options.Progress($"{contender.Name}: {records / 100_000.0:0.#} GB into 1,000 partitions");
            await kload.ProduceAsync(contender, "full", records, 0, "5ms", cancellation, size: 10_000);
        }
        var orderly = new Dictionary<Contender, double>();
        var killed = new Dictionary<Contender, double>();
        foreach (var contender in new[] { ours, kafka })
        {
            await contender.StopAsync();
            orderly[contender] = (await contender.StartAsync(cancellation)).TotalSeconds;
            await kload.ProduceAsync(contender, "full", records / 100, 0, "5ms", cancellation, size: 10_000);
            await contender.KillAsync();
            killed[contender] = (await contender.StartAsync(cancellation)).TotalSeconds;
        }
        var gigabytes = $"{records / 100_000.0:0.#} GB, 1,000 partitions";
        figures.Add(new Figure(
            $"start, {gigabytes}", orderly[ours], "s", kafka.Name, orderly[kafka], orderly[ours] / orderly[kafka], "under 1", orderly[ours] < 1));
        figures.Add(new Figure(
            $"start after kill -9, {gigabytes}", killed[ours], "s", kafka.Name, killed[kafka], killed[ours] / killed[kafka], "under 3", killed[ours] < 3));
    }
}
