using System.Globalization;

namespace Millrace.Schemas;

/// <summary><c>/schemas</c>: by id, by the id that holds everywhere, and all of them.</summary>
internal sealed class SchemaRoutes(SchemaRegistry registry, RegistryRequest request)
{
    // What the parameter says; a subject tells the context of an id.
    private string Subject => RegistryApi.Subject(registry, request, request.Value("subject") ?? "");

    public string Get(string[] parts) => (parts.Length > 1 ? parts[1] : "", parts.Length) switch
    {
        ("", 1) => All(),
        ("types", 2) => RegistryJson.Texts(["JSON", "PROTOBUF", "AVRO"]),
        ("ids", 3) => ById(Id(parts[2])),
        ("ids", 4) when parts[3] == "schema" => Formatted(registry, request, registry.ById(Id(parts[2]), Subject)).Content.Text,
        ("ids", 4) when parts[3] == "subjects" => RegistryJson.Texts(request.Page(Places(Id(parts[2])).Select(p => p.Subject).Distinct(StringComparer.Ordinal))),
        ("ids", 4) when parts[3] == "versions" => Versions(Id(parts[2])),
        ("guids", 3) => ByGuid(parts[2]),
        ("guids", 4) when parts[3] == "ids" => Ids(parts[2]),
        _ => throw RegistryApi.NotFound(request),
    };

    /// <summary>The schema with the text that the parameter <c>format</c> asks for.</summary>
    public static RegisteredSchema Formatted(SchemaRegistry registry, RegistryRequest request, RegisteredSchema schema) =>
        request.Value("format") is { Length: > 0 } format
            ? schema with { Content = schema.Content with { Text = registry.Format(schema, format) } }
            : schema;

    private string ById(int id)
    {
        var found = registry.ById(id, Subject);
        var text = Formatted(registry, request, found).Content.Text;
        return RegistryJson.Write(json =>
        {
            if (request.Value("subject") is not null)
            {
                json.WriteString("subject", found.Subject);
                json.WriteNumber("version", found.Version);
            }
            RegistryJson.WriteContent(json, found.Content, text);
            if (request.Flag("fetchMaxId"))
                json.WriteNumber("maxId", registry.MaxId(found.Subject));
        });
    }

    private string ByGuid(string written)
    {
        var (context, id) = Guid.TryParse(written, out var guid) && registry.ByGuid(guid) is { Count: > 0 } found
            ? found[0]
            : throw RegistryException.SchemaNotFound(written);
        var schema = registry.ById(id, QualifiedSubject.Prefix(context));
        var text = Formatted(registry, request, schema).Content.Text;
        return RegistryJson.Write(json => RegistryJson.WriteContent(json, schema.Content, text));
    }

    private string Ids(string written) => RegistryJson.Array(json =>
    {
        if (!Guid.TryParse(written, out var guid))
            return;
        foreach (var (context, id) in registry.ByGuid(guid))
        {
            json.WriteStartObject();
            json.WriteString("context", context);
            json.WriteNumber("id", id);
            json.WriteEndObject();
        }
    });

    private string Versions(int id) => RegistryJson.Array(json =>
    {
        foreach (var place in request.Page(Places(id)))
        {
            json.WriteStartObject();
            json.WriteString("subject", place.Subject);
            json.WriteNumber("version", place.Version);
            json.WriteEndObject();
        }
    });

    private IReadOnlyList<RegisteredSchema> Places(int id) => registry.Places(id, Subject, request.Flag("deleted"));

    private string All()
    {
        var named = request.SubjectPrefix("");
        var schemas = registry.All(request.Flag("deleted")).Where(s => named(s.Subject));
        if (request.Flag("latestOnly"))
            schemas = schemas.GroupBy(s => s.Subject, StringComparer.Ordinal).Select(g => g.Last());
        if (request.Value("ruleType") is { Length: > 0 } type)
            schemas = schemas.Where(s => DataContract.HasRuleOfType(s.Content.RuleSet, type));
        return RegistryJson.Array(json =>
        {
            foreach (var schema in request.Page(schemas))
            {
                json.WriteStartObject();
                RegistryJson.WriteVersion(json, schema);
                json.WriteEndObject();
            }
        });
    }

    private static int Id(string written) =>
        int.TryParse(written, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var id)
            ? id
            : throw new RegistryException(404, "HTTP 404 Not Found: an id is a number");
}
