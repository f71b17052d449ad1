using System.Diagnostics;
using System.Globalization;
using Millrace.Coordination.Client;
using Millrace.Simulation.Linearizability;
using Xunit.Abstractions;

namespace Millrace.Interop.Etcd;

/// <summary>
/// Real processes that are killed, stopped, cut off, slowed and run out of disk while clients write: what the clients saw is linearizable.
/// <c>./millrace test --interop etcd --long [--for 10m]</c> goes on for that long.
/// </summary>
public sealed class FaultTests(ITestOutputHelper output)
{
    private static readonly string[] Names = ["a", "b", "c"];

    private static TimeSpan? Long => Environment.GetEnvironmentVariable("MILLRACE_LONG") == "1" ? Simulation.Seeds.For ?? TimeSpan.FromMinutes(10) : null;

    [Theory]
    [InlineData("raft", 4)]
    [InlineData("multi-paxos", 2)]
    [InlineData("fast-paxos", 2)]
    public async Task Killed_and_stopped_members_make_no_client_see_what_cannot_be(string algorithm, int times)
    {
        await using var group = ThreeProcesses.StartWith(["--consensus", algorithm], Names);
        await RunAsync(group, algorithm, times, Long, [
            async (victim, random) =>
            {
                await group.KillAsync(victim);
                await Task.Delay(random.Next(100, 1500));
                group.StartMember(victim);
            },
            async (victim, random) =>
            {
                Signal("-STOP", group.PidOf(victim));
                await Task.Delay(random.Next(500, 3000));
                Signal("-CONT", group.PidOf(victim));
            },
        ]);
    }

    [NamespaceFact]
    public async Task Members_cut_off_and_slowed_make_no_client_see_what_cannot_be()
    {
        // Each algorithm for a third of a long run; a short one has time for one of them.
        string[] algorithms = Long is null ? ["raft"] : ["raft", "multi-paxos", "fast-paxos"];
        foreach (var algorithm in algorithms)
            await CutOffAndSlowedAsync(algorithm, Long / algorithms.Length);
    }

    private async Task CutOffAndSlowedAsync(string algorithm, TimeSpan? until)
    {
        using var network = NetworkOfThree.Create(Names);
        await using var group = ThreeProcesses.StartIn(network.AddressOf, network.Enter, ["--consensus", algorithm], Names);
        async Task For(string victim, Random random, Action<string> harm)
        {
            harm(victim);
            await Task.Delay(random.Next(500, 2500));
            network.Heal(victim);
        }

        await RunAsync(group, algorithm, 8, until, [
            (victim, random) => For(victim, random, network.Cut),
            (victim, random) => For(victim, random, network.Mute),
            (victim, random) => For(victim, random, network.Deafen),
            (victim, random) => For(victim, random, v => network.Slow(v, random.Next(5, 80))),
        ]);
    }

    [NamespaceFact]
    public async Task A_member_whose_disk_is_full_stops_and_comes_back_with_room()
    {
        await using var group = ThreeProcesses.Prepared(Names);
        var full = group.FolderOf("a");
        Directory.CreateDirectory(full);
        Command("mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", full);
        try
        {
            foreach (var name in Names)
                group.StartMember(name);
            await using var clients = new RecordedClients([.. group.Addresses], 4, Simulation.Seeds.First);
            await clients.ProgressAsync(50, () => string.Join('\n', group.Said));
            using var filler = new CoordinationClient([.. group.Addresses], TimeSpan.FromSeconds(5));
            using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
            for (var i = 0; !group.HasEnded("a"); i++)
            {
                Assert.False(patience.IsCancellationRequested, "the member with a full disk goes on\n" + string.Join('\n', group.Said));
                try
                {
                    await filler.PutAsync("filler", new string((char)('a' + (i % 26)), 200_000), patience.Token);
                }
                catch (CoordinationException)
                {
                    // Its leader may just have stopped.
                }
            }
            await clients.ProgressAsync(50, () => string.Join('\n', group.Said));
            Command("mount", "-o", "remount,size=200m", full);
            await group.ForgetAsync("a");
            group.StartMember("a");
            using var back = new CoordinationClient([new Uri("http://" + group.EndpointOf("a"))]);
            while ((await Quietly(() => back.GetAsync("filler", patience.Token)))?.Value.Length != 200_000)
                await Task.Delay(100, patience.Token);
            await clients.ProgressAsync(50, () => string.Join('\n', group.Said));
            await JudgeAsync(clients, group);
        }
        finally
        {
            await group.KillAllAsync();
            Command("umount", full);
        }
    }

    /// <summary>So many faults, or as many as there is time for.</summary>
    private async Task RunAsync(ThreeProcesses group, string algorithm, int times, TimeSpan? until, Func<string, Random, Task>[] faults)
    {
        var random = new Random(Simulation.Seeds.First);
        await using var clients = new RecordedClients([.. group.Addresses], 5, Simulation.Seeds.First);
        await clients.ProgressAsync(50, () => string.Join('\n', group.Said));
        var watch = Stopwatch.StartNew();
        for (var i = 0; until is { } end ? watch.Elapsed < end : i < times; i++)
        {
            // Every other time whoever leads, as that hurts most.
            var victim = i % 2 == 0 ? await LeaderAsync(group) ?? "a" : Names[random.Next(Names.Length)];
            await faults[(times < 2 * faults.Length ? i : i / 2) % faults.Length](victim, random);
            await clients.ProgressAsync(30, () => string.Join('\n', group.Said));
        }
        await JudgeAsync(clients, group, algorithm);
    }

    private async Task JudgeAsync(RecordedClients clients, ThreeProcesses group, string algorithm = "raft")
    {
        var (verdict, summary) = await clients.JudgeAsync();
        output.WriteLine(summary);
        Console.WriteLine($"faults, {algorithm}, seed {Simulation.Seeds.First}: {summary}");
        Assert.True(verdict != Verdict.NotLinearizable, $"{summary}\nseed {Simulation.Seeds.First}\n" + string.Join('\n', group.Said));
    }

    private static async Task<string?> LeaderAsync(ThreeProcesses group)
    {
        using var client = new ClusterClient([.. group.Addresses], TimeSpan.FromSeconds(1));
        foreach (var name in Names)
        {
            if (await Quietly(async () => (MemberReport?)await client.ReportAsync(new Uri("http://" + group.EndpointOf(name)), default)) is { } report && report.Leader == report.MemberId)
                return name;
        }
        return null;
    }

    private static async Task<T?> Quietly<T>(Func<Task<T?>> ask)
        where T : class
    {
        try
        {
            return await ask();
        }
        catch (CoordinationException)
        {
            return null;
        }
    }

    private static void Signal(string signal, int pid) => Command("kill", signal, pid.ToString(CultureInfo.InvariantCulture));

    private static void Command(string program, params string[] words)
    {
        using var process = Process.Start(program, words);
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', words)} failed");
    }
}
