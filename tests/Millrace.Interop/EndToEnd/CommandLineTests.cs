using System.Text.Json.Nodes;
using Millrace.Bench.Running;
using Millrace.Host.Demo;

namespace Millrace.Interop.EndToEnd;

/// <summary>The commands as a user runs them, against a platform in its own process.</summary>
public sealed class CommandLineTests : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("millrace-cli-").FullName;
    private PlatformProcess _platform = null!;

    public async Task InitializeAsync()
    {
        _platform = PlatformProcess.Create(_folder);
        await _platform.StartAsync(CancellationToken.None);
    }

    public async Task DisposeAsync()
    {
        await _platform.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task A_topic_is_made_written_shown_and_read()
    {
        Assert.Equal(0, (await RunAsync("topic", "create", "t", "--partitions", "1")).Code);
        Assert.Equal(0, (await RunAsync(["topic", "produce", "t"], "{\"a\": 1}\n{\"a\": 2}\n")).Code);
        var shown = JsonNode.Parse((await RunAsync("topic", "show", "t", "--json")).Output)!;
        Assert.Equal(2, shown["partitions"]![0]!["endOffset"]!.GetValue<long>());
        Assert.Equal("{\"a\": 1}\n{\"a\": 2}\n", (await RunAsync("topic", "tail", "t")).Output);
        Assert.Contains("t", (await RunAsync("topic", "list")).Output);
    }

    [Fact]
    public async Task A_file_with_faults_is_refused_with_place_and_code_2()
    {
        var file = Path.Combine(_folder, "wrong.yaml");
        await File.WriteAllTextAsync(file, "pipeline: wrong\nsorces: {}\n");
        foreach (var command in new[] { "lint", "run" })
        {
            var answer = await RunAsync(command, file);
            Assert.Equal(2, answer.Code);
            Assert.Contains($"{file}:2:1", answer.Errors);
            Assert.Contains("sources", answer.Errors);
        }
    }

    [Fact]
    public async Task A_file_is_made_from_a_topic_and_runs()
    {
        await RunAsync("topic", "create", "things", "--partitions", "1");
        await RunAsync(
            ["topic", "produce", "things"],
            string.Concat(Enumerable.Range(0, 50).Select(i => $$"""{"id":{{i}},"kind":"{{(i % 3 == 0 ? "a" : "b")}}","at":"2026-01-01T00:00:{{i:00}}Z"}""" + "\n")));
        var made = await RunAsync("gen", "things");
        Assert.True(made.Code == 0, made.Errors);
        var file = Path.Combine(_folder, "things.yaml");
        await File.WriteAllTextAsync(file, made.Output);
        var linted = await RunAsync("lint", file);
        Assert.True(linted.Code == 0, linted.Errors);
        var run = await RunAsync("run", file);
        Assert.True(run.Code == 0, run.Errors);
        Assert.Equal(0, (await RunAsync("plan", file)).Code);
    }

    [Fact]
    public async Task A_second_platform_on_the_folder_is_refused_and_told_who_has_it()
    {
        var second = await RunAsync("up");
        Assert.Equal(1, second.Code);
        Assert.Contains($"in use by process {_platform.ProcessId}", second.Errors);
    }

    [Fact]
    public async Task An_SQL_error_has_a_caret_and_code_2()
    {
        var answer = await RunAsync("sql", "SELECT nothing_here");
        Assert.Equal(2, answer.Code);
        Assert.Contains("LINE 1: SELECT nothing_here", answer.Errors);
        Assert.Contains("^", answer.Errors);
    }

    [Fact]
    public async Task Without_a_platform_a_command_says_so_with_code_3()
    {
        var answer = await RunAsync("job", "list", "--server", "http://127.0.0.1:1");
        Assert.Equal(3, answer.Code);
        Assert.Contains("millrace up", answer.Errors);
    }

    private Task<(int Code, string Output, string Errors)> RunAsync(params string[] arguments) => RunAsync(arguments, null);

    private async Task<(int Code, string Output, string Errors)> RunAsync(string[] arguments, string? input)
    {
        using var process = _platform.Run([.. arguments, "--config", Path.Combine(_folder, "millrace.yaml")]);
        if (input is not null)
            await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        var errors = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, output, await errors);
    }
}
