using System.Text.Json;
using System.Text.Json.Nodes;
using Spectre.Console;

namespace Millrace.Host.CommandLine;

/// <summary>Exit codes that scripts can trust.</summary>
internal static class ExitCode
{
    public const int Success = 0;

    /// <summary>The command ran and the answer is no: counts do not add up, a job failed, a check found faults.</summary>
    public const int Failure = 1;

    /// <summary>The command line or a file is wrong.</summary>
    public const int Usage = 2;

    /// <summary>The platform is not reachable.</summary>
    public const int Unreachable = 3;
}

/// <summary>Ends a command with a message, a hint and an exit code.</summary>
internal sealed class CommandException(string message, string? hint = null, int code = ExitCode.Failure) : Exception(message)
{
    public string? Hint { get; } = hint;

    public int Code { get; } = code;
}

/// <summary>What commands print: tables for people on a terminal, JSON for programs. Logs and progress go to standard error.</summary>
internal static class Terminal
{
    public static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    /// <summary>Standard error, where progress and messages belong.</summary>
    public static IAnsiConsole Error { get; } = AnsiConsole.Create(new AnsiConsoleSettings
    {
        Out = new AnsiConsoleOutput(Console.Error), Ansi = Console.IsErrorRedirected ? AnsiSupport.No : AnsiSupport.Detect,
    });

    public static void WriteJson(JsonNode? node) => Console.Out.WriteLine(node?.ToJsonString(Json) ?? "null");

    /// <summary>Rows under headings; without a terminal, tab-separated lines so that <c>cut</c> and <c>awk</c> work.</summary>
    public static void WriteTable(IReadOnlyList<string> headings, IEnumerable<IReadOnlyList<string>> rows, string empty)
    {
        var all = rows.ToList();
        if (Console.IsOutputRedirected)
        {
            Console.Out.WriteLine(string.Join('\t', headings));
            foreach (var row in all)
                Console.Out.WriteLine(string.Join('\t', row.Select(c => c.Replace('\t', ' ').Replace('\n', ' '))));
            return;
        }
        if (all.Count == 0)
        {
            AnsiConsole.MarkupLine($"[grey]{Markup.Escape(empty)}[/]");
            return;
        }
        var table = new Table().Border(TableBorder.Simple).BorderColor(Color.Grey);
        foreach (var heading in headings)
            table.AddColumn(new TableColumn($"[bold]{Markup.Escape(heading)}[/]"));
        foreach (var row in all)
            table.AddRow(row.Select(c => new Text(c)).ToArray());
        AnsiConsole.Write(table);
    }

    public static void Fail(string message, string? hint)
    {
        // A log or a pipe gets whole lines without colours.
        if (Console.IsErrorRedirected)
        {
            Console.Error.WriteLine("error: " + message);
            if (hint is not null)
                Console.Error.WriteLine("hint: " + hint);
            return;
        }
        Error.MarkupLine($"[red]error:[/] {Markup.Escape(message)}");
        if (hint is not null)
            Error.MarkupLine($"[yellow]hint:[/] {Markup.Escape(hint)}");
    }
}
