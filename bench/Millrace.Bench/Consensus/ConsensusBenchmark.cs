namespace Millrace.Bench.Consensus;

/// <summary>
/// Three processes on loopback, every write fsynced on a majority, beside three of etcd in the same run, both driven by etcd's own tool.
/// The two are measured in turns and never at the same time; the better of two runs counts for each.
/// </summary>
internal sealed class ConsensusBenchmark : IBenchmark
{
    public string Name => "consensus";

    public string Summary => "the coordination store beside etcd: puts, linearizable reads, watches, batches, a killed leader, delays, a snapshot under load, sessions";

    public IReadOnlyList<string> Parts => ["puts", "reads", "pipelined", "watch", "kill", "delay", "snapshot", "speculation", "sessions", "tls"];

    public async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options, CancellationToken cancellation)
    {
        var engines = Path.Combine(Environment.GetEnvironmentVariable("MILLRACE_ENGINES")
            ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache", "millrace-engines"), "go");
        if (!File.Exists(Path.Combine(engines, "etcd-benchmark")))
            throw new InvalidOperationException($"etcd-benchmark is not in {engines}: unpack the engines, or name their folder in MILLRACE_ENGINES");
        var tool = new EtcdBenchmarkTool(Path.Combine(engines, "etcd-benchmark"));
        var folder = Directory.CreateTempSubdirectory("millrace-consensus-").FullName;
        var figures = new List<Figure>();
        try
        {
            if (options.Wants("puts") || options.Wants("reads") || options.Wants("pipelined") || options.Wants("watch") || options.Wants("kill"))
                await OnLoopbackAsync(options, tool, folder, Path.Combine(engines, "etcd"), figures, cancellation);
            if (options.Wants("reads"))
                await OtherReadsAsync(options, tool, folder, figures, cancellation);
            if (options.Wants("delay"))
                await DelayPart.RunAsync(options, tool, folder, Path.Combine(engines, "etcd"), figures, cancellation);
            if (options.Wants("speculation"))
                await SpeculationPart.RunAsync(options, folder, figures, cancellation);
            if (options.Wants("tls"))
                await TlsPart.RunAsync(options, tool, folder, Path.Combine(engines, "etcd"), figures, cancellation);
            if (options.Wants("sessions"))
                await SessionsPart.RunAsync(options, folder, figures, cancellation);
            if (options.Wants("snapshot"))
                await SnapshotPart.RunAsync(options, tool, folder, figures, cancellation);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
        return figures;
    }

    /// <summary>A figure beside its rival's, or alone.</summary>
    internal static Figure Beside(string name, double value, string unit, double? rival, string? goal = null, Func<double, double, bool>? met = null) => rival is { } theirs
        ? new Figure(name, value, unit, "etcd", theirs, value / theirs, goal, met?.Invoke(value, theirs))
        : new Figure(name, value, unit);

    private static async Task OnLoopbackAsync(
        BenchOptions options, EtcdBenchmarkTool tool, string folder, string etcdProgram, List<Figure> figures, CancellationToken cancellation)
    {
        await using var ours = new MillraceGroup(Path.Combine(folder, "millrace"));
        await using var etcd = options.Rival ? new EtcdGroup(Path.Combine(folder, "etcd"), etcdProgram) : null;
        await ours.StartAsync(cancellation);
        if (etcd is not null)
            await etcd.StartAsync(cancellation);
        if (options.Wants("puts"))
            await PutsAsync(options, tool, ours, etcd, figures, cancellation);
        if (options.Wants("reads"))
            await ReadsAsync(options, tool, ours, etcd, "by read index", figures, cancellation);
        if (options.Wants("pipelined"))
            await BatchesAsync(options, ours, etcd, figures, cancellation);
        if (options.Wants("watch"))
            await WatchesAsync(options, tool, ours, etcd, figures, cancellation);
        if (options.Wants("kill"))
            await FailoversAsync(options, ours, etcd, figures, cancellation);
    }

    private static async Task OtherReadsAsync(
        BenchOptions options, EtcdBenchmarkTool tool, string folder, List<Figure> figures, CancellationToken cancellation)
    {
        foreach (var (mode, name) in new[] { ("lease", "by lease"), ("quorum", "by quorum, no leader asked") })
        {
            await using var ours = new MillraceGroup(Path.Combine(folder, "millrace-" + mode), mode);
            await ours.StartAsync(cancellation);
            await ReadsAsync(options, tool, ours, null, name, figures, cancellation);
        }
    }

    private static async Task PutsAsync(
        BenchOptions options, EtcdBenchmarkTool tool, StoreGroup ours, StoreGroup? etcd, List<Figure> figures, CancellationToken cancellation)
    {
        // What the first thousands of requests cost is the compiler's work, once in the life of a process.
        options.Progress("warming up");
        foreach (var group in etcd is null ? [ours] : new[] { ours, etcd })
            await tool.PutAsync(group, 1000, options.Quick ? 10_000 : 60_000, cancellation);
        foreach (var (clients, total) in new[] { (1, 4000), (100, 20_000), (1000, 50_000) })
        {
            options.Progress($"puts of 256 bytes, {clients} clients");
            var count = options.Quick ? total / 5 : total;
            var (mine, theirs) = clients == 1
                ? await InTurnAsync(options, ours, etcd, group => tool.PutAsync(group, 1, count, cancellation, toLeader: true))
                : await BothAsync(options, ours, etcd, group => tool.PutAsync(group, clients, count, cancellation));
            figures.Add(Beside($"puts, {clients} clients", mine.PerSecond, "puts/s", theirs?.PerSecond, "at least 2x", static (m, t) => m >= 2 * t));
            figures.Add(Beside($"put P99, {clients} clients", mine.P99, "ms", theirs?.P99, "under 0.5x", static (m, t) => m < 0.5 * t));
            figures.Add(Beside($"put P50, {clients} clients", mine.P50, "ms", theirs?.P50));
            if (mine.Pauses is { } pauses)
            {
                figures.Add(new Figure($"three members stood still for their collectors, {clients} clients", pauses.Paused.TotalMilliseconds * 1000 / count, "µs/put"));
                figures.Add(new Figure($"longest pause at most, {clients} clients", pauses.Longest, "ms"));
                options.Progress($"collections {string.Join('/', pauses.Collections)}, pauses {string.Join(' ', pauses.Pauses)}, {pauses.ManagedBytes >> 20} MiB managed, {pauses.ResidentBytes >> 20} MiB resident");
            }
            figures.Add(Beside($"processor time of three members, {clients} clients", mine.CpuMicros, "µs/put", theirs?.CpuMicros));
            figures.Add(Beside($"processor time of the client, {clients} clients", mine.ClientMicros, "µs/put", theirs?.ClientMicros));
        }
    }

    private static async Task ReadsAsync(
        BenchOptions options, EtcdBenchmarkTool tool, StoreGroup ours, StoreGroup? etcd, string how, List<Figure> figures,
        CancellationToken cancellation)
    {
        options.Progress("linearizable reads " + how);
        var total = options.Quick ? 10_000 : 80_000;
        await tool.RangeAsync(ours, 1000, total / 2, "l", cancellation);
        var (mine, theirs) = await BothAsync(options, ours, etcd, group => tool.RangeAsync(group, 1000, total, "l", cancellation));
        figures.Add(Beside(
            $"linearizable reads {how}, 1000 clients", mine.PerSecond, "reads/s", theirs?.PerSecond, "more than 2x", static (m, t) => m > 2 * t));
        figures.Add(Beside($"processor time of three members, {how}", mine.CpuMicros, "µs/read", theirs?.CpuMicros));
        figures.Add(Beside($"processor time of the client, {how}", mine.ClientMicros, "µs/read", theirs?.ClientMicros));
    }

    private static async Task BatchesAsync(
        BenchOptions options, StoreGroup ours, StoreGroup? etcd, List<Figure> figures, CancellationToken cancellation)
    {
        options.Progress("a client that pipelines transactions of 128 puts");
        var transactions = options.Quick ? 300 : 3000;
        var mine = await BatchLoad.RunAsync(ours, transactions, 32, cancellation);
        double? theirs = etcd is null ? null : await BatchLoad.RunAsync(etcd, transactions, 32, cancellation);
        figures.Add(new Figure(
            "puts through a pipelining client", mine, "puts/s", theirs is null ? null : "etcd", theirs, mine / theirs, "at least 50,000/s", mine >= 50_000));
    }

    private static async Task WatchesAsync(
        BenchOptions options, EtcdBenchmarkTool tool, StoreGroup ours, StoreGroup? etcd, List<Figure> figures, CancellationToken cancellation)
    {
        options.Progress("10,000 watchers of one key");
        var puts = options.Quick ? 20 : 200;
        var mine = await tool.WatchAsync(ours, 100, 100, puts, cancellation);
        var theirs = etcd is null ? null : await tool.WatchAsync(etcd, 100, 100, puts, cancellation);
        figures.Add(new Figure(
            "watch events, 10,000 watchers", mine.PerSecond, "events/s", theirs is null ? null : "etcd", theirs?.PerSecond, mine.PerSecond / theirs?.PerSecond,
            "at least 100,000/s and more than etcd", mine.PerSecond >= 100_000 && !(mine.PerSecond <= theirs?.PerSecond)));
    }

    private static async Task FailoversAsync(
        BenchOptions options, StoreGroup ours, StoreGroup? etcd, List<Figure> figures, CancellationToken cancellation)
    {
        var kills = options.Quick ? 3 : 100;
        options.Progress($"the leader is killed {kills} times");
        var mine = await KillLeadersAsync(ours, kills, cancellation);
        // Each takes etcd seconds: the rest would only tell the same.
        var theirs = etcd is null ? null : await KillLeadersAsync(etcd, Math.Min(kills, 10), cancellation);
        figures.Add(Against("killed leader to first write, median", Median(mine), theirs is null ? null : Median(theirs), "under 400 ms", 400));
        figures.Add(Against($"killed leader to first write, P99 of {kills}", Percentile99(mine), theirs?.Max(), "under 1 s", 1000));
        figures.Add(Against($"killed leader to first write, worst of {kills}", mine.Max(), theirs?.Max(), null, double.PositiveInfinity));
    }

    private static Figure Against(string name, double millis, double? rival, string? goal, double most) =>
        new(name, millis, "ms", rival is null ? null : "etcd", rival, millis / rival, goal, goal is null ? null : millis < most);

    private static async Task<double[]> KillLeadersAsync(StoreGroup group, int kills, CancellationToken cancellation)
    {
        var times = new double[kills];
        for (var i = 0; i < kills; i++)
        {
            var leader = await group.LeaderAsync(cancellation);
            var others = StoreGroup.Names.Where(n => n != leader).Select(group.AddressOf).ToArray();
            await StoreGroup.WriteAsync(others, TimeSpan.FromSeconds(30), cancellation);
            using var killed = group.Kill(leader);
            times[i] = (await StoreGroup.WriteAsync(others, TimeSpan.FromSeconds(60), cancellation)).TotalMilliseconds;
            await killed.WaitForExitAsync(cancellation);
            group.Start(leader);
            await StoreGroup.WriteAsync([group.AddressOf(leader)], TimeSpan.FromSeconds(60), cancellation);
        }
        return times;
    }

    /// <summary>Each side in turn, twice, so that what else the machine does meets both.</summary>
    private static async Task<(ToolRun Ours, ToolRun? Theirs)> BothAsync(
        BenchOptions options, StoreGroup ours, StoreGroup? etcd, Func<StoreGroup, Task<ToolRun>> run)
    {
        var mine = await run(ours);
        var theirs = etcd is null ? null : await run(etcd);
        if (options.Quick)
            return (mine, theirs);
        mine = Better(mine, await run(ours));
        return (mine, etcd is null ? null : Better(theirs!, await run(etcd)));
    }

    /// <summary>For a lone client, whom each other program on the machine makes wait: the median of many short rounds in turn, after one that does not count.</summary>
    private static async Task<(ToolRun Ours, ToolRun? Theirs)> InTurnAsync(
        BenchOptions options, StoreGroup ours, StoreGroup? etcd, Func<StoreGroup, Task<ToolRun>> run)
    {
        var (mine, theirs) = (new List<ToolRun>(), new List<ToolRun>());
        for (var round = 0; round <= (options.Quick ? 1 : 9); round++)
        {
            mine.Add(await run(ours));
            if (etcd is not null)
                theirs.Add(await run(etcd));
        }
        options.Progress($"round by round: {string.Join(", ", mine.Skip(1).Select((m, i) => etcd is null ? $"{m.PerSecond:F0}" : $"{m.PerSecond / theirs[i + 1].PerSecond:F2}"))}");
        return (Middle(mine), etcd is null ? null : Middle(theirs));
    }

    private static ToolRun Middle(List<ToolRun> runs)
    {
        double Of(Func<ToolRun, double> value) => Median([.. runs.Skip(1).Select(value)]);
        return new ToolRun(
            Of(static r => r.PerSecond), Of(static r => r.P50), Of(static r => r.P99), Of(static r => r.CpuMicros), Of(static r => r.ClientMicros), runs[^1].Pauses);
    }

    private static ToolRun Better(ToolRun one, ToolRun other) => one.PerSecond >= other.PerSecond ? one : other;

    private static double Median(double[] values) => values.Order().ElementAt(values.Length / 2);

    private static double Percentile99(double[] values) => values.Order().ElementAt(Math.Max(0, (int)Math.Ceiling(values.Length * 0.99) - 1));
}
