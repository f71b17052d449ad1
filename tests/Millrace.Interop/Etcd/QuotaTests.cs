using Millrace.Coordination.Node;

namespace Millrace.Interop.Etcd;

/// <summary>A store that has reached its quota, of etcd and of Millrace: what is refused, what goes on, and the way back.</summary>
public sealed class QuotaTests
{
    private const int Quota = 2 << 20;

    /// <summary>In the order of a way back: room is made, then the alarm is ended.</summary>
    private static readonly string[] Full =
    [
        "alarm list", "put another v", "txn <<< \\nput another v\\n\\n\\n", "txn <<< \\nget fill/1\\ndel fill/1\\n\\n\\n", "lease grant 100", "get fill/2 --keys-only", "del fill/3",
        "endpoint health", "put another v",
    ];

    public static TheoryData<string> Programs => EtcdctlTests.Programs;

    [EtcdctlTheory]
    [MemberData(nameof(Programs))]
    public async Task A_full_store_refuses_what_etcd_refuses_and_comes_back(string program)
    {
        if (RealEtcd.Newest is null)
            return; // Said by the theory's other tests: the engines are absent.
        await using var etcd = await RealEtcd.StartAsync(RealEtcd.Newest, "--quota-backend-bytes", Quota.ToString(System.Globalization.CultureInfo.InvariantCulture));
        var folder = Directory.CreateTempSubdirectory("millrace-quota").FullName;
        await using (var node = await CoordinationNode.StartAsync(new CoordinationOptions { DataFolder = Path.Combine(folder, "data"), ClientPort = 0, PeerPort = -1, QuotaBytes = Quota }))
        {
            var told = await Task.WhenAll(TellAsync(program, etcd.Endpoint, folder), TellAsync(program, $"127.0.0.1:{node.ClientPort}", folder));
            Differences.None(told[0], told[1]);
        }
        Directory.Delete(folder, recursive: true);
    }

    private static async Task<string[]> TellAsync(string program, string endpoint, string folder)
    {
        var ctl = new EtcdctlRunner(program, endpoint);
        var value = new string('x', 100_000);
        string refused;
        for (var i = 0; ; i++)
        {
            Assert.True(i < 200, "the quota is never reached");
            var (code, _, error) = await ctl.RunAsync($"put fill/{i}", value);
            if (code == 0)
                continue;
            refused = error;
            break;
        }
        await using var side = new ComparedSide(program, endpoint, folder);
        var told = new List<string> { "full: " + (refused.Contains("etcdserver: mvcc: database space exceeded", StringComparison.Ordinal) ? "database space exceeded" : refused) };
        foreach (var step in Full)
            told.Add($"{step}: {await side.DoAsync(step)}");
        // How much there was until the alarm came is each one's own. What was deleted takes room until it is compacted, and in etcd until its file is made anew.
        Assert.Equal(0, (await ctl.RunAsync("del fill/ --prefix")).Code);
        var (_, json, _) = await ctl.RunAsync("get fill/ --prefix -w json");
        using var answer = System.Text.Json.JsonDocument.Parse(json);
        var revision = answer.RootElement.GetProperty("header").GetProperty("revision").GetInt64();
        await ctl.ExpectAsync($"compaction {revision} --physical", $"compacted revision {revision}");
        await ctl.ExpectAsync("defrag", "Finished defragmenting etcd member.*");
        // Ended a moment ago, the alarm may have come once more before there was room.
        Assert.Equal(0, (await ctl.RunAsync("alarm disarm")).Code);
        told.Add("with room again: " + await side.DoAsync("put another v"));
        told.Add(await side.DoAsync("alarm list"));
        return [.. told];
    }
}
