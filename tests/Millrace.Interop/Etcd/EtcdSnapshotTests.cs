using System.Diagnostics;
using System.Text.RegularExpressions;
using Millrace.Coordination.Client;
using Millrace.Coordination.Node;
using Millrace.Tests;

namespace Millrace.Interop.Etcd;

/// <summary>A state goes from Millrace to etcd and from etcd to Millrace by etcd's own snapshots, and nothing of it changes on the way.</summary>
public sealed partial class EtcdSnapshotTests : IDisposable
{
    private static readonly string[] Questions =
    [
        "get \"\" --prefix -w json", "get a --rev=4 -w json", "get a --rev=3", "get \"\" --prefix --rev=7 -w json", "get e/0123 -w json", "lease list", "lease timetolive {lease} --keys",
        "user list", "user get ann", "role list", "role get readers", "--user ann:pw get pub/x", "--user ann:pw get a", "--user ann:wrong get pub/x", "--user none:pw get a",
    ];

    private readonly string _folder = Directory.CreateTempSubdirectory("millrace-snapshots").FullName;

    /// <summary>etcd, its etcdctl and the program that looks at snapshots and restores them.</summary>
    public static TheoryData<string, string, string> Generations
    {
        get
        {
            var found = new TheoryData<string, string, string>();
            if (RealEtcd.Newest is { } newest && EtcdctlRunner.Newest is { } ctl)
                found.Add(newest, ctl, Path.Combine(Repository.Engines!, "go", "etcdutl"));
            if (RealEtcd.Debian is { } debian && EtcdctlRunner.Debian is { } old)
                found.Add(debian, old, old);
            return found;
        }
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [EtcdctlTheory]
    [MemberData(nameof(Generations))]
    public async Task What_Millrace_saves_etcd_restores(string etcd, string etcdctl, string restorer)
    {
        var snapshot = Path.Combine(_folder, "saved");
        string[] before;
        string lease;
        await using (var node = await CoordinationNode.StartAsync(Options("data")))
        {
            var ctl = new EtcdctlRunner(etcdctl, $"127.0.0.1:{node.ClientPort}");
            lease = await FillAsync(ctl, $"http://127.0.0.1:{node.ClientPort}");
            before = await AskAsync(ctl, lease);
            await ctl.ExpectAsync($"--user root:secret snapshot save {snapshot}", ".*");
        }
        var status = await RunAsync(restorer, "snapshot", "status", snapshot, "-w", "json");
        Assert.Matches("\"revision\":1511,", status);
        // 3.4 counts every entry of the database, those of members and users too.
        Assert.Matches(etcd == RealEtcd.Newest ? "\"totalKey\":1505,.*\"version\":\"3.6.0\"" : "\"totalKey\":15[0-9][0-9],", status);
        await using var restored = await RealEtcd.RestoreAsync(etcd, restorer, snapshot);
        var there = new EtcdctlRunner(etcdctl, restored.Endpoint);
        Assert.Equal(before, await AskAsync(there, lease));
        await there.ExpectAsync("--user root:secret put after x", "OK");
        await there.ExpectAsync("--user root:secret get after -w json", ".*\"mod_revision\":1512,.*");
        await there.ExpectAsync($"--user root:secret lease revoke {lease}", "lease [0-9a-f]+ revoked");
        await there.ExpectAsync("--user root:secret get leased", "");
    }

    [EtcdctlTheory]
    [MemberData(nameof(Generations))]
    public async Task What_etcd_saves_Millrace_restores(string etcd, string etcdctl, string restorer)
    {
        _ = restorer;
        var snapshot = Path.Combine(_folder, "saved");
        string[] before;
        string lease;
        var database = Path.Combine(_folder, "db");
        await using (var there = await RealEtcd.StartAsync(etcd))
        {
            var ctl = new EtcdctlRunner(etcdctl, there.Endpoint);
            lease = await FillAsync(ctl, "http://" + there.Endpoint);
            before = await AskAsync(ctl, lease);
            await ctl.ExpectAsync($"--user root:secret snapshot save {snapshot}", ".*");
            await there.KillAsync();
            File.Copy(Path.Combine(there.Folder, "data", "member", "snap", "db"), database);
        }
        var state = GroupRestore.Restore(snapshot, Options("data"));
        Assert.Equal((1511, 1505), (state.Revision, state.Keys));
        await using (var node = await CoordinationNode.StartAsync(Options("data")))
        {
            var ctl = new EtcdctlRunner(etcdctl, $"127.0.0.1:{node.ClientPort}");
            Assert.Equal(before, await AskAsync(ctl, lease));
            await ctl.ExpectAsync("--user root:secret put after x", "OK");
            await ctl.ExpectAsync("--user root:secret get after -w json", ".*\"mod_revision\":1512,.*");
            await ctl.ExpectAsync($"--user root:secret lease revoke {lease}", "lease [0-9a-f]+ revoked");
            await ctl.ExpectAsync("--user root:secret get leased", "");
        }
        // A database as it lies in a data folder, with pages that are free and one meta behind the other.
        Assert.True(GroupRestore.Restore(database, Options("other"), skipHashCheck: true).Revision > 1);
    }

    /// <summary>Revisions with several changes, deletions, a compaction, large and many values, a lease, users.</summary>
    private static async Task<string> FillAsync(EtcdctlRunner ctl, string endpoint)
    {
        await ctl.ExpectAsync("put a 1", "OK");
        await ctl.ExpectAsync("put b 2", "OK");
        await ctl.ExpectAsync("txn", "SUCCESS.*", "\nput c 3\nput d 4\nput a 5\n\n\n");
        await ctl.ExpectAsync("del b", "1");
        await ctl.ExpectAsync("put gone x", "OK");
        await ctl.ExpectAsync("txn", "SUCCESS.*", "\nput a 6\ndel gone\n\n\n");
        await ctl.ExpectAsync("compaction 4", "compacted revision 4");
        await ctl.ExpectAsync("lease grant 3000", @"lease (?<lease>[0-9a-f]+) granted with TTL\(3000s\)");
        await ctl.ExpectAsync("put leased v --lease={lease}", "OK");
        await ctl.ExpectAsync("put pub/x 1", "OK");
        using (var client = new CoordinationClient([new Uri(endpoint)]))
        {
            for (var i = 0; i < 1_500; i++)
                await client.PutAsync($"e/{i:0000}", new string((char)('a' + (i % 26)), i % 500 == 123 ? 100_000 : i % 97), CancellationToken.None);
        }
        await ctl.ExpectAsync("del e/0000", "1");
        await ctl.ExpectAsync("put \u00fcmlaut v", "OK");
        await ctl.ExpectAsync("user add root:secret", "User root created");
        await ctl.ExpectAsync("user grant-role root root", "Role root is granted to user root");
        await ctl.ExpectAsync("role add readers", "Role readers created");
        await ctl.ExpectAsync("role grant-permission readers read pub/ --prefix", "Role readers updated");
        await ctl.ExpectAsync("role grant-permission readers readwrite own", "Role readers updated");
        await ctl.ExpectAsync("user add ann:pw", "User ann created");
        await ctl.ExpectAsync("user grant-role ann readers", "Role readers is granted to user ann");
        await ctl.ExpectAsync("auth enable", "Authentication Enabled");
        return ctl["lease"];
    }

    private static async Task<string[]> AskAsync(EtcdctlRunner ctl, string lease)
    {
        var answers = new List<string>();
        foreach (var question in Questions)
        {
            var command = question.Replace("{lease}", lease, StringComparison.Ordinal);
            var (code, output, error) = await ctl.RunAsync(command.StartsWith("--user", StringComparison.Ordinal) ? command : "--user root:secret " + command);
            // What is compared is the state, not whose ids and clock it has now.
            answers.Add($"{question}: exit {code} {Changing().Replace(output, "")} {Message().Match(error).Value}");
        }
        return [.. answers];
    }

    private static async Task<string> RunAsync(string program, params string[] words)
    {
        var start = new ProcessStartInfo(program, words) { RedirectStandardOutput = true };
        start.Environment["ETCDCTL_API"] = "3";
        using var process = Process.Start(start)!;
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.Equal(0, process.ExitCode);
        return output;
    }

    private CoordinationOptions Options(string name) => new() { DataFolder = Path.Combine(_folder, name), ClientPort = 0, PeerPort = -1, BcryptCost = 5 };

    [GeneratedRegex("\"header\":\\{[^}]*\\},?|remaining\\(\\d+s\\)")]
    private static partial Regex Changing();

    [GeneratedRegex("etcdserver: [a-z ,]*")]
    private static partial Regex Message();
}
