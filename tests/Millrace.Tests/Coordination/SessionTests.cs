using System.Text;
using Millrace.Bench.Running;
using Millrace.Coordination.Client;
using Millrace.Coordination.Node;
using Millrace.Coordination.Sessions;

namespace Millrace.Tests.Coordination;

/// <summary>Sessions on three members with their real disks and connections: one down, and back.</summary>
public sealed class SessionTests : IAsyncLifetime
{
    private static readonly string[] Names = ["a", "b", "c"];
    private readonly string _folder = Directory.CreateTempSubdirectory("millrace-sessions-").FullName;
    private readonly Dictionary<string, CoordinationNode> _nodes = [];
    private readonly Dictionary<string, int> _clientPorts = [];
    private CoordinationMember[] _members = [];

    public async Task InitializeAsync()
    {
        var ports = LoopbackPorts.Take(6);
        _members = [.. Names.Select((n, i) => new CoordinationMember(n, "127.0.0.1", ports[i]))];
        for (var i = 0; i < Names.Length; i++)
            _clientPorts[Names[i]] = ports[3 + i];
        await Task.WhenAll(Names.Select(StartAsync));
    }

    public async Task DisposeAsync()
    {
        foreach (var node in _nodes.Values)
            await node.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task With_a_member_down_two_of_three_go_on_three_are_refused_and_it_is_given_what_it_missed()
    {
        using var a = Client("a");
        await UntilAsync(async () => await a.PutAsync("user-1", "cart"u8.ToArray(), TimeSpan.FromMinutes(5), 3, default) == 3);
        using (var c = Client("c"))
            Assert.Equal("cart", Text(await c.GetAsync("user-1", 3, default)));

        await _nodes["c"].DisposeAsync();
        _nodes.Remove("c");
        Assert.Equal(2, await a.PutAsync("user-1", "more"u8.ToArray(), null, null, default));
        Assert.Equal("more", Text(await a.GetAsync("user-1", null, default)));
        var refused = await Assert.ThrowsAsync<CoordinationException>(() => a.PutAsync("user-2", "x"u8.ToArray(), null, 3, default));
        Assert.Contains("only 2 of 3 copies were written", refused.Message, StringComparison.Ordinal);

        await StartAsync("c");
        using var back = Client("c");
        // The hint is handed over: its own copy alone has the newest.
        await UntilAsync(async () => await ReadOwnAsync(back) == "more");
        Assert.True(await a.PutAsync("user-1", null, null, 2, default) >= 2);
        Assert.Null(await back.GetAsync("user-1", 2, default));
    }

    [Fact]
    public async Task Numbers_that_make_no_sense_are_refused_by_name()
    {
        using var a = Client("a");
        await UntilAsync(async () => await a.PutAsync("k", "v"u8.ToArray(), null, 1, default) >= 1);
        Assert.Contains("read must be from 1 to copies (3), not 4", (await Assert.ThrowsAsync<CoordinationException>(() => a.GetAsync("k", 4, default))).Message, StringComparison.Ordinal);
        Assert.Contains("1 to 1,024 characters", (await Assert.ThrowsAsync<CoordinationException>(() => a.GetAsync("", null, default))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Homes_are_few_even_and_move_little()
    {
        ulong[] five = [1, 2, 3, 4, 5];
        var counts = new Dictionary<ulong, int>();
        var moved = 0;
        for (var i = 0; i < 3000; i++)
        {
            var homes = SessionQuorum.HomesOf($"user-{i}", five, 3);
            Assert.Equal(3, homes.Distinct().Count());
            foreach (var home in homes)
                counts[home] = counts.GetValueOrDefault(home) + 1;
            moved += SessionQuorum.HomesOf($"user-{i}", [.. five, 6UL], 3).Except(homes).Count();
        }
        Assert.All(counts.Values, static c => Assert.InRange(c, 1600, 2000));
        Assert.InRange(moved, 1300, 1700);
    }

    /// <summary>With R = 1 the nearest copy answers, which is the member's own.</summary>
    private static async Task<string> ReadOwnAsync(SessionClient client) => Text(await client.GetAsync("user-1", 1, default));

    private static string Text(FoundSession? found) => found is null ? "" : Encoding.UTF8.GetString(found.Value.Span);

    private SessionClient Client(string name) => new([new Uri($"http://127.0.0.1:{_clientPorts[name]}")]);

    private async Task StartAsync(string name)
    {
        var node = await CoordinationNode.StartAsync(new CoordinationOptions
        {
            DataFolder = Path.Combine(_folder, name), Name = name, Members = _members, ClientPort = _clientPorts[name],
            PeerPort = _members.First(m => m.Name == name).PeerPort, SessionTimeout = TimeSpan.FromSeconds(1),
        });
        lock (_nodes)
            _nodes[name] = node;
    }

    private static async Task UntilAsync(Func<Task<bool>> isDone)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (true)
        {
            try
            {
                if (await isDone())
                    return;
            }
            catch (CoordinationException)
            {
                // Members are still finding each other.
            }
            await Task.Delay(50, patience.Token);
        }
    }
}
