using Millrace.Schemas.Formats;

namespace Millrace.Schemas;

/// <summary>
/// A schema registry: what Confluent's does behind its REST API. Its state is what its log says; a change is answered when the log has it
/// durably. Thread-safe: readers see whole states, changes go one after the other.
/// </summary>
public sealed class SchemaRegistry : IDisposable
{
    private readonly ISchemaLog _log;
    private readonly SchemaRegistryOptions _options;
    private readonly Lock _gate = new();
    private readonly SemaphoreSlim _writes = new(1, 1);
    private readonly RegistryState _state = new();
    private string? _broken;

    private SchemaRegistry(ISchemaLog log, SchemaRegistryOptions options)
    {
        _log = log;
        _options = options;
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

    /// <summary>One version; null is the newest.</summary>
    /// <exception cref="RegistryException">There is none.</exception>
    public RegisteredSchema Version(string subject, int? version, bool deleted = false)
    {
        lock (_gate)
        {
            var all = _state.Versions(subject);
            if (version is null)
                return all.LastOrDefault(v => deleted || !v.Deleted) ?? throw RegistryException.SubjectNotFound(subject);
            if (!all.Any(v => deleted || !v.Deleted))
                throw RegistryException.SubjectNotFound(subject);
            return _state.Version(subject, version.Value) is { } found && (deleted || !found.Deleted)
                ? found
                : throw RegistryException.VersionNotFound(version.Value);
        }
    }

    /// <summary>Texts of the schemas that a registered one uses, each after those that it uses itself.</summary>
    /// <exception cref="RegistryException">One is not there.</exception>
    public IReadOnlyList<string> Referenced(SchemaContent content)
    {
        lock (_gate)
        {
            var referenced = new List<ReferencedSchema>();
            Collect(content, referenced, new HashSet<string>(StringComparer.Ordinal), 0);
            return [.. referenced.Select(r => r.Text)];
        }
    }

    /// <summary>What an id stands for; soft deletion does not take it away.</summary>
    /// <exception cref="RegistryException">There is none.</exception>
    public SchemaContent Content(int id)
    {
        lock (_gate)
            return _state.Content(id) ?? throw RegistryException.SchemaNotFound(id);
    }

    public int MaxId
    {
        get
        {
            lock (_gate)
                return _state.MaxId;
        }
    }

    /// <summary>Where an id is registered.</summary>
    /// <exception cref="RegistryException">Nowhere.</exception>
    public IReadOnlyList<RegisteredSchema> Places(int id, bool deleted = false)
    {
        lock (_gate)
        {
            if (_state.Content(id) is null)
                throw RegistryException.SchemaNotFound(id);
            return [.. _state.Places(id).Where(s => deleted || !s.Deleted)];
        }
    }

    /// <summary>All registered versions by subject and version.</summary>
    public IReadOnlyList<RegisteredSchema> All(bool deleted = false)
    {
        lock (_gate)
            return [.. _state.All.Where(s => deleted || !s.Deleted)];
    }

    /// <summary>Ids of the schemas that refer to a version.</summary>
    /// <exception cref="RegistryException">There is no such version.</exception>
    public IReadOnlyList<int> ReferencedBy(string subject, int? version)
    {
        lock (_gate)
        {
            var schema = Version(subject, version, deleted: true);
            return [.. _state.ReferrersOf(subject, schema.Version).Where(r => !r.Deleted).Select(r => r.Id).Distinct().Order()];
        }
    }

    /// <summary>The version of a subject that has this content.</summary>
    /// <exception cref="RegistryException">There is none, or it is no schema.</exception>
    public RegisteredSchema Lookup(string subject, SchemaContent content, bool deleted = false)
    {
        lock (_gate)
        {
            var versions = _state.Versions(subject).Where(v => deleted || !v.Deleted).ToArray();
            if (versions.Length == 0)
                throw RegistryException.SubjectNotFound(subject);
            var key = Parse(content).Content.Key;
            return versions.LastOrDefault(v => v.Content.Key == key) ?? throw RegistryException.SchemaNotFound();
        }
    }

    /// <summary>Makes the content a version of the subject, if it is none yet, and gives its id.</summary>
    /// <param name="subject">Made when there is none.</param>
    /// <param name="content">Is brought into its one form.</param>
    /// <param name="id">The id that it must have; in mode import only.</param>
    /// <param name="version">The version that it must become.</param>
    /// <exception cref="RegistryException">It is no schema, not compatible, or the mode forbids it.</exception>
    public async Task<int> RegisterAsync(string subject, SchemaContent content, int? id = null, int? version = null)
    {
        CheckSubject(subject);
        var registered = await ChangeAsync(() => Plan(subject, content, id, version)).ConfigureAwait(false);
        return registered.Id;
    }

    /// <summary>Why the content could not become the subject's next version, or could not stand beside one version of it; empty when it could.</summary>
    /// <param name="subject">Need not exist.</param>
    /// <param name="version">Compare with this one alone (0: the newest); null compares with all that the subject's level asks for.</param>
    /// <param name="content">The new schema.</param>
    /// <exception cref="RegistryException">It is no schema, or there is no such version.</exception>
    public IReadOnlyList<string> CheckCompatibility(string subject, int? version, SchemaContent content)
    {
        lock (_gate)
        {
            var parsed = Parse(content);
            if (version is not > 0)
                return Incompatibilities(subject, parsed, newestOnly: version == 0);
            var old = Version(subject, version);
            return Check(Level(subject), parsed, [old]);
        }
    }

    /// <summary>Deletes all versions of a subject and gives their numbers.</summary>
    public async Task<IReadOnlyList<int>> DeleteSubjectAsync(string subject, bool permanent)
    {
        return await ChangeAsync<IReadOnlyList<int>>(() =>
        {
            CheckWritable(subject);
            var all = _state.Versions(subject);
            if (all.Count == 0)
                throw RegistryException.SubjectNotFound(subject);
            var live = all.Where(v => !v.Deleted).ToArray();
            if (permanent && live.Length > 0)
                throw RegistryException.SubjectNotSoftDeleted(subject);
            if (!permanent && live.Length == 0)
                throw RegistryException.SubjectSoftDeleted(subject);
            var targets = permanent ? [.. all] : live;
            foreach (var target in targets)
                CheckUnreferenced(target, permanent);
            List<SchemaRecord> records = permanent
                ? [RegistryRecords.MaxId(_state.MaxId), .. targets.Select(t => RegistryRecords.Gone(subject, t.Version))]
                : [RegistryRecords.DeletedUpTo(subject, targets[^1].Version)];
            if (_state.Levels.ContainsKey(subject))
                records.Add(RegistryRecords.Level(subject, null));
            if (_state.Modes.ContainsKey(subject))
                records.Add(RegistryRecords.Mode(subject, null));
            return (targets.Select(t => t.Version).ToArray(), records);
        }).ConfigureAwait(false);
    }

    /// <summary>Deletes one version (null: the newest) and gives its number.</summary>
    public async Task<int> DeleteVersionAsync(string subject, int? version, bool permanent)
    {
        return await ChangeAsync(() =>
        {
            CheckWritable(subject);
            var target = Version(subject, version, deleted: true);
            if (version is null && !permanent)
                target = Version(subject, null);
            if (permanent && !target.Deleted)
                throw RegistryException.VersionNotSoftDeleted(subject, target.Version);
            if (!permanent && target.Deleted)
                throw RegistryException.VersionSoftDeleted(subject, target.Version);
            CheckUnreferenced(target, permanent);
            List<SchemaRecord> records = permanent
                ? [RegistryRecords.MaxId(_state.MaxId), RegistryRecords.Gone(subject, target.Version)]
                : [RegistryRecords.Schema(target with { Deleted = true })];
            return (target.Version, records);
        }).ConfigureAwait(false);
    }

    /// <summary>The level that holds for a subject, or null when it has none of its own and the one for all is not asked for.</summary>
    public CompatibilityLevel? LevelOf(string subject, bool orGlobal)
    {
        lock (_gate)
            return orGlobal || subject.Length == 0 ? Level(subject) : _state.Levels.TryGetValue(subject, out var own) ? own : null;
    }

    /// <summary>Sets a subject's level (the empty subject: the one for all); null takes it away. Gives the level that held before.</summary>
    public Task<CompatibilityLevel> SetLevelAsync(string subject, CompatibilityLevel? level) => ChangeAsync<CompatibilityLevel>(() =>
    {
        if (EffectiveMode(subject) is RegistryMode.ReadOnly or RegistryMode.ReadOnlyOverride)
            throw RegistryException.NotPermitted($"Subject {subject} is in read-only mode");
        if (level is null && subject.Length > 0 && !_state.Levels.ContainsKey(subject))
            throw RegistryException.NoSubjectCompatibility(subject);
        return (Level(subject), [RegistryRecords.Level(subject, level)]);
    });

    public RegistryMode? ModeOf(string subject, bool orGlobal)
    {
        lock (_gate)
            return orGlobal || subject.Length == 0 ? EffectiveMode(subject) : _state.Modes.TryGetValue(subject, out var own) ? own : null;
    }

    /// <summary>Sets a subject's mode (the empty subject: the one for all); null takes it away. Gives the mode that held before.</summary>
    /// <param name="force">Import even where there are schemas already.</param>
    public Task<RegistryMode> SetModeAsync(string subject, RegistryMode? mode, bool force) => ChangeAsync<RegistryMode>(() =>
    {
        if (mode is null && subject.Length > 0 && !_state.Modes.ContainsKey(subject))
            throw RegistryException.NoSubjectMode(subject);
        if (mode == RegistryMode.Import && !force)
        {
            var taken = subject.Length == 0 ? _state.All.Any(s => !s.Deleted) : _state.Versions(subject).Any(s => !s.Deleted);
            if (taken)
                throw RegistryException.NotPermitted("Cannot import since found existing subjects");
        }
        return (EffectiveMode(subject), [RegistryRecords.Mode(subject, mode)]);
    });

    private (RegisteredSchema, List<SchemaRecord>) Plan(string subject, SchemaContent content, int? id, int? version)
    {
        var mode = EffectiveMode(subject);
        if (mode is RegistryMode.ReadOnly or RegistryMode.ReadOnlyOverride)
            throw RegistryException.NotPermitted($"Subject {subject} is in read-only mode");
        if (id is not null && mode != RegistryMode.Import)
            throw RegistryException.NotPermitted($"Subject {subject} is not in import mode");
        if (id is null && mode == RegistryMode.Import)
            throw RegistryException.NotPermitted($"Subject {subject} is in import mode");
        var parsed = Parse(content);
        var all = _state.Versions(subject);
        if (all.LastOrDefault(v => !v.Deleted && v.Content.Key == parsed.Content.Key) is { } same && (id is null || id == same.Id))
            return (same, []);
        if (mode != RegistryMode.Import && Incompatibilities(subject, parsed, newestOnly: false) is { Count: > 0 } faults)
            throw RegistryException.Incompatible(subject, faults);
        var next = all.Count == 0 ? 1 : all.Max(v => v.Version) + 1;
        if (mode == RegistryMode.Import)
            next = version ?? next;
        else if (version is { } asked && asked != next)
            throw RegistryException.InvalidSchema($"the version {asked} is not one more than the previous version {next - 1}");
        if (id is { } given && _state.Content(given) is { } other && other.Key != parsed.Content.Key)
            throw RegistryException.NotPermitted($"Overwrite new schema with id {given} is not permitted.");
        CheckRoom(parsed.Content);
        var schema = new RegisteredSchema(subject, next, id ?? _state.IdOf(parsed.Content) ?? checked(_state.MaxId + 1), parsed.Content, Deleted: false);
        return (schema, [RegistryRecords.Schema(schema)]);
    }

    /// <summary>Plans a change on the state, writes it, and applies it when it is durable.</summary>
    private async Task<T> ChangeAsync<T>(Func<(T Result, List<SchemaRecord> Records)> plan)
    {
        await _writes.WaitAsync().ConfigureAwait(false);
        try
        {
            if (_broken is not null)
                throw new RegistryException(50001, $"the registry takes no change until it is started again: {_broken}");
            T result;
            List<SchemaRecord> records;
            lock (_gate)
                (result, records) = plan();
            if (records.Count == 0)
                return result;
            try
            {
                await _log.AppendAsync(records).ConfigureAwait(false);
            }
            catch (IOException error)
            {
                // Whether the log has the change is not known before it is read again.
                _broken = error.Message;
                throw new RegistryException(50001, $"Error in the backend data store: {error.Message}");
            }
            lock (_gate)
            {
                foreach (var record in records)
                    RegistryRecords.Apply(_state, record);
            }
            return result;
        }
        finally
        {
            _writes.Release();
        }
    }

    private CompatibilityLevel Level(string subject) =>
        _state.Levels.TryGetValue(subject, out var own) ? own : _state.Levels.TryGetValue("", out var common) ? common : _options.Compatibility;

    private RegistryMode EffectiveMode(string subject)
    {
        var common = _state.Modes.GetValueOrDefault("", RegistryMode.ReadWrite);
        return common == RegistryMode.ReadOnlyOverride ? common : _state.Modes.GetValueOrDefault(subject, common);
    }

    private void CheckWritable(string subject)
    {
        if (EffectiveMode(subject) is RegistryMode.ReadOnly or RegistryMode.ReadOnlyOverride)
            throw RegistryException.NotPermitted($"Subject {subject} is in read-only mode");
    }

    private void CheckUnreferenced(RegisteredSchema target, bool permanent)
    {
        if (_state.ReferrersOf(target.Subject, target.Version).Any(r => permanent || !r.Deleted))
            throw RegistryException.ReferenceExists(target.Subject, target.Version);
    }

    private IReadOnlyList<string> Incompatibilities(string subject, ParsedSchema schema, bool newestOnly)
    {
        var level = Level(subject);
        var old = _state.Versions(subject).Where(v => !v.Deleted).Reverse();
        var transitive = level is CompatibilityLevel.BackwardTransitive or CompatibilityLevel.ForwardTransitive or CompatibilityLevel.FullTransitive;
        return Check(level, schema, transitive && !newestOnly ? old : old.Take(1));
    }

    private List<string> Check(CompatibilityLevel level, ParsedSchema schema, IEnumerable<RegisteredSchema> earlier)
    {
        var faults = new List<string>();
        if (level == CompatibilityLevel.None)
            return faults;
        var backward = level is CompatibilityLevel.Backward or CompatibilityLevel.BackwardTransitive or CompatibilityLevel.Full or CompatibilityLevel.FullTransitive;
        var forward = level is CompatibilityLevel.Forward or CompatibilityLevel.ForwardTransitive or CompatibilityLevel.Full or CompatibilityLevel.FullTransitive;
        foreach (var old in earlier)
        {
            var before = faults.Count;
            if (old.Content.Type != schema.Content.Type)
            {
                faults.Add($"{{errorType:'SCHEMA_TYPE_CHANGED', description:'the new schema is {SchemaNames.Of(schema.Content.Type)} and the old one {SchemaNames.Of(old.Content.Type)}'}}");
            }
            else
            {
                AddFaults(faults, schema, old, backward, forward);
            }
            if (faults.Count > before)
            {
                faults.Add($"{{oldSchemaVersion: {old.Version}}}");
                faults.Add($"{{oldSchema: '{old.Content.Text}'}}");
                faults.Add($"{{compatibility: '{SchemaNames.Of(level)}'}}");
                // One version that cannot be read is enough to know.
                break;
            }
        }
        return faults;
    }

    private void AddFaults(List<string> faults, ParsedSchema schema, RegisteredSchema old, bool backward, bool forward)
    {
        try
        {
            var other = Parse(old.Content);
            if (backward)
                faults.AddRange(schema.FaultsReading(other, "new", "old"));
            if (forward)
                faults.AddRange(other.FaultsReading(schema, "old", "new"));
        }
        catch (Exception error) when (error is SchemaFormatException or RegistryException)
        {
            faults.Add($"{{errorType:'COMPATIBILITY_NOT_CHECKED', description:'it cannot be compared with version {old.Version}: {error.Message}; set the compatibility of the subject to NONE to register it'}}");
        }
    }

    private ParsedSchema Parse(SchemaContent content)
    {
        if (content.Text.Length > _options.MaxSchemaChars)
            throw RegistryException.InvalidSchema($"it has {content.Text.Length} characters, more than {_options.MaxSchemaChars} (MaxSchemaChars)");
        var referenced = new List<ReferencedSchema>();
        Collect(content, referenced, new HashSet<string>(StringComparer.Ordinal), 0);
        try
        {
            return ParsedSchema.Parse(content, referenced);
        }
        catch (SchemaFormatException error)
        {
            throw RegistryException.InvalidSchema(error.Message);
        }
    }

    // Depth first, so that each stands after what it uses.
    private void Collect(SchemaContent content, List<ReferencedSchema> into, HashSet<string> seen, int depth)
    {
        if (content.References.Count > _options.MaxReferences || depth > _options.MaxReferences)
            throw RegistryException.InvalidSchema($"it has more than {_options.MaxReferences} references (MaxReferences)");
        foreach (var reference in content.References)
        {
            var found = reference.Version == -1
                ? _state.Versions(reference.Subject).LastOrDefault(v => !v.Deleted)
                : _state.Version(reference.Subject, reference.Version);
            if (found is null)
                throw RegistryException.InvalidSchema($"No schema reference found for subject \"{reference.Subject}\" and version {reference.Version}");
            if (found.Content.Type != content.Type)
                throw RegistryException.InvalidSchema($"the reference {reference.Name} is {SchemaNames.Of(found.Content.Type)}, not {SchemaNames.Of(content.Type)}");
            if (!seen.Add($"{found.Subject}\0{found.Version}"))
                continue;
            Collect(found.Content, into, seen, depth + 1);
            into.Add(new ReferencedSchema(reference.Name, found.Content.Text));
        }
    }

    private void CheckSubject(string subject)
    {
        if (subject.Length == 0 || subject.Length > _options.MaxSubjectChars)
            throw RegistryException.InvalidSubject(subject, $"it has 1 to {_options.MaxSubjectChars} characters");
        if (subject.Any(char.IsControl))
            throw RegistryException.InvalidSubject(subject, "it has control characters");
        if (subject is "__GLOBAL" or "__EMPTY")
            throw RegistryException.InvalidSubject(subject, "the name is reserved");
    }

    private void CheckRoom(SchemaContent content)
    {
        if (_state.IdOf(content) is not null)
            return;
        if (_state.Contents >= _options.MaxSchemas)
            throw RegistryException.NotPermitted($"the registry holds {_options.MaxSchemas} schemas, as many as it may (MaxSchemas)");
        if (_state.Chars + content.Text.Length > _options.MaxTotalChars)
            throw RegistryException.NotPermitted($"the registry's schemas would pass {_options.MaxTotalChars} characters (MaxTotalChars)");
    }
}
