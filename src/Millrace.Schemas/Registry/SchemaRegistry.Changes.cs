using System.Globalization;
using Millrace.Schemas.Formats;

namespace Millrace.Schemas;

/// <summary>The changes: each is planned on the state, written, and applied when it is durable.</summary>
public sealed partial class SchemaRegistry
{
    /// <summary>Makes the content a version of the subject, if it is none yet, and gives that version.</summary>
    /// <param name="subject">Made when there is none.</param>
    /// <param name="asked">The schema.</param>
    /// <exception cref="RegistryException">It is no schema, not compatible, or the mode forbids it.</exception>
    public async Task<RegisteredSchema> RegisterAsync(string subject, SchemaRegistration asked)
    {
        CheckSubject(subject);
        return await ChangeAsync(() => PlanVersion(subject, asked)).ConfigureAwait(false);
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
                CheckUnreferenced(target, permanent, subject);
            List<SchemaRecord> records = permanent
                ? [KeepMaxId(subject), .. targets.Select(t => RegistryRecords.Gone(subject, t.Version)), .. Forget(subject)]
                : [RegistryRecords.DeletedUpTo(subject, targets[^1].Version)];
            return (targets.Select(t => t.Version).ToArray(), records);
        }).ConfigureAwait(false);
    }

    /// <summary>Deletes one version (null: the newest) and gives its number.</summary>
    public async Task<int> DeleteVersionAsync(string subject, int? version, bool permanent)
    {
        return await ChangeAsync(() =>
        {
            CheckWritable(subject);
            var target = Find(subject, version, deleted: version is not null || permanent)
                ?? throw (version is null || _state.Versions(subject).Count == 0 ? RegistryException.SubjectNotFound(subject) : RegistryException.VersionNotFound(version.Value));
            if (permanent && !target.Deleted)
                throw RegistryException.VersionNotSoftDeleted(subject, target.Version);
            if (!permanent && target.Deleted)
                throw RegistryException.VersionSoftDeleted(subject, target.Version);
            CheckUnreferenced(target, permanent);
            List<SchemaRecord> records = permanent
                ? [KeepMaxId(subject), RegistryRecords.Gone(subject, target.Version), .. _state.Versions(subject).Count == 1 ? Forget(subject) : []]
                : [RegistryRecords.Schema(target with { Deleted = true })];
            return (target.Version, records);
        }).ConfigureAwait(false);
    }

    /// <summary>Takes an empty context away; one that does not exist is none.</summary>
    /// <exception cref="RegistryException">It has subjects, soft-deleted ones too.</exception>
    public async Task DeleteContextAsync(string context)
    {
        await ChangeAsync(() =>
        {
            if (_state.Subjects.Any(s => QualifiedSubject.ContextOf(s) == context))
                throw RegistryException.ContextNotEmpty(context);
            return (0, _state.Contexts.Contains(context) ? new List<SchemaRecord> { RegistryRecords.Context(context, there: false) } : []);
        }).ConfigureAwait(false);
    }

    /// <summary>Changes a subject's settings (the empty subject: those for all; a context's name: for it) and gives what they are then.</summary>
    /// <param name="subject">Need not exist.</param>
    /// <param name="change">The settings with the change, from those that are there.</param>
    public Task<SubjectConfig> SetConfigAsync(string subject, Func<SubjectConfig, SubjectConfig> change) => ChangeAsync(() =>
    {
        CheckWritable(subject);
        CheckSettings(subject);
        var config = change(_state.Configs.GetValueOrDefault(subject) ?? new SubjectConfig());
        return (config, new List<SchemaRecord> { RegistryRecords.Config(subject, config) });
    });

    /// <summary>Takes a subject's settings away and gives what they were.</summary>
    /// <exception cref="RegistryException">It has none.</exception>
    public Task<SubjectConfig> DeleteConfigAsync(string subject) => ChangeAsync(() =>
    {
        CheckWritable(subject);
        var config = ConfigOf(subject) ?? throw RegistryException.SubjectNotFound(subject);
        return (config, new List<SchemaRecord> { RegistryRecords.Config(subject, null) });
    });

    /// <summary>Sets a subject's mode (the empty subject: the one for all; a context's name: for it).</summary>
    /// <param name="subject">Need not exist.</param>
    /// <param name="mode">The new one.</param>
    /// <param name="force">Import even where there are schemas already.</param>
    public Task SetModeAsync(string subject, RegistryMode mode, bool force) => ChangeAsync(() =>
    {
        CheckSettings(subject);
        var records = new List<SchemaRecord>();
        if (mode == RegistryMode.Import && !force && _state.Mode(subject) != RegistryMode.Import)
        {
            var inScope = InScope(subject).ToArray();
            if (inScope.Any(s => !s.Deleted))
                throw RegistryException.NotPermitted("Cannot import since found existing subjects");
            // What comes brings its versions with it: those that are softly deleted here would be in their place.
            foreach (var left in inScope)
            {
                CheckUnreferenced(left, permanent: true);
                records.Add(RegistryRecords.Gone(left.Subject, left.Version));
            }
            if (records.Count > 0)
                records.Insert(0, KeepMaxId(subject));
        }
        records.Add(RegistryRecords.Mode(subject, mode));
        return (0, records);
    });

    /// <summary>Takes a subject's mode away and gives what it was; null when it had none, which is allowed with <paramref name="recursive"/> only.</summary>
    /// <param name="subject">A subject, a context, or the empty one.</param>
    /// <param name="recursive">The modes of a context's subjects too.</param>
    public Task<RegistryMode?> DeleteModeAsync(string subject, bool recursive) => ChangeAsync<RegistryMode?>(() =>
    {
        var before = ModeOf(subject);
        if (before is null && !recursive)
            throw RegistryException.SubjectNotFound(subject);
        var context = QualifiedSubject.Parse(subject);
        var gone = _state.Modes.Keys.Where(s => s == subject || (recursive && context.Subject.Length == 0 && QualifiedSubject.ContextOf(s) == context.Context));
        return (before, [.. gone.Select(s => RegistryRecords.Mode(s, null))]);
    });

    private (RegisteredSchema, List<SchemaRecord>) PlanVersion(string subject, SchemaRegistration asked)
    {
        var (id, context) = (asked.Id, QualifiedSubject.ContextOf(subject));
        var mode = _state.Mode(subject);
        CheckWritable(subject);
        if (id is not null && mode != RegistryMode.Import)
            throw RegistryException.NotPermitted($"Subject {subject} in context {QualifiedSubject.Prefix(context)} is not in import mode");
        if (id is null && mode == RegistryMode.Import)
            throw RegistryException.NotPermitted($"Subject {subject} in context {QualifiedSubject.Prefix(context)} is not in read-write mode");
        var all = _state.Versions(subject);
        var live = all.Where(v => !v.Deleted).ToArray();
        var next = all.Count == 0 ? 1 : all.Max(v => v.Version) + 1;
        var content = mode == RegistryMode.Import ? asked.Content : Complete(subject, asked, live.LastOrDefault()?.Content, next);
        var parsed = Canonical(subject, content, asked.Normalize && mode != RegistryMode.Import);
        if (asked.Version is null && Same(live.Where(v => id is null || id == v.Id), parsed) is { } same)
            return (same, []);
        if (mode != RegistryMode.Import && _compatibility.Faults(subject, parsed, newestOnly: false) is { Count: > 0 } faults)
            throw RegistryException.Incompatible(subject, faults);
        if (mode == RegistryMode.Import)
            next = asked.Version ?? next;
        else if (asked.Version is { } wanted && wanted != next)
            throw RegistryException.InvalidSchema($"Version is not one more than previous version: {wanted} after {next - 1}");
        if (id is { } given && _state.Content(context, given) is { } other && other.Key != parsed.Content.Key)
            throw RegistryException.NotPermitted($"Overwrite new schema with id {given} in context {QualifiedSubject.Prefix(context)} is not permitted.");
        CheckRoom(context, parsed.Content);
        var known = _state.IdOf(context, parsed.Content);
        var schema = new RegisteredSchema(subject, next, id ?? known ?? checked(_state.MaxId(context) + 1), parsed.Content, Deleted: false);
        List<SchemaRecord> records = context == QualifiedSubject.Default || _state.Contexts.Contains(context) ? [] : [RegistryRecords.Context(context, there: true)];
        records.Add(RegistryRecords.Schema(schema));
        return (schema, records);
    }

    /// <summary>A registration with what it takes from the version before it and from settings.</summary>
    private SchemaContent Complete(string subject, SchemaRegistration asked, SchemaContent? previous, int next)
    {
        var content = asked.Content;
        if (content.Text.Length == 0)
        {
            if (previous is null)
                throw RegistryException.InvalidSchema("Empty schema");
            content = content with { Type = previous.Type, Text = previous.Text, References = previous.References };
        }
        content = Populate(subject, content, previous, next);
        return asked.Version is null
            ? content
            : content with { Metadata = DataContract.WithProperty(content.Metadata, DataContract.VersionProperty, next.ToString(CultureInfo.InvariantCulture)) };
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

    private SchemaRecord KeepMaxId(string subject)
    {
        var context = QualifiedSubject.ContextOf(subject);
        return RegistryRecords.MaxId(context, _state.MaxId(context));
    }

    /// <summary>What goes with the last version of a subject.</summary>
    private List<SchemaRecord> Forget(string subject)
    {
        var records = new List<SchemaRecord>();
        if (_state.Configs.ContainsKey(subject))
            records.Add(RegistryRecords.Config(subject, null));
        if (_state.Modes.ContainsKey(subject))
            records.Add(RegistryRecords.Mode(subject, null));
        return records;
    }

    private IEnumerable<RegisteredSchema> InScope(string subject)
    {
        var named = QualifiedSubject.Parse(subject);
        return named.Subject.Length > 0 ? _state.Versions(subject)
            : named.Context == QualifiedSubject.Global ? _state.All
            : _state.All.Where(s => QualifiedSubject.ContextOf(s.Subject) == named.Context);
    }

    private void CheckWritable(string subject)
    {
        if (_state.Mode(subject) is RegistryMode.ReadOnly or RegistryMode.ReadOnlyOverride)
            throw RegistryException.ReadOnly(subject);
    }

    // References among the versions of a subject that goes as a whole do not hold it.
    private void CheckUnreferenced(RegisteredSchema target, bool permanent, string? going = null)
    {
        if (_state.ReferrersOf(target.Subject, target.Version).Any(r => (permanent || !r.Deleted) && r.Subject != going))
            throw RegistryException.ReferenceExists(target.Subject, target.Version);
    }

    private void CheckSubject(string subject)
    {
        var named = QualifiedSubject.Parse(subject);
        if (named.Subject.Length == 0 || subject.Length > _options.MaxSubjectChars)
            throw RegistryException.InvalidSubject(subject, $"it has 1 to {_options.MaxSubjectChars} characters");
        if (named.Context is QualifiedSubject.Global or QualifiedSubject.Every)
            throw RegistryException.InvalidSubject(subject, "the context holds no subjects");
        CheckSettings(subject);
    }

    private void CheckSettings(string subject)
    {
        if (subject.Length > _options.MaxSubjectChars)
            throw RegistryException.InvalidSubject(subject, $"it has 1 to {_options.MaxSubjectChars} characters");
        if (subject.Any(char.IsControl))
            throw RegistryException.InvalidSubject(subject, "it has control characters");
        if (QualifiedSubject.Parse(subject).Subject is "__GLOBAL" or "__EMPTY")
            throw RegistryException.InvalidSubject(subject, "the name is reserved");
    }

    private void CheckRoom(string context, SchemaContent content)
    {
        if (_state.IdOf(context, content) is not null)
            return;
        if (_state.Contents >= _options.MaxSchemas)
            throw RegistryException.NotPermitted($"the registry holds {_options.MaxSchemas} schemas, as many as it may (MaxSchemas)");
        if (_state.Chars + content.Text.Length > _options.MaxTotalChars)
            throw RegistryException.NotPermitted($"the registry's schemas would pass {_options.MaxTotalChars} characters (MaxTotalChars)");
    }
}
