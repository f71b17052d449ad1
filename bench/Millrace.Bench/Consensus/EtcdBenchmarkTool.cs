using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Millrace.Bench.Consensus;

/// <summary>One run of etcd's own benchmark tool.</summary>
/// <param name="PerSecond">Requests acknowledged.</param>
/// <param name="P50">Milliseconds.</param>
/// <param name="P99">Milliseconds.</param>
/// <param name="CpuMicros">Processor time of all members for each request.</param>
/// <param name="ClientMicros">Processor time of the tool for each request.</param>
/// <param name="Pauses">What the members' collectors did meanwhile; null where they have none.</param>
internal sealed record ToolRun(double PerSecond, double P50, double P99, double CpuMicros, double ClientMicros, GroupPauses? Pauses = null);

/// <summary>Runs <c>etcd-benchmark</c>, so that the client is the same program for both sides.</summary>
internal sealed partial class EtcdBenchmarkTool(string program)
{
    private static readonly string[] LeaderOnly = ["--target-leader"];

    /// <param name="group">Whose members.</param>
    /// <param name="clients">At once.</param>
    /// <param name="total">Puts.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <param name="perSecond">0: as many as go.</param>
    /// <param name="toLeader">All to the leader; else to the members in turn, so that a lone client meets the leader by chance.</param>
    public Task<ToolRun> PutAsync(
        StoreGroup group, int clients, int total, CancellationToken cancellation, int perSecond = 0, bool toLeader = false) => RunAsync(
        group, clients, total, [.. toLeader ? LeaderOnly : [], "put", "--total", Text(total), "--val-size", "256", "--key-space-size", "100000", "--rate", Text(perSecond)], "Requests/sec", cancellation);

    public Task<ToolRun> RangeAsync(StoreGroup group, int clients, int total, string consistency, CancellationToken cancellation) => RunAsync(
        group, clients, total, ["range", "bench/alive", "--total", Text(total), "--consistency", consistency], "Requests/sec", cancellation);

    /// <summary>Every put is told to every watcher; the rate is that of events received.</summary>
    public async Task<ToolRun> WatchAsync(StoreGroup group, int streams, int watchersPerStream, int puts, CancellationToken cancellation)
    {
        var before = group.CpuSeconds();
        var (output, cpu) = await OutputAsync(
            [
                "--endpoints", group.Endpoints, "--conns", "100", "--clients", "100", "watch", "--streams", Text(streams), "--watch-per-stream",
                Text(watchersPerStream), "--watched-key-total", "1", "--put-total", Text(puts), "--put-rate", "1000000", "--key-space-size", "1",
            ], cancellation);
        var received = output[output.LastIndexOf("Summary:", StringComparison.Ordinal)..];
        var events = (double)streams * watchersPerStream * puts;
        return new ToolRun(Number(received, "Requests/sec"), Percentile(received, 50), Percentile(received, 99), (group.CpuSeconds() - before) * 1e6 / events, cpu * 1e6 / events);
    }

    private async Task<ToolRun> RunAsync(
        StoreGroup group, int clients, int total, string[] command, string rate, CancellationToken cancellation)
    {
        var pauses = await GroupPauses.SoFarAsync(group, cancellation);
        var before = group.CpuSeconds();
        var (output, cpu) = await OutputAsync(
            [
                "--endpoints", group.Endpoints, .. group.Tls is { } tls ? ["--cacert", tls.Ca!] : Array.Empty<string>(), "--conns", Text(Math.Min(clients, 100)),
                "--clients", Text(clients), .. command,
            ], cancellation);
        var spent = group.CpuSeconds() - before;
        if (pauses is not null)
            pauses = await GroupPauses.SoFarAsync(group, cancellation) - pauses;
        return new ToolRun(Number(output, rate), Percentile(output, 50), Percentile(output, 99), spent * 1e6 / total, cpu * 1e6 / total, pauses);
    }

    private async Task<(string Output, double CpuSeconds)> OutputAsync(string[] arguments, CancellationToken cancellation)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        var before = ChildSeconds();
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync(cancellation);
        var output = await process.StandardOutput.ReadToEndAsync(cancellation);
        await process.WaitForExitAsync(cancellation);
        return process.ExitCode == 0
            ? (output, ChildSeconds() - before)
            : throw new InvalidOperationException($"etcd-benchmark {string.Join(' ', arguments)} ended with {process.ExitCode}: {await errors}");
    }

    /// <summary>Processor seconds of this process's children that have ended (proc(5): cutime and cstime, in hundredths of a second).</summary>
    private static double ChildSeconds()
    {
        var stat = File.ReadAllText("/proc/self/stat");
        var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        return (double.Parse(fields[13], CultureInfo.InvariantCulture) + double.Parse(fields[14], CultureInfo.InvariantCulture)) / 100;
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private static double Number(string output, string name) =>
        double.Parse(Regex.Match(output, Regex.Escape(name) + @":\s*([0-9.]+)").Groups[1].Value, CultureInfo.InvariantCulture);

    private static double Percentile(string output, int percent) => Regex.Match(output, $@"{percent}% in ([0-9.]+) secs") is { Success: true } match
        ? double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture) * 1000
        : double.NaN;
}
