using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Millrace.Schemas;

namespace Millrace.Host.CommandLine;

/// <summary>The command line's view of a running platform: its HTTP API (docs/reference/http-api.md).</summary>
internal sealed class PlatformClient : IDisposable
{
    private readonly Uri _server;
    private readonly HttpClient _http;

    /// <param name="server">A user and a password may stand in it.</param>
    /// <param name="client">librdkafka's settings: the same users log in over HTTP, where it is asked for, and the same authorities are believed.</param>
    public PlatformClient(Uri server, IReadOnlyDictionary<string, string> client)
    {
        _server = new Uri(server.GetComponents(UriComponents.HttpRequestUrl, UriFormat.UriEscaped));
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false };
        HttpTrust.Apply(handler.SslOptions, client);
        var user = server.UserInfo.Length > 0 ? Uri.UnescapeDataString(server.UserInfo) : UserOf(client);
        // Sent when it is asked for, and in the clear to this machine alone.
        if (user?.IndexOf(':', StringComparison.Ordinal) is > 0 and var colon && (server.Scheme == "https" || server.IsLoopback))
            handler.Credentials = new CredentialCache { { _server, "Basic", new NetworkCredential(user[..colon], user[(colon + 1)..]) } };
        _http = new HttpClient(handler) { BaseAddress = _server, Timeout = TimeSpan.FromMinutes(2) };
    }

    /// <summary>The same for a client of the platform's schema registry.</summary>
    public static IReadOnlyDictionary<string, string> RegistryLogin(IReadOnlyDictionary<string, string> client)
    {
        var login = new Dictionary<string, string>(client);
        if (UserOf(client) is { } user)
            login["basic.auth.user.info"] = user;
        return login;
    }

    private static string? UserOf(IReadOnlyDictionary<string, string> client) =>
        client.GetValueOrDefault("sasl.username") is { } name && client.GetValueOrDefault("sasl.password") is { } password ? $"{name}:{password}" : null;

    public Task<JsonNode> GetAsync(string path, CancellationToken cancellation) => SendAsync(HttpMethod.Get, path, null, cancellation);

    public Task<JsonNode> DeleteAsync(string path, CancellationToken cancellation) => SendAsync(HttpMethod.Delete, path, null, cancellation);

    public Task<JsonNode> PostJsonAsync(string path, JsonNode body, CancellationToken cancellation) =>
        SendAsync(HttpMethod.Post, path, JsonContent.Create(body), cancellation);

    /// <summary>Posts a pipeline file; its name goes along for diagnostics.</summary>
    public Task<JsonNode> PostYamlAsync(string path, string yaml, CancellationToken cancellation)
    {
        var content = new StringContent(yaml, Encoding.UTF8);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/yaml");
        return SendAsync(HttpMethod.Post, path, content, cancellation);
    }

    /// <summary>True when a platform answers at the address.</summary>
    public async Task<bool> IsUpAsync(CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(TimeSpan.FromSeconds(2));
        try
        {
            using var response = await _http.GetAsync("/healthz", limit.Token);
            return response.IsSuccessStatusCode;
        }
        catch (Exception error) when (error is HttpRequestException or OperationCanceledException && !cancellation.IsCancellationRequested)
        {
            return false;
        }
    }

    public void Dispose() => _http.Dispose();

    private async Task<JsonNode> SendAsync(HttpMethod method, string path, HttpContent? content, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(method, path) { Content = content };
        HttpResponseMessage response;
        try
        {
            response = await _http.SendAsync(request, cancellation);
        }
        catch (HttpRequestException error)
        {
            throw new CommandException(
                $"no platform answers at {_server} ({error.Message})",
                "start one with ./millrace up, or name another with --server", ExitCode.Unreachable);
        }
        using (response)
        {
            var text = await response.Content.ReadAsStringAsync(cancellation);
            var body = Parse(text);
            if (response.IsSuccessStatusCode)
                return body ?? new JsonObject();
            throw Problem(response.StatusCode, body, text);
        }
    }

    private static JsonNode? Parse(string text)
    {
        try
        {
            return text.Length == 0 ? null : JsonNode.Parse(text);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>RFC 9457 problem details become a message and a hint; diagnostics of a pipeline file stay whole.</summary>
    private static Exception Problem(HttpStatusCode status, JsonNode? body, string text)
    {
        if (body?["diagnostics"] is JsonArray diagnostics)
            return new RefusedException(diagnostics, body["rendered"]?.GetValue<string>());
        var message = body?["detail"]?.GetValue<string>() ?? body?["title"]?.GetValue<string>() ?? (text.Length > 0 ? text : status.ToString());
        if (status == HttpStatusCode.Unauthorized)
        {
            return new CommandException(
                "the platform asks for a login", "give client: {sasl.username: ..., sasl.password: ...} in millrace.yaml, or --server https://USER:PASSWORD@HOST:PORT");
        }
        var hint = body?["hint"]?.GetValue<string>();
        var code = (int)status is 400 or 404 or 409 or 422 ? ExitCode.Usage : ExitCode.Failure;
        return new CommandException(message, hint, code) { Data = { ["problem"] = body } };
    }
}

/// <summary>A pipeline file was refused.</summary>
internal sealed class RefusedException(JsonArray diagnostics, string? rendered) : Exception("the file was refused")
{
    public JsonArray Diagnostics { get; } = diagnostics;

    public string? Rendered { get; } = rendered;
}
