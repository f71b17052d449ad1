using Millrace.Schemas.Formats;

namespace Millrace.Schemas;

/// <summary>A request to make a schema a version of a subject.</summary>
/// <param name="Content">Is brought into its one form; null takes the newest version's.</param>
/// <param name="Id">The id that it must have; in mode import only.</param>
/// <param name="Version">The version that it must become.</param>
/// <param name="Normalize">Bring it into its normal form.</param>
public sealed record SchemaRegistration(SchemaContent Content, int? Id = null, int? Version = null, bool Normalize = false);

/// <summary>
/// A schema registry: what Confluent's does behind its REST API. Its state is what its log says; a change is answered when the log has it
/// durably. Subjects are named with their context (<c>:.CONTEXT:SUBJECT</c>), without one in the default context. Thread-safe: readers see whole
/// states, changes go one after the other.
/// </summary>
public sealed partial class SchemaRegistry : IDisposable
{
    private readonly ISchemaLog _log;
    private readonly SchemaRegistryOptions _options;
    private readonly Lock _gate = new();
    private readonly SemaphoreSlim _writes = new(1, 1);
    private readonly RegistryState _state = new();
    private readonly SchemaReader _reader;
    private readonly CompatibilityCheck _compatibility;
    private string? _broken;

    private SchemaRegistry(ISchemaLog log, SchemaRegistryOptions options)
    {
        _log = log;
        _options = options;
        _reader = new SchemaReader(_state, options);
        _compatibility = new CompatibilityCheck(_state, _reader, options.Compatibility);
    }

    /// <summary>Reads the log and is ready.</summary>
    /// <exception cref="InvalidDataException">The topic holds something else.</exception>
    public static SchemaRegistry Open(ISchemaLog log, SchemaRegistryOptions? options = null)
    {
        var registry = new SchemaRegistry(log, options ?? new SchemaRegistryOptions());
        log.ReadAll(record => RegistryRecords.Apply(registry._state, record));
        return registry;
    }

    public void Dispose() => _writes.Dispose();

    /// <summary>Names of the contexts, the default one first.</summary>
    public IReadOnlyList<string> Contexts()
    {
        lock (_gate)
            return [QualifiedSubject.Default, .. _state.Contexts];
    }

    /// <summary>Names of subjects that have versions.</summary>
    /// <param name="deleted">Those too that have soft-deleted versions only.</param>
    /// <param name="deletedOnly">Those alone.</param>
    public IReadOnlyList<string> Subjects(bool deleted = false, bool deletedOnly = false)
    {
        lock (_gate)
        {
            return [.. _state.Subjects.Where(subject =>
            {
                var live = _state.Versions(subject).Any(v => !v.Deleted);
                return deletedOnly ? !live : deleted || live;
            })];
        }
    }

    /// <summary>The versions of a subject, oldest first.</summary>
    /// <exception cref="RegistryException">There is no such subject.</exception>
    public IReadOnlyList<RegisteredSchema> Versions(string subject, bool deleted = false, bool deletedOnly = false)
    {
        lock (_gate)
        {
            var versions = _state.Versions(subject).Where(v => deletedOnly ? v.Deleted : deleted || !v.Deleted).ToArray();
            return versions.Length > 0 ? versions : throw RegistryException.SubjectNotFound(subject);
        }
    }

    /// <summary>
    /// One version; null is the newest. What the default context does not have is looked for in the others, as clients do not know in which context a schema
    /// is that they have an id of.
    /// </summary>
    /// <exception cref="RegistryException">There is none.</exception>
    public RegisteredSchema Version(string subject, int? version, bool deleted = false)
    {
        lock (_gate)
        {
            foreach (var name in Everywhere(subject))
            {
                if (Find(name, version, deleted) is { } found)
                    return found;
            }
            throw version is null || !_state.Versions(subject).Any(v => deleted || !v.Deleted)
                ? RegistryException.SubjectNotFound(subject)
                : RegistryException.VersionNotFound(version.Value);
        }
    }

    /// <summary>The newest version whose metadata has these properties.</summary>
    /// <exception cref="RegistryException">There is none.</exception>
    public RegisteredSchema NewestWith(string subject, IReadOnlyDictionary<string, string> properties, bool deleted = false)
    {
        lock (_gate)
        {
            var versions = _state.Versions(subject).Where(v => deleted || !v.Deleted).ToArray();
            if (versions.Length == 0)
                throw RegistryException.SubjectNotFound(subject);
            return versions.LastOrDefault(v => v.Content.Metadata is { } metadata && properties.All(p => DataContract.Property(metadata, p.Key) == p.Value))
                ?? throw RegistryException.SchemaNotFound();
        }
    }

    /// <summary>Texts of the schemas that a registered one uses, each after those that it uses itself.</summary>
    /// <exception cref="RegistryException">One is not there.</exception>
    public IReadOnlyList<string> Referenced(RegisteredSchema schema)
    {
        lock (_gate)
            return [.. _reader.Referenced(schema.Content, schema.Subject).Select(r => r.Text)];
    }

    /// <summary>
    /// Another text of a registered schema: <c>serialized</c> gives a Protobuf file's descriptor in base 64, <c>resolved</c> an Avro schema with what it refers to in
    /// it. A format that the schema's type does not have gives the text as it was registered, as Confluent's does for the sake of formats to come.
    /// </summary>
    /// <exception cref="RegistryException">It has none of this form.</exception>
    public string Format(RegisteredSchema schema, string format)
    {
        lock (_gate)
        {
            return _reader.Parse(schema.Content, schema.Subject).Format(format) ?? schema.Content.Text;
        }
    }

    /// <summary>A place where an id is registered; soft deletion does not take it away.</summary>
    /// <param name="id">An id of the subject's context.</param>
    /// <param name="subject">
    /// Tells the context. One of the default context is looked for in the others too; where none has the id, it means what it means in the default one.
    /// </param>
    /// <exception cref="RegistryException">There is none.</exception>
    public RegisteredSchema ById(int id, string subject = "")
    {
        lock (_gate)
        {
            var named = QualifiedSubject.Parse(subject);
            if (named.Subject.Length > 0)
            {
                foreach (var name in Everywhere(subject))
                {
                    if (_state.Versions(name).LastOrDefault(v => v.Id == id) is { } found)
                        return found;
                }
            }
            if (named.Subject.Length == 0 || named.IsDefault)
            {
                if (_state.Content(named.Context, id) is not null)
                    return _state.Places(named.Context, id).First();
            }
            throw RegistryException.SchemaNotFound(id);
        }
    }

    /// <summary>The contexts in which a content is registered, and its ids there.</summary>
    public IReadOnlyList<(string Context, int Id)> ByGuid(Guid guid)
    {
        lock (_gate)
        {
            var found = new List<(string, int)>();
            foreach (var context in Contexts())
            {
                if (_state.IdOf(context, guid) is { } id)
                    found.Add((context, id));
            }
            return found;
        }
    }

    /// <summary>The largest id that a subject's context gave.</summary>
    public int MaxId(string subject = "")
    {
        lock (_gate)
            return _state.MaxId(QualifiedSubject.ContextOf(subject));
    }

    /// <summary>Where an id is registered, in the context where <see cref="ById"/> finds it.</summary>
    /// <exception cref="RegistryException">Nowhere.</exception>
    public IReadOnlyList<RegisteredSchema> Places(int id, string subject = "", bool deleted = false)
    {
        lock (_gate)
            return [.. _state.Places(QualifiedSubject.ContextOf(ById(id, subject).Subject), id).Where(s => deleted || !s.Deleted)];
    }

    /// <summary>All registered versions by subject and version.</summary>
    public IReadOnlyList<RegisteredSchema> All(bool deleted = false)
    {
        lock (_gate)
            return [.. _state.All.Where(s => deleted || !s.Deleted)];
    }

    /// <summary>Ids of the schemas that refer to a version.</summary>
    /// <exception cref="RegistryException">There is no such version.</exception>
    public IReadOnlyList<int> ReferencedBy(string subject, int? version, bool deleted = false)
    {
        lock (_gate)
        {
            var schema = Version(subject, version, deleted: true);
            return [.. _state.ReferrersOf(schema.Subject, schema.Version).Where(r => deleted || !r.Deleted).Select(r => r.Id).Distinct().Order()];
        }
    }

    /// <summary>The version of a subject that has this content; looked for in the other contexts as <see cref="Version"/> does.</summary>
    /// <exception cref="RegistryException">There is none, or it is no schema.</exception>
    public RegisteredSchema Lookup(string subject, SchemaRegistration asked, bool deleted = false)
    {
        lock (_gate)
        {
            foreach (var name in Everywhere(subject))
            {
                var versions = _state.Versions(name).Where(v => deleted || !v.Deleted).ToArray();
                if (versions.Length == 0)
                    continue;
                var parsed = Canonical(name, asked.Content, asked.Normalize);
                if (Same(versions, parsed) is { } found)
                    return found;
                // A version may have got metadata and rules from the one before it.
                var populated = Populate(name, asked.Content, versions[^1].Content, null);
                if (populated != asked.Content && Same(versions, Canonical(name, populated, asked.Normalize)) is { } inherited)
                    return inherited;
            }
            throw _state.Versions(subject).Any(v => deleted || !v.Deleted) ? RegistryException.SchemaNotFound() : RegistryException.SubjectNotFound(subject);
        }
    }

    /// <summary>Why the content could not become the subject's next version, or could not stand beside one version of it; empty when it could.</summary>
    /// <param name="subject">Need not exist.</param>
    /// <param name="version">Compare with this one alone (0: the newest); null compares with all that the subject's level asks for.</param>
    /// <param name="asked">The new schema.</param>
    /// <exception cref="RegistryException">It is no schema, or there is no such version.</exception>
    public IReadOnlyList<string> CheckCompatibility(string subject, int? version, SchemaRegistration asked)
    {
        lock (_gate)
        {
            var parsed = Canonical(subject, asked.Content, asked.Normalize);
            return version is > 0
                ? _compatibility.Faults(subject, parsed, [Version(subject, version)])
                : _compatibility.Faults(subject, parsed, newestOnly: version == 0);
        }
    }

    /// <summary>What is set for a subject itself (the empty one: the default context; a context's name: for it), or null.</summary>
    public SubjectConfig? ConfigOf(string subject)
    {
        lock (_gate)
        {
            var own = _state.Configs.GetValueOrDefault(subject);
            return own is null && subject.Length > 0 && QualifiedSubject.ContextOf(subject) != QualifiedSubject.Global
                ? null
                : (own ?? new SubjectConfig()) with { Level = _compatibility.Level(subject) };
        }
    }

    /// <summary>What holds for a subject: its own settings over its context's over those for all.</summary>
    public SubjectConfig EffectiveConfig(string subject)
    {
        lock (_gate)
            return _state.Config(subject) with { Level = _compatibility.Level(subject) };
    }

    /// <summary>The mode that is set for a subject itself, or null.</summary>
    public RegistryMode? ModeOf(string subject)
    {
        lock (_gate)
        {
            return _state.Modes.TryGetValue(subject, out var own) ? own
                : subject.Length == 0 || QualifiedSubject.ContextOf(subject) == QualifiedSubject.Global ? _state.Mode(subject)
                : null;
        }
    }

    public RegistryMode EffectiveMode(string subject)
    {
        lock (_gate)
            return _state.Mode(subject);
    }

    /// <summary>The subject that a name means: another one when its settings have an alias.</summary>
    public string Unalias(string subject)
    {
        lock (_gate)
            return _state.Configs.GetValueOrDefault(subject)?.Alias is { } alias ? QualifiedSubject.Beside(subject, alias) : subject;
    }

    private RegisteredSchema? Find(string subject, int? version, bool deleted)
    {
        var found = version is { } number ? _state.Version(subject, number) : _state.Versions(subject).LastOrDefault(v => deleted || !v.Deleted);
        return found is not null && (deleted || !found.Deleted) ? found : null;
    }

    /// <summary>A name, and in the other contexts too when it names none.</summary>
    private IEnumerable<string> Everywhere(string subject)
    {
        yield return subject;
        if (!QualifiedSubject.Parse(subject).IsDefault)
            yield break;
        foreach (var context in _state.Contexts)
            yield return QualifiedSubject.Prefix(context) + subject;
    }

    private ParsedSchema Canonical(string subject, SchemaContent content, bool normalize)
    {
        var parsed = _reader.Parse(content, subject);
        return normalize || _state.Config(subject).Normalize == true ? _reader.Parse(parsed.Content with { Text = parsed.NormalText }, subject) : parsed;
    }

    /// <summary>The newest of some versions with this content, however it is written.</summary>
    private RegisteredSchema? Same(IEnumerable<RegisteredSchema> versions, ParsedSchema schema)
    {
        var newestFirst = versions.Reverse().ToArray();
        var key = schema.Content.Key;
        if (newestFirst.FirstOrDefault(v => v.Content.Key == key) is { } found)
            return found;
        var numbered = DataContract.Property(schema.Content.Metadata, DataContract.VersionProperty) is not null;
        foreach (var version in newestFirst)
        {
            var content = version.Content;
            if (!numbered && content.Metadata is not null)
                content = content with { Metadata = DataContract.WithProperty(content.Metadata, DataContract.VersionProperty, null) };
            if (content.Key == key)
                return version;
            // A Protobuf file comes as text or as its descriptor.
            if (content.Type == SchemaType.Protobuf && schema.Content.Type == SchemaType.Protobuf
                && (content with { Text = _reader.Parse(content, version.Subject).NormalText }).Key == (schema.Content with { Text = schema.NormalText }).Key)
                return version;
        }
        return null;
    }

    /// <summary>A content with what its subject's settings and its newest version say of metadata and rules.</summary>
    private SchemaContent Populate(string subject, SchemaContent content, SchemaContent? previous, int? version)
    {
        var config = _state.Config(subject);
        var metadata = DataContract.MergeMetadata(
            DataContract.MergeMetadata(config.DefaultMetadata, content.Metadata ?? previous?.Metadata), config.OverrideMetadata);
        if (version is { } number && DataContract.Property(metadata, DataContract.VersionProperty) is not null)
            metadata = DataContract.WithProperty(metadata, DataContract.VersionProperty, number.ToString(System.Globalization.CultureInfo.InvariantCulture));
        var rules = DataContract.MergeRuleSets(
            DataContract.MergeRuleSets(config.DefaultRuleSet, content.RuleSet ?? previous?.RuleSet), config.OverrideRuleSet);
        return content with { Metadata = metadata, RuleSet = rules };
    }
}
