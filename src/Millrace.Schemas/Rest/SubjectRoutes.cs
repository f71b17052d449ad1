namespace Millrace.Schemas;

/// <summary><c>/subjects</c>: versions registered, looked up, shown and deleted.</summary>
internal sealed class SubjectRoutes(SchemaRegistry registry, RegistryRequest request)
{
    public Task<RegistryResponse> RouteAsync(string[] parts)
    {
        if (parts.Length == 1)
            return request.Method == "GET" ? RegistryApi.Done(List()) : throw RegistryApi.NotAllowed(request);
        var subject = RegistryApi.Subject(parts[1]);
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
            ("GET", "versions", 3) => RegistryApi.Done(RegistryJson.Numbers(
                registry.Versions(subject, Flag("deleted"), Flag("deletedOnly")).Select(v => v.Version))),
            ("POST", "versions", 3) => RegisterAsync(subject),
            ("GET", "versions", 4) => RegistryApi.Done(RegistryJson.Version(Find(subject, parts[3]))),
            ("DELETE", "versions", 4) => DeleteVersionAsync(subject, parts[3]),
            ("GET", "versions", 5) when parts[4] == "schema" => RegistryApi.Done(Find(subject, parts[3]).Content.Text),
            ("GET", "versions", 5) when parts[4] == "referencedby" =>
                RegistryApi.Done(RegistryJson.Numbers(registry.ReferencedBy(subject, RegistryApi.Version(parts[3])))),
            _ => throw RegistryApi.NotFound(request),
        };
    }

    private string List()
    {
        var prefix = request.Query.GetValueOrDefault("subjectPrefix") ?? "";
        // Clients ask for everything with this prefix of contexts.
        if (prefix is ":*:" or ":.:")
            prefix = "";
        var subjects = registry.Subjects(Flag("deleted"), Flag("deletedOnly"));
        return RegistryJson.Texts(RegistryJson.Page(subjects.Where(s => s.StartsWith(prefix, StringComparison.Ordinal)), request));
    }

    private string Lookup(string subject)
    {
        var body = RegistryJson.ReadSchema(request.Body);
        return RegistryJson.Version(registry.Lookup(subject, body.Content, Flag("deleted")));
    }

    private async Task<RegistryResponse> RegisterAsync(string subject)
    {
        var body = RegistryJson.ReadSchema(request.Body);
        var id = await registry.RegisterAsync(subject, body.Content, body.Id, body.Version).ConfigureAwait(false);
        return RegistryApi.Ok(RegistryJson.Write(json => json.WriteNumber("id", id)));
    }

    private async Task<RegistryResponse> DeleteSubjectAsync(string subject) =>
        RegistryApi.Ok(RegistryJson.Numbers(await registry.DeleteSubjectAsync(subject, Flag("permanent")).ConfigureAwait(false)));

    private async Task<RegistryResponse> DeleteVersionAsync(string subject, string version)
    {
        var deleted = await registry.DeleteVersionAsync(subject, RegistryApi.Version(version), Flag("permanent")).ConfigureAwait(false);
        return RegistryApi.Ok(deleted.ToString(System.Globalization.CultureInfo.InvariantCulture));
    }

    private RegisteredSchema Find(string subject, string version) => registry.Version(subject, RegistryApi.Version(version), Flag("deleted"));

    private bool Flag(string name) => RegistryApi.Flag(request, name);
}
