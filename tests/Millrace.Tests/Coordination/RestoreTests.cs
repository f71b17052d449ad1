using Millrace.Coordination.Client;
using Millrace.Coordination.Node;

namespace Millrace.Tests.Coordination;

public sealed class RestoreTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("millrace-restore-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_saved_state_goes_on_in_a_new_group_with_its_keys_and_its_revision()
    {
        var file = Path.Combine(_folder, "state");
        ulong oldGroup;
        long revision;
        await using (var node = await StartAsync("old"))
        {
            using var keys = new CoordinationClient([Endpoint(node)]);
            for (var i = 0; i < 300; i++)
                await keys.PutAsync($"k{i:000}", $"v{i}", CancellationToken.None);
            revision = (await keys.GetAsync("k299", CancellationToken.None))!.ModRevision;
            using var cluster = new ClusterClient([Endpoint(node)]);
            oldGroup = (await cluster.ReportAsync(Endpoint(node), CancellationToken.None)).ClusterId;
            await using var stream = File.Create(file);
            await cluster.SnapshotAsync(stream, CancellationToken.None);
        }
        var restored = GroupRestore.Restore(file, Options("new"));
        Assert.NotEqual(oldGroup, restored.ClusterId);
        Assert.Equal(revision, restored.Revision);
        for (var start = 0; start < 2; start++)
        {
            // Twice: the restored folder must also survive a restart of its own.
            await using var node = await StartAsync("new");
            using var keys = new CoordinationClient([Endpoint(node)]);
            Assert.Equal("v123", (await keys.GetAsync("k123", CancellationToken.None))!.Text);
            Assert.Equal(revision + start + 1, await keys.PutAsync("after", "x", CancellationToken.None));
        }
        Assert.Throws<IOException>(() => GroupRestore.Restore(file, Options("new")));
    }

    [Fact]
    public async Task A_damaged_file_is_refused_and_leaves_no_folder()
    {
        var file = Path.Combine(_folder, "state");
        await File.WriteAllBytesAsync(file, new byte[1024 + 32]);
        Assert.Throws<InvalidDataException>(() => GroupRestore.Restore(file, Options("new")));
        Assert.False(Directory.Exists(Path.Combine(_folder, "new")));
    }

    [Fact]
    public async Task A_lock_is_held_by_one_at_a_time_and_each_holder_gets_a_greater_number()
    {
        await using var node = await StartAsync("one");
        using var client = new CoordinationClient([Endpoint(node)]);
        long last = 0;
        var inside = 0;
        await Task.WhenAll(Enumerable.Range(0, 8).Select(async _ =>
        {
            await using var held = await client.LockAsync("job", TimeSpan.FromSeconds(10), CancellationToken.None);
            Assert.Equal(1, Interlocked.Increment(ref inside));
            Assert.True(held.FencingToken > last);
            last = held.FencingToken;
            await Task.Yield();
            Interlocked.Decrement(ref inside);
        }));
    }

    [Fact]
    public async Task A_watch_tells_every_change_from_a_revision_on_in_order()
    {
        await using var node = await StartAsync("one");
        using var client = new CoordinationClient([Endpoint(node)]);
        var first = await client.PutAsync("w/a", "0", CancellationToken.None);
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        var seen = new List<string>();
        var writer = Task.Run(async () =>
        {
            for (var i = 1; i < 50; i++)
                await client.PutAsync("w/a", i.ToString(System.Globalization.CultureInfo.InvariantCulture), CancellationToken.None);
            await client.DeleteAsync("w/a", CancellationToken.None);
        });
        await foreach (var change in client.WatchAsync("w/", first, stop.Token))
        {
            seen.Add(change.IsDeletion ? "gone" : change.Key.Text);
            if (change.IsDeletion)
                break;
        }
        await writer;
        Assert.Equal([.. Enumerable.Range(0, 50).Select(i => i.ToString(System.Globalization.CultureInfo.InvariantCulture)), "gone"], seen);
    }

    private static Uri Endpoint(CoordinationNode node) => new($"http://127.0.0.1:{node.ClientPort}");

    private CoordinationOptions Options(string name) => new() { DataFolder = Path.Combine(_folder, name), ClientPort = 0, PeerPort = -1 };

    private Task<CoordinationNode> StartAsync(string name) => CoordinationNode.StartAsync(Options(name));
}
