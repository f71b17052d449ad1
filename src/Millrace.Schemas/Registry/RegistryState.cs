namespace Millrace.Schemas;

/// <summary>What the records of <c>_schemas</c> add up to. Pure: the same records give the same state. For one thread.</summary>
internal sealed class RegistryState
{
    private readonly SortedDictionary<string, SortedDictionary<int, RegisteredSchema>> _subjects = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ContextIds> _ids = new(StringComparer.Ordinal);
    private readonly SortedSet<string> _contexts = new(StringComparer.Ordinal);

    /// <summary>The settings by subject; the empty name is for all of the default context, a context's for all of it.</summary>
    public Dictionary<string, SubjectConfig> Configs { get; } = new(StringComparer.Ordinal);

    public Dictionary<string, RegistryMode> Modes { get; } = new(StringComparer.Ordinal);

    /// <summary>Contexts beside the default one.</summary>
    public IReadOnlyCollection<string> Contexts => _contexts;

    public int Contents { get; private set; }

    public long Chars { get; private set; }

    public IEnumerable<string> Subjects => _subjects.Keys;

    public IEnumerable<RegisteredSchema> All => _subjects.Values.SelectMany(v => v.Values);

    /// <summary>The largest id that was ever given in a context.</summary>
    public int MaxId(string context) => _ids.GetValueOrDefault(context)?.MaxId ?? 0;

    public SchemaContent? Content(string context, int id) => _ids.GetValueOrDefault(context)?.Contents.GetValueOrDefault(id);

    /// <summary>The id that a content has in a context, or null.</summary>
    public int? IdOf(string context, SchemaContent content) =>
        _ids.TryGetValue(context, out var ids) && ids.ByKey.TryGetValue(content.Key, out var id) ? id : null;

    public int? IdOf(string context, Guid guid) => _ids.TryGetValue(context, out var ids) && ids.ByGuid.TryGetValue(guid, out var id) ? id : null;

    /// <summary>All versions of a subject in order, soft-deleted ones too; empty when there is none.</summary>
    public IReadOnlyCollection<RegisteredSchema> Versions(string subject) => _subjects.TryGetValue(subject, out var versions) ? versions.Values : [];

    public RegisteredSchema? Version(string subject, int version) =>
        _subjects.TryGetValue(subject, out var versions) ? versions.GetValueOrDefault(version) : null;

    /// <summary>Places that an id of a context is registered at.</summary>
    public IEnumerable<RegisteredSchema> Places(string context, int id) => All.Where(s => s.Id == id && QualifiedSubject.ContextOf(s.Subject) == context);

    /// <summary>Registered schemas that refer to a version.</summary>
    public IEnumerable<RegisteredSchema> ReferrersOf(string subject, int version) =>
        All.Where(s => s.Content.References.Any(r => r.Version == version && QualifiedSubject.Beside(s.Subject, r.Subject) == subject));

    /// <summary>The settings that hold for a subject: its own, over its context's, over those for all.</summary>
    public SubjectConfig Config(string subject)
    {
        var config = Configs.GetValueOrDefault(subject) ?? new SubjectConfig();
        foreach (var scope in Scopes(subject))
        {
            if (Configs.TryGetValue(scope, out var wider))
                config = config.IsEmpty ? wider with { Alias = null } : config.Over(wider);
        }
        return config;
    }

    public RegistryMode Mode(string subject)
    {
        RegistryMode? mode = Modes.TryGetValue(subject, out var own) ? own : null;
        foreach (var scope in Scopes(subject))
        {
            if (Modes.TryGetValue(scope, out var wider) && (mode is null || wider == RegistryMode.ReadOnlyOverride))
                mode = wider;
        }
        return mode ?? RegistryMode.ReadWrite;
    }

    public void Put(RegisteredSchema schema)
    {
        if (!_subjects.TryGetValue(schema.Subject, out var versions))
            _subjects[schema.Subject] = versions = [];
        if (versions.Remove(schema.Version, out var old))
            Release(old);
        versions[schema.Version] = schema;
        var context = QualifiedSubject.ContextOf(schema.Subject);
        AddContext(context);
        if (!_ids.TryGetValue(context, out var ids))
            _ids[context] = ids = new ContextIds();
        ids.MaxId = Math.Max(ids.MaxId, schema.Id);
        ids.Uses[schema.Id] = ids.Uses.GetValueOrDefault(schema.Id) + 1;
        if (ids.Contents.TryAdd(schema.Id, schema.Content))
        {
            Contents++;
            Chars += schema.Content.Text.Length;
        }
        ids.ByKey.TryAdd(schema.Content.Key, schema.Id);
        ids.ByGuid.TryAdd(schema.Content.Guid, schema.Id);
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
        Release(schema);
        if (versions.Count == 0)
            _subjects.Remove(subject);
    }

    public void NoteMaxId(string context, int id)
    {
        if (!_ids.TryGetValue(context, out var ids))
            _ids[context] = ids = new ContextIds();
        ids.MaxId = Math.Max(ids.MaxId, id);
    }

    public void AddContext(string context)
    {
        if (context != QualifiedSubject.Default)
            _contexts.Add(context);
    }

    public void RemoveContext(string context) => _contexts.Remove(context);

    // From the nearest to the widest; a subject of the default context stands under the empty name.
    private static IEnumerable<string> Scopes(string subject)
    {
        var named = QualifiedSubject.Parse(subject);
        if (named.Subject.Length > 0)
            yield return (named with { Subject = "" }).Name;
        if (named.Context != QualifiedSubject.Global)
            yield return QualifiedSubject.Prefix(QualifiedSubject.Global);
    }

    private void Release(RegisteredSchema schema)
    {
        var ids = _ids[QualifiedSubject.ContextOf(schema.Subject)];
        if (--ids.Uses[schema.Id] > 0)
            return;
        ids.Uses.Remove(schema.Id);
        if (!ids.Contents.Remove(schema.Id, out var content))
            return;
        Contents--;
        Chars -= content.Text.Length;
        if (ids.ByKey.GetValueOrDefault(content.Key) == schema.Id)
            ids.ByKey.Remove(content.Key);
        if (ids.ByGuid.GetValueOrDefault(content.Guid) == schema.Id)
            ids.ByGuid.Remove(content.Guid);
    }

    /// <summary>What the ids of one context stand for.</summary>
    private sealed class ContextIds
    {
        public Dictionary<int, SchemaContent> Contents { get; } = [];

        public Dictionary<string, int> ByKey { get; } = new(StringComparer.Ordinal);

        public Dictionary<Guid, int> ByGuid { get; } = [];

        public Dictionary<int, int> Uses { get; } = [];

        public int MaxId { get; set; }
    }
}
