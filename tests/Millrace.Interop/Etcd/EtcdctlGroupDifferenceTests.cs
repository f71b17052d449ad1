using System.Text.Json;
using System.Text.RegularExpressions;
using Millrace.Bench.Running;

namespace Millrace.Interop.Etcd;

/// <summary>What etcdctl asks of a group of three, of etcd and of Millrace side by side: status, health, members, leadership, mirrors.</summary>
public sealed partial class EtcdctlGroupDifferenceTests
{
    private static readonly string[] Names = ["a", "b", "c"];

    /// <summary>To the whole group. "sorted" since members are listed in the order of their ids, which are not the same.</summary>
    private static readonly string[] OfAll =
    [
        "version", "put k v", "put k w", "sorted member list", "sorted member list -w table", "sorted endpoint health --cluster", "sorted endpoint health",
        "sorted endpoint status --cluster", "sorted endpoint status", "sorted endpoint hashkv --cluster", "sorted endpoint hashkv --cluster -w table",
        "member add d --peer-urls=http://127.0.0.1:{free1} --learner", "sorted member list", "member add e --peer-urls=http://127.0.0.1:{free2} --learner",
        "member promote {added}", "member update {added} --peer-urls=http://127.0.0.1:{free2}", "sorted member list", "member remove {added}", "sorted member list",
        "member remove {added}", "member remove 1234", "member promote 1234", "member update 1234 --peer-urls=http://127.0.0.1:{free2}", "member add a --peer-urls=nonsense",
        "sorted defrag --cluster", "alarm list", "alarm disarm", "snapshot save {folder}/all", "get k", "compaction 2", "compaction 2", "move-leader 1234",
    ];

    private static readonly string[] OfLeader =
    [
        "move-leader {leader}", "endpoint status -w fields", "endpoint status -w json", "endpoint status -w table", "endpoint status -w simple", "endpoint health -w json",
        "endpoint hashkv --rev=2 -w json", "endpoint hashkv --rev=99", "move-leader {follower}", "move-leader {follower}",
    ];

    private static readonly string[] OnlyNewest =
    [
        "downgrade validate 3.6", "downgrade validate 3.6.0", "downgrade validate 3.5", "downgrade validate 4.0", "downgrade validate x", "downgrade cancel",
        "completion bash", "options",
    ];

    public static TheoryData<string> Programs => EtcdctlTests.Programs;

    [EtcdctlTheory]
    [MemberData(nameof(Programs))]
    public async Task A_group_of_three_answers_as_etcds_does(string program)
    {
        if (RealEtcd.Newest is null)
            return; // Said by the theory's other tests: the engines are absent.
        await using var ours = ThreeProcesses.Start(Names);
        var etcd = await RealEtcd.StartGroupAsync(RealEtcd.Newest, Names);
        var folder = Directory.CreateTempSubdirectory("millrace-etcdctl").FullName;
        try
        {
            var sides = new[]
            {
                new Group(program, [.. etcd.Select(e => e.Endpoint)], folder + "/etcd"), new Group(program, [.. Names.Select(ours.EndpointOf)], folder + "/millrace"),
            };
            await Task.WhenAll(sides.Select(s => s.ReadyAsync()));
            string[] steps = program == EtcdctlRunner.Newest ? [.. OfAll, .. OnlyNewest] : OfAll;
            var differences = new List<string>();
            foreach (var (step, ofLeader) in steps.Select(s => (s, false)).Concat(OfLeader.Select(s => (s, true))))
            {
                var answers = await Task.WhenAll(sides.Select(s => s.DoAsync(step, ofLeader)));
                if (answers[0] != answers[1])
                    differences.Add($"etcdctl {step}\n  etcd:     {answers[0]}\n  Millrace: {answers[1]}");
            }
            Assert.True(differences.Count == 0, string.Join('\n', differences));
        }
        finally
        {
            foreach (var member in etcd)
                await member.DisposeAsync();
            Directory.Delete(folder, recursive: true);
        }
    }

    [EtcdctlTheory]
    [MemberData(nameof(Programs))]
    public async Task A_mirror_goes_from_Millrace_to_etcd_and_back(string program)
    {
        if (RealEtcd.Newest is null)
            return;
        await using var etcd = await RealEtcd.StartAsync(RealEtcd.Newest);
        await using var group = ThreeProcesses.Start("a");
        var theirs = new EtcdctlRunner(program, etcd.Endpoint);
        var ours = new EtcdctlRunner(program, group.Endpoints);
        await UntilAsync(async () => (await ours.RunAsync("put x/1 a")).Code == 0);
        await using var there = ours.Start($"make-mirror --prefix=x/ --dest-prefix=from-us/ {etcd.Endpoint}");
        await using var back = theirs.Start($"make-mirror --prefix=from-us/ --dest-prefix=back/ {group.Endpoints}");
        await UntilAsync(async () => (await ours.RunAsync("get back/1")).Output == "back/1\na\n");
        await ours.ExpectAsync("put x/2 b", "OK");
        await ours.ExpectAsync("txn", "SUCCESS.*", "\nput x/3 c\ndel x/1\n\n\n");
        await UntilAsync(async () => (await ours.RunAsync("get back/ --prefix")).Output == "back/2\nb\nback/3\nc\n");
    }

    [EtcdctlTheory]
    [MemberData(nameof(Programs))]
    public async Task The_check_of_memory_finds_what_it_reads(string program)
    {
        await using var group = ThreeProcesses.Start("a");
        var ctl = new EtcdctlRunner(program, group.Endpoints);
        await UntilAsync(async () => (await ctl.RunAsync("put k v")).Code == 0);
        await ctl.ExpectAsync("check datascale", ".*PASS: Approximate system memory used : -?[0-9.]+ MB.*");
    }

    private static async Task UntilAsync(Func<Task<bool>> isSo)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (!await isSo())
            await Task.Delay(100, patience.Token);
    }

    /// <summary>One of the two groups.</summary>
    private sealed partial class Group(string program, string[] endpoints, string folder)
    {
        private readonly string _free1 = LoopbackPorts.Take(1)[0].ToString(System.Globalization.CultureInfo.InvariantCulture);
        private readonly string _free2 = LoopbackPorts.Take(1)[0].ToString(System.Globalization.CultureInfo.InvariantCulture);
        private string _added = "";

        public async Task ReadyAsync()
        {
            Directory.CreateDirectory(folder);
            var all = new EtcdctlRunner(program, string.Join(',', endpoints));
            await UntilAsync(async () =>
            {
                var (_, members, _) = await all.RunAsync("member list");
                return Array.TrueForAll(endpoints, e => members.Contains(e, StringComparison.Ordinal)) && (await all.RunAsync("endpoint health --cluster")).Code == 0;
            });
        }

        public async Task<string> DoAsync(string step, bool ofLeader)
        {
            var (leader, leaderId, followerId) = ofLeader ? await LeaderAsync() : ("", "", "");
            var side = new ComparedSide(program, ofLeader ? leader : string.Join(',', endpoints), folder);
            step = step.Replace("{free1}", _free1, StringComparison.Ordinal).Replace("{free2}", _free2, StringComparison.Ordinal)
                .Replace("{added}", _added, StringComparison.Ordinal).Replace("{leader}", leaderId, StringComparison.Ordinal)
                .Replace("{follower}", followerId, StringComparison.Ordinal);
            var answer = await side.DoAsync(step);
            if (step.StartsWith("member add d ", StringComparison.Ordinal))
            {
                // etcd takes none before its members have known each other for five seconds.
                for (var tries = 0; answer.Contains("unhealthy cluster", StringComparison.Ordinal) && tries < 100; tries++)
                {
                    await Task.Delay(100);
                    answer = await side.DoAsync(step);
                }
                _added = await AddedAsync();
            }
            // How far logs are and what the stores' hashes and sizes are is each one's own; so is the order of ids.
            if (step.Contains("endpoint status", StringComparison.Ordinal) || step.Contains("hashkv", StringComparison.Ordinal))
                answer = Numbers().Replace(answer, "N");
            answer = Cluster().Replace(answer, static m => string.Join(',', m.Value.Split(',').Order(StringComparer.Ordinal)));
            answer = Spaces().Replace(Borders().Replace(answer, ""), " ");
            if (step.StartsWith("sorted ", StringComparison.Ordinal))
                answer = string.Join('\n', answer.Split('\n').Select(static l => l.Trim()).Order(StringComparer.Ordinal));
            return answer.Replace(_free1, "FREE", StringComparison.Ordinal).Replace(_free2, "FREE", StringComparison.Ordinal);
        }

        private async Task<string> AddedAsync()
        {
            var added = "";
            await UntilAsync(async () =>
            {
                var (_, members, _) = await new EtcdctlRunner(program, string.Join(',', endpoints)).RunAsync("member list");
                added = members.Split('\n').SingleOrDefault(l => l.Contains("unstarted", StringComparison.Ordinal))?.Split(',')[0] ?? "";
                return added.Length > 0;
            });
            return added;
        }

        private async Task<(string Endpoint, string Id, string Follower)> LeaderAsync()
        {
            for (var tries = 0; ; tries++)
            {
                var (_, output, error) = await new EtcdctlRunner(program, string.Join(',', endpoints)).RunAsync("endpoint status -w json");
                using var json = JsonDocument.Parse(output);
                var members = json.RootElement.EnumerateArray().Select(m =>
                    (Endpoint: m.GetProperty("Endpoint").GetString()!, Status: m.GetProperty("Status"))).Select(m => (
                    m.Endpoint, Id: m.Status.GetProperty("header").GetProperty("member_id").GetUInt64(), Leader: m.Status.GetProperty("leader").GetUInt64())).ToArray();
                var leader = Array.Find(members, static m => m.Id == m.Leader);
                if (leader.Endpoint is not null && members.All(m => m.Leader == leader.Id))
                    return (leader.Endpoint, leader.Id.ToString("x"), members.First(m => m.Id != leader.Id).Id.ToString("x"));
                Assert.True(tries < 100, output + error);
                await Task.Delay(100);
            }
        }

        [GeneratedRegex(@"-?\b\d+(?:\.\d+)?(?: [kMG]?B\b|%)?")]
        private static partial Regex Numbers();

        [GeneratedRegex("(?<=ETCD_INITIAL_CLUSTER=\")[^\"]*")]
        private static partial Regex Cluster();

        [GeneratedRegex("[-+─┌┐└┘├┤┬┴┼]{4,}")]
        private static partial Regex Borders();

        [GeneratedRegex(" {2,}")]
        private static partial Regex Spaces();
    }
}
