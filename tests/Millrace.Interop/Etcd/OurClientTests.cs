using Millrace.Bench.Running;
using Millrace.Coordination.Client;
using Millrace.Coordination.Node;

namespace Millrace.Interop.Etcd;

/// <summary>The client that the platform coordinates with, against Debian's etcd-server, etcd 3.7 and our own store: the seam holds.</summary>
public sealed class OurClientTests
{
    private static readonly TimeSpan Ttl = TimeSpan.FromSeconds(3);

    public static TheoryData<string> Stores
    {
        get
        {
            var stores = new TheoryData<string> { "millrace" };
            foreach (var program in new[] { RealEtcd.Debian, RealEtcd.Newest })
            {
                if (program is not null)
                    stores.Add(program);
            }
            return stores;
        }
    }

    [Theory]
    [MemberData(nameof(Stores))]
    public async Task Keys_transactions_leases_locks_watches_and_elections_work_alike(string store)
    {
        var folder = Directory.CreateTempSubdirectory("millrace-client").FullName;
        if (store == "millrace")
        {
            await using var node = await CoordinationNode.StartAsync(new CoordinationOptions { DataFolder = folder, ClientPort = 0, PeerPort = -1 });
            await UseAsync($"127.0.0.1:{node.ClientPort}");
        }
        else
        {
            await using var etcd = await RealEtcd.StartAsync(store);
            await UseAsync(etcd.Endpoint);
        }
        Directory.Delete(folder, recursive: true);
    }

    private static async Task UseAsync(string endpoint)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        var cancel = patience.Token;
        // The first address answers nothing: clients go on to the next.
        using var client = new CoordinationClient([new Uri($"http://127.0.0.1:{LoopbackPorts.Take(1)[0]}"), new Uri("http://" + endpoint)]);
        using var another = new CoordinationClient([new Uri("http://" + endpoint)]);

        Assert.Null(await client.GetAsync("a", cancel));
        var first = await client.PutAsync("a", "1", cancel);
        var read = await another.GetAsync("a", cancel);
        Assert.Equal(("1", first, 1L), (read!.Text, read.ModRevision, read.Version));

        // Transactions: only if nobody was there before.
        Assert.NotNull(await client.WriteAsync([new KeyWrite("a", "2"u8.ToArray(), first), new KeyWrite("b", "2"u8.ToArray(), 0)], cancel));
        Assert.Null(await another.WriteAsync([new KeyWrite("a", "3"u8.ToArray(), first), new KeyWrite("c", "3"u8.ToArray())], cancel));
        Assert.Null(await client.GetAsync("c", cancel));
        var (keys, revision) = await client.ListAsync("", cancel);
        Assert.Equal(["a", "b"], keys.Select(k => k.Key));

        // Watches: from a revision of the past on, without holes.
        var seen = new List<string>();
        await using (var changes = another.WatchAsync("", first, cancel).GetAsyncEnumerator(cancel))
        {
            var writing = Task.Run(
                async () =>
                {
                    for (var i = 0; i < 20; i++)
                        await client.PutAsync("w", i.ToString(), cancel);
                    await client.DeleteAsync("w", cancel);
                },
                cancel);
            while (!seen.Contains("-w") && await changes.MoveNextAsync())
                seen.Add(changes.Current.IsDeletion ? "-" + changes.Current.Key.Key : changes.Current.Key.Key + changes.Current.Key.Text);
            await writing;
        }
        Assert.Equal([.. new[] { "a1", "a2", "b2" }, .. Enumerable.Range(0, 20).Select(i => "w" + i), "-w"], seen);
        await client.CompactAsync(revision, cancel);
        Assert.Equal(11, (await Assert.ThrowsAsync<CoordinationException>(() => FirstAsync(client.WatchAsync("a", first, cancel)))).Code);

        // Leases: kept while renewed, gone with all keys when ended or forgotten.
        var lease = await client.GrantLeaseAsync(Ttl, cancel);
        await client.PutAsync("leased", "x"u8.ToArray(), lease, cancel);
        Assert.True(await client.KeepAliveAsync(lease, cancel));
        await client.RevokeLeaseAsync(lease, cancel);
        Assert.False(await client.KeepAliveAsync(lease, cancel));
        await client.RevokeLeaseAsync(lease, cancel);
        Assert.Null(await client.GetAsync("leased", cancel));
        await client.PutAsync("forgotten", "x"u8.ToArray(), await client.GrantLeaseAsync(TimeSpan.FromSeconds(1), cancel), cancel);
        while (await client.GetAsync("forgotten", cancel) is not null)
            await Task.Delay(50, cancel);

        // Locks: one at a time, and each holder's token is greater than all before.
        var held = await client.LockAsync("mutex", Ttl, cancel);
        var waiting = another.LockAsync("mutex", Ttl, cancel);
        await Task.Delay(200, cancel);
        Assert.False(waiting.IsCompleted);
        await held.DisposeAsync();
        await using var next = await waiting;
        Assert.True(next.FencingToken > held.FencingToken);
        Assert.NotNull(await another.WriteAsync([new KeyWrite("guarded", "x"u8.ToArray()), new KeyWrite(next.Key, ""u8.ToArray(), next.FencingToken, next.Lease)], cancel));

        // Elections.
        var seat = await client.CampaignAsync("seat", "one", Ttl, cancel);
        Assert.Equal("one", (await another.LeaderAsync("seat", cancel))!.Text);
        var heir = another.CampaignAsync("seat", "two", Ttl, cancel);
        Assert.True(await seat.ProclaimAsync("still one", cancel));
        Assert.Equal("still one", (await another.LeaderAsync("seat", cancel))!.Text);
        await seat.DisposeAsync();
        await using var elected = await heir;
        Assert.Equal("two", (await client.LeaderAsync("seat", cancel))!.Text);
        Assert.True(elected.FencingToken > seat.FencingToken);
        Assert.False(await seat.ProclaimAsync("ghost", cancel));
        using var cluster = new ClusterClient([new Uri("http://" + endpoint)]);
        var member = Assert.Single(await cluster.MembersAsync(cancel));
        Assert.Equal(member.Id, (await cluster.ReportAsync(new Uri("http://" + endpoint), cancel)).Leader);
    }

    private static async Task FirstAsync(IAsyncEnumerable<KeyChange> changes)
    {
        await foreach (var _ in changes)
            return;
    }
}
