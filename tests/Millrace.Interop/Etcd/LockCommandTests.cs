using System.Diagnostics;
using System.Globalization;
using Google.Protobuf;
using Millrace.Coordination.Client;
using Millrace.Coordination.Wire;

namespace Millrace.Interop.Etcd;

/// <summary>`millrace lock`: one holder at a time, tokens that only grow, and a store that refuses what a former holder still wants to write.</summary>
public sealed class LockCommandTests
{
    [Fact]
    public async Task A_lock_is_held_while_a_command_runs_and_its_tokens_fence_former_holders_off()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        await using var group = ThreeProcesses.Start("a");
        using var store = new CoordinationClient([.. group.Addresses]);
        await UntilAsync(() => store.PutAsync("ready", "", patience.Token), patience.Token);

        var first = await group.CommandAsync("lock", "jobs", "--", "sh", "-c", "echo $MILLRACE_LOCK_KEY $MILLRACE_FENCING_TOKEN; exit 7");
        Assert.True(first.Code == 7, first.Output + first.Errors);
        var (key, token) = (first.Output.Split(' ')[0], long.Parse(first.Output.Split(' ')[1], CultureInfo.InvariantCulture));
        Assert.StartsWith("jobs/", key, StringComparison.Ordinal);
        Assert.Null(await store.GetAsync(key, patience.Token));

        using var holder = group.StartCommand("lock", "jobs", "--json");
        var said = System.Text.Json.Nodes.JsonNode.Parse(await ObjectAsync(holder, patience.Token))!;
        var (heldKey, heldToken) = (said["key"]!.GetValue<string>(), said["fencingToken"]!.GetValue<long>());
        Assert.True(heldToken > token);

        var late = await group.CommandAsync("lock", "jobs", "--wait", "300ms", "--", "true");
        Assert.Equal(1, late.Code);
        Assert.Contains("others held the lock 'jobs' for all of 0.3 s", late.Errors);

        // What is written only while the lock's key is as old as the token: the holder may, who held it before may not.
        Assert.True(await GuardedAsync(group, "new", heldKey, heldToken));
        Assert.False(await GuardedAsync(group, "old", key, token));

        using var next = group.StartCommand("lock", "jobs", "--", "sh", "-c", "echo $MILLRACE_FENCING_TOKEN");
        using (var kill = Process.Start("kill", ["-TERM", holder.Id.ToString(CultureInfo.InvariantCulture)]))
            await kill.WaitForExitAsync(patience.Token);
        await holder.WaitForExitAsync(patience.Token);
        Assert.Equal(0, holder.ExitCode);
        var nextToken = long.Parse(await next.StandardOutput.ReadToEndAsync(patience.Token), CultureInfo.InvariantCulture);
        Assert.True(nextToken > heldToken);
        Assert.Equal("new", (await store.GetAsync("guarded", patience.Token))!.Text);

        // Whoever loses the lock does not go on under it.
        using var loser = group.StartCommand("lock", "jobs", "--ttl", "3s", "--", "sh", "-c", "echo on; sleep 60");
        Assert.Equal("on", await loser.StandardOutput.ReadLineAsync(patience.Token));
        var (row, _) = await store.ListAsync("jobs/", patience.Token);
        await store.RevokeLeaseAsync(Assert.Single(row).Lease, patience.Token);
        var errors = await loser.StandardError.ReadToEndAsync(patience.Token);
        await loser.WaitForExitAsync(patience.Token);
        Assert.Equal(1, loser.ExitCode);
        Assert.Contains("was lost", errors);
    }

    /// <summary>A put that is refused once the lock's key is gone, as docs/guide/coordination.md writes it for etcdctl.</summary>
    private static async Task<bool> GuardedAsync(ThreeProcesses group, string value, string key, long token)
    {
        using var channel = new GrpcChannel(group.Addresses.First());
        var txn = new TxnRequest { Compare = { new Compare { Target = Compare.Types.CompareTarget.Create, Key = ByteString.CopyFromUtf8(key), CreateRevision = token } } };
        txn.Success.Add(new RequestOp { RequestPut = new PutRequest { Key = ByteString.CopyFromUtf8("guarded"), Value = ByteString.CopyFromUtf8(value) } });
        return (await channel.UnaryAsync("/etcdserverpb.KV/Txn", txn, TxnResponse.Parser, null, CancellationToken.None)).Succeeded;
    }

    private static async Task<string> ObjectAsync(Process process, CancellationToken cancel)
    {
        var text = "";
        while (await process.StandardOutput.ReadLineAsync(cancel) is { } line)
        {
            text += line;
            if (line.StartsWith('}') || (line.StartsWith('{') && line.EndsWith('}')))
                break;
        }
        return text;
    }

    private static async Task UntilAsync(Func<Task> act, CancellationToken cancel)
    {
        while (true)
        {
            try
            {
                await act();
                return;
            }
            catch (CoordinationException)
            {
                await Task.Delay(50, cancel);
            }
        }
    }
}
