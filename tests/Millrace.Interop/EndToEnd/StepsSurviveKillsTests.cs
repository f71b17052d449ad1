using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Millrace.Coordination.Client;
using Millrace.Coordination.Node;
using Millrace.Host.CommandLine;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Schemas;
using Millrace.Storage.Files;

namespace Millrace.Interop.EndToEnd;

/// <summary>Sagas of a pipeline file and transactions over tables and keys, run by real processes that are killed with SIGKILL and by others after them.</summary>
public sealed class StepsSurviveKillsTests : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("millrace-steps-").FullName;
    private readonly ConcurrentQueue<string> _calls = new();
    private readonly SemaphoreSlim _isHanging = new(0);
    private WebApplication _services = null!;
    private CoordinationNode _node = null!;
    private CoordinationClient _store = null!;
    private volatile string? _hangAt;

    public async Task InitializeAsync()
    {
        _node = await CoordinationNode.StartAsync(new CoordinationOptions { DataFolder = _folder + "/store", ClientPort = 0, PeerPort = -1 });
        _store = new CoordinationClient([new Uri($"http://127.0.0.1:{_node.ClientPort}")]);
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        _services = builder.Build();
        _services.Run(async context =>
        {
            var call = context.Request.Method == "DELETE" ? "undo " + context.Request.Path.Value![1..] : context.Request.Path.Value![1..];
            _calls.Enqueue(call + " " + context.Request.Headers["Idempotency-Key"]);
            if (_hangAt == call)
            {
                _hangAt = null;
                _isHanging.Release();
                await Task.Delay(Timeout.Infinite, context.RequestAborted).ContinueWith(static _ => { }, TaskScheduler.Default);
                return;
            }
            context.Response.StatusCode = call == "ship" ? 409 : 200;
        });
        await _services.StartAsync();
    }

    public async Task DisposeAsync()
    {
        await _services.DisposeAsync();
        _store.Dispose();
        await _node.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task A_saga_of_a_pipeline_file_goes_on_where_its_runner_was_killed_and_is_taken_back_last_first()
    {
        var at = _services.Services.GetService(typeof(Microsoft.AspNetCore.Hosting.Server.IServer)) is Microsoft.AspNetCore.Hosting.Server.IServer server
            ? server.Features.Get<IServerAddressesFeature>()!.Addresses.First()
            : throw new InvalidOperationException();
        var file = _folder + "/shop.yaml";
        await File.WriteAllTextAsync(file, $$$$"""
            pipeline: shop
            sources: {orders: {from: "kafka:orders", schema: {id: bigint}}}
            sinks: {orders: "topic:kept"}
            sagas:
              fulfil:
                steps:
                  - {name: stock, do: {post: "{{{{at}}}}/stock", body: '{"order": "${order}"}'}, undo: {delete: "{{{{at}}}}/stock"}}
                  - {name: pay, do: {post: "{{{{at}}}}/pay"}, undo: {delete: "{{{{at}}}}/pay"}}
                  - {name: ship, do: {post: "{{{{at}}}}/ship"}, undo: {delete: "{{{{at}}}}/ship"}}
            """);
        string[] run = ["saga", "run", file, "--saga", "fulfil", "--with", "order=7", "--id", "o7"];
        await KilledAtAsync("pay", run);
        await KilledAtAsync("undo pay", "saga", "resume");
        var (code, output) = await RunAsync("saga", "resume", "--json");
        Assert.Equal(1, code);
        Assert.Equal("undone", JsonDocument.Parse(output).RootElement.GetProperty("sagas")[0].GetProperty("state").GetString());
        // Killed within a step, that step is done again with the same key; taken back from the failed one on.
        Assert.Equal(
            [
                "stock o7/stock/do", "pay o7/pay/do", "pay o7/pay/do", "ship o7/ship/do", "undo ship o7/ship/undo", "undo pay o7/pay/undo",
                "undo pay o7/pay/undo", "undo stock o7/stock/undo",
            ],
            _calls);
        // What is over is not done again.
        Assert.Equal(1, (await RunAsync(run)).Code);
        Assert.Equal(8, _calls.Count);
    }

    [Fact]
    public async Task Transactions_that_are_killed_anywhere_are_ended_all_or_none_by_resume()
    {
        var catalog = FolderCatalog.Open(DiskFileSystem.Instance, _folder + "/warehouse", TimeProvider.System);
        foreach (var name in new[] { "orders", "totals" })
            catalog.CreateTable(new TableIdent(new Namespace("sales"), name), new IcebergSchema(0, [new NestedField(1, "id", false, PrimitiveType.Long)]));
        var file = _folder + "/month.yaml";
        await File.WriteAllTextAsync(file, "transaction: month\nwrites:\n  - {table: sales.orders, rows: [{id: 1}, {id: 2}]}\n  - {table: sales.totals, rows: [{id: 3}]}\n  - {key: closed, value: yes}\n");
        var clock = Stopwatch.StartNew();
        Assert.Equal(0, (await RunAsync("transaction", "run", file, "--id", "whole")).Code);
        var whole = clock.Elapsed;
        const int Kills = 6;
        for (var i = 1; i <= Kills; i++)
        {
            using var process = Start("transaction", "run", file, "--id", $"t{i}");
            // Spread over the second half of a run: the first is the start of the program.
            await Task.WhenAny(process.WaitForExitAsync(), Task.Delay(whole * (0.4 + (0.6 * i / Kills))));
            process.Kill();
            await process.WaitForExitAsync();
        }
        await RunAsync("transaction", "resume");
        var (_, output) = await RunAsync("transaction", "list", "--json");
        var states = JsonDocument.Parse(output).RootElement.GetProperty("transactions").EnumerateArray().Select(static t => t.GetProperty("state").GetString()).ToArray();
        var committed = states.Count(static s => s == "committed");
        Assert.Equal(states.Length, committed + states.Count(static s => s == "aborted"));
        Assert.Equal((2 * committed, committed), (Rows(catalog, "orders"), Rows(catalog, "totals")));
        Assert.Empty((await _store.ListAsync("transaction-intents/", default)).Keys);
    }

    private static int Rows(FolderCatalog catalog, string table) =>
        (int)catalog.LoadTable(new TableIdent(new Namespace("sales"), table)).PlanFiles().Files.Sum(static f => f.File.RecordCount);

    private async Task KilledAtAsync(string call, params string[] words)
    {
        _hangAt = call;
        using var process = Start(words);
        Assert.True(await _isHanging.WaitAsync(TimeSpan.FromSeconds(60)), $"{call} was not called");
        process.Kill();
        await process.WaitForExitAsync();
    }

    private async Task<(int Code, string Output)> RunAsync(params string[] words)
    {
        using var process = Start(words);
        var output = process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, await output);
    }

    private Process Start(params string[] words)
    {
        File.WriteAllText(_folder + "/millrace.yaml", $"data: {_folder}\n");
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var word in new[] { typeof(MillraceCommand).Assembly.Location }.Concat(words).Concat(["--config", _folder + "/millrace.yaml", "--endpoints", $"127.0.0.1:{_node.ClientPort}"]))
            start.ArgumentList.Add(word);
        var process = Process.Start(start)!;
        process.ErrorDataReceived += static (_, _) => { };
        process.BeginErrorReadLine();
        return process;
    }
}
