using Google.Protobuf;
using Millrace.Bench.Running;
using Millrace.Coordination.Client;
using Millrace.Coordination.Node;
using Millrace.Coordination.Wire;

namespace Millrace.Bench.Consensus;

/// <summary>
/// How long a large transaction takes from the moment that a member knows it to be committed until it can be read there, with and without running it ahead
/// of its commitment; three members in this process, whose logs are fsynced.
/// </summary>
internal static class SpeculationPart
{
    private const int MaxOps = 20_000;

    public static async Task RunAsync(BenchOptions options, string folder, List<Figure> figures, CancellationToken cancellation)
    {
        foreach (var keys in new[] { 100, 1_000, 10_000 })
        {
            options.Progress($"transactions of {keys} keys");
            var count = Math.Clamp((options.Quick ? 60_000 : 400_000) / keys, 20, options.Quick ? 100 : 2_000);
            var plain = await MeasureAsync(Path.Combine(folder, $"plain-{keys}"), keys, count, speculates: false, cancellation);
            var ahead = await MeasureAsync(Path.Combine(folder, $"ahead-{keys}"), keys, count, speculates: true, cancellation);
            foreach (var (name, pick) in new (string, Func<double[], double>)[] { ("P50", s => s[s.Length / 2]), ("P99", s => s[s.Length * 99 / 100]) })
            {
                figures.Add(new Figure(
                    $"commit to visible on a follower, {keys} keys, {name}", pick(ahead.Visible), "ms", "not run ahead", pick(plain.Visible), pick(ahead.Visible) / pick(plain.Visible)));
            }
            figures.Add(new Figure(
                $"transactions, {keys} keys, one client", ahead.PerSecond, "txn/s", "not run ahead", plain.PerSecond, ahead.PerSecond / plain.PerSecond));
        }
    }

    private static async Task<(double[] Visible, double PerSecond)> MeasureAsync(
        string folder, int keys, int count, bool speculates, CancellationToken cancellation)
    {
        var names = new[] { "a", "b", "c" };
        var members = names.Zip(LoopbackPorts.Take(names.Length), (n, port) => new CoordinationMember(n, "127.0.0.1", port)).ToArray();
        var nodes = await Task.WhenAll(names.Select(name => CoordinationNode.StartAsync(new CoordinationOptions
        {
            DataFolder = Path.Combine(folder, name), Name = name, Members = members, ClientPort = 0, PeerPort = members.Single(m => m.Name == name).PeerPort,
            MaxTxnOps = MaxOps, MaxRequestBytes = 16 << 20, Speculates = speculates,
        }, cancel: cancellation)));
        try
        {
            using var client = new CoordinationClient([.. nodes.Select(n => new Uri($"http://127.0.0.1:{n.ClientPort}"))], TimeSpan.FromSeconds(30));
            while (nodes.All(n => n.Status.Leader.IsNone))
                await Task.Delay(20, cancellation);
            var warm = Math.Max(5, count / 5);
            var began = 0L;
            for (var i = -warm; i < count; i++)
            {
                if (i == 0)
                {
                    foreach (var node in nodes)
                        node.Visible.Keep();
                    began = TimeProvider.System.GetTimestamp();
                }
                await client.CallAsync("/etcdserverpb.KV/Txn", Transaction(keys, i), TxnResponse.Parser, isRepeatable: false, cancellation);
            }
            var seconds = TimeProvider.System.GetElapsedTime(began).TotalSeconds;
            var follower = nodes.First(n => n.Status.Leader.Value != n.MemberId);
            while (follower.AppliedIndex < nodes.Max(n => n.AppliedIndex))
                await Task.Delay(5, cancellation);
            var visible = follower.Visible.Sorted();
            return (visible.Length == 0 ? [0] : visible, count / seconds);
        }
        finally
        {
            foreach (var node in nodes)
                await node.DisposeAsync();
        }
    }

    private static TxnRequest Transaction(int keys, int round)
    {
        var txn = new TxnRequest();
        var value = ByteString.CopyFromUtf8(new string('v', 32) + round);
        for (var i = 0; i < keys; i++)
            txn.Success.Add(new RequestOp { RequestPut = new PutRequest { Key = ByteString.CopyFromUtf8($"key/{i:d6}"), Value = value } });
        return txn;
    }
}
