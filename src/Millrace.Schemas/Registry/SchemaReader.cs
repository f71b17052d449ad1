using Millrace.Schemas.Formats;

namespace Millrace.Schemas;

/// <summary>Understands schemas together with the registered ones that they use. For one thread.</summary>
internal sealed class SchemaReader(RegistryState state, SchemaRegistryOptions options)
{
    /// <param name="content">The schema.</param>
    /// <param name="subject">Where it stands: references that name no context mean its own.</param>
    /// <exception cref="RegistryException">It is no schema.</exception>
    public ParsedSchema Parse(SchemaContent content, string subject)
    {
        if (content.Text.Length > options.MaxSchemaChars)
            throw RegistryException.InvalidSchema($"it has {content.Text.Length} characters, more than {options.MaxSchemaChars} (MaxSchemaChars)");
        var referenced = Referenced(content, subject);
        try
        {
            return ParsedSchema.Parse(content, referenced);
        }
        catch (SchemaFormatException error)
        {
            throw RegistryException.InvalidSchema(error.Message);
        }
    }

    /// <summary>What a schema uses, each after those that it uses itself.</summary>
    /// <exception cref="RegistryException">One is not there.</exception>
    public List<ReferencedSchema> Referenced(SchemaContent content, string subject)
    {
        var referenced = new List<ReferencedSchema>();
        Collect(content, subject, referenced, new HashSet<string>(StringComparer.Ordinal), 0);
        return referenced;
    }

    private void Collect(SchemaContent content, string subject, List<ReferencedSchema> into, HashSet<string> seen, int depth)
    {
        if (content.References.Count > options.MaxReferences || depth > options.MaxReferences)
            throw RegistryException.InvalidSchema($"it has more than {options.MaxReferences} references (MaxReferences)");
        foreach (var reference in content.References)
        {
            var name = QualifiedSubject.Beside(subject, reference.Subject);
            var found = reference.Version == -1
                ? state.Versions(name).LastOrDefault(v => !v.Deleted)
                : state.Version(name, reference.Version);
            if (found is null)
                throw RegistryException.InvalidSchema($"No schema reference found for subject \"{reference.Subject}\" and version {reference.Version}");
            if (found.Content.Type != content.Type)
                throw RegistryException.InvalidSchema($"the reference {reference.Name} is {SchemaNames.Of(found.Content.Type)}, not {SchemaNames.Of(content.Type)}");
            if (!seen.Add($"{found.Subject}\0{found.Version}"))
                continue;
            Collect(found.Content, found.Subject, into, seen, depth + 1);
            into.Add(new ReferencedSchema(reference.Name, found.Content.Text));
        }
    }
}
