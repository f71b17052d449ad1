using Millrace.Bench.Running;

namespace Millrace.Bench.Log;

/// <summary>
/// How soon a full log answers, after an orderly end and after SIGKILL. Filling takes minutes, so a folder that is full already
/// (<c>--folder</c>) is used as it is: the first run fills it, the next ones measure.
/// </summary>
internal sealed class StartFigures(BenchOptions options, Kload kload, List<Figure> figures)
{
    private const int RecordBytes = 10_000;
    private const string FullMark = "full";

    public async Task RunAsync(string engines, string root, CancellationToken cancellation)
    {
        var records = options.Quick ? 100_000L : 2_000_000;
        var results = new List<(string Name, double Orderly, double Killed)>();
        await using var ours = new MillraceContender(PlatformProcess.Create(Path.Combine(root, "full-ours")), "Millrace");
        results.Add(await MeasureAsync(ours, Path.Combine(root, "full-ours"), records, cancellation));
        if (options.Rival)
        {
            await using var kafka = new KafkaContender(engines, Path.Combine(root, "full-kafka"), LoopbackPorts.Take(2)[0], "Apache Kafka");
            results.Add(await MeasureAsync(kafka, Path.Combine(root, "full-kafka"), records, cancellation));
        }
        var rival = results.Count > 1 ? results[1] : ((string Name, double Orderly, double Killed)?)null;
        var what = $"{records * RecordBytes / 1e9:0.#} GB, 1,000 partitions";
        figures.Add(new Figure(
            $"start, {what}", results[0].Orderly, "s", rival?.Name, rival?.Orderly, results[0].Orderly / rival?.Orderly, "under 1", results[0].Orderly < 1));
        figures.Add(new Figure(
            $"start after kill -9, {what}", results[0].Killed, "s", rival?.Name, rival?.Killed, results[0].Killed / rival?.Killed, "under 3", results[0].Killed < 3));
    }

    private async Task<(string Name, double Orderly, double Killed)> MeasureAsync(
        Contender contender, string folder, long records, CancellationToken cancellation)
    {
        var mark = Path.Combine(folder, FullMark);
        await contender.StartAsync(cancellation);
        if (!File.Exists(mark))
        {
            await contender.CreateTopicAsync("full", 1000);
            options.Progress($"{contender.Name}: {records * RecordBytes / 1e9:0.#} GB into 1,000 partitions");
            await kload.ProduceAsync(contender, "full", records, 0, "5ms", cancellation, RecordBytes);
            await File.WriteAllTextAsync(mark, "", cancellation);
        }
        await contender.StopAsync();
        var orderly = (await contender.StartAsync(cancellation)).TotalSeconds;
        // 20,000 records of 10 KB: a tail that no checkpoint has seen, or not all of it.
        await kload.ProduceAsync(contender, "full", 20_000, 0, "5ms", cancellation, RecordBytes);
        await contender.KillAsync();
        var killed = (await contender.StartAsync(cancellation)).TotalSeconds;
        options.Progress($"{contender.Name}: start {orderly:0.00} s, after SIGKILL {killed:0.00} s");
        await contender.StopAsync();
        return (contender.Name, orderly, killed);
    }
}
