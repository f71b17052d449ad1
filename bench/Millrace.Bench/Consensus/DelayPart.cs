namespace Millrace.Bench.Consensus;

/// <summary>The same puts with a network between the members: each in a namespace of its own, what leaves it held back by tc.</summary>
internal static class DelayPart
{
    public static async Task RunAsync(
        BenchOptions options, EtcdBenchmarkTool tool, string folder, string etcdProgram, List<Figure> figures, CancellationToken cancellation)
    {
        if (!DelayedNetwork.IsPossible)
        {
            options.Progress("delays are left out: they need root, ip and tc");
            return;
        }
        foreach (var delay in new[] { 1, 10, 50 })
        {
            var mine = await MeasureAsync(options, tool, n => new MillraceGroup(Path.Combine(folder, $"millrace-{delay}"), network: n), delay, cancellation);
            (Dictionary<int, ToolRun> Puts, double? Saved)? theirs = options.Rival
                ? await MeasureAsync(options, tool, n => new EtcdGroup(Path.Combine(folder, $"etcd-{delay}"), etcdProgram, n), delay, cancellation)
                : null;
            foreach (var (clients, run) in mine.Puts)
            {
                var rival = theirs?.Puts[clients];
                figures.Add(ConsensusBenchmark.Beside($"puts, {delay} ms each way, {clients} clients", run.PerSecond, "puts/s", rival?.PerSecond));
                figures.Add(ConsensusBenchmark.Beside($"put P99, {delay} ms each way, {clients} clients", run.P99, "ms", rival?.P99));
            }
            if (mine.Saved is not { } saved)
                continue;
            figures.Add(new Figure(
                $"round trips saved by pipelining, {delay} ms each way", saved * 100, "%", theirs is null ? null : "etcd", theirs?.Saved * 100, saved / theirs?.Saved,
                "at least 60 %", saved >= 0.6));
        }
    }

    private static async Task<(Dictionary<int, ToolRun> Puts, double? Saved)> MeasureAsync(
        BenchOptions options, EtcdBenchmarkTool tool, Func<DelayedNetwork, StoreGroup> groupOf, int delay, CancellationToken cancellation)
    {
        await using var network = await DelayedNetwork.CreateAsync(delay, cancellation);
        await using var group = groupOf(network);
        options.Progress($"{group.Label}, {delay} ms each way");
        await group.StartAsync(cancellation);
        var puts = new Dictionary<int, ToolRun>();
        foreach (var clients in new[] { 1, 100, 1000 })
        {
            // About three seconds each: a put takes two to four times the delay.
            var total = Math.Min(options.Quick ? 3_000 : 20_000, Math.Max(20, clients * (options.Quick ? 300 : 1000) / (delay + 2)));
            if (clients > 1)
                await tool.PutAsync(group, clients, total, cancellation);
            // A lone client that happens upon a follower waits for two more ways, whoever wrote the store.
            puts[clients] = await tool.PutAsync(group, clients, total, cancellation, toLeader: clients == 1);
        }
        if (delay != 10)
            return (puts, null);
        // What 400 transactions of one client cost, one after another and 32 ahead: each elapsed round trip that is not waited for is saved.
        var transactions = options.Quick ? 64 : 400;
        var single = await BatchLoad.RunAsync(group, transactions, 1, cancellation, valueBytes: 16, warmUp: false);
        var ahead = await BatchLoad.RunAsync(group, transactions, 32, cancellation, valueBytes: 16, warmUp: false);
        return (puts, 1 - (single / ahead));
    }
}
