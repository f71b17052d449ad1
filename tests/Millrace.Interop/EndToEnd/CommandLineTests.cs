using System.Text.Json.Nodes;
using Millrace.Bench.Running;
using Millrace.Host.Demo;

namespace Millrace.Interop.EndToEnd;

/// <summary>The commands as a user runs them, against a platform in its own process.</summary>
public sealed class CommandLineTests : PlatformTests
{
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
        var file = Path.Combine(Folder, "wrong.yaml");
        await File.WriteAllTextAsync(
            file,
            """
            pipeline: wrong
            colour: red
            sources:
              things: {from: "kafka:things?time=ts&watermark=5sec", schema: {id: bigint, kind: varchar, ts: timestamptz}}
            sql:
              typo: SELECT idd, ts FROM things
              circle: SELECT * FROM circle
              by_kind: SELECT kind, window_start, count(*) AS n FROM tumble(things, 1m) GROUP BY kind, window_start
            snks: {}
            sinks:
              by_kind: iceberg:test.by_kind
            """);
        foreach (var command in new[] { "lint", "run" })
        {
            var answer = await RunAsync(command, file);
            Assert.Equal(2, answer.Code);
            foreach (var told in new[]
            {
                $"{file}:2:1: error: the file has no field 'colour'", $"{file}:4:50: error: '5sec' is not a duration", "did you mean 'sinks'?",
                "'circle' reads itself", "which columns identify it", "idd", "hint: ", "^", "mend and run: ./millrace lint",
            })
                Assert.True(answer.Errors.Contains(told, StringComparison.Ordinal), $"{command} does not say: {told}\n{answer.Errors}");
        }
        Assert.DoesNotContain("wrong", (await RunAsync("job", "list")).Output);
    }

    [Fact]
    public async Task A_dry_run_tells_what_would_change_and_changes_nothing()
    {
        await RunAsync("topic", "create", "dry", "--partitions", "1");
        var file = Path.Combine(Folder, "dry.yaml");
        const string text = "pipeline: dry\nsources:\n  dry: {from: 'kafka:dry?time=ts', schema: {id: bigint, ts: timestamptz}}\nsinks:\n  dry: iceberg:test.dry?commit=1s\n";
        await File.WriteAllTextAsync(file, text);
        var first = await RunAsync("run", file, "--dry-run");
        Assert.Equal((0, true), (first.Code, first.Output.Contains("dry would be started as a new job", StringComparison.Ordinal)));
        Assert.DoesNotContain("dry", (await RunAsync("job", "list")).Output);
        await Platform.DoAsync("run", file);
        await File.WriteAllTextAsync(file, text.Replace("commit=1s", "commit=5s", StringComparison.Ordinal) + "priority: high\n");
        var second = await RunAsync("run", file, "--dry-run");
        Assert.Contains("sinks.dry to iceberg:test.dry: another commit time", second.Output);
        Assert.Contains("priority: normal becomes high", second.Output);
        Assert.Equal(2, (await RunAsync("run", file, "--dry-run", "--json")).Json["changes"]!.AsArray().Count);
        Assert.Equal("normal", (await RunAsync("job", "show", "dry", "--json")).Json["job"]!["priority"]!.GetValue<string>());
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
        var file = Path.Combine(Folder, "things.yaml");
        await File.WriteAllTextAsync(file, made.Output);
        var linted = await RunAsync("lint", file);
        Assert.True(linted.Code == 0, linted.Errors);
        var run = await RunAsync("run", file);
        Assert.True(run.Code == 0, run.Errors);
        Assert.Equal(0, (await RunAsync("plan", file)).Code);
    }

    [Fact]
    public async Task The_coordination_store_is_looked_at_saved_and_restored()
    {
        var status = JsonNode.Parse((await RunAsync("cluster", "status", "--json")).Output)!["members"]!.AsArray().Single()!;
        Assert.True(status["up"]!.GetValue<bool>() && status["leader"]!.GetValue<bool>(), status.ToJsonString());
        Assert.Contains("leader", (await RunAsync("cluster", "status")).Output);
        var page = await Platform.GetAsync("/api/cluster", CancellationToken.None);
        Assert.Equal(status["id"]!.GetValue<string>(), page["leader"]!.GetValue<string>());
        // A second voter that nobody can reach would stop the store for ever.
        var added = await RunAsync("cluster", "add", "127.0.0.1:1");
        Assert.Equal(1, added.Code);
        Assert.Contains("listens for no others", added.Errors);

        var file = Path.Combine(Folder, "state.snapshot");
        Assert.Equal(0, (await RunAsync("cluster", "snapshot", file)).Code);
        var folder = Path.Combine(Folder, "restored");
        Assert.Equal(0, (await RunAsync("cluster", "restore", file, "--data", folder)).Code);
        Assert.Contains("not empty", (await RunAsync("cluster", "restore", file, "--data", folder)).Errors);
        var bytes = await File.ReadAllBytesAsync(file);
        bytes[100] ^= 1;
        await File.WriteAllBytesAsync(file, bytes);
        Assert.Contains("does not match its hash", (await RunAsync("cluster", "restore", file, "--data", folder + "2")).Errors);
    }

    [Fact]
    public async Task Whoever_finds_etcds_port_taken_is_told_so_and_what_to_do()
    {
        var folder = Path.Combine(Folder, "second");
        Directory.CreateDirectory(folder);
        var settings = Path.Combine(folder, "millrace.yaml");
        await File.WriteAllTextAsync(settings, $$"""
            data: {{folder}}/data
            kafka: {port: 0}
            http: {port: 0}
            postgres: {port: 0}
            coordination: {port: {{Platform.EtcdPort}}}
            """);
        using var process = Platform.Run(["up", "--config", settings]);
        var errors = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.Equal(1, process.ExitCode);
        Assert.Contains($"coordination (etcd's API): port {Platform.EtcdPort} on 127.0.0.1 is in use", errors);
        Assert.Contains("coordination: off", errors);
    }

    [Fact]
    public async Task A_table_is_kept_in_shape_by_hand()
    {
        await RunAsync("topic", "create", "upkeep", "--partitions", "1");
        var file = Path.Combine(Folder, "upkeep.yaml");
        await File.WriteAllTextAsync(
            file, "pipeline: upkeep\nsources:\n  upkeep: {from: 'kafka:upkeep', schema: {id: bigint}}\nsinks:\n  upkeep: {to: 'iceberg:test.upkeep?commit=50ms', compact: off, keep: 1d}\n");
        await Platform.DoAsync("run", file);
        for (var i = 1; i <= 3; i++)
        {
            await RunAsync(["topic", "produce", "upkeep"], $"{{\"id\":{i}}}\n");
            await Platform.UntilJobAsync("upkeep", j => j.Committed("iceberg:test.upkeep") == i, "the row is in the table");
        }
        var dry = (await Platform.DoAsync("table", "compact", "test.upkeep", "--dry-run", "--json")).Json;
        Assert.Equal((true, 3, 1), (dry["dryRun"]!.GetValue<bool>(), dry["filesBefore"]!.GetValue<int>(), dry["filesAfter"]!.GetValue<int>()));
        Assert.Contains("compact 3 files of", (await Platform.DoAsync("table", "compact", "test.upkeep")).Output);
        Assert.Contains("would expire 3 snapshots", (await Platform.DoAsync("table", "expire", "test.upkeep", "--keep", "1ms", "--keep-last", "1", "--dry-run")).Output);
        Assert.Equal(3, (await Platform.DoAsync("table", "expire", "test.upkeep", "--keep", "1ms", "--keep-last", "1", "--json")).Json["expired"]!.AsArray().Count);
        Assert.Single((await Platform.DoAsync("table", "snapshots", "test.upkeep", "--json")).Json.AsArray());
        Assert.Contains("0 files", (await Platform.DoAsync("table", "clean", "test.upkeep")).Output);
        Assert.Equal(3, (await Platform.SqlAsync("SELECT count(*) FROM test.upkeep", CancellationToken.None))[0]![0]!.GetValue<long>());
        Assert.Equal(2, (await RunAsync("table", "expire", "test.nothing")).Code);
        Assert.Equal(2, (await RunAsync("table", "expire", "test.upkeep", "--keep", "long")).Code);
    }

    [Fact]
    public async Task A_secondPlatform_on_theFolder_is_refused_and_told_who_has_it()
    {
        var second = await RunAsync("up");
        Assert.Equal(1, second.Code);
        Assert.Contains($"in use by process {Platform.ProcessId}", second.Errors);
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
    public async Task Without_aPlatform_a_command_says_so_with_code_3()
    {
        var answer = await RunAsync("job", "list", "--server", "http://127.0.0.1:1");
        Assert.Equal(3, answer.Code);
        Assert.Contains("millrace up", answer.Errors);
    }

    private Task<CommandAnswer> RunAsync(params string[] arguments) => Platform.CommandAsync(arguments);

    private Task<CommandAnswer> RunAsync(string[] arguments, string input) => Platform.CommandAsync(arguments, input);
}
