using System.CommandLine;
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Millrace.Coordination.Client;
using Millrace.Streams.Sql;

namespace Millrace.Host.CommandLine;

/// <summary><c>millrace lock</c>: one holder at a time in the whole group, with a fencing token for what the lock protects.</summary>
internal static class LockCommand
{
    private static readonly TimeSpan DefaultTtl = TimeSpan.FromSeconds(10);

    public static Command Create()
    {
        var name = new Argument<string>("NAME") { Description = "The lock's name; etcdctl lock NAME waits in the same row" };
        var program = new Argument<string[]>("COMMAND")
        {
            Description = "Runs while the lock is held, with MILLRACE_LOCK_KEY and MILLRACE_FENCING_TOKEN [default: none; the lock is held until Ctrl-C]",
            Arity = ArgumentArity.ZeroOrMore,
        };
        var ttl = new Option<string?>("--ttl") { Description = "Others get the lock when this process was silent for so long [default: 10s]", HelpName = "TIME" };
        var wait = new Option<string?>("--wait") { Description = "Give up after so long [default: never]", HelpName = "TIME" };
        var command = new Command("lock", "Hold a lock of the coordination store while a command runs") { name, program, ttl, wait, ClusterManagement.Endpoints }.WithExamples(
            "./millrace lock nightly -- ./backup.sh", "./millrace lock nightly --wait 5s -- sh -c 'echo token $MILLRACE_FENCING_TOKEN'");
        ClusterManagement.AddTls(command);
        command.SetAction(async (parsed, cancellation) =>
        {
            var (lifetime, patience) = (Time(parsed.GetValue(ttl)) ?? DefaultTtl, Time(parsed.GetValue(wait)));
            using var store = new CoordinationClient(ClusterManagement.Addresses(parsed), tls: ClusterManagement.TlsOf(parsed));
            using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            var stopped = StopAsync(stop);
            try
            {
                await using var held = await AcquireAsync(store, parsed.GetValue(name)!, lifetime, patience, stop.Token);
                return await (parsed.GetValue(program) is { Length: > 0 } words ? RunAsync(held, words, stop.Token) : HoldAsync(parsed, held, parsed.GetValue(name)!, stop.Token));
            }
            catch (CoordinationException error)
            {
                throw ClusterManagement.Refusal(error);
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return ExitCode.Failure;
            }
            finally
            {
                await stop.CancelAsync();
                await stopped;
            }
        });
        return command;
    }

    private static async Task StopAsync(CancellationTokenSource stop)
    {
        await UpCommands.UntilStoppedAsync(stop.Token);
        await stop.CancelAsync();
    }

    private static async Task<HeldLock> AcquireAsync(CoordinationClient store, string name, TimeSpan ttl, TimeSpan? patience, CancellationToken stop)
    {
        using var waiting = CancellationTokenSource.CreateLinkedTokenSource(stop);
        if (patience is { } most)
            waiting.CancelAfter(most);
        try
        {
            return await store.LockAsync(name, ttl, waiting.Token);
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            throw new CommandException(
                patience is { } span && waiting.IsCancellationRequested ? $"others held the lock '{name}' for all of {span.TotalSeconds} s" : $"this process was silent for too long to stay in the row for '{name}'",
                $"who holds it: etcdctl get {name}/ --prefix --keys-only");
        }
    }

    private static async Task<int> HoldAsync(ParseResult parsed, HeldLock held, string name, CancellationToken stop)
    {
        if (parsed.GetValue(MillraceCommand.Json))
            Terminal.WriteJson(new JsonObject { ["name"] = name, ["key"] = held.Key, ["fencingToken"] = held.FencingToken });
        else
            Console.Out.WriteLine($"{held.Key} is held, fencing token {held.FencingToken}; Ctrl-C gives it back");
        await Console.Out.FlushAsync(CancellationToken.None);
        using var over = CancellationTokenSource.CreateLinkedTokenSource(stop, held.Lost);
        await UpCommands.UntilStoppedAsync(over.Token);
        return held.Lost.IsCancellationRequested ? throw Lost(held) : ExitCode.Success;
    }

    private static async Task<int> RunAsync(HeldLock held, string[] words, CancellationToken stop)
    {
        var start = new ProcessStartInfo(words[0]) { UseShellExecute = false };
        foreach (var word in words[1..])
            start.ArgumentList.Add(word);
        start.Environment["MILLRACE_LOCK_KEY"] = held.Key;
        start.Environment["MILLRACE_FENCING_TOKEN"] = held.FencingToken.ToString(CultureInfo.InvariantCulture);
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (Win32Exception missing)
        {
            throw new CommandException($"{words[0]} cannot be run: {missing.Message}", null, ExitCode.Usage);
        }
        using (process)
        {
            using var over = CancellationTokenSource.CreateLinkedTokenSource(stop, held.Lost);
            try
            {
                await process.WaitForExitAsync(over.Token);
                return process.ExitCode;
            }
            catch (OperationCanceledException)
            {
                // Another may hold the lock from now on, or soon: nothing goes on under it.
                if (!process.HasExited)
                    process.Kill(entireProcessTree: true);
                await process.WaitForExitAsync(CancellationToken.None);
            }
            return held.Lost.IsCancellationRequested ? throw Lost(held) : ExitCode.Failure;
        }
    }

    private static CommandException Lost(HeldLock held) => new(
        $"the lock {held.Key} was lost: its lease ended, or the store could not be reached for as long", "what the lock protects must refuse fencing tokens smaller than one that it has seen");

    private static TimeSpan? Time(string? text) => text is null ? null
        : DurationText.TryParse(text, out var span, out var problem) ? span : throw new CommandException(problem, DurationText.Hint, ExitCode.Usage);
}
