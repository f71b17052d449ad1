using System.ComponentModel;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Schema;
using System.Text.Json.Serialization.Metadata;
using Millrace.WebConsole.Http;
using Millrace.WebConsole.Wire;

namespace Millrace.WebConsole.OpenApi;

/// <summary>OpenAPI 3.1 from the route table; schemas come from the same type information that writes the JSON.</summary>
internal static class OpenApiDocument
{
    public static byte[] Build(IReadOnlyList<Route> routes, string version)
    {
        var schemas = new SchemaSet();
        var paths = new JsonObject();
        foreach (var byPath in routes.GroupBy(r => r.Path, StringComparer.Ordinal))
        {
            var operations = new JsonObject();
            foreach (var route in byPath)
                operations[route.Method.ToLowerInvariant()] = Operation(route, schemas);
            paths[byPath.Key] = operations;
        }
        schemas.Reference(ConsoleJson.Relaxed.OverviewFrame);
        schemas.Reference(ConsoleJson.Relaxed.OutputFrame);
        var document = new JsonObject
        {
            ["openapi"] = "3.1.0",
            ["info"] = new JsonObject
            {
                ["title"] = "Millrace",
                ["version"] = version,
                ["description"] = "Jobs, topics, tables and SQL of one Millrace process. Errors are RFC 9457 problems with a hint.",
            },
            ["servers"] = new JsonArray(new JsonObject { ["url"] = "/" }),
            ["tags"] = new JsonArray([.. routes.Select(r => r.Tag).Distinct().Select(t => (JsonNode)new JsonObject { ["name"] = t })]),
            ["paths"] = paths,
            ["components"] = new JsonObject { ["schemas"] = schemas.Build() },
        };
        return JsonSerializer.SerializeToUtf8Bytes(document, OpenApiJson.Default.JsonObject);
    }

    private static JsonObject Operation(Route route, SchemaSet schemas)
    {
        var operation = new JsonObject
        {
            ["operationId"] = route.Id,
            ["tags"] = new JsonArray(route.Tag),
            ["summary"] = route.Summary,
        };
        if (route.Description is not null)
            operation["description"] = route.Description;
        if (route.Parameters.Count > 0)
            operation["parameters"] = new JsonArray([.. route.Parameters.Select(Describe)]);
        if (route.Body is { } body)
        {
            var content = new JsonObject();
            foreach (var type in body.ContentTypes)
            {
                content[type] = new JsonObject
                {
                    ["schema"] = body.Type is null ? new JsonObject { ["type"] = "string" } : schemas.Reference(body.Type),
                };
                if (body.Example is not null)
                    content[type]!["example"] = body.Type is null ? body.Example : JsonNode.Parse(body.Example);
            }
            operation["requestBody"] = new JsonObject { ["description"] = body.Description, ["required"] = true, ["content"] = content };
        }
        var responses = new JsonObject();
        foreach (var answer in route.Answers)
            responses[answer.Status.ToString()] = Describe(answer, schemas);
        responses["default"] = Describe(Answer.Problem(0, "any other problem"), schemas);
        operation["responses"] = responses;
        return operation;
    }

    private static JsonNode Describe(Parameter parameter) => new JsonObject
    {
        ["name"] = parameter.Name,
        ["in"] = parameter.Place.ToString().ToLowerInvariant(),
        ["required"] = parameter.Required,
        ["description"] = parameter.Description,
        ["schema"] = parameter.Schema(),
    };

    private static JsonObject Describe(Answer answer, SchemaSet schemas)
    {
        var response = new JsonObject { ["description"] = answer.Description };
        if (answer.ContentType is { } type)
        {
            var media = new JsonObject();
            if (answer.Type is not null)
                media["schema"] = schemas.Reference(answer.Type);
            response["content"] = new JsonObject { [type.Split(';')[0]] = media };
        }
        return response;
    }
}

/// <summary>Collects the types that are referred to, and gives each a schema of its own under <c>components</c>.</summary>
internal sealed class SchemaSet
{
    private readonly SortedDictionary<string, JsonTypeInfo> _types = new(StringComparer.Ordinal);

    public JsonObject Reference(JsonTypeInfo type)
    {
        _types.TryAdd(type.Type.Name, type);
        return new JsonObject { ["$ref"] = $"#/components/schemas/{type.Type.Name}" };
    }

    public JsonObject Build()
    {
        var built = new SortedDictionary<string, JsonNode>(StringComparer.Ordinal);
        while (_types.FirstOrDefault(t => !built.ContainsKey(t.Key)) is { Key: { } name, Value: { } type })
            built[name] = Export(type);
        var schemas = new JsonObject();
        foreach (var (name, schema) in built)
            schemas[name] = schema;
        return schemas;
    }

    private JsonNode Export(JsonTypeInfo type) => type.GetJsonSchemaAsNode(new JsonSchemaExporterOptions
    {
        TreatNullObliviousAsNonNullable = true,
        TransformSchemaNode = (context, node) =>
        {
            var description = Description(context);
            if (!context.Path.IsEmpty && context.TypeInfo.Kind == JsonTypeInfoKind.Object && context.TypeInfo.Type.Namespace == typeof(Problem).Namespace)
            {
                node = Reference(context.TypeInfo);
                if (context.PropertyInfo is { IsGetNullable: true })
                    node = new JsonObject { ["anyOf"] = new JsonArray(node, new JsonObject { ["type"] = "null" }) };
            }
            if (description is not null && node is JsonObject schema)
                schema["description"] = description;
            return node;
        },
    });

    private static string? Description(JsonSchemaExporterContext context)
    {
        var provider = context.PropertyInfo is not null ? context.PropertyInfo.AttributeProvider : context.TypeInfo.Type;
        return provider?.GetCustomAttributes(typeof(DescriptionAttribute), false) is [DescriptionAttribute found, ..] ? found.Description : null;
    }
}
