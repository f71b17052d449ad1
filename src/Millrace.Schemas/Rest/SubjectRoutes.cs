namespace Millrace.Schemas;

/// <summary><c>/subjects</c>: versions registered, looked up, shown and deleted.</summary>
internal sealed class SubjectRoutes(SchemaRegistry registry, RegistryRequest request)
{
    public Task<RegistryResponse> RouteAsync(string[] parts)
    {
        if (parts.Length == 1)
            return request.Method == "GET" ? RegistryApi.Done(List()) : throw RegistryApi.NotAllowed(request);
        var subject = RegistryApi.Subject(registry, request, parts[1]);
        if (parts.Length == 2)
        {
            return request.Method switch
            {
                "POST" => RegistryApi.Done(Lookup(subject)),
                "DELETE" => DeleteSubjectAsync(subject),
                _ => throw RegistryApi.NotAllowed(request),
            };
        }
        return (request.Method, parts[2], parts.Length) switch
        {
            ("GET", "metadata", 3) => RegistryApi.Done(RegistryJson.Version(Formatted(NewestWith(subject)))),
            ("GET", "versions", 3) => RegistryApi.Done(Versions(subject)),
            ("POST", "versions", 3) => RegisterAsync(subject),
            ("GET", "versions", 4) => RegistryApi.Done(RegistryJson.Version(Formatted(Find(subject, parts[3])))),
            ("DELETE", "versions", 4) => DeleteVersionAsync(subject, parts[3]),
            ("GET", "versions", 5) when parts[4] == "schema" => RegistryApi.Done(Formatted(Find(subject, parts[3])).Content.Text),
            ("GET", "versions", 5) when parts[4] == "referencedby" =>
                RegistryApi.Done(RegistryJson.Numbers(request.Page(registry.ReferencedBy(subject, RegistryApi.Version(parts[3]), Flag("deleted"))))),
            _ => throw RegistryApi.NotFound(request),
        };
    }

    private string List() =>
        RegistryJson.Texts(request.Page(registry.Subjects(Flag("deleted"), Flag("deletedOnly")).Where(request.SubjectPrefix(":*:"))));

    private string Versions(string subject)
    {
        var negative = Flag("deletedAsNegative");
        return RegistryJson.Numbers(request.Page(
            registry.Versions(subject, negative || Flag("deleted"), !negative && Flag("deletedOnly")).Select(v => negative && v.Deleted ? -v.Version : v.Version)));
    }

    private RegisteredSchema NewestWith(string subject)
    {
        var (keys, values) = (request.Values("key"), request.Values("value"));
        var properties = new Dictionary<string, string>(StringComparer.Ordinal);
        for (var i = 0; i < Math.Min(keys.Count, values.Count); i++)
            properties[keys[i]] = values[i];
        return registry.NewestWith(subject, properties, Flag("deleted"));
    }

    private string Lookup(string subject) =>
        RegistryJson.Version(Formatted(registry.Lookup(subject, RegistryJson.ReadSchema(request, mayBeEmpty: true), Flag("deleted"))));

    private async Task<RegistryResponse> RegisterAsync(string subject)
    {
        var schema = Formatted(await registry.RegisterAsync(subject, RegistryJson.ReadSchema(request, mayBeEmpty: true)).ConfigureAwait(false));
        return RegistryApi.Ok(RegistryJson.Write(json =>
        {
            json.WriteNumber("id", schema.Id);
            json.WriteNumber("version", schema.Version);
            RegistryJson.WriteContent(json, schema.Content);
        }));
    }

    private async Task<RegistryResponse> DeleteSubjectAsync(string subject) =>
        RegistryApi.Ok(RegistryJson.Numbers(await registry.DeleteSubjectAsync(subject, Flag("permanent")).ConfigureAwait(false)));

    private async Task<RegistryResponse> DeleteVersionAsync(string subject, string version)
    {
        var deleted = await registry.DeleteVersionAsync(subject, RegistryApi.Version(version), Flag("permanent")).ConfigureAwait(false);
        return RegistryApi.Ok(deleted.ToString(System.Globalization.CultureInfo.InvariantCulture));
    }

    private RegisteredSchema Find(string subject, string version) => registry.Version(subject, RegistryApi.Version(version), Flag("deleted"));

    private RegisteredSchema Formatted(RegisteredSchema schema) => SchemaRoutes.Formatted(registry, request, schema);

    private bool Flag(string name) => request.Flag(name);
}
