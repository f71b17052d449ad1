namespace Millrace.Schemas;

/// <summary>What the records of <c>_schemas</c> add up to. Pure: the same records give the same state. For one thread.</summary>
internal sealed class RegistryState
{
    private readonly SortedDictionary<string, SortedDictionary<int, RegisteredSchema>> _subjects = new(StringComparer.Ordinal);
    private readonly Dictionary<int, SchemaContent> _contents = [];
    private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);
    private readonly Dictionary<int, int> _uses = [];

    /// <summary>The settings by subject; the empty name is for all.</summary>
    public Dictionary<string, CompatibilityLevel> Levels { get; } = new(StringComparer.Ordinal);

    public Dictionary<string, RegistryMode> Modes { get; } = new(StringComparer.Ordinal);

    /// <summary>The largest id that was ever given.</summary>
    public int MaxId { get; private set; }

    public int Contents => _contents.Count;

    public long Chars { get; private set; }

    public IEnumerable<string> Subjects => _subjects.Keys;

    public IEnumerable<RegisteredSchema> All => _subjects.Values.SelectMany(v => v.Values);

    public SchemaContent? Content(int id) => _contents.GetValueOrDefault(id);

    /// <summary>The id that a content has, or null.</summary>
    public int? IdOf(SchemaContent content) => _ids.TryGetValue(content.Key, out var id) ? id : null;

    /// <summary>All versions of a subject in order, soft-deleted ones too; empty when there is none.</summary>
    public IReadOnlyCollection<RegisteredSchema> Versions(string subject) => _subjects.TryGetValue(subject, out var versions) ? versions.Values : [];

    public RegisteredSchema? Version(string subject, int version) =>
        _subjects.TryGetValue(subject, out var versions) ? versions.GetValueOrDefault(version) : null;

    /// <summary>Places that an id is registered at.</summary>
    public IEnumerable<RegisteredSchema> Places(int id) => All.Where(s => s.Id == id);

    /// <summary>Registered schemas that refer to a version.</summary>
    public IEnumerable<RegisteredSchema> ReferrersOf(string subject, int version) =>
        All.Where(s => s.Content.References.Any(r => r.Subject == subject && r.Version == version));

    public void Put(RegisteredSchema schema)
    {
        if (!_subjects.TryGetValue(schema.Subject, out var versions))
            _subjects[schema.Subject] = versions = [];
        if (versions.Remove(schema.Version, out var old))
            Release(old.Id);
        versions[schema.Version] = schema;
        MaxId = Math.Max(MaxId, schema.Id);
        _uses[schema.Id] = _uses.GetValueOrDefault(schema.Id) + 1;
        if (_contents.TryAdd(schema.Id, schema.Content))
            Chars += schema.Content.Text.Length;
        _ids.TryAdd(schema.Content.Key, schema.Id);
    }

    /// <summary>Soft-deletes the versions of a subject up to one.</summary>
    public void DeleteUpTo(string subject, int version)
    {
        if (!_subjects.TryGetValue(subject, out var versions))
            return;
        foreach (var schema in versions.Values.Where(s => s.Version <= version && !s.Deleted).ToArray())
            versions[schema.Version] = schema with { Deleted = true };
    }

    public void Remove(string subject, int version)
    {
        if (!_subjects.TryGetValue(subject, out var versions) || !versions.Remove(version, out var schema))
            return;
        Release(schema.Id);
        if (versions.Count == 0)
            _subjects.Remove(subject);
    }

    public void NoteMaxId(int id) => MaxId = Math.Max(MaxId, id);

    private void Release(int id)
    {
        if (--_uses[id] > 0)
            return;
        _uses.Remove(id);
        if (!_contents.Remove(id, out var content))
            return;
        Chars -= content.Text.Length;
        if (_ids.GetValueOrDefault(content.Key) == id)
            _ids.Remove(content.Key);
    }
}
