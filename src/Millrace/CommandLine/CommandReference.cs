using System.CommandLine;
using System.Text;

namespace Millrace.Host.CommandLine;

/// <summary>docs/reference/command-line.md, from the commands themselves; a test holds the file to it.</summary>
internal static class CommandReference
{
    public static string Markdown()
    {
        var root = MillraceCommand.Create();
        var text = new StringBuilder();
        text.Append("# Command line\n\nGenerated from the commands (`MILLRACE_WRITE_DOCS=1 ./millrace test --fast` rewrites it).\n\n");
        text.Append("Exit codes: 0 done; 1 the answer is no or it failed; 2 the command line or a file is wrong; 3 no platform answers.\n\n");
        text.Append("Every command takes:\n\n");
        AppendOptions(text, root.Options.Where(o => o.Recursive));
        foreach (var command in root.Subcommands)
            Append(text, command, "millrace");
        return text.ToString();
    }

    private static void Append(StringBuilder text, Command command, string path)
    {
        path = $"{path} {command.Name}";
        if (command.Subcommands.Count > 0)
        {
            foreach (var child in command.Subcommands)
                Append(text, child, path);
            return;
        }
        text.Append($"\n## {path}{string.Concat(command.Arguments.Select(a => a.Arity.MinimumNumberOfValues == 0 ? $" [{a.Name}]" : $" {a.Name}"))}\n\n");
        text.Append(command.Description).Append(".\n");
        var options = command.Options.Where(o => !o.Recursive && o is not System.CommandLine.Help.HelpOption).ToList();
        if (options.Count > 0)
        {
            text.Append('\n');
            AppendOptions(text, options);
        }
        if (MillraceCommand.ExamplesOf(command) is { Count: > 0 } examples)
            text.Append("\n```\n").AppendJoin('\n', examples).Append("\n```\n");
    }

    private static void AppendOptions(StringBuilder text, IEnumerable<Option> options)
    {
        text.Append("| option | |\n|---|---|\n");
        foreach (var option in options.Where(o => o is not System.CommandLine.Help.HelpOption))
            text.Append($"| `{string.Join("`, `", option.Aliases.Prepend(option.Name))}` | {option.Description?.Replace("|", "\\|")} |\n");
    }
}
