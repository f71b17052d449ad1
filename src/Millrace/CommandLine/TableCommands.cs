using System.CommandLine;
using System.Text.Json.Nodes;
using static Millrace.Host.CommandLine.Values;

namespace Millrace.Host.CommandLine;

/// <summary><c>millrace table list|show|snapshots</c>.</summary>
internal static class TableCommands
{
    public static Command Create()
    {
        var table = new Command("table", "Iceberg tables of the catalog");
        table.Subcommands.Add(List());
        table.Subcommands.Add(Detail("show", "Columns, location and files of a table", Show));
        table.Subcommands.Add(Detail("snapshots", "A table's snapshots, newest first", Snapshots));
        return table;
    }

    private static Command List()
    {
        var command = new Command("list", "List tables").WithExamples("millrace table list", "millrace table list --json");
        command.SetAction(async (parsed, cancellation) =>
        {
            using var client = parsed.Client();
            var answer = await client.GetAsync("/api/tables", cancellation);
            if (parsed.GetValue(MillraceCommand.Json))
            {
                Terminal.WriteJson(answer);
                return ExitCode.Success;
            }
            foreach (var damaged in Rows(answer["tables"]).Where(t => t["problem"] is not null))
                Terminal.Fail($"{Text(damaged["namespace"])}.{Text(damaged["name"])}: {Text(damaged["problem"])}", null);
            Terminal.WriteTable(
                ["table", "rows", "size", "files", "snapshots", "snapshot", "updated"],
                Rows(answer["tables"]).Select(t => new[]
                {
                    $"{Text(t["namespace"])}.{Text(t["name"])}", Text(t["rows"]), Bytes(t["bytes"]), Text(t["files"]), Text(t["snapshots"]),
                    Text(t["snapshotId"]), Text(t["updatedAt"]),
                }),
                "no tables; a pipeline with an iceberg: sink makes one");
            return ExitCode.Success;
        });
        return command;
    }

    private static Command Detail(string verb, string description, Action<JsonNode> print)
    {
        var name = new Argument<string>("TABLE") { Description = "namespace.table" };
        name.CompletionSources.Add(context =>
            CompletionCommand.Names(context.ParseResult, "/api/tables", "tables", t => $"{Text(t["namespace"])}.{Text(t["name"])}"));
        var command = new Command(verb, description) { name }.WithExamples($"millrace table {verb} sales.by_country");
        command.SetAction(async (parsed, cancellation) =>
        {
            var table = parsed.GetValue(name)!;
            var dot = table.LastIndexOf('.');
            if (dot <= 0 || dot == table.Length - 1)
                throw new CommandException($"'{table}' is no table name", "write namespace.table; see: millrace table list", ExitCode.Usage);
            using var client = parsed.Client();
            var answer = await client.GetAsync(
                $"/api/tables/{Uri.EscapeDataString(table[..dot])}/{Uri.EscapeDataString(table[(dot + 1)..])}", cancellation);
            if (parsed.GetValue(MillraceCommand.Json))
                Terminal.WriteJson(verb == "snapshots" ? answer["snapshotLog"] : answer);
            else
                print(answer);
            return ExitCode.Success;
        });
        return command;
    }

    private static void Show(JsonNode answer)
    {
        var table = answer["table"]!;
        Console.Out.WriteLine($"{Text(table["namespace"])}.{Text(table["name"])}: {Text(table["rows"])} rows, {Bytes(table["bytes"])} in {Text(table["files"])} files");
        Console.Out.WriteLine($"Iceberg v{Text(answer["formatVersion"])} at {Text(answer["location"])}");
        var key = Rows(answer["key"]).Select(Text).ToHashSet();
        Terminal.WriteTable(
            ["id", "column", "type", "required", "key"],
            Rows(answer["columns"]).Select(c => new[]
            {
                Text(c["id"]), Text(c["name"]), Text(c["type"]), Text(c["required"]), key.Contains(Text(c["name"])) ? "yes" : "",
            }), "no columns");
    }

    private static void Snapshots(JsonNode answer) => Terminal.WriteTable(
        ["snapshot", "at", "operation", "added rows", "rows", "checkpoint"],
        Rows(answer["snapshotLog"]).Select(s => new[]
        {
            Text(s["id"]), Text(s["at"]), Text(s["operation"]), Text(s["addedRows"]), Text(s["totalRows"]), Text(s["summary"]?["millrace.checkpoint-id"]),
        }), "no snapshots yet");
}
