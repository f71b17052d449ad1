using System.Text.Json.Nodes;
using Millrace.Host.CommandLine;

namespace Millrace.Tests.Host;

public sealed class CommandLineTests
{
    [Fact]
    public void The_reference_is_what_the_commands_say()
    {
        var file = Path.Combine(Repository.Root, "docs", "reference", "command-line.md");
        var now = CommandReference.Markdown();
        if (Environment.GetEnvironmentVariable("MILLRACE_WRITE_DOCS") == "1")
            File.WriteAllText(file, now);
        Assert.True(
            File.Exists(file) && File.ReadAllText(file) == now, $"{file} is stale; rewrite it with MILLRACE_WRITE_DOCS=1 ./millrace test --fast");
    }

    [Fact]
    public void Every_command_describes_itself_and_shows_examples()
    {
        var silent = Leaves(MillraceCommand.Create())
            .Where(c => string.IsNullOrEmpty(c.Description)
                || c.Name is not ("test" or "bench" or "setup") && MillraceCommand.ExamplesOf(c).Count == 0)
            .Select(c => c.Name);
        Assert.Empty(silent);
    }

    [Fact]
    public void Every_command_gives_help_without_its_arguments()
    {
        var root = MillraceCommand.Create();
        var deaf = Paths(root, []).Where(path => root.Parse([.. path, "--help"]).Errors.Count > 0).Select(path => string.Join(' ', path));
        Assert.Empty(deaf);
    }

    [Fact]
    public void A_caret_stands_under_the_place_of_an_SQL_error()
    {
        var problem = new JsonObject
        {
            ["sqlState"] = "42703", ["detail"] = "no column named 'amont'", ["position"] = 15, ["hint"] = "did you mean amount?",
        };
        Assert.Equal(
            """
            error 42703: no column named 'amont'
            LINE 2: sum(amont)
                        ^
            hint: did you mean amount?
            """,
            SqlCommand.Mark(problem, "SELECT x,\nsum(amont)\nFROM t"));
    }

    private static IEnumerable<string[]> Paths(System.CommandLine.Command command, string[] path) =>
        [path, .. command.Subcommands.SelectMany(c => Paths(c, [.. path, c.Name]))];

    private static IEnumerable<System.CommandLine.Command> Leaves(System.CommandLine.Command command) =>
        command.Subcommands.Count == 0 ? [command] : command.Subcommands.SelectMany(Leaves);
}
