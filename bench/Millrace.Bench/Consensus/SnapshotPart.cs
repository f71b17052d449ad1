using System.Diagnostics;
using Millrace.Bench.Running;
using Millrace.Coordination.Client;

namespace Millrace.Bench.Consensus;

/// <summary>A new member gets a large state while clients write: what that does to their latency.</summary>
internal static class SnapshotPart
{
    private const string NewName = "d";
    private const int ValueBytes = 8 << 10;
    private const int PerSecond = 1_000;

    // Of members that do nothing but send heartbeats, in two seconds.
    private const long QuietBytes = 1 << 20;

    public static async Task RunAsync(BenchOptions options, EtcdBenchmarkTool tool, string folder, List<Figure> figures, CancellationToken cancellation)
    {
        await using var group = new MillraceGroup(Path.Combine(folder, "millrace-snapshot"));
        await group.StartAsync(cancellation);
        var megabytes = options.Quick ? 128 : 1024;
        options.Progress($"filling the store with {megabytes} MB");
        await BatchLoad.RunAsync(group, megabytes, 8, cancellation, ValueBytes, warmUp: false);
        await tool.PutAsync(group, 20, 5_000, cancellation);
        options.Progress("waiting until the members have saved their state");
        await QuietAsync(group, cancellation);
        var puts = PerSecond * (options.Quick ? 8 : 40);
        var normal = await tool.PutAsync(group, 20, puts, cancellation, PerSecond);

        options.Progress("a member joins under the same load");
        var leader = await group.LeaderAsync(cancellation);
        using var client = new ClusterClient([group.AddressOf(leader)], TimeSpan.FromSeconds(30));
        var ports = LoopbackPorts.Take(2);
        var peer = $"127.0.0.1:{ports[1]}";
        await client.AddAsync("http://" + peer, isLearner: true, cancellation);
        var clock = Stopwatch.StartNew();
        group.Join(NewName, ports[0], peer);
        var caughtUp = CaughtUpAsync(group, leader, clock, cancellation);
        var worst = 0d;
        do
        {
            // As long as without the new member, which is about as long as it takes; the worst counts when it takes longer.
            var run = await tool.PutAsync(group, 20, puts, cancellation, PerSecond);
            worst = Math.Max(worst, run.P99);
        }
        while (!caughtUp.IsCompleted);
        var seconds = await caughtUp;
        figures.Add(new Figure($"put P99 at 1,000/s with {megabytes} MB of state", normal.P99, "ms"));
        figures.Add(new Figure(
            $"put P99 while a new member gets {megabytes} MB", worst, "ms", "without it", normal.P99, worst / normal.P99, "under 3x", worst < 3 * normal.P99));
        figures.Add(new Figure("until the new member had all", seconds, "s"));
    }

    /// <summary>Returns when the members write next to nothing any more: what they save of the load, and room that they prepare.</summary>
    private static async Task QuietAsync(StoreGroup group, CancellationToken cancellation)
    {
        for (var patience = 60; patience > 0; patience--)
        {
            var before = group.WrittenBytes();
            await Task.Delay(2_000, cancellation);
            if (group.WrittenBytes() - before < QuietBytes)
                return;
        }
    }

    private static async Task<double> CaughtUpAsync(StoreGroup group, string leader, Stopwatch clock, CancellationToken cancellation)
    {
        using var client = new ClusterClient([group.AddressOf(NewName)], TimeSpan.FromSeconds(5));
        while (true)
        {
            try
            {
                var theirs = await client.ReportAsync(group.AddressOf(leader), cancellation);
                var mine = await client.ReportAsync(group.AddressOf(NewName), cancellation);
                if (mine.AppliedIndex + 2_000 >= theirs.AppliedIndex)
                    return clock.Elapsed.TotalSeconds;
            }
            catch (CoordinationException)
            {
                // Not up yet.
            }
            await Task.Delay(100, cancellation);
        }
    }
}
