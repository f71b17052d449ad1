using System.Text.Json;
using System.Text.Json.Nodes;
using Millrace.WebConsole.OpenApi;

namespace Millrace.Tests.WebConsole;

public sealed class OpenApiTests
{
    [Fact]
    public async Task The_document_tells_every_route_and_no_other()
    {
        await using var console = await ConsoleFixture.StartAsync();
        var document = await console.GetJsonAsync("/openapi.json");
        Assert.Equal("3.1.0", document.GetProperty("openapi").GetString());
        var told = from path in document.GetProperty("paths").EnumerateObject()
                   from operation in path.Value.EnumerateObject()
                   select $"{operation.Name.ToUpperInvariant()} {path.Name}";
        Assert.Equal(console.Server.Mapped().Order(), told.Order());
    }

    [Fact]
    public async Task Path_parameters_are_described_and_operation_ids_are_distinct()
    {
        await using var console = await ConsoleFixture.StartAsync();
        foreach (var route in console.Server.Routes)
        {
            var inPath = System.Text.RegularExpressions.Regex.Matches(route.Path, @"\{(\w+)\}").Select(m => m.Groups[1].Value).Order();
            Assert.Equal(inPath, route.Parameters.Where(p => p.Required && p.Place == Millrace.WebConsole.Http.ParameterPlace.Path).Select(p => p.Name).Order());
        }
        Assert.Equal(console.Server.Routes.Count, console.Server.Routes.Select(r => r.Id).Distinct().Count());
    }

    [Fact]
    public async Task Every_reference_leads_to_a_schema()
    {
        await using var console = await ConsoleFixture.StartAsync();
        var text = await console.Client.GetStringAsync("/openapi.json");
        var schemas = JsonDocument.Parse(text).RootElement.GetProperty("components").GetProperty("schemas");
        var references = System.Text.RegularExpressions.Regex.Matches(text, "\"\\$ref\": ?\"#/components/schemas/(\\w+)\"").Select(m => m.Groups[1].Value).Distinct();
        Assert.All(references, name => Assert.True(schemas.TryGetProperty(name, out _), name));
        Assert.DoesNotContain("\"$ref\": \"#/properties", text);
    }

    [Fact]
    public async Task Answers_are_as_the_document_says()
    {
        await using var console = await ConsoleFixture.StartAsync();
        var pipeline = console.Services.Jobs.Start();
        pipeline.Status = pipeline.Reading(300);
        pipeline.Quarantined.Add(new("orders", "orders", 0, 17, DateTimeOffset.UnixEpoch, ["r"], [.. "{}"u8]));
        var document = await console.GetJsonAsync("/openapi.json");
        foreach (var (template, path) in new[]
        {
            ("/api/status", ""), ("/api/history", ""), ("/api/jobs", ""), ("/api/jobs/{name}", "/api/jobs/orders_by_country"),
            ("/api/jobs/{name}/plan", "/api/jobs/orders_by_country/plan"), ("/api/jobs/{name}/quarantine", "/api/jobs/orders_by_country/quarantine"),
            ("/api/jobs/{name}/outputs/{output}", "/api/jobs/orders_by_country/outputs/by_country"), ("/api/topics", ""),
            ("/api/topics/{name}", "/api/topics/orders"), ("/api/topics/{name}/records", "/api/topics/orders/records"), ("/api/groups", ""),
            ("/api/tables", ""), ("/api/tables/{namespace}/{table}", "/api/tables/sales/by_country"), ("/api/cluster", ""), ("/healthz", ""), ("/readyz", ""),
        })
        {
            var schema = document.GetProperty("paths").GetProperty(template).GetProperty("get").GetProperty("responses").GetProperty("200")
                .GetProperty("content").GetProperty("application/json").GetProperty("schema");
            Check(document, schema, await console.GetJsonAsync(path.Length == 0 ? template : path), template);
        }
    }

    [Fact]
    public async Task The_reference_page_tells_every_route_and_loads_nothing_from_outside()
    {
        await using var console = await ConsoleFixture.StartAsync();
        var html = await console.Client.GetStringAsync("/api");
        Assert.All(console.Server.Routes, r => Assert.Contains($"<section id=\"{r.Id}\">", html));
        Assert.DoesNotContain("src=\"http", html);
        Assert.DoesNotContain("<script", html);
        Assert.Contains("color-scheme", await console.Client.GetStringAsync("/reference.css"));
    }

    [Fact]
    public async Task The_reference_in_docs_is_what_the_routes_say()
    {
        await using var console = await ConsoleFixture.StartAsync();
        var pipeline = console.Services.Jobs.Start();
        pipeline.Status = pipeline.Reading(300);
        await console.GetJsonAsync("/healthz");
        var document = JsonNode.Parse(await console.Client.GetStringAsync("/openapi.json"))!.AsObject();
        var own = console.Server.Metrics.Families().Where(f => !f.Name.StartsWith("millrace_broker_", StringComparison.Ordinal));
        var now = ReferenceText.Build(document, own);
        var file = Path.Combine(Repository.Root, "docs", "reference", "http-api.md");
        if (Environment.GetEnvironmentVariable("MILLRACE_WRITE_DOCS") == "1")
            File.WriteAllText(file, now);
        Assert.True(
            File.Exists(file) && File.ReadAllText(file) == now, $"{file} is stale; rewrite it with MILLRACE_WRITE_DOCS=1 ./millrace test --fast");
    }

    /// <summary>The part of JSON Schema that the document uses: references, types, required and unknown properties, items.</summary>
    private static void Check(JsonElement document, JsonElement schema, JsonElement value, string place)
    {
        if (schema.ValueKind != JsonValueKind.Object)
            return;
        if (schema.TryGetProperty("$ref", out var reference))
        {
            Check(document, document.GetProperty("components").GetProperty("schemas").GetProperty(reference.GetString()!.Split('/')[^1]), value, place);
            return;
        }
        if (schema.TryGetProperty("type", out var type))
        {
            var types = type.ValueKind == JsonValueKind.Array ? type.EnumerateArray().Select(t => t.GetString()).ToArray() : [type.GetString()];
            Assert.True(types.Contains(Name(value)) || (types.Contains("number") && Name(value) == "integer"), $"{place} is {Name(value)}, not {string.Join("/", types)}");
        }
        if (value.ValueKind == JsonValueKind.Object && schema.TryGetProperty("properties", out var properties))
        {
            if (schema.TryGetProperty("required", out var required))
                Assert.All(required.EnumerateArray(), r => Assert.True(value.TryGetProperty(r.GetString()!, out _), $"{place} lacks {r}"));
            foreach (var member in value.EnumerateObject())
            {
                Assert.True(properties.TryGetProperty(member.Name, out var inner), $"{place}.{member.Name} is not described");
                Check(document, inner, member.Value, $"{place}.{member.Name}");
            }
        }
        if (value.ValueKind == JsonValueKind.Array && schema.TryGetProperty("items", out var items))
        {
            foreach (var item in value.EnumerateArray())
                Check(document, items, item, place + "[]");
        }
    }

    private static string Name(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "object",
        JsonValueKind.Array => "array",
        JsonValueKind.String => "string",
        JsonValueKind.Null => "null",
        JsonValueKind.Number => value.TryGetInt64(out _) ? "integer" : "number",
        _ => "boolean",
    };
}
