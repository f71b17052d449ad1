using System.Text.Json.Nodes;

namespace Millrace.Interop.Etcd;

/// <summary>`millrace cluster status|transfer|add|promote|remove|snapshot|restore` with three real processes on each of the algorithms.</summary>
public sealed class ClusterCommandTests
{
    [Theory]
    [InlineData("raft")]
    [InlineData("multi-paxos")]
    [InlineData("fast-paxos")]
    public async Task A_group_is_managed_by_the_commands(string algorithm)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(90));
        await using var group = ThreeProcesses.StartWith(["--consensus", algorithm], "a", "b", "c");
        await UntilAsync(async () => (await StatusAsync(group)) is { } all && all.Count == 3 && all.Values.Count(IsLeader) == 1 && all.Values.All(IsUp), patience.Token);

        var heir = (await StatusAsync(group))!.First(static m => !IsLeader(m.Value)).Key;
        await DoneAsync(group, "cluster", "transfer", heir);
        await UntilAsync(async () => (await StatusAsync(group)) is { } all && IsLeader(all[heir]), patience.Token);
        var unknown = await group.CommandAsync("cluster", "transfer", "nobody");
        Assert.Equal(2, unknown.Code);
        Assert.Contains("the group has no member 'nobody'", unknown.Errors);

        var file = Path.Combine(group.FolderOf("a"), "state.snapshot");
        await DoneAsync(group, "cluster", "snapshot", file);
        Assert.True(new FileInfo(file).Length > 0);

        if (algorithm == "fast-paxos")
        {
            var refused = await group.CommandAsync("cluster", "add", "127.0.0.1:1", "--learner");
            Assert.Equal(1, refused.Code);
            Assert.Contains("are fixed; begin it with raft or multi-paxos", refused.Errors);
            return;
        }
        await ComesAndGoesAsync(group, "d", isDown: false, patience.Token);
        await ComesAndGoesAsync(group, "e", isDown: true, patience.Token);
        Assert.Equal(["a", "b", "c"], (await StatusAsync(group))!.Keys.Order(StringComparer.Ordinal));
    }

    /// <summary>A member joins, votes and is removed, while it runs or while it is down: either way it stops by itself and says why.</summary>
    private static async Task ComesAndGoesAsync(ThreeProcesses group, string name, bool isDown, CancellationToken cancel)
    {
        group.Prepare(name);
        await DoneAsync(group, "cluster", "add", group.PeerUrlOf(name)["http://".Length..], "--learner");
        group.Join(name);
        await UntilAsync(async () => (await group.CommandAsync("cluster", "promote", name)).Code == 0, cancel);
        await UntilAsync(async () => (await StatusAsync(group)) is { } all && all.Count == 4 && all.Values.All(IsUp), cancel);
        if (isDown)
            await group.KillAsync(name);
        await DoneAsync(group, "cluster", "remove", name);
        if (isDown)
            group.Join(name);
        await UntilAsync(() => Task.FromResult(group.HasEnded(name)), cancel);
        await group.ForgetAsync(name);
        var said = group.Said.Where(l => l.StartsWith(name + ":", StringComparison.Ordinal)).ToArray();
        Assert.True(said.Any(static l => l.Contains("error: this member was removed from its group", StringComparison.Ordinal)), string.Join('\n', said));
        group.Leave(name);
    }

    private static async Task DoneAsync(ThreeProcesses group, params string[] words)
    {
        var (code, output, errors) = await group.CommandAsync(words);
        Assert.True(code == 0, $"{string.Join(' ', words)}: {output}{errors}");
    }

    private static bool IsLeader(JsonNode member) => member["leader"]!.GetValue<bool>();

    private static bool IsUp(JsonNode member) => member["up"]!.GetValue<bool>();

    /// <summary>By name; null while the group does not answer.</summary>
    private static async Task<Dictionary<string, JsonNode>?> StatusAsync(ThreeProcesses group)
    {
        var (_, output, _) = await group.CommandAsync("cluster", "status", "--json");
        return output.Length == 0 ? null : JsonNode.Parse(output)!["members"]!.AsArray().Where(static m => m!["name"]!.GetValue<string>().Length > 0)
            .ToDictionary(static m => m!["name"]!.GetValue<string>(), static m => m!);
    }

    private static async Task UntilAsync(Func<Task<bool>> isSo, CancellationToken cancel)
    {
        while (!await isSo())
            await Task.Delay(100, cancel);
    }
}
