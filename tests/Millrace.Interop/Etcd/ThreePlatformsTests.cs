using System.Text;
using Millrace.Bench.Running;
using Millrace.Interop.EndToEnd;

namespace Millrace.Interop.Etcd;

/// <summary>Three platforms whose settings name each other: one group, seen by page, commands and etcdctl's API at any of them, that outlives any one.</summary>
public sealed class ThreePlatformsTests
{
    [Fact]
    public async Task Platforms_that_name_each_other_are_one_group_and_outlive_its_leader()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(120));
        var root = Directory.CreateTempSubdirectory("millrace-three").FullName;
        string[] names = ["a", "b", "c"];
        var peers = names.ToDictionary(static n => n, static _ => LoopbackPorts.Take(1)[0]);
        var platforms = names.ToDictionary(static n => n, n => Platform(Path.Combine(root, n), n, peers));
        try
        {
            await Task.WhenAll(platforms.Values.Select(p => p.StartAsync(patience.Token)));
            var leader = "";
            foreach (var platform in platforms.Values)
                leader = await SeenAsync(platform, m => m.Length == 3 && m.Count(static x => x.Leader) == 1 && m.All(static x => x.Name.Length > 0), patience.Token);
            var others = names.Where(n => n != leader).ToArray();

            await UntilDoneAsync(platforms[others[0]], "session", "put", "user-1", "cart");
            Assert.Equal("cart", (await platforms[others[1]].CommandAsync(["session", "get", "user-1"])).Output.Trim());
            using (var client = Client(platforms[leader]))
                await client.PutAsync("k", "v", patience.Token);

            await platforms[leader].KillAsync();
            var heir = await SeenAsync(platforms[others[0]], m => m.Any(x => x.Leader && x.Name != leader), patience.Token);
            Assert.Contains(heir, others);
            using var rest = Client(platforms[others[1]]);
            Assert.Equal("v", (await rest.GetAsync("k", patience.Token))!.Text);
            await rest.PutAsync("k", "w", patience.Token);
            Assert.Equal("cart", (await platforms[others[0]].CommandAsync(["session", "get", "user-1"])).Output.Trim());

            await platforms[leader].StartAsync(patience.Token);
            using var back = Client(platforms[leader]);
            Assert.Equal("w", (await back.GetAsync("k", patience.Token))!.Text);
        }
        finally
        {
            foreach (var platform in platforms.Values)
                await platform.DisposeAsync();
            Directory.Delete(root, recursive: true);
        }
    }

    private static PlatformProcess Platform(string folder, string name, Dictionary<string, int> peers)
    {
        var platform = PlatformProcess.Create(folder);
        var settings = Path.Combine(folder, "millrace.yaml");
        var members = string.Join(", ", peers.Select(static p => $"{p.Key}: 127.0.0.1:{p.Value}"));
        File.WriteAllText(settings, File.ReadAllText(settings).Replace(
            $"coordination: {{port: {platform.EtcdPort}}}", $"coordination: {{port: {platform.EtcdPort}, name: {name}, members: {{{members}}}}}", StringComparison.Ordinal));
        return platform;
    }

    private static Coordination.Client.CoordinationClient Client(PlatformProcess platform) => new([new Uri($"http://127.0.0.1:{platform.EtcdPort}")]);

    /// <summary>Sessions need a majority of members that know each other.</summary>
    private static async Task UntilDoneAsync(PlatformProcess platform, params string[] words)
    {
        var said = new StringBuilder();
        for (var tries = 0; tries < 50; tries++)
        {
            var answer = await platform.CommandAsync(words);
            if (answer.Code == 0)
                return;
            said.AppendLine(answer.Errors);
            await Task.Delay(200);
        }
        throw new InvalidOperationException(said.ToString());
    }

    /// <summary>Waits until the page's members are as wanted; returns the leader's name.</summary>
    private static async Task<string> SeenAsync(PlatformProcess platform, Func<(string Name, bool Leader)[], bool> isWanted, CancellationToken cancel)
    {
        while (true)
        {
            var page = await platform.GetAsync("/api/cluster", cancel);
            var members = page["members"]!.AsArray().Select(static m => (m!["name"]!.GetValue<string>(), m["leader"]!.GetValue<bool>())).ToArray();
            if (isWanted(members))
                return members.First(static m => m.Item2).Item1;
            await Task.Delay(100, cancel);
        }
    }
}
