using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Millrace.Coordination.Client;
using Millrace.Tests;

namespace Millrace.Interop.Etcd;

/// <summary>Sessions on three real processes, by the command line and by clients, through SIGKILL of one member after another.</summary>
public sealed class SessionProcessTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    [Fact]
    public async Task What_a_killed_member_missed_is_handed_over_and_the_command_line_sees_it()
    {
        await using var group = ThreeProcesses.Start("a", "b", "c");
        using var patience = new CancellationTokenSource(Patience);
        await UntilAsync(async () => (await SessionAsync(group, "a", "put", "user-1", "cart", "--write", "3")).Code == 0, group, patience.Token);
        Assert.Equal((0, "cart"), await SessionAsync(group, "c", "get", "user-1", "--read", "3"));
        // Members say their names only after they have begun to serve.
        await UntilAsync(async () => (await StatusAsync(group, "a"))["members"]!.AsArray().Count(m => m!["up"]!.GetValue<bool>()) == 3, group, patience.Token);

        await group.KillAsync("c");
        Assert.Equal((0, "user-1 written to 2 copies"), await SessionAsync(group, "a", "put", "user-1", "more"));
        Assert.Equal((0, "more"), await SessionAsync(group, "b", "get", "user-1"));
        Assert.Equal(1, (await SessionAsync(group, "a", "put", "user-2", "x", "--write", "3")).Code);
        await UntilAsync(async () => Member(await StatusAsync(group, "a"), "a")["hintsWaiting"]!["c"]?.GetValue<int>() == 2, group, patience.Token);

        group.StartMember("c");
        // Its own copy alone answers.
        await UntilAsync(async () => await SessionAsync(group, "c", "get", "user-1", "--read", "1") is (0, "more"), group, patience.Token);
        await UntilAsync(async () => Member(await StatusAsync(group, "a"), "a") is var a && a["handoffs"]!.GetValue<long>() >= 2 && a["hintsWaiting"]!.AsObject().Count == 0,
            group, patience.Token);
        Assert.Equal(0, (await SessionAsync(group, "b", "delete", "user-1")).Code);
        Assert.Equal(1, (await SessionAsync(group, "c", "get", "user-1")).Code);
    }

    [Fact]
    public async Task A_read_repairs_the_copy_of_a_member_whose_hints_died_with_another()
    {
        await using var group = ThreeProcesses.Start("a", "b", "c");
        using var patience = new CancellationTokenSource(Patience);
        using var a = Client(group, "a");
        await UntilAsync(async () => await a.PutAsync("user-1", "old"u8.ToArray(), null, 3, default) == 3, group, patience.Token);
        await group.KillAsync("c");
        await a.PutAsync("user-1", "new"u8.ToArray(), null, 2, default);
        // The writer dies before it gave c up, so that nobody has a hint; on its disk there is none either.
        await group.KillAsync("a");
        group.StartMember("c");
        using var c = Client(group, "c");
        await UntilAsync(async () => (await c.GetAsync("user-1", 1, default))?.Value is { } value && Encoding.UTF8.GetString(value.Span) is "old" or "new", group, patience.Token);
        await UntilAsync(async () => Encoding.UTF8.GetString((await c.GetAsync("user-1", 2, default))!.Value.Span) == "new", group, patience.Token);
        await UntilAsync(async () => Encoding.UTF8.GetString((await c.GetAsync("user-1", 1, default))!.Value.Span) == "new", group, patience.Token);
        var status = await c.StatusAsync(new Uri("http://" + group.EndpointOf("c")), default);
        Assert.True(status.Repairs >= 1, $"{status.Repairs} repairs");
    }

    [Fact]
    public async Task No_acknowledged_write_is_lost_while_members_are_killed()
    {
        await using var group = ThreeProcesses.Start("a", "b", "c");
        using var patience = new CancellationTokenSource(Patience);
        using var ready = Client(group, "a");
        await UntilAsync(async () => await ready.PutAsync("ready", "yes"u8.ToArray(), null, 3, default) == 3, group, patience.Token);
        using var stop = new CancellationTokenSource();
        // Each writer has keys of its own and counts up, so what is acknowledged last must be found, or something later that was not.
        var writers = Enumerable.Range(0, 8).Select(w => WriteAsync(group, w, stop.Token)).ToArray();
        foreach (var victim in new[] { "a", "b", "c" })
        {
            await Task.Delay(500, patience.Token);
            await group.KillAsync(victim);
            await Task.Delay(500, patience.Token);
            group.StartMember(victim);
            using var back = Client(group, victim);
            await UntilAsync(async () => await back.PutAsync("back-" + victim, "yes"u8.ToArray(), null, 3, default) == 3, group, patience.Token);
        }
        await stop.CancelAsync();
        var acknowledged = await Task.WhenAll(writers);
        Assert.All(acknowledged, static a => Assert.True(a.Count > 10, $"only {a.Count} writes were acknowledged"));
        foreach (var reader in group.Names)
        {
            using var client = Client(group, reader);
            await Task.WhenAll(acknowledged.SelectMany(static a => a).Select(async written =>
            {
                var found = await client.GetAsync(written.Key, 2, patience.Token);
                Assert.True(found is not null && int.Parse(Encoding.UTF8.GetString(found.Value.Span), CultureInfo.InvariantCulture) >= written.Value,
                    $"{reader} reads {(found is null ? "nothing" : Encoding.UTF8.GetString(found.Value.Span))} of {written.Key}, of which {written.Value} was acknowledged");
            }));
        }
    }

    /// <summary>Writes growing numbers until it is stopped; returns the last of each key that was acknowledged by two copies.</summary>
    private static async Task<Dictionary<string, int>> WriteAsync(ThreeProcesses group, int writer, CancellationToken stop)
    {
        using var client = new SessionClient([.. group.Addresses.Skip(writer % 3), .. group.Addresses.Take(writer % 3)], TimeSpan.FromSeconds(5));
        var acknowledged = new Dictionary<string, int>();
        for (var i = 1; !stop.IsCancellationRequested; i++)
        {
            var key = string.Create(CultureInfo.InvariantCulture, $"w{writer}-{i % 20}");
            try
            {
                await client.PutAsync(key, Encoding.UTF8.GetBytes(i.ToString(CultureInfo.InvariantCulture)), null, 2, default);
                acknowledged[key] = i;
            }
            catch (CoordinationException)
            {
                // Unknown: it may be there or not.
            }
        }
        return acknowledged;
    }

    private static SessionClient Client(ThreeProcesses group, string name) => new([new Uri("http://" + group.EndpointOf(name))], TimeSpan.FromSeconds(5));

    private static async Task<(int Code, string Said)> SessionAsync(ThreeProcesses group, string member, params string[] words)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var word in (string[])[Path.Combine(Repository.Root, "artifacts", "bin", "Millrace", "release", "Millrace.dll"), "session", .. words, "--endpoints", group.EndpointOf(member)])
            start.ArgumentList.Add(word);
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        await errors;
        return (process.ExitCode, output.Trim());
    }

    private static async Task<JsonNode> StatusAsync(ThreeProcesses group, string member) =>
        JsonNode.Parse((await SessionAsync(group, member, "status", "--json")).Said)!;

    private static JsonNode Member(JsonNode status, string name) => status["members"]!.AsArray().Single(m => m!["name"]!.GetValue<string>() == name)!;

    private static async Task UntilAsync(Func<Task<bool>> isSo, ThreeProcesses group, CancellationToken patience)
    {
        while (true)
        {
            try
            {
                if (await isSo())
                    return;
            }
            catch (CoordinationException)
            {
                // Members are still finding each other.
            }
            Assert.False(patience.IsCancellationRequested, string.Join('\n', group.Said));
            await Task.Delay(50, CancellationToken.None);
        }
    }
}
