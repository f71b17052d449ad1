using System.Diagnostics;
using Millrace.Bench.Running;
using Millrace.Host.CommandLine;
using Millrace.Tests;

namespace Millrace.Interop.EndToEnd;

/// <summary>What <c>--help</c> prints as examples and the guide tells to type, run as it stands there.</summary>
public sealed class ExamplesTests : PlatformTests
{
    /// <summary>Examples in the order in which they find what they need; those of a group in the order that help has them.</summary>
    private static readonly string[] Order =
    [
        "topic create", "topic produce", "replay", "gen", "lint", "plan", "run", "job list", "job show", "topic list", "topic show", "topic tail", "table list",
        "table show", "table snapshots", "sql", "top", "table compact", "table expire", "table clean", "doctor", "completion", "job restart", "job stop",
        "job remove", "table drop", "topic delete",
    ];

    /// <summary>
    /// Proven elsewhere: commands that run a platform or a member, those of the entry script, and those that need another cluster, users or files.
    /// </summary>
    private static readonly string[] Elsewhere =
    [
        "up", "demo", "cluster", "lock", "schema", "user", "topic lag", "topic copy", "topic replay", "saga", "transaction", "session", "test", "bench", "setup",
    ];

    public override async Task InitializeAsync()
    {
        var program = typeof(MillraceCommand).Assembly.Location;
        await File.WriteAllTextAsync(Path.Combine(Folder, "millrace"), $"#!/bin/sh\nexport MILLRACE_ROOT='{Repository.Root}'\nexec dotnet '{program}' \"$@\"\n");
        await BashAsync("chmod +x millrace");
        Directory.CreateSymbolicLink(Path.Combine(Folder, "examples"), Path.Combine(Repository.Root, "examples"));
        File.Copy(Path.Combine(Repository.Root, "examples", "orders_by_country.yaml"), Path.Combine(Folder, "orders.yaml"));
        await File.WriteAllTextAsync(Path.Combine(Folder, "orders.jsonl"), "{\"LineId\":1}\n{\"LineId\":2}\n");
        await base.InitializeAsync();
    }

    [Fact]
    public async Task Every_example_of_help_runs_as_printed()
    {
        var examples = Leaves(MillraceCommand.Create(), "").Where(c => !Elsewhere.Contains(c.Path.Split(' ')[0]) && !Elsewhere.Contains(c.Path)).ToList();
        var homeless = string.Join(", ", examples.Select(e => e.Path).Except(Order));
        Assert.True(homeless.Length == 0, $"give these commands a place in Order, or name them in Elsewhere: {homeless}");
        var failed = new List<string>();
        foreach (var example in examples.OrderBy(e => Array.IndexOf(Order, e.Path)).SelectMany(e => e.Examples).Where(e => !e.Contains("orders.avro", StringComparison.Ordinal)))
        {
            // A topic is there once; an example that goes on until Ctrl-C is given that.
            if (example.Contains("topic create", StringComparison.Ordinal))
                await BashAsync("./millrace topic delete orders");
            var endless = example is "./millrace replay orders" || example.Contains("tail", StringComparison.Ordinal) && example.Contains("-f", StringComparison.Ordinal);
            var line = example.Replace("kafka1:9092", Platform.Brokers, StringComparison.Ordinal).Replace("--count 1000000", "--count 1000", StringComparison.Ordinal)
                // That is another shell's.
                .Replace("fish | source", "fish", StringComparison.Ordinal);
            var (code, errors) = await BashAsync(endless ? $"timeout -s INT 3 {line}" : line);
            if (code != 0 && !(endless && code is 124 or 130))
                failed.Add($"{example}: {code} {errors}");
        }
        Assert.True(failed.Count == 0, string.Join('\n', failed));
    }

    [Fact]
    public async Task The_guide_of_the_first_pipeline_runs_as_it_stands()
    {
        var guide = await File.ReadAllTextAsync(Path.Combine(Repository.Root, "docs", "guide", "first-pipeline.md"));
        var blocks = guide.Split("```").Where((_, i) => i % 2 == 1).ToList();
        Assert.Equal(0, (await BashAsync(blocks[0])).Code);
        await File.WriteAllTextAsync(Path.Combine(Folder, "orders.yaml"), blocks.Single(b => b.StartsWith("yaml\n", StringComparison.Ordinal))["yaml\n".Length..]);
        foreach (var command in new[] { "gen orders", "lint orders.yaml", "plan orders.yaml", "run orders.yaml", "run --dry-run orders.yaml", "job show orders_by_country" })
        {
            Assert.Contains("`./millrace " + command, guide);
            var (code, errors) = await BashAsync("./millrace " + command);
            Assert.True(code == 0, $"{command}: {errors}");
        }
        await Platform.UntilJobAsync("orders_by_country", j => j.In() == 3 && j.Committed("kafka:orders.quarantine") == 1, "order 3 is in quarantine");
        Assert.Equal(0, (await BashAsync("./millrace topic tail orders.quarantine | grep '\"order_id\":3'")).Code);
        Assert.Equal(0, (await BashAsync("./millrace sql 'SELECT * FROM live.by_country' | grep FR")).Code);
        Assert.Equal(0, (await BashAsync("./millrace sql 'SELECT * FROM sales.by_country'")).Code);
        Assert.Equal(0, (await BashAsync(blocks.Single(b => b.Contains("\"order_id\":4", StringComparison.Ordinal)))).Code);
        await Platform.UntilJobAsync("orders_by_country", j => j.Committed("iceberg:sales.by_country") == 2, "the window is in the table");
        Assert.Equal(0, (await BashAsync("./millrace sql 'SELECT * FROM sales.by_country' | grep FR")).Code);
        // The fault that the guide shows, word for word.
        await BashAsync("sed -i 's/SELECT country/SELECT contry/' orders.yaml");
        var shown = blocks.Single(b => b.Contains("'contry'", StringComparison.Ordinal)).Trim();
        Assert.Contains(shown, (await BashAsync("./millrace lint orders.yaml")).Errors);
    }

    private async Task<(int Code, string Errors)> BashAsync(string line)
    {
        using var process = Process.Start(new ProcessStartInfo("bash", ["-c", "set -o pipefail; " + line])
        {
            WorkingDirectory = Folder, RedirectStandardError = true, RedirectStandardOutput = true, RedirectStandardInput = true,
        })!;
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = await process.StandardError.ReadToEndAsync();
        await output;
        await process.WaitForExitAsync();
        return (process.ExitCode, errors);
    }

    private static IEnumerable<(string Path, IReadOnlyList<string> Examples)> Leaves(System.CommandLine.Command command, string path) => command.Subcommands.Count == 0
        ? [(path, MillraceCommand.ExamplesOf(command))]
        : command.Subcommands.SelectMany(c => Leaves(c, path.Length == 0 ? c.Name : $"{path} {c.Name}"));
}
