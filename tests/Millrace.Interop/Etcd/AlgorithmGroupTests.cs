using System.Globalization;
using System.Text;
using Millrace.Coordination.Client;

namespace Millrace.Interop.Etcd;

/// <summary>Three real processes on each of the store's algorithms: a killed leader, a member that comes back from its disk, nothing lost or doubled.</summary>
public sealed class AlgorithmGroupTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [Theory]
    [InlineData("raft")]
    [InlineData("multi-paxos")]
    [InlineData("fast-paxos")]
    public async Task A_group_counts_right_through_a_kill_of_each_member(string algorithm)
    {
        await using var group = ThreeProcesses.StartWith(["--consensus", algorithm], "a", "b", "c");
        using var patience = new CancellationTokenSource(Patience);
        using var all = new CoordinationClient([.. group.Names.Select(n => new Uri("http://" + group.EndpointOf(n)))]);
        await WriteAsync(all, "ready", patience.Token);
        var written = new List<string>();
        foreach (var victim in group.Names.ToArray())
        {
            // All members at once, so that fast rounds collide.
            var added = await Task.WhenAll(group.Names.Select(n => WriteTenAsync(group.EndpointOf(n), $"{victim}-{n}", patience.Token)));
            written.AddRange(added.SelectMany(static a => a));
            await group.KillAsync(victim);
            using var rest = new CoordinationClient([.. group.EndpointsBut(victim).Split(',').Select(e => new Uri("http://" + e))]);
            await WriteAsync(rest, "k-without-" + victim, patience.Token);
            written.Add("k-without-" + victim);
            group.StartMember(victim);
            using var back = new CoordinationClient([new Uri("http://" + group.EndpointOf(victim))]);
            await WriteAsync(back, "k-back-" + victim, patience.Token);
            written.Add("k-back-" + victim);
        }
        foreach (var name in group.Names)
        {
            using var one = new CoordinationClient([new Uri("http://" + group.EndpointOf(name))]);
            var (keys, _) = await one.ListAsync("k-", patience.Token);
            Assert.Equal(written.Order(StringComparer.Ordinal), keys.Select(static k => k.Key));
            Assert.All(keys.Where(static k => k.Key.Contains("-n", StringComparison.Ordinal)), static k => Assert.Equal(1, k.Version));
        }
        using var cluster = new ClusterClient([.. group.Names.Select(n => new Uri("http://" + group.EndpointOf(n)))]);
        if (algorithm == "fast-paxos")
        {
            var refused = await Assert.ThrowsAsync<CoordinationException>(() => cluster.AddAsync("http://127.0.0.1:1", isLearner: true, patience.Token));
            Assert.Contains("are fixed; begin it with raft or multi-paxos", refused.Message, StringComparison.Ordinal);
        }
        else if (algorithm == "multi-paxos")
        {
            await AddAndRemoveAsync(group, cluster, written, patience.Token);
        }
    }

    /// <summary>A fourth member comes, votes, and one of the first goes for good: the group needs the new one from then on.</summary>
    private static async Task AddAndRemoveAsync(
        ThreeProcesses group, ClusterClient cluster, List<string> written, CancellationToken cancellation)
    {
        var first = group.Names.ToArray();
        group.Prepare("d");
        var added = await cluster.AddAsync(group.PeerUrlOf("d"), isLearner: true, cancellation);
        group.Join("d");
        await UntilTakenAsync(() => cluster.PromoteAsync(added.Id, cancellation), cancellation);
        var gone = (await cluster.MembersAsync(cancellation)).First(m => m.Name == first[0]);
        await UntilTakenAsync(() => cluster.RemoveAsync(gone.Id, cancellation), cancellation);
        var members = await cluster.MembersAsync(cancellation);
        for (; members.Any(static m => m.Name.Length == 0); members = await cluster.MembersAsync(cancellation))
            await Task.Delay(50, cancellation); // The new one says its name itself, after it votes perhaps.
        Assert.Equal(["b", "c", "d"], members.Select(static m => m.Name).Order(StringComparer.Ordinal));
        await group.KillAsync(first[0]);
        await group.KillAsync(first[1]);
        using var rest = new CoordinationClient([new Uri("http://" + group.EndpointOf("c")), new Uri("http://" + group.EndpointOf("d"))]);
        await WriteAsync(rest, "k-by-two", cancellation);
        using var one = new CoordinationClient([new Uri("http://" + group.EndpointOf("d"))]);
        var (keys, _) = await one.ListAsync("k-", cancellation);
        Assert.Equal(written.Append("k-by-two").Order(StringComparer.Ordinal), keys.Select(static k => k.Key));
    }

    private static async Task UntilTakenAsync(Func<Task> change, CancellationToken cancellation)
    {
        while (true)
        {
            try
            {
                await change();
                return;
            }
            catch (CoordinationException)
            {
                await Task.Delay(50, cancellation);
            }
        }
    }

    private static async Task<List<string>> WriteTenAsync(string endpoint, string prefix, CancellationToken cancellation)
    {
        using var client = new CoordinationClient([new Uri("http://" + endpoint)]);
        var written = new List<string>();
        for (var i = 0; i < 10; i++)
        {
            var key = string.Create(CultureInfo.InvariantCulture, $"k-{prefix}-n{i}");
            await WriteAsync(client, key, cancellation);
            written.Add(key);
        }
        return written;
    }

    /// <summary>Once, whatever has to be tried again: only a key that is not there is written.</summary>
    private static async Task WriteAsync(CoordinationClient client, string key, CancellationToken cancellation)
    {
        while (true)
        {
            try
            {
                await client.WriteAsync([new KeyWrite(key, Encoding.UTF8.GetBytes(key), IfModRevision: 0)], cancellation);
                return;
            }
            catch (CoordinationException)
            {
                await Task.Delay(50, cancellation);
            }
        }
    }
}
