using System.Collections.Concurrent;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Millrace.Tests;

namespace Millrace.Interop.EndToEnd;

/// <summary>
/// <c>examples/shop_opening.yaml</c> with a real platform: its saga as the guide tells to run it, with a step that is refused, and with runner and platform killed by
/// SIGKILL in the middle of a step. The step <c>rules</c> goes through a gate of the test's, which may keep it waiting.
/// </summary>
public sealed class ShopOpeningTests : PlatformTests
{
    private static readonly HttpClient Http = new();
    private readonly ConcurrentQueue<string> _keys = new();
    private readonly SemaphoreSlim _isHanging = new(0);
    private WebApplication? _gate;
    private volatile string _mode = "pass";

    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        _gate = builder.Build();
        _gate.Run(PassAsync);
        await _gate.StartAsync();
    }

    public override async Task DisposeAsync()
    {
        await (_gate?.DisposeAsync() ?? ValueTask.CompletedTask);
        await base.DisposeAsync();
    }

    [Fact]
    public async Task The_saga_of_the_example_opens_a_shop_once()
    {
        var file = await ExampleAsync();
        string[] run = ["saga", "run", file, "--with", "shop=berlin", "--id", "open-berlin"];
        Assert.Contains("open-berlin", (await Platform.DoAsync(run)).Output, StringComparison.Ordinal);
        Assert.Equal("[1]", await RegistryAsync("/subjects/orders-berlin/versions"));
        Assert.Contains("FULL", await RegistryAsync("/config/orders-berlin"), StringComparison.Ordinal);
        await Platform.DoAsync(run);
        Assert.Single(_keys);
        Assert.Equal(["done"], await StatesAsync());
        // It stands in a pipeline file, which can be run beside it.
        await Platform.DoAsync("lint", file);
    }

    [Fact]
    public async Task A_step_that_is_refused_takes_the_earlier_one_back()
    {
        // As docs/guide/coordination.md tells: the platform itself refuses a level that there is not, and has no settings to delete then.
        var file = await ExampleAsync();
        await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(file)).Replace("FULL\"", "FULLY\"", StringComparison.Ordinal));
        var answer = await Platform.CommandAsync(["saga", "run", file, "--saga", "open_shop", "--with", "shop=rome", "--id", "open-rome"]);
        Assert.Equal(1, answer.Code);
        Assert.Contains("rules", answer.Output, StringComparison.Ordinal);
        Assert.Contains("answered 422", answer.Output, StringComparison.Ordinal);
        Assert.Equal(["undone"], await StatesAsync());
        Assert.DoesNotContain("orders-rome", await RegistryAsync("/subjects"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Runner_and_platform_killed_in_a_step_end_the_saga_when_they_are_back()
    {
        _mode = "hang";
        var file = await ExampleAsync();
        using (var runner = Platform.Run(["saga", "run", file, "--with", "shop=oslo", "--id", "open-oslo", "--config", Path.Combine(Folder, "millrace.yaml")]))
        {
            Assert.True(await _isHanging.WaitAsync(TimeSpan.FromSeconds(60)), "the step was not begun");
            runner.Kill();
            await runner.WaitForExitAsync();
        }
        await Platform.KillAsync();
        await Platform.StartAsync(CancellationToken.None);
        Assert.Equal(["running"], await StatesAsync());
        _mode = "pass";
        // The dead runner's lock goes with its lease.
        await Platform.DoAsync("saga", "resume");
        Assert.Equal(["done"], await StatesAsync());
        Assert.Equal("[1]", await RegistryAsync("/subjects/orders-oslo/versions"));
        Assert.Contains("FULL", await RegistryAsync("/config/orders-oslo"), StringComparison.Ordinal);
        Assert.Equal(["open-oslo/rules/do", "open-oslo/rules/do"], _keys);
    }

    /// <summary>The example as it stands, but for the addresses.</summary>
    private async Task<string> ExampleAsync()
    {
        var text = await File.ReadAllTextAsync(Path.Combine(Repository.Root, "examples", "shop_opening.yaml"));
        Assert.Contains("put: http://127.0.0.1:8081/config/", text, StringComparison.Ordinal);
        text = text.Replace("put: http://127.0.0.1:8081/", "put: " + _gate!.Urls.First() + "/", StringComparison.Ordinal)
            .Replace("http://127.0.0.1:8081/", Platform.Address.ToString(), StringComparison.Ordinal);
        var file = Path.Combine(Folder, "shop_opening.yaml");
        await File.WriteAllTextAsync(file, text);
        return file;
    }

    private async Task<string[]> StatesAsync() =>
        [.. (await Platform.DoAsync("saga", "list", "--json")).Json["sagas"]!.AsArray().Select(static s => s!["state"]!.GetValue<string>())];

    private async Task<string> RegistryAsync(string path) => await Http.GetStringAsync(new Uri(Platform.Address, path));

    private async Task PassAsync(HttpContext context)
    {
        _keys.Enqueue(context.Request.Headers["Idempotency-Key"]!);
        if (_mode == "hang")
        {
            _isHanging.Release();
            await Task.Delay(Timeout.Infinite, context.RequestAborted).ContinueWith(static _ => { }, TaskScheduler.Default);
            return;
        }
        using var request = new HttpRequestMessage(new HttpMethod(context.Request.Method), new Uri(Platform.Address, context.Request.Path.Value));
        request.Content = new StreamContent(context.Request.Body);
        request.Content.Headers.TryAddWithoutValidation("Content-Type", "application/json");
        using var answer = await Http.SendAsync(request);
        context.Response.StatusCode = (int)answer.StatusCode;
        await context.Response.WriteAsync(await answer.Content.ReadAsStringAsync());
    }
}
