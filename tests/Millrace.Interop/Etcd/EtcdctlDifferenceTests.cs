using Millrace.Bench.Running;
using Millrace.Coordination.Node;
using Millrace.Tests;

namespace Millrace.Interop.Etcd;

/// <summary>The same script of commands, by an unmodified etcdctl of two generations, to a real etcd and to Millrace: both answer alike.</summary>
public sealed class EtcdctlDifferenceTests
{
    public static TheoryData<string> Programs => EtcdctlTests.Programs;

    [EtcdctlTheory]
    [MemberData(nameof(Programs))]
    public async Task Every_command_is_answered_as_by_etcd(string program)
    {
        if (RealEtcd.Newest is null)
            return; // Said by the theory's other tests: the engines are absent.
        await using var etcd = await RealEtcd.StartAsync(RealEtcd.Newest);
        var folder = Directory.CreateTempSubdirectory("millrace-etcdctl").FullName;
        await using var node = await CoordinationNode.StartAsync(new CoordinationOptions
        {
            DataFolder = Path.Combine(folder, "data"), ClientPort = 0, PeerPort = 0, Members = [new CoordinationMember("default", "127.0.0.1", LoopbackPorts.Take(1)[0])],
        });
        var theirs = new ComparedSide(program, etcd.Endpoint, etcd.Folder);
        var ours = new ComparedSide(program, $"127.0.0.1:{node.ClientPort}", folder);
        await ours.PublishedAsync();
        var differences = new List<string>();
        var lines = await File.ReadAllLinesAsync(Path.Combine(Repository.Root, "tests", "Millrace.Interop", "Etcd", "etcdctl.script"));
        foreach (var line in lines)
        {
            if (line.Length == 0 || line[0] == '#' || (line.StartsWith("3.7 ", StringComparison.Ordinal) && program != EtcdctlRunner.Newest))
                continue;
            var step = line.StartsWith("3.7 ", StringComparison.Ordinal) ? line[4..] : line;
            var answers = await Task.WhenAll(theirs.DoAsync(step), ours.DoAsync(step));
            if (answers[0] != answers[1])
                differences.Add($"etcdctl {line}\n  etcd:     {answers[0]}\n  Millrace: {answers[1]}");
        }
        await theirs.DisposeAsync();
        await ours.DisposeAsync();
        Directory.Delete(folder, recursive: true);
        Assert.True(differences.Count == 0, string.Join('\n', differences));
    }
}
