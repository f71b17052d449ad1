using System.CommandLine;
using System.Globalization;
using Millrace.Pipelines.Language;
using System.Text.Json.Nodes;
using static Millrace.Host.CommandLine.Values;

namespace Millrace.Host.CommandLine;

/// <summary><c>millrace table list|show|snapshots|expire|compact|clean|drop</c>.</summary>
internal static class TableCommands
{
    public static Command Create()
    {
        var table = new Command("table", "Iceberg tables of the catalog");
        table.Subcommands.Add(List());
        table.Subcommands.Add(Detail("show", "Columns, location and files of a table", Show));
        table.Subcommands.Add(Detail("snapshots", "A table's snapshots, newest first", Snapshots));
        table.Subcommands.Add(Expire());
        table.Subcommands.Add(Compact());
        table.Subcommands.Add(Clean());
        table.Subcommands.Add(Drop());
        return table;
    }

    private static Command List()
    {
        var command = new Command("list", "List tables").WithExamples("./millrace table list", "./millrace table list --json");
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
        var name = NameArgument();
        var command = new Command(verb, description) { name }.WithExamples($"./millrace table {verb} sales.by_country");
        command.SetAction(async (parsed, cancellation) =>
        {
            using var client = parsed.Client();
            var answer = await client.GetAsync(PathOf(parsed.GetValue(name)!), cancellation);
            if (parsed.GetValue(MillraceCommand.Json))
                Terminal.WriteJson(verb == "snapshots" ? answer["snapshotLog"] : answer);
            else
                print(answer);
            return ExitCode.Success;
        });
        return command;
    }

    private static Command Expire()
    {
        var keep = new Option<string?>("--keep") { Description = "Younger snapshots stay; forever keeps all [default: the table's property, then the settings]", HelpName = "TIME" };
        var last = new Option<int>("--keep-last") { Description = "So many of the newest stay [default: likewise]", HelpName = "COUNT" };
        return Upkeep(
            new Command("expire", "Take out old snapshots with the files that only they need") { keep, last }
                .WithExamples("./millrace table expire sales.by_country --dry-run", "./millrace table expire sales.by_country --keep 10m --keep-last 5"),
            parsed => ("expire", parsed.GetValue(keep) is { } text ? $"keep={Uri.EscapeDataString(text)}&keepLast={parsed.GetValue(last)}" : $"keepLast={parsed.GetValue(last)}"),
            answer => $"{Rows(answer["expired"]).Count()} snapshots, {Text(answer["deletedFiles"])} files, {Bytes(answer["deletedBytes"])} of data");
    }

    private static Command Compact()
    {
        var size = new Option<string?>("--file-size") { Description = "Size of the files to make [default: the table's property, then the settings]", HelpName = "SIZE" };
        return Upkeep(
            new Command("compact", "Rewrite small files as large ones; the rows stay the same") { size }
                .WithExamples("./millrace table compact sales.by_country --dry-run", "./millrace table compact sales.by_country --file-size 256MiB"),
            parsed => ("compact", "targetBytes=" + (parsed.GetValue(size) is not { } text ? 0
                : ByteSizeText.TryParse(text, out var bytes) ? bytes
                : throw new CommandException($"'{text}' is no size", ByteSizeText.Hint, ExitCode.Usage)).ToString(CultureInfo.InvariantCulture)),
            answer => $"{Text(answer["filesBefore"])} files of {Bytes(answer["bytesBefore"])} into {Text(answer["filesAfter"])} of {Bytes(answer["bytesAfter"])}");
    }

    private static Command Clean()
    {
        var age = new Option<string>("--older-than") { Description = "Younger files may belong to a commit that is under way", HelpName = "TIME", DefaultValueFactory = _ => "3d" };
        return Upkeep(
            new Command("clean", "Delete files in a table's folder that nothing names: left by crashes") { age }
                .WithExamples("./millrace table clean sales.by_country --dry-run"),
            parsed => ("clean", "olderThan=" + Uri.EscapeDataString(parsed.GetValue(age)!)),
            answer => $"{Text(answer["deletedFiles"])} files");
    }

    private static Command Drop()
    {
        var name = NameArgument();
        var command = new Command("drop", "Drop a table with its files; stop the job that writes to it first") { name }.WithExamples("./millrace table drop sales.by_country");
        command.SetAction(async (parsed, cancellation) =>
        {
            using var client = parsed.Client();
            var table = parsed.GetValue(name)!;
            await client.DeleteAsync(PathOf(table), cancellation);
            Done(parsed, $"table {table} dropped", new JsonObject { ["table"] = table, ["dropped"] = true });
            return ExitCode.Success;
        });
        return command;
    }

    /// <summary>A command that works on a table, or tells what it would do.</summary>
    private static Command Upkeep(Command command, Func<ParseResult, (string Verb, string Query)> request, Func<JsonNode, string> describe)
    {
        var name = NameArgument();
        var dry = new Option<bool>("--dry-run") { Description = "Tell what would be done; do nothing" };
        command.Arguments.Add(name);
        command.Options.Add(dry);
        command.SetAction(async (parsed, cancellation) =>
        {
            var (verb, query) = request(parsed);
            using var client = parsed.Client();
            var table = parsed.GetValue(name)!;
            var answer = await client.PostJsonAsync(
                $"{PathOf(table)}/{verb}?{query}&dryRun={(parsed.GetValue(dry) ? "true" : "false")}", new JsonObject(), cancellation);
            Done(parsed, $"{table}: {(parsed.GetValue(dry) ? "would " : "")}{verb} {describe(answer)}", answer);
            return ExitCode.Success;
        });
        return command;
    }

    private static Argument<string> NameArgument()
    {
        var name = new Argument<string>("TABLE") { Description = "namespace.table" };
        name.CompletionSources.Add(context =>
            CompletionCommand.Names(context.ParseResult, "/api/tables", "tables", t => $"{Text(t["namespace"])}.{Text(t["name"])}"));
        return name;
    }

    /// <summary>Where the API has a table.</summary>
    private static string PathOf(string table)
    {
        var dot = table.LastIndexOf('.');
        if (dot <= 0 || dot == table.Length - 1)
            throw new CommandException($"'{table}' is no table name", "write namespace.table; see: ./millrace table list", ExitCode.Usage);
        return $"/api/tables/{Uri.EscapeDataString(table[..dot])}/{Uri.EscapeDataString(table[(dot + 1)..])}";
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
