using System.Globalization;
using System.Text.Json;
using Millrace.Coordination.Node;

namespace Millrace.Interop.Etcd;

/// <summary>The hash of the keys, which operators compare members by, is the one that etcd gives for the same history.</summary>
public sealed class HashKvTests
{
    [Fact]
    public async Task Hashkv_is_etcds_at_every_revision_before_and_after_a_compaction()
    {
        if (RealEtcd.Newest is null || EtcdctlRunner.Newest is not { } program)
            return; // The engines are absent, which the theories beside this say.
        await using var etcd = await RealEtcd.StartAsync(RealEtcd.Newest);
        var folder = Directory.CreateTempSubdirectory("millrace-hashkv").FullName;
        await using (var node = await CoordinationNode.StartAsync(new CoordinationOptions { DataFolder = folder, ClientPort = 0, PeerPort = -1 }))
        {
            var sides = new[] { new EtcdctlRunner(program, etcd.Endpoint), new EtcdctlRunner(program, $"127.0.0.1:{node.ClientPort}") };
            foreach (var command in new[] { "put a 1", "put b 2", "put a 3", "del b", "put c 4", "put empty \"\"", "del c", "put c 5", "put d 6", "del d" })
                await OnBothAsync(sides, command);
            await OnBothAsync(sides, "txn", input: "\nput x 1\nput y 2\ndel a\n\n\n");
            await CompareAsync(sides, 2, 12);
            // Of the compacted revision itself etcd tells, until it is started again, what it had found while it compacted.
            await OnBothAsync(sides, "compact 5");
            await OnBothAsync(sides, "put a 7");
            await CompareAsync(sides, 6, 13);
            await OnBothAsync(sides, "compact 9 --physical");
            await CompareAsync(sides, 10, 13);
            await OnBothAsync(sides, "del \"\" --from-key");
            await CompareAsync(sides, 10, 14);
        }
        Directory.Delete(folder, recursive: true);
    }

    private static async Task OnBothAsync(EtcdctlRunner[] sides, string command, string? input = null)
    {
        foreach (var side in sides)
        {
            var (code, _, error) = await side.RunAsync(command, input);
            Assert.True(code == 0, $"{command}: {error}");
        }
    }

    private static async Task CompareAsync(EtcdctlRunner[] sides, int from, int to)
    {
        for (var revision = from; revision <= to + 1; revision++)
        {
            // The last round asks for the newest.
            var rev = revision > to ? 0 : revision;
            var hashes = await Task.WhenAll(sides.Select(async side =>
            {
                var (_, output, error) = await side.RunAsync(string.Create(CultureInfo.InvariantCulture, $"endpoint hashkv --rev={rev} -w json"));
                Assert.True(output.Length > 2, error);
                return JsonDocument.Parse(output).RootElement[0].GetProperty("HashKV").GetProperty("hash").GetInt64();
            }));
            Assert.True(hashes[0] == hashes[1], $"revision {rev}: etcd {hashes[0]}, Millrace {hashes[1]}");
        }
    }
}
