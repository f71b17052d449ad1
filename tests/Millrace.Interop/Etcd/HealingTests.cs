using Millrace.Coordination.Client;
using Millrace.Coordination.Wire;

namespace Millrace.Interop.Etcd;

/// <summary>A member of three real processes whose disk rotted while it was down gets everything again while the others serve.</summary>
public sealed class HealingTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    [Theory]
    [InlineData("log", "raft")]
    [InlineData("snapshots", "raft")]
    [InlineData("log", "multi-paxos")]
    [InlineData("log", "fast-paxos")]
    public async Task A_member_with_a_flipped_bit_on_disk_heals_from_the_others(string folder, string algorithm)
    {
        await using var group = ThreeProcesses.StartWith(["--consensus", algorithm], "a", "b", "c");
        using var client = new CoordinationClient([.. group.Addresses]);
        await UntilAsync(() => client.PutAsync("ready", "yes", default), group);
        for (var i = 0; i < 300; i++)
            await client.PutAsync($"before/{i:d3}", new string('x', 200), default);
        if (folder == "snapshots")
            await SnapshotAsync(group, "b");
        await group.KillAsync("b");
        Flip(Directory.GetFiles(Path.Combine(group.FolderOf("b"), "raft", folder)).Order().First(f => !f.EndsWith("votes", StringComparison.Ordinal)));
        await UntilAsync(() => client.PutAsync("during", "the others serve", default), group);

        group.StartMember("b");
        await UntilAsync(() => client.PutAsync("after", "still", default), group);
        await UntilSaidAsync(group, "b: ", "heals: ", "is damaged at byte");
        await UntilSaidAsync(group, "b: ", "is healed");

        // It counts again: with another one gone, the group goes on, and it has all.
        await group.KillAsync("c");
        using var rest = new CoordinationClient([new Uri("http://" + group.EndpointOf("a")), new Uri("http://" + group.EndpointOf("b"))]);
        await UntilAsync(() => rest.PutAsync("with", "the healed one", default), group);
        using var healed = new CoordinationClient([new Uri("http://" + group.EndpointOf("b"))]);
        var (keys, _) = await healed.ListAsync("", default);
        Assert.Equal(304, keys.Count);

        // Whole on disk too: it starts again without a word of damage.
        var healings = group.Said.Count(l => l.Contains("heals: ", StringComparison.Ordinal));
        await group.KillAsync("b");
        group.StartMember("b");
        await UntilAsync(() => healed.PutAsync("again", "whole", default), group);
        Assert.Equal(healings, group.Said.Count(l => l.Contains("heals: ", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task A_member_alone_refuses_to_start_with_place_and_reason()
    {
        await using var group = ThreeProcesses.Start("only");
        using var client = new CoordinationClient([.. group.Addresses]);
        await UntilAsync(() => client.PutAsync("ready", "yes", default), group);
        for (var i = 0; i < 20; i++)
            await client.PutAsync($"k{i}", "v", default);
        await group.KillAsync("only");
        Flip(Directory.GetFiles(Path.Combine(group.FolderOf("only"), "raft", "log"), "*.raftlog").Single());
        group.StartMember("only");
        await UntilSaidAsync(group, "only: ", ".raftlog is damaged at byte", "Restore this member from a snapshot");
    }

    private static void Flip(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.ReadWrite);
        file.Position = 1000;
        var old = file.ReadByte();
        file.Position = 1000;
        file.WriteByte((byte)(old ^ 4));
    }

    private static async Task SnapshotAsync(ThreeProcesses group, string name)
    {
        using var channel = new GrpcChannel(new Uri("http://" + group.EndpointOf(name)));
        await channel.UnaryAsync("/etcdserverpb.Maintenance/Defragment", new DefragmentRequest(), DefragmentResponse.Parser, null, default);
        using var patience = new CancellationTokenSource(Patience);
        var folder = Path.Combine(group.FolderOf(name), "raft", "snapshots");
        while (!Directory.EnumerateFiles(folder, "*.snapshot").Any())
            await Task.Delay(20, patience.Token);
    }

    private static async Task UntilAsync(Func<Task> act, ThreeProcesses group)
    {
        using var patience = new CancellationTokenSource(Patience);
        while (true)
        {
            try
            {
                await act();
                return;
            }
            catch (CoordinationException error)
            {
                Assert.False(patience.IsCancellationRequested, error.Message + "\n" + string.Join('\n', group.Said));
                await Task.Delay(100);
            }
        }
    }

    private static async Task UntilSaidAsync(ThreeProcesses group, params string[] words)
    {
        using var patience = new CancellationTokenSource(Patience);
        while (!group.Said.Any(line => words.All(w => line.Contains(w, StringComparison.Ordinal))))
        {
            Assert.False(patience.IsCancellationRequested, $"nobody said {string.Join(" ... ", words)}\n" + string.Join('\n', group.Said));
            await Task.Delay(50);
        }
    }
}
