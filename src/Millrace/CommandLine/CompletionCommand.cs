using System.CommandLine;
using System.CommandLine.Completions;
using System.Text.Json.Nodes;
using static Millrace.Host.CommandLine.Values;

namespace Millrace.Host.CommandLine;

/// <summary><c>millrace completion SHELL</c>: a script that asks this program for completions (its <c>[suggest]</c> directive).</summary>
internal static class CompletionCommand
{
    private const string Bash = """
        # bash completion for millrace; load with: source <(./millrace completion bash)
        _millrace() {
          local line=${COMP_LINE#* } program=${COMP_WORDS[0]} point
          point=$((COMP_POINT - ${#COMP_LINE} + ${#line}))
          mapfile -t COMPREPLY < <(compgen -W "$(MILLRACE_QUIET=1 "$program" "[suggest:$point]" "$line" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}")
          [ ${#COMPREPLY[@]} -gt 0 ] || compopt -o default
        }
        complete -F _millrace millrace ./millrace
        """;

    private const string Zsh = """
        #compdef millrace
        # zsh completion for millrace; load with: source <(./millrace completion zsh)
        _millrace() {
          local line="${words[2,-1]}"
          local -a found; found=("${(@f)$(MILLRACE_QUIET=1 ${words[1]} "[suggest:${#line}]" "$line" 2>/dev/null)}")
          [ -n "$found" ] && compadd -- $found || _files
        }
        compdef _millrace millrace ./millrace
        """;

    private const string Fish = """
        # fish completion for millrace; load with: ./millrace completion fish | source
        complete -c millrace -f -a '(begin; set -l line (commandline -cp | string replace -r "^\S+\s*" ""); MILLRACE_QUIET=1 millrace "[suggest:"(string length -- "$line")"]" "$line" 2>/dev/null; end)'
        """;

    public static Command Create()
    {
        var shell = new Argument<string>("SHELL") { Description = "bash, zsh or fish" };
        shell.AcceptOnlyFromAmong("bash", "zsh", "fish");
        var command = new Command("completion", "Print a completion script for a shell") { shell }.WithExamples(
            "source <(./millrace completion bash)", "./millrace completion fish | source");
        command.SetAction(parsed => Console.Out.WriteLine(parsed.GetValue(shell) switch
        {
            "zsh" => Zsh,
            "fish" => Fish,
            _ => Bash,
        }));
        return command;
    }

    /// <summary>Names that the running platform knows; none when it cannot be asked.</summary>
    public static IEnumerable<CompletionItem> Names(ParseResult parsed, string path, string list, Func<JsonNode, string> name)
    {
        try
        {
            using var client = parsed.Client();
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(1));
            var answer = client.GetAsync(path, limit.Token).GetAwaiter().GetResult();
            return Rows(answer[list]).Select(n => new CompletionItem(name(n))).ToList();
        }
        catch (Exception error) when (error is CommandException or OperationCanceledException or Settings.SettingsException)
        {
            return [];
        }
    }
}
