using System.Text;
using System.Text.Json.Nodes;
using Millrace.WebConsole.Metrics;

namespace Millrace.WebConsole.OpenApi;

/// <summary>The API as Markdown for <c>docs/reference/http-api.md</c>, written from the OpenAPI document itself.</summary>
internal static class ReferenceText
{
    public static string Build(JsonObject document, IEnumerable<MetricFamily> metrics)
    {
        var text = new StringBuilder("""
            # HTTP API

            Generated from the route table (`MILLRACE_WRITE_DOCS=1 ./millrace test --fast` rewrites it). A running Millrace serves the same as
            OpenAPI 3.1 at `/openapi.json` and as a page at `/api`.

            - It listens on loopback unless `millrace.yaml` says otherwise, and then asks for a login (HTTP basic) where the Kafka port is guarded. A Host header must be an IP address or
              `localhost` (a guard against DNS rebinding).
            - Changes (`POST`, `DELETE`) are refused when they come from a page of another origin; a `POST` needs the content type
              `application/json` or `application/yaml`.
            - Errors are problem details (RFC 9457): `title`, `detail`, and `hint` with what to do next.
            - `/api/events` sends `overview` and `output` events, each at most ten times a second, half an interval apart, and only when something
              changed; a comment after 15 s of silence. Every frame tells the whole present state, so one that reconnects has lost nothing.


            """);
        var paths = document["paths"]!.AsObject();
        var tags = document["tags"]!.AsArray().Select(t => (string)t!["name"]!);
        foreach (var tag in tags)
        {
            text.Append($"## {char.ToUpperInvariant(tag[0])}{tag[1..]}\n\n");
            foreach (var (path, operations) in paths)
            {
                foreach (var (method, operation) in operations!.AsObject())
                {
                    if ((string)operation!["tags"]![0]! == tag)
                        AppendOperation(text, method.ToUpperInvariant(), path, operation.AsObject());
                }
            }
        }
        text.Append("## Types\n\n");
        foreach (var (name, schema) in document["components"]!["schemas"]!.AsObject())
            AppendType(text, name, schema!.AsObject());
        AppendMetrics(text, metrics);
        return text.ToString();
    }

    private static void AppendOperation(StringBuilder text, string method, string path, JsonObject operation)
    {
        text.Append($"### {method} {path}\n\n{operation["summary"]}.");
        if (operation["description"] is { } description)
            text.Append(' ').Append(description);
        text.Append("\n\n");
        if (operation["parameters"] is JsonArray parameters)
        {
            text.Append("| parameter | in | type | |\n|---|---|---|---|\n");
            foreach (var parameter in parameters)
            {
                var schema = parameter!["schema"]!.AsObject();
                var type = (string)schema["type"]!;
                if (schema["default"] is { } otherwise)
                    type += $", else {otherwise}";
                text.Append($"| `{parameter["name"]}` | {parameter["in"]} | {type} | {parameter["description"]} |\n");
            }
            text.Append('\n');
        }
        if (operation["requestBody"] is JsonObject body)
        {
            var (type, media) = body["content"]!.AsObject().First();
            text.Append($"Body: {body["description"]}, `{type}`{(TypeOf(media!["schema"]) is { } name && name != "string" ? $" ({name})" : "")}.\n\n");
        }
        text.Append("| answer | body | |\n|---|---|---|\n");
        foreach (var (status, answer) in operation["responses"]!.AsObject())
        {
            if (status == "default")
                continue;
            var (type, media) = answer!["content"]?.AsObject().FirstOrDefault() ?? default;
            var what = media?["schema"] is { } schema ? TypeOf(schema) : type is null ? "" : $"`{type}`";
            text.Append($"| {status} | {what} | {answer["description"]} |\n");
        }
        text.Append('\n');
    }

    private static void AppendType(StringBuilder text, string name, JsonObject schema)
    {
        text.Append($"### {name}\n\n");
        if (schema["description"] is { } description)
            text.Append($"{char.ToUpperInvariant(((string)description!)[0])}{((string)description!)[1..].TrimEnd('.')}.\n\n");
        text.Append("| field | type | |\n|---|---|---|\n");
        foreach (var (field, type) in schema["properties"]!.AsObject())
            text.Append($"| `{field}` | {TypeOf(type)} | {(type as JsonObject)?["description"]} |\n");
        text.Append('\n');
    }

    private static void AppendMetrics(StringBuilder text, IEnumerable<MetricFamily> metrics)
    {
        text.Append("## Metrics\n\nAt `/metrics`, Prometheus text format 0.0.4; beside these the embedded log's own (`millrace_log_*`).\n\n");
        text.Append("| metric | kind | labels | |\n|---|---|---|---|\n");
        foreach (var family in metrics.DistinctBy(f => f.Name).OrderBy(f => f.Name, StringComparer.Ordinal))
        {
            var labels = family.Samples.SelectMany(s => s.Labels).Select(l => l.Key).Distinct();
            text.Append($"| `{family.Name}` | {family.Kind.ToString().ToLowerInvariant()} | {string.Join(", ", labels)} | {family.Help} |\n");
        }
    }

    private static string TypeOf(JsonNode? node)
    {
        if (node is not JsonObject schema)
            return "any";
        if (schema["$ref"] is { } reference)
            return $"[{Last(reference)}](#{Last(reference).ToLowerInvariant()})";
        if (schema["anyOf"] is JsonArray any)
            return string.Join(" or ", any.Select(TypeOf));
        if (schema["type"] is not { } type)
            return "any";
        var names = type is JsonArray several ? several.Select(t => (string)t!).ToArray() : [(string)type!];
        return string.Join(" or ", names.Select(name => name switch
        {
            "array" => $"list of {TypeOf(schema["items"])}",
            "object" when schema["additionalProperties"] is { } values => $"map to {TypeOf(values)}",
            "string" when schema["format"] is { } format => $"string ({format})",
            _ => name,
        }));
    }

    private static string Last(JsonNode reference) => ((string)reference!)[(((string)reference!).LastIndexOf('/') + 1)..];
}
