using Millrace.Schemas.Formats;

namespace Millrace.Schemas;

/// <summary>Whether a schema may stand beside the versions that a subject has. For one thread.</summary>
internal sealed class CompatibilityCheck(RegistryState state, SchemaReader reader, CompatibilityLevel otherwise)
{
    public CompatibilityLevel Level(string subject) => state.Config(subject).Level ?? otherwise;

    /// <summary>Why a schema may not become a subject's next version.</summary>
    /// <param name="subject">Need not exist.</param>
    /// <param name="schema">The new one.</param>
    /// <param name="newestOnly">Compare with the newest, even where the level asks for all.</param>
    public IReadOnlyList<string> Faults(string subject, ParsedSchema schema, bool newestOnly)
    {
        var level = Level(subject);
        var old = state.Versions(subject).Where(v => !v.Deleted).Reverse();
        var transitive = level is CompatibilityLevel.BackwardTransitive or CompatibilityLevel.ForwardTransitive or CompatibilityLevel.FullTransitive;
        return Faults(subject, schema, old, transitive && !newestOnly ? int.MaxValue : 1);
    }

    /// <param name="subject">Whose settings hold.</param>
    /// <param name="schema">The new one.</param>
    /// <param name="earlier">What it is compared with, the newest first.</param>
    /// <param name="most">How many of them.</param>
    public IReadOnlyList<string> Faults(string subject, ParsedSchema schema, IEnumerable<RegisteredSchema> earlier, int most = int.MaxValue)
    {
        var (config, level) = (state.Config(subject), Level(subject));
        var faults = new List<string>();
        if (config.ValidateFields == true)
            AddReserved(faults, schema, earlier.FirstOrDefault());
        if (level == CompatibilityLevel.None || faults.Count > 0)
            return faults;
        if (config.CompatibilityGroup is { } group)
        {
            var own = DataContract.Property(schema.Content.Metadata, group);
            earlier = earlier.Where(v => DataContract.Property(v.Content.Metadata, group) == own);
        }
        foreach (var old in earlier.Take(most))
        {
            if (old.Content.Type != schema.Content.Type)
                faults.Add($"{{errorType:'SCHEMA_TYPE_CHANGED', description:'the new schema is {SchemaNames.Of(schema.Content.Type)} and the old one {SchemaNames.Of(old.Content.Type)}'}}");
            else
                Add(faults, schema, old, level, config.Lenient == true);
            if (faults.Count == 0)
                continue;
            faults.Add($"{{oldSchemaVersion: {old.Version}}}");
            faults.Add($"{{oldSchema: '{old.Content.Text}'}}");
            faults.Add($"{{compatibility: '{SchemaNames.Of(level)}'}}");
            // One version that cannot be read is enough to know.
            break;
        }
        return faults;
    }

    /// <summary>A field once reserved stays so, and no schema has a field of that name at its top.</summary>
    private static void AddReserved(List<string> faults, ParsedSchema schema, RegisteredSchema? old)
    {
        var reserved = DataContract.Reserved(schema.Content.Metadata);
        foreach (var name in old is null ? [] : DataContract.Reserved(old.Content.Metadata).Except(reserved))
            faults.Add($"The new schema has reserved field {name} removed from its metadata which is present in the old schema's metadata.");
        foreach (var name in reserved.Where(schema.HasTopLevelField))
            faults.Add($"The new schema has field that conflicts with the reserved field {name}.");
    }

    private void Add(List<string> faults, ParsedSchema schema, RegisteredSchema old, CompatibilityLevel level, bool lenient)
    {
        var backward = level is CompatibilityLevel.Backward or CompatibilityLevel.BackwardTransitive or CompatibilityLevel.Full or CompatibilityLevel.FullTransitive;
        var forward = level is CompatibilityLevel.Forward or CompatibilityLevel.ForwardTransitive or CompatibilityLevel.Full or CompatibilityLevel.FullTransitive;
        try
        {
            var other = reader.Parse(old.Content, old.Subject);
            if (backward)
                faults.AddRange(schema.FaultsReading(other, "new", "old", lenient));
            if (forward)
                faults.AddRange(other.FaultsReading(schema, "old", "new", lenient));
        }
        catch (Exception error) when (error is SchemaFormatException or RegistryException)
        {
            faults.Add($"{{errorType:'COMPATIBILITY_NOT_CHECKED', description:'it cannot be compared with version {old.Version}: {error.Message}; set the compatibility of the subject to NONE to register it'}}");
        }
    }
}
