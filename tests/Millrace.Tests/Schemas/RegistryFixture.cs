using System.Text;
using System.Text.Json;
using Millrace.Schemas;

namespace Millrace.Tests.Schemas;

/// <summary>A log in memory that can fail.</summary>
internal sealed class MemoryLog : ISchemaLog
{
    public List<SchemaRecord> Records { get; } = [];

    public bool Fails { get; set; }

    public void ReadAll(Action<SchemaRecord> seen) => Records.ForEach(seen);

    public Task AppendAsync(IReadOnlyList<SchemaRecord> records)
    {
        if (Fails)
            return Task.FromException(new IOException("the disk is full"));
        Records.AddRange(records);
        return Task.CompletedTask;
    }
}

/// <summary>The API over a registry in memory, spoken to as a client does.</summary>
internal sealed class RegistryFixture
{
    public MemoryLog Log { get; } = new();

    public RegistryApi Api { get; private set; }

    public RegistryFixture(SchemaRegistryOptions? options = null) => Api = new RegistryApi(SchemaRegistry.Open(Log, options));

    /// <summary>A registry anew from the same log.</summary>
    public void Restart() => Api = new RegistryApi(SchemaRegistry.Open(Log));

    public async Task<RegistryResponse> SendAsync(string method, string path, string? body = null)
    {
        var parts = path.Split('?', 2);
        var query = parts.Length == 1 ? [] : parts[1].Split('&').Select(p => p.Split('=', 2)).GroupBy(p => p[0])
            .ToDictionary(p => p.Key, p => (IReadOnlyList<string>)[.. p.Select(v => Uri.UnescapeDataString(v[1]))]);
        return await Api.HandleAsync(new RegistryRequest(method, parts[0], query, Encoding.UTF8.GetBytes(body ?? "")));
    }

    public async Task<string> OkAsync(string method, string path, string? body = null)
    {
        var answer = await SendAsync(method, path, body);
        Assert.True(answer.Status == 200, $"{method} {path}: {answer.Status} {answer.Text}");
        return answer.Text;
    }

    public async Task<string> FailsAsync(int status, int code, string method, string path, string? body = null)
    {
        var answer = await SendAsync(method, path, body);
        using var json = JsonDocument.Parse(answer.Text);
        Assert.Equal((status, code), (answer.Status, json.RootElement.GetProperty("error_code").GetInt32()));
        return json.RootElement.GetProperty("message").GetString()!;
    }

    /// <summary>The body of a registration.</summary>
    public static string Body(string schema, string? type = null, string? references = null) =>
        $"{{\"schema\":{JsonSerializer.Serialize(schema)}{(type is null ? "" : $",\"schemaType\":\"{type}\"")}{(references is null ? "" : $",\"references\":{references}")}}}";

    /// <summary>Registers, and gives the id alone of the answer.</summary>
    public async Task<string> RegisterAsync(string subject, string schema, string? type = null, string? references = null)
    {
        using var answer = JsonDocument.Parse(await OkAsync("POST", $"/subjects/{Uri.EscapeDataString(subject)}/versions", Body(schema, type, references)));
        return $"{{\"id\":{answer.RootElement.GetProperty("id")}}}";
    }
}
