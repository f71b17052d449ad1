using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Tests.WebConsole.Fakes;
using Millrace.WebConsole;

namespace Millrace.Tests.WebConsole;

/// <summary>A console on a free port in front of fakes.</summary>
internal sealed class ConsoleFixture : IAsyncDisposable
{
    private ConsoleFixture(FakeServices services, ConsoleServer server)
    {
        Services = services;
        Server = server;
        Client = new HttpClient { BaseAddress = server.Address, Timeout = TimeSpan.FromSeconds(20) };
    }

    public FakeServices Services { get; }

    public ConsoleServer Server { get; }

    public HttpClient Client { get; }

    public static async Task<ConsoleFixture> StartAsync(ConsoleOptions? options = null)
    {
        var services = new FakeServices();
        var server = await ConsoleServer.StartAsync(
            (options ?? new ConsoleOptions()) with { Port = 0 }, services.Build(), NullLoggerFactory.Instance, TimeProvider.System, default);
        return new ConsoleFixture(services, server);
    }

    public async Task<JsonElement> GetJsonAsync(string path)
    {
        using var response = await Client.GetAsync(path);
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, $"GET {path}: {(int)response.StatusCode} {text}");
        return JsonDocument.Parse(text).RootElement.Clone();
    }

    public async Task<(int Status, JsonElement Body)> SendAsync(string method, string path, string? body = null, string contentType = "application/json")
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        if (body is not null)
            request.Content = new StringContent(body, System.Text.Encoding.UTF8, contentType);
        using var response = await Client.SendAsync(request);
        var text = await response.Content.ReadAsStringAsync();
        return ((int)response.StatusCode, text.Length == 0 ? default : JsonDocument.Parse(text).RootElement.Clone());
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await Server.DisposeAsync();
    }
}
