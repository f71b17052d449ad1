using System.Text.Json;

namespace Millrace.Interop.Etcd;

/// <summary>etcdctl against three processes: any member serves, a killed leader is followed by another, members come and go.</summary>
public sealed class EtcdctlGroupTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    public static TheoryData<string> Programs => EtcdctlTests.Programs;

    [EtcdctlTheory]
    [MemberData(nameof(Programs))]
    public async Task A_killed_leader_loses_nothing_and_members_come_and_go(string program)
    {
        await using var group = ThreeProcesses.Start("a", "b", "c");
        var all = new EtcdctlRunner(program, group.Endpoints);
        await UntilAsync(async () => (await all.RunAsync("put ready yes")).Code == 0);
        foreach (var name in group.Names)
        {
            var one = new EtcdctlRunner(program, group.EndpointOf(name));
            await one.ExpectAsync($"put at-{name} {name}", "OK");
            await one.ExpectAsync($"get at-{name}", $"at-{name}\n{name}");
        }
        // A linearizable read anywhere sees what was written elsewhere just before.
        await new EtcdctlRunner(program, group.EndpointOf("c")).ExpectAsync("get at- --prefix --keys-only", "at-a\n\nat-b\n\nat-c");

        var leader = await LeaderAsync(program, group);
        await group.KillAsync(leader);
        var rest = new EtcdctlRunner(program, group.EndpointsBut(leader));
        await UntilAsync(async () => (await rest.RunAsync("put after kill")).Code == 0);
        await rest.ExpectAsync("get at- --prefix --keys-only", "at-a\n\nat-b\n\nat-c");
        group.StartMember(leader);
        var back = new EtcdctlRunner(program, group.EndpointOf(leader));
        await UntilAsync(async () => (await back.RunAsync("get after")).Output == "after\nkill\n");

        await MoveLeaderAsync(program, group);
        await AddAndRemoveAsync(program, group);
    }

    private static async Task MoveLeaderAsync(string program, ThreeProcesses group)
    {
        var leader = await LeaderAsync(program, group);
        var target = group.Names.First(n => n != leader);
        var id = (await StatusAsync(program, group, target))!.Value.MemberId;
        await UntilAsync(async () => (await new EtcdctlRunner(program, group.EndpointOf(await LeaderAsync(program, group)))
            .RunAsync($"move-leader {id:x}")).Output.Contains("Leadership transferred", StringComparison.Ordinal)
            || await LeaderAsync(program, group) == target);
    }

    private static async Task AddAndRemoveAsync(string program, ThreeProcesses group)
    {
        var all = new EtcdctlRunner(program, group.Endpoints);
        group.Prepare("d");
        // etcdctl pads ids to sixteen places.
        await all.ExpectAsync($"member add d --learner --peer-urls={group.PeerUrlOf("d")}", "Member +(?<id>[0-9a-f]+) added (?:as learner )?to cluster.*");
        await all.ExpectAsync($"member add d --peer-urls={group.PeerUrlOf("d")}", "!etcdserver: Peer URLs already exists");
        group.Join("d");
        // Promotion is refused until the learner has caught up.
        await UntilAsync(async () => (await all.RunAsync("member promote {id}")).Code == 0);
        var added = new EtcdctlRunner(program, group.EndpointOf("d"));
        await UntilAsync(async () => (await added.RunAsync("get after")).Output == "after\nkill\n");
        await added.ExpectAsync("put by-d d", "OK");
        await all.ExpectAsync("member list", "(?:[0-9a-f]+, started, [abcd], [^\n]*false\n?){4}");
        await all.ExpectAsync("member remove {id}", "Member +[0-9a-f]+ removed from cluster.*");
        await all.ExpectAsync("member remove {id}", "!etcdserver: member not found");
        await new EtcdctlRunner(program, group.EndpointOf("a")).ExpectAsync("get by-d", "by-d\nd");
    }

    private static async Task<string> LeaderAsync(string program, ThreeProcesses group)
    {
        string? leader = null;
        await UntilAsync(async () =>
        {
            foreach (var name in group.Names)
            {
                if (await StatusAsync(program, group, name) is { } status && status.Leader == status.MemberId)
                    leader = name;
            }
            return leader is not null;
        });
        return leader!;
    }

    private static async Task<(ulong MemberId, ulong Leader)?> StatusAsync(string program, ThreeProcesses group, string name)
    {
        var (code, output, _) = await new EtcdctlRunner(program, group.EndpointOf(name)).RunAsync("endpoint status -w json");
        if (code != 0)
            return null;
        var status = JsonDocument.Parse(output).RootElement[0].GetProperty("Status");
        return (status.GetProperty("header").GetProperty("member_id").GetUInt64(),
            status.TryGetProperty("leader", out var leader) ? leader.GetUInt64() : 0);
    }

    private static async Task UntilAsync(Func<Task<bool>> isDone)
    {
        using var patience = new CancellationTokenSource(Patience);
        while (!await isDone())
            await Task.Delay(100, patience.Token);
    }
}
