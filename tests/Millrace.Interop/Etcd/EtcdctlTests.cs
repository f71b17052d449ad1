using Millrace.Coordination.Node;

namespace Millrace.Interop.Etcd;

/// <summary>etcdctl, unmodified, of two generations: every command that concerns keys, leases, locks, users and the member itself.</summary>
public sealed class EtcdctlTests
{
    public static TheoryData<string> Programs
    {
        get
        {
            var programs = new TheoryData<string>();
            foreach (var program in new[] { EtcdctlRunner.Newest, EtcdctlRunner.Debian })
            {
                if (program is not null)
                    programs.Add(program);
            }
            return programs;
        }
    }

    [EtcdctlTheory]
    [MemberData(nameof(Programs))]
    public async Task Keys_are_put_read_in_every_order_and_deleted(string program)
    {
        await using var member = await OneMember.StartAsync();
        var ctl = new EtcdctlRunner(program, member.Endpoint);
        await ctl.ExpectAsync("put foo bar", "OK");
        await ctl.ExpectAsync("get foo", "foo\nbar");
        await ctl.ExpectAsync("put foo bar2 --prev-kv", "OK\nfoo\nbar");
        await ctl.ExpectAsync("get foo --print-value-only", "bar2");
        await ctl.ExpectAsync("get foo --rev=2", "foo\nbar");
        await ctl.ExpectAsync("get missing", "");
        for (var i = 1; i <= 4; i++)
            await ctl.ExpectAsync($"put n{i} {9 - i}", "OK");
        await ctl.ExpectAsync("get n --prefix --keys-only", "n1\n\nn2\n\nn3\n\nn4");
        await ctl.ExpectAsync("get n --prefix --limit=2", "n1\n8\nn2\n7");
        await ctl.ExpectAsync("get n1 n3", "n1\n8\nn2\n7");
        await ctl.ExpectAsync("get --from-key n3", "n3\n6\nn4\n5");
        await ctl.ExpectAsync("get n --prefix --order=DESCEND --sort-by=KEY --keys-only", "n4\n\nn3\n\nn2\n\nn1");
        await ctl.ExpectAsync("get n --prefix --order=ASCEND --sort-by=VALUE --keys-only", "n4\n\nn3\n\nn2\n\nn1");
        await ctl.ExpectAsync("get n --prefix --sort-by=CREATE --keys-only --consistency=s", "n1\n\nn2\n\nn3\n\nn4");
        await ctl.ExpectAsync("get n --prefix --limit=1 --write-out=fields", ".*\"More\" : true.*\"Count\" : 4");
        await ctl.ExpectAsync("get foo -w json", "{\"header\":{\"cluster_id\":[0-9]+,\"member_id\":[0-9]+,\"revision\":7,\"raft_term\":[1-9][0-9]*},"
            + "\"kvs\":\\[{\"key\":\"Zm9v\",\"create_revision\":2,\"mod_revision\":3,\"version\":2,\"value\":\"YmFyMg==\"}\\],\"count\":1}");
        await ctl.ExpectAsync("put foo --ignore-value", "OK");
        await ctl.ExpectAsync("put absent --ignore-value", "!etcdserver: key not found");
        await ctl.ExpectAsync("get foo --rev=99", "!etcdserver: mvcc: required revision is a future revision");
        await ctl.ExpectAsync("del foo", "1");
        await ctl.ExpectAsync("del foo", "0");
        await ctl.ExpectAsync("del n --prefix --prev-kv", "4\nn1\n8\nn2\n7\nn3\n6\nn4\n5");
        await ctl.ExpectAsync("compaction 5", "compacted revision 5");
        await ctl.ExpectAsync("get foo --rev=4", "!etcdserver: mvcc: required revision has been compacted");
        await ctl.ExpectAsync("get n1 --rev=5", "n1\n8|n1\n8\n|");
        await ctl.ExpectAsync("compaction 5", "!etcdserver: mvcc: required revision has been compacted");
        await ctl.ExpectAsync("compaction 99", "!etcdserver: mvcc: required revision is a future revision");
    }

    [EtcdctlTheory]
    [MemberData(nameof(Programs))]
    public async Task Transactions_take_one_branch(string program)
    {
        await using var member = await OneMember.StartAsync();
        var ctl = new EtcdctlRunner(program, member.Endpoint);
        await ctl.ExpectAsync("txn", "SUCCESS\n\nOK\n\nk\nv", "ver(\"k\") = \"0\"\n\nput k v\nget k\n\n\n");
        await ctl.ExpectAsync("txn", "FAILURE\n\nk\nv\n\n1", "val(\"k\") > \"x\"\n\n\nget k\ndel k\n\n");
        await ctl.ExpectAsync("txn", "SUCCESS\n\nOK", "mod(\"k\") = \"0\"\ncreate(\"k\") = \"0\"\n\nput k w\n\n\n");
        await ctl.ExpectAsync("txn", "!etcdserver: duplicate key given in txn request", "\nput k 1\nput k 2\n\n\n");
    }

    [EtcdctlTheory]
    [MemberData(nameof(Programs))]
    public async Task Watches_see_the_past_and_the_present(string program)
    {
        await using var member = await OneMember.StartAsync();
        var ctl = new EtcdctlRunner(program, member.Endpoint);
        await ctl.ExpectAsync("put w1 a", "OK");
        await ctl.ExpectAsync("put w1 b", "OK");
        await ctl.ExpectAsync("put other x", "OK");
        await using (var watch = ctl.Start("watch w --prefix --rev=2 --prev-kv"))
        {
            await watch.ExpectLinesAsync("PUT", "w1", "a", "PUT", "w1", "a", "w1", "b");
            await ctl.ExpectAsync("put w2 c", "OK");
            await watch.ExpectLinesAsync("PUT", "w2", "c");
            await ctl.ExpectAsync("txn", "SUCCESS\n\nOK\n\n1", "\nput w3 d\ndel w1\n\n\n");
            await watch.ExpectLinesAsync("PUT", "w3", "d", "DELETE", "w1", "b", "w1", "");
        }
        await ctl.ExpectAsync("compaction 4", "compacted revision 4");
        await using var late = ctl.Start("watch w1 --rev=2");
        await late.ExpectLinesAsync(@"\(end\) [\s\S]*required revision has been compacted[\s\S]*");
    }

    [EtcdctlTheory]
    [MemberData(nameof(Programs))]
    public async Task Leases_keep_keys_for_their_time(string program)
    {
        await using var member = await OneMember.StartAsync();
        var ctl = new EtcdctlRunner(program, member.Endpoint);
        await ctl.ExpectAsync("lease grant 30", @"lease (?<lease>[0-9a-f]+) granted with TTL\(30s\)");
        await ctl.ExpectAsync("put leased v --lease={lease}", "OK");
        await ctl.ExpectAsync("lease timetolive {lease} --keys", @"lease [0-9a-f]+ granted with TTL\(30s\), remaining\((29|30)s\), attached keys\(\[leased\]\)");
        await ctl.ExpectAsync("lease list", "found 1 leases\n[0-9a-f]+");
        await ctl.ExpectAsync("lease keep-alive --once {lease}", @"lease [0-9a-f]+ keepalived with TTL\(30\)");
        await ctl.ExpectAsync("lease revoke {lease}", "lease [0-9a-f]+ revoked");
        await ctl.ExpectAsync("get leased", "");
        await ctl.ExpectAsync("lease revoke {lease}", "!etcdserver: requested lease not found");
        await ctl.ExpectAsync("lease timetolive {lease}", "lease [0-9a-f]+ already expired");
        await ctl.ExpectAsync("put x y --lease=1234", "!etcdserver: requested lease not found");
        await ctl.ExpectAsync("lease grant 2", @"lease (?<short>[0-9a-f]+) granted with TTL\(2s\)");
        await ctl.ExpectAsync("put soon gone --lease={short}", "OK");
        await using var watch = ctl.Start("watch soon");
        await watch.ExpectLinesAsync("DELETE", "soon");
    }

    [EtcdctlTheory]
    [MemberData(nameof(Programs))]
    public async Task Locks_and_elections_work(string program)
    {
        await using var member = await OneMember.StartAsync();
        var ctl = new EtcdctlRunner(program, member.Endpoint);
        await ctl.ExpectAsync("lock mutex echo held", "held");
        await using var first = ctl.Start("lock mutex");
        await first.ExpectLinesAsync("mutex/[0-9a-f]+");
        await using var second = ctl.Start("lock mutex");
        await ctl.ExpectAsync("get mutex --prefix --keys-only --limit=1", "mutex/[0-9a-f]+");
        await first.DisposeAsync();
        await using var leader = ctl.Start("elect seat me");
        await leader.ExpectLinesAsync("seat/[0-9a-f]+", "me");
        await using var observer = ctl.Start("elect -l seat");
        await observer.ExpectLinesAsync("seat/[0-9a-f]+", "me");
    }

    [EtcdctlTheory]
    [MemberData(nameof(Programs))]
    public async Task The_member_tells_about_itself(string program)
    {
        await using var member = await OneMember.StartAsync();
        var ctl = new EtcdctlRunner(program, member.Endpoint);
        await ctl.ExpectAsync("endpoint status", "127.0.0.1:[0-9]+, [0-9a-f]+, 3.7.0, .*"); // Also of a store without a key.
        await ctl.ExpectAsync("put a b", "OK");
        await member.PublishedAsync(ctl);
        await ctl.ExpectAsync("member list", "[0-9a-f]+, started, default, http://[^,]+, http://127.0.0.1:[0-9]+, false");
        await ctl.ExpectAsync("endpoint status", "127.0.0.1:[0-9]+, [0-9a-f]+, 3.7.0, .*true, false, .*");
        await ctl.ExpectAsync("endpoint hashkv", "127.0.0.1:[0-9]+, [0-9]+.*");
        await ctl.ExpectAsync("alarm list", "");
        await ctl.ExpectAsync("defrag", "Finished defragmenting etcd member.*");
        var (code, _, error) = await ctl.RunAsync("endpoint health");
        Assert.True(code == 0, error);
        var file = Path.Combine(member.Folder, "saved");
        var (saved, output, why) = await ctl.RunAsync("snapshot save " + file);
        Assert.True(saved == 0, output + why);
        Assert.Equal(32, new FileInfo(file).Length % 512);
    }

    [EtcdctlTheory]
    [MemberData(nameof(Programs))]
    public async Task Users_may_what_their_roles_allow(string program)
    {
        await using var member = await OneMember.StartAsync();
        var ctl = new EtcdctlRunner(program, member.Endpoint);
        await ctl.ExpectAsync("auth enable", "!etcdserver: root user does not exist");
        await ctl.ExpectAsync("user add root:secret", "User root created");
        await ctl.ExpectAsync("user add root:secret", "!etcdserver: user name already exists");
        await ctl.ExpectAsync("user grant-role root root", "Role root is granted to user root");
        await ctl.ExpectAsync("role add readers", "Role readers created");
        await ctl.ExpectAsync("role grant-permission readers read pub/ --prefix", "Role readers updated");
        await ctl.ExpectAsync("role grant-permission readers readwrite own", "Role readers updated");
        await ctl.ExpectAsync("role get readers", "Role readers\nKV Read:.*own.*pub/.*KV Write:.*own.*");
        await ctl.ExpectAsync("user add ann:pw", "User ann created");
        await ctl.ExpectAsync("user grant-role ann readers", "Role readers is granted to user ann");
        await ctl.ExpectAsync("user get ann", "User: ann\nRoles: readers");
        await ctl.ExpectAsync("user list", "ann\nroot");
        await ctl.ExpectAsync("auth enable", "Authentication Enabled");
        await ctl.ExpectAsync("put pub/a 1", "!etcdserver: user name is empty");
        await ctl.ExpectAsync("--user root:secret put pub/a 1", "OK");
        await ctl.ExpectAsync("--user ann:pw get pub/a", "pub/a\n1");
        await ctl.ExpectAsync("--user ann:pw put pub/a 2", "!etcdserver: permission denied");
        await ctl.ExpectAsync("--user ann:pw put own mine", "OK");
        await ctl.ExpectAsync("--user ann:pw get \"\" --prefix", "!etcdserver: permission denied");
        await ctl.ExpectAsync("--user ann:wrong get pub/a", "!authentication failed, invalid user ID or password");
        await ctl.ExpectAsync("--user ann:pw user list", "!etcdserver: permission denied");
        await ctl.ExpectAsync("--user root:secret role revoke-permission readers own", "Permission of key own is revoked from role readers");
        await ctl.ExpectAsync("--user ann:pw get own", "!etcdserver: permission denied");
        await ctl.ExpectAsync("--user root:secret user passwd ann --interactive=false", "Password updated", "new\n");
        await ctl.ExpectAsync("--user ann:new get pub/a", "pub/a\n1");
        await ctl.ExpectAsync("--user root:secret user delete ann", "User ann deleted");
        await ctl.ExpectAsync("--user root:secret role delete readers", "Role readers deleted");
        await ctl.ExpectAsync("--user root:secret auth disable", "Authentication Disabled");
        await ctl.ExpectAsync("get pub/a", "pub/a\n1");
    }

    /// <summary>A group of one in this process, on free ports and a folder of its own.</summary>
    private sealed class OneMember(CoordinationNode node, string folder) : IAsyncDisposable
    {
        public string Endpoint => $"127.0.0.1:{node.ClientPort}";

        public string Folder => folder;

        public static async Task<OneMember> StartAsync()
        {
            var folder = Directory.CreateTempSubdirectory("millrace-etcd").FullName;
            return new OneMember(
                await CoordinationNode.StartAsync(new CoordinationOptions { DataFolder = Path.Combine(folder, "data"), ClientPort = 0, PeerPort = -1 }), folder);
        }

        /// <summary>A member tells its client address a moment after it serves.</summary>
        public async Task PublishedAsync(EtcdctlRunner ctl)
        {
            using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(20));
            while (!(await ctl.RunAsync("member list")).Output.Contains(Endpoint, StringComparison.Ordinal))
                await Task.Delay(50, patience.Token);
        }

        public async ValueTask DisposeAsync()
        {
            await node.DisposeAsync();
            Directory.Delete(folder, recursive: true);
        }
    }
}
