using System.CommandLine;
using System.Text.Json.Nodes;
using Millrace.Coordination.Client;
using Millrace.Coordination.Commitment;
using Millrace.Host.Transactions;
using Millrace.Iceberg;
using Millrace.Iceberg.Catalogs;
using Millrace.Storage.Files;

namespace Millrace.Host.CommandLine;

/// <summary><c>millrace transaction run|list|resume</c>: several tables and keys written all or none, by two-phase commit.</summary>
internal static class TransactionCommands
{
    public static Command Create()
    {
        var transaction = new Command("transaction", "Write several tables and keys, all or none");
        transaction.Subcommands.Add(Run());
        transaction.Subcommands.Add(List());
        transaction.Subcommands.Add(Resume());
        return transaction;
    }

    private static Command Run()
    {
        var file = new Argument<string>("FILE") { Description = "What is written" };
        var id = new Option<string?>("--id") { Description = "Names this run; one that is over is not done again [default: the transaction's name]", HelpName = "ID" };
        var command = new Command("run", "Run a transaction, or end one that was begun") { file, id, ClusterManagement.Endpoints }.WithExamples(
            "./millrace transaction run month-end.yaml --id month-end-2026-10");
        ClusterManagement.AddTls(command);
        command.SetAction((parsed, cancellation) =>
        {
            var path = parsed.GetValue(file)!;
            if (!File.Exists(path))
                throw new CommandException($"there is no file {path}", null, ExitCode.Usage);
            var text = File.ReadAllText(path);
            return FinishAsync(parsed, async (coordinator, places) =>
            {
                var read = TransactionFile.Parse(text, path, places);
                var name = parsed.GetValue(id) ?? read.Name;
                return [(name, await coordinator.RunAsync(name, text, read.Protocol, stored => TransactionFile.Parse(stored, path, places).Participants, cancellation))];
            });
        });
        return command;
    }

    private static Command List()
    {
        var command = new Command("list", "Transactions that the store knows") { ClusterManagement.Endpoints }.WithExamples("./millrace transaction list --json");
        ClusterManagement.AddTls(command);
        command.SetAction((parsed, cancellation) => FinishAsync(parsed, (coordinator, _) => coordinator.ListAsync(cancellation)));
        return command;
    }

    private static Command Resume()
    {
        var command = new Command("resume", "End every transaction that is not over: as decided, or by an abort when nothing was") { ClusterManagement.Endpoints }.WithExamples(
            "./millrace transaction resume");
        ClusterManagement.AddTls(command);
        command.SetAction((parsed, cancellation) => FinishAsync(parsed, async (coordinator, places) =>
        {
            var ended = new List<(string, TransactionRecord)>();
            foreach (var (id, record) in await coordinator.ListAsync(cancellation))
            {
                if (record.State is TransactionState.Committed or TransactionState.Aborted)
                    continue;
                ended.Add((id, await coordinator.RunAsync(
                    id, record.Definition, record.Protocol, stored => TransactionFile.Parse(stored, id, places).Participants, cancellation)));
            }
            return ended;
        }));
        return command;
    }

    private static async Task<int> FinishAsync(
        ParseResult parsed, Func<TransactionCoordinator, TransactionPlaces, Task<IReadOnlyList<(string Id, TransactionRecord Record)>>> act)
    {
        using var store = new CoordinationClient(ClusterManagement.Addresses(parsed), tls: ClusterManagement.TlsOf(parsed));
        var data = parsed.Settings().Data;
        var files = DiskFileSystem.Instance;
        IReadOnlyList<(string Id, TransactionRecord Record)> ended;
        try
        {
            var places = new TransactionPlaces(files, FolderCatalog.Open(files, Path.Combine(data, "warehouse"), TimeProvider.System), Path.Combine(data, "transactions"), store);
            ended = await act(new TransactionCoordinator(store), places);
        }
        catch (CoordinationException error)
        {
            throw ClusterManagement.Refusal(error);
        }
        catch (Exception error) when (error is IcebergException or IOException)
        {
            throw new CommandException("the transaction is decided and not told everywhere: " + error.Message, "mend what it needs, then: ./millrace transaction resume");
        }
        if (parsed.GetValue(MillraceCommand.Json))
        {
            Terminal.WriteJson(new JsonObject
            {
                ["transactions"] = new JsonArray([.. ended.Select(static t => new JsonObject
                {
                    ["id"] = t.Id, ["state"] = t.Record.State.ToString().ToLowerInvariant(),
                    ["protocol"] = t.Record.Protocol == CommitProtocol.ThreePhase ? "three-phase" : "two-phase", ["reason"] = t.Record.Reason,
                })]),
            });
        }
        else
        {
            Terminal.WriteTable(
                ["transaction", "state", "reason"],
                ended.Select(static t => new[] { t.Id, t.Record.State.ToString().ToLowerInvariant(), t.Record.Reason ?? "" }), "no transactions");
        }
        return ended.Any(static t => t.Record.State == TransactionState.Aborted) ? ExitCode.Failure : ExitCode.Success;
    }
}
