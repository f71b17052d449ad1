using System.Globalization;

namespace Millrace.Schemas;

/// <summary><c>/schemas</c>: by id, and all of them.</summary>
internal sealed class SchemaRoutes(SchemaRegistry registry, RegistryRequest request)
{
    public string Get(string[] parts) => (parts.Length > 1 ? parts[1] : "", parts.Length) switch
    {
        ("", 1) => All(),
        ("types", 2) => RegistryJson.Texts(["JSON", "PROTOBUF", "AVRO"]),
        ("ids", 3) => ById(Id(parts[2])),
        ("ids", 4) when parts[3] == "schema" => registry.Content(Id(parts[2])).Text,
        ("ids", 4) when parts[3] == "subjects" =>
            RegistryJson.Texts(registry.Places(Id(parts[2]), Flag("deleted")).Select(p => p.Subject).Distinct(StringComparer.Ordinal)),
        ("ids", 4) when parts[3] == "versions" => Versions(Id(parts[2])),
        _ => throw RegistryApi.NotFound(request),
    };

    private string ById(int id)
    {
        if (request.Query.GetValueOrDefault("format") is { Length: > 0 } format)
            throw new RegistryException(422, $"the format '{format}' is not given here; leave it away for the schema as it was registered");
        var content = registry.Content(id);
        return RegistryJson.Write(json =>
        {
            RegistryJson.WriteContent(json, content);
            if (Flag("fetchMaxId"))
                json.WriteNumber("maxId", registry.MaxId);
        });
    }

    private string Versions(int id) => RegistryJson.Array(json =>
    {
        foreach (var place in registry.Places(id, Flag("deleted")))
        {
            json.WriteStartObject();
            json.WriteString("subject", place.Subject);
            json.WriteNumber("version", place.Version);
            json.WriteEndObject();
        }
    });

    private string All()
    {
        var prefix = request.Query.GetValueOrDefault("subjectPrefix") ?? "";
        if (prefix is ":*:" or ":.:")
            prefix = "";
        var schemas = registry.All(Flag("deleted")).Where(s => s.Subject.StartsWith(prefix, StringComparison.Ordinal));
        if (Flag("latestOnly"))
            schemas = schemas.GroupBy(s => s.Subject, StringComparer.Ordinal).Select(g => g.Last());
        return RegistryJson.Array(json =>
        {
            foreach (var schema in RegistryJson.Page(schemas, request))
            {
                json.WriteStartObject();
                RegistryJson.WriteVersion(json, schema);
                json.WriteEndObject();
            }
        });
    }

    private bool Flag(string name) => RegistryApi.Flag(request, name);

    private static int Id(string written) =>
        int.TryParse(written, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var id)
            ? id
            : throw new RegistryException(404, "HTTP 404 Not Found: an id is a number");
}
