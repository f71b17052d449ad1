using Millrace.Iceberg.Schemas;

namespace Millrace.Iceberg.Metadata;

/// <summary>
/// Applies updates to metadata, in order: a pure function of (metadata, updates, time). The rules are those of Iceberg's reference
/// implementation (<c>TableMetadata.Builder</c>).
/// </summary>
public sealed class TableMetadataBuilder
{
    private readonly long _now;
    private readonly HashSet<long> _addedSnapshots = [];
    private TableMetadata _metadata;
    private int _lastAddedSchema = -1;
    private int _lastAddedSpec = -1;
    private int _lastAddedOrder = -1;

    private TableMetadataBuilder(TableMetadata metadata, DateTimeOffset now)
    {
        _metadata = metadata;
        // Readers refuse logs that run back, so a clock that was set back does not move the table's time.
        _now = Math.Max(now.ToUnixTimeMilliseconds(), metadata.LastUpdatedMs);
    }

    /// <summary>The metadata after the updates. The caller adds the metadata log entry, who alone knows the old file's name.</summary>
    /// <exception cref="CommitConflictException">A snapshot's sequence number or first row id is behind the table's.</exception>
    /// <exception cref="IcebergException">An update breaks a rule.</exception>
    public static TableMetadata Apply(TableMetadata metadata, IReadOnlyList<MetadataUpdate> updates, DateTimeOffset now)
    {
        var builder = new TableMetadataBuilder(metadata, now);
        foreach (var update in updates)
            builder.Apply(update);
        return builder._metadata with { LastUpdatedMs = builder._now };
    }

    /// <summary>A new table's first metadata, with fresh ids for the schema's columns and the spec bound to them.</summary>
    public static TableMetadata Create(
        Guid uuid, string location, IcebergSchema schema, PartitionSpec spec, SortOrder order, IReadOnlyDictionary<string, string> properties,
        int formatVersion, DateTimeOffset now)
    {
        var (fresh, map) = FreshIds.Assign(schema);
        var nextId = PartitionSpec.FirstFieldId;
        var bound = new PartitionSpec(0, spec.Fields.Select(f => f with { SourceId = Map(map, f.SourceId), FieldId = nextId++ }).ToArray());
        bound.CheckAgainst(fresh);
        var sorted = new SortOrder(order.Fields.Count == 0 ? 0 : Math.Max(1, order.OrderId), order.Fields.Select(f => f with { SourceId = Map(map, f.SourceId) }).ToArray());
        CheckTypes(fresh, formatVersion);
        return new TableMetadata
        {
            FormatVersion = formatVersion,
            TableUuid = uuid,
            Location = location.TrimEnd('/'),
            LastUpdatedMs = now.ToUnixTimeMilliseconds(),
            LastColumnId = fresh.HighestFieldId,
            Schemas = [fresh],
            CurrentSchemaId = 0,
            PartitionSpecs = [bound],
            DefaultSpecId = 0,
            LastPartitionId = bound.HighestFieldId,
            SortOrders = [sorted],
            DefaultSortOrderId = sorted.OrderId,
            Properties = properties,
        };
    }

    /// <summary>A new table's metadata from updates alone: the commit that ends a staged creation.</summary>
    /// <exception cref="IcebergException">The updates do not make a whole table.</exception>
    public static TableMetadata ApplyToNothing(IReadOnlyList<MetadataUpdate> updates, string location, DateTimeOffset now)
    {
        var version = updates.OfType<MetadataUpdate.UpgradeFormatVersion>().FirstOrDefault()?.Version ?? 2;
        if (version is < 1 or > TableMetadata.NewestVersion)
            throw new IcebergException($"format version {version} is not understood; 1 to {TableMetadata.NewestVersion} are");
        var empty = new TableMetadata
        {
            FormatVersion = version,
            TableUuid = Guid.Empty,
            Location = location,
            LastUpdatedMs = now.ToUnixTimeMilliseconds(),
            LastColumnId = 0,
            Schemas = [],
            CurrentSchemaId = -1,
            PartitionSpecs = [],
            DefaultSpecId = -1,
            LastPartitionId = PartitionSpec.FirstFieldId - 1,
            SortOrders = [],
            DefaultSortOrderId = -1,
        };
        var made = Apply(empty, updates, now);
        if (made.SchemaById(made.CurrentSchemaId) is null)
            throw new IcebergException("the new table has no current schema");
        if (made.PartitionSpecs.Count == 0)
            made = made with { PartitionSpecs = [PartitionSpec.Unpartitioned], DefaultSpecId = 0 };
        if (made.SortOrders.Count == 0)
            made = made with { SortOrders = [SortOrder.Unsorted], DefaultSortOrderId = 0 };
        if (made.SpecById(made.DefaultSpecId) is null || !made.SortOrders.Any(o => o.OrderId == made.DefaultSortOrderId))
            throw new IcebergException("the new table has no default partition spec or sort order");
        return made;
    }

    private static int Map(Dictionary<int, int> map, int id) =>
        map.TryGetValue(id, out var mapped) ? mapped : throw new IcebergException($"no column has the id {id}");

    private void Apply(MetadataUpdate update)
    {
        switch (update)
        {
            case MetadataUpdate.AssignUuid u:
                _metadata = _metadata with { TableUuid = u.Uuid };
                break;
            case MetadataUpdate.UpgradeFormatVersion u:
                Upgrade(u.Version);
                break;
            case MetadataUpdate.AddSchema u:
                AddSchema(u.Schema);
                break;
            case MetadataUpdate.SetCurrentSchema u:
                SetCurrentSchema(u.SchemaId);
                break;
            case MetadataUpdate.AddSpec u:
                AddSpec(u.Spec);
                break;
            case MetadataUpdate.SetDefaultSpec u:
                SetDefaultSpec(u.SpecId);
                break;
            case MetadataUpdate.AddSortOrder u:
                AddSortOrder(u.Order);
                break;
            case MetadataUpdate.SetDefaultSortOrder u:
                var order = u.OrderId == MetadataUpdate.LastAdded ? Added(_lastAddedOrder, "sort order") : u.OrderId;
                if (!_metadata.SortOrders.Any(o => o.OrderId == order))
                    throw new IcebergException($"cannot set default sort order {order}: it does not exist");
                _metadata = _metadata with { DefaultSortOrderId = order };
                break;
            case MetadataUpdate.SetLocation u:
                _metadata = _metadata with { Location = u.Location.TrimEnd('/') };
                break;
            case MetadataUpdate.SetProperties or MetadataUpdate.RemoveProperties:
                ApplyProperties(update);
                break;
            default:
                ApplyToSnapshots(update);
                break;
        }
    }

    private void ApplyProperties(MetadataUpdate update)
    {
        var properties = new Dictionary<string, string>(_metadata.Properties, StringComparer.Ordinal);
        if (update is MetadataUpdate.SetProperties set)
        {
            foreach (var (key, value) in set.Updates)
                properties[key] = value;
        }
        else if (update is MetadataUpdate.RemoveProperties remove)
        {
            foreach (var key in remove.Removals)
                properties.Remove(key);
        }
        _metadata = _metadata with { Properties = properties };
    }

    private void ApplyToSnapshots(MetadataUpdate update)
    {
        switch (update)
        {
            case MetadataUpdate.AddSnapshot u:
                AddSnapshot(u.Snapshot);
                break;
            case MetadataUpdate.SetSnapshotRef u:
                SetRef(u.Name, u.Reference);
                break;
            case MetadataUpdate.RemoveSnapshotRef u:
                RemoveRef(u.Name);
                break;
            case MetadataUpdate.RemoveSnapshots u:
                RemoveSnapshots(u.SnapshotIds.ToHashSet());
                break;
            case MetadataUpdate.SetStatistics u:
                _metadata = _metadata with { Statistics = [.. Without(_metadata.Statistics, u.SnapshotId), u.Statistics] };
                break;
            case MetadataUpdate.RemoveStatistics u:
                _metadata = _metadata with { Statistics = Without(_metadata.Statistics, u.SnapshotId) };
                break;
            case MetadataUpdate.SetPartitionStatistics u:
                _metadata = _metadata with { PartitionStatistics = [.. Without(_metadata.PartitionStatistics, u.SnapshotId), u.Statistics] };
                break;
            case MetadataUpdate.RemovePartitionStatistics u:
                _metadata = _metadata with { PartitionStatistics = Without(_metadata.PartitionStatistics, u.SnapshotId) };
                break;
            case MetadataUpdate.RemovePartitionSpecs u:
                if (u.SpecIds.Contains(_metadata.DefaultSpecId))
                    throw new IcebergException("cannot remove the default partition spec");
                _metadata = _metadata with { PartitionSpecs = _metadata.PartitionSpecs.Where(s => !u.SpecIds.Contains(s.SpecId)).ToArray() };
                break;
            case MetadataUpdate.RemoveSchemas u:
                if (u.SchemaIds.Contains(_metadata.CurrentSchemaId))
                    throw new IcebergException("cannot remove the current schema");
                _metadata = _metadata with { Schemas = _metadata.Schemas.Where(s => !u.SchemaIds.Contains(s.SchemaId)).ToArray() };
                break;
            case MetadataUpdate.AddEncryptionKey u:
                _metadata = _metadata with { EncryptionKeys = [.. _metadata.EncryptionKeys, u.Key] };
                break;
            case MetadataUpdate.RemoveEncryptionKey u:
                _metadata = _metadata with
                {
                    EncryptionKeys = _metadata.EncryptionKeys
                        .Where(k => !(k.TryGetProperty("key-id", out var id) && id.GetString() == u.KeyId)).ToArray(),
                };
                break;
            default:
                throw new IcebergException($"unknown update {update.GetType().Name}");
        }
    }

    private void Upgrade(int version)
    {
        if (version > TableMetadata.NewestVersion)
            throw new IcebergException($"cannot upgrade to format version {version}: {TableMetadata.NewestVersion} is the newest that is understood");
        if (version < _metadata.FormatVersion)
            throw new IcebergException($"cannot downgrade format version {_metadata.FormatVersion} to {version}");
        _metadata = _metadata with { FormatVersion = version };
    }

    private void AddSchema(IcebergSchema schema)
    {
        CheckTypes(schema, _metadata.FormatVersion);
        var same = _metadata.Schemas.FirstOrDefault(s => s.SameColumns(schema));
        if (same is not null)
        {
            _lastAddedSchema = same.SchemaId;
            return;
        }
        var id = _metadata.Schemas.Select(s => s.SchemaId).DefaultIfEmpty(-1).Max() + 1;
        var added = schema.WithId(id);
        _lastAddedSchema = id;
        _metadata = _metadata with
        {
            Schemas = [.. _metadata.Schemas, added],
            LastColumnId = Math.Max(_metadata.LastColumnId, schema.HighestFieldId),
        };
    }

    private void SetCurrentSchema(int id)
    {
        if (id == MetadataUpdate.LastAdded)
            id = Added(_lastAddedSchema, "schema");
        var schema = _metadata.SchemaById(id) ?? throw new IcebergException($"cannot set current schema {id}: it does not exist");
        _metadata = _metadata with { CurrentSchemaId = schema.SchemaId };
    }

    private void AddSpec(PartitionSpec spec)
    {
        spec.CheckAgainst(_metadata.Schema);
        var same = _metadata.PartitionSpecs.FirstOrDefault(s => s.SameFields(spec));
        if (same is not null)
        {
            _lastAddedSpec = same.SpecId;
            return;
        }
        var next = _metadata.LastPartitionId + 1;
        var fields = spec.Fields.Select(f => f.FieldId >= PartitionSpec.FirstFieldId ? f : f with { FieldId = ReusedId(f) ?? next++ }).ToArray();
        var added = new PartitionSpec(_metadata.PartitionSpecs.Select(s => s.SpecId).DefaultIfEmpty(-1).Max() + 1, fields);
        if (_metadata.FormatVersion == 1 && fields.Where((f, i) => f.FieldId != PartitionSpec.FirstFieldId + i).Any())
            throw new IcebergException("version 1 tables need partition field ids that count from 1000 without holes");
        _lastAddedSpec = added.SpecId;
        _metadata = _metadata with
        {
            PartitionSpecs = [.. _metadata.PartitionSpecs, added],
            LastPartitionId = Math.Max(_metadata.LastPartitionId, added.HighestFieldId),
        };
    }

    /// <summary>The id of an equal field of an earlier spec: v2 keeps one id for one source and transform.</summary>
    private int? ReusedId(PartitionField field) => _metadata.PartitionSpecs.SelectMany(s => s.Fields)
        .Where(f => f.SourceId == field.SourceId && f.Transform == field.Transform).Select(f => (int?)f.FieldId).FirstOrDefault();

    private void SetDefaultSpec(int id)
    {
        if (id == MetadataUpdate.LastAdded)
            id = Added(_lastAddedSpec, "partition spec");
        var spec = _metadata.SpecById(id) ?? throw new IcebergException($"cannot set default partition spec {id}: it does not exist");
        spec.CheckAgainst(_metadata.Schema);
        _metadata = _metadata with { DefaultSpecId = id };
    }

    private void AddSortOrder(SortOrder order)
    {
        foreach (var field in order.Fields)
        {
            if (_metadata.Schema.Find(field.SourceId) is null)
                throw new IcebergException($"the sort order names the column {field.SourceId}, which does not exist");
        }
        var same = _metadata.SortOrders.FirstOrDefault(o => o.SameFields(order));
        if (same is not null)
        {
            _lastAddedOrder = same.OrderId;
            return;
        }
        var added = order.WithId(order.Fields.Count == 0 ? 0 : Math.Max(1, _metadata.SortOrders.Select(o => o.OrderId).DefaultIfEmpty(0).Max() + 1));
        _lastAddedOrder = added.OrderId;
        _metadata = _metadata with { SortOrders = [.. _metadata.SortOrders, added] };
    }

    private void AddSnapshot(Snapshot snapshot)
    {
        if (_metadata.SnapshotById(snapshot.SnapshotId) is not null)
            throw new IcebergException($"snapshot {snapshot.SnapshotId} exists already");
        if (_metadata.FormatVersion > 1 && snapshot.SequenceNumber <= _metadata.LastSequenceNumber && snapshot.ParentSnapshotId is not null)
        {
            throw new CommitConflictException(
                $"Cannot add snapshot with sequence number {snapshot.SequenceNumber} older than last sequence number {_metadata.LastSequenceNumber}");
        }
        var nextRowId = _metadata.NextRowId;
        if (_metadata.FormatVersion >= 3)
        {
            var first = snapshot.FirstRowId ?? throw new IcebergException("Cannot add a snapshot: first-row-id is null");
            if (first < nextRowId)
                throw new CommitConflictException($"Cannot add a snapshot, first-row-id is behind table next-row-id: {first} < {nextRowId}");
            nextRowId += snapshot.AddedRows ?? throw new IcebergException("Cannot add a snapshot: added-rows is null");
        }
        _addedSnapshots.Add(snapshot.SnapshotId);
        _metadata = _metadata with
        {
            Snapshots = [.. _metadata.Snapshots, snapshot],
            LastSequenceNumber = _metadata.FormatVersion > 1 ? Math.Max(_metadata.LastSequenceNumber, snapshot.SequenceNumber) : 0,
            NextRowId = nextRowId,
        };
    }

    private void SetRef(string name, SnapshotRef reference)
    {
        var snapshot = _metadata.SnapshotById(reference.SnapshotId)
            ?? throw new IcebergException($"Cannot set {name} to unknown snapshot: {reference.SnapshotId}");
        var isMain = name == SnapshotRef.Main;
        if (isMain && reference.Kind != RefKind.Branch)
            throw new IcebergException("main must be a branch");
        var refs = new Dictionary<string, SnapshotRef>(_metadata.Refs, StringComparer.Ordinal) { [name] = reference };
        _metadata = _metadata with { Refs = refs };
        if (!isMain || _metadata.CurrentSnapshotId == reference.SnapshotId)
            return;
        // A snapshot that this commit added became current when it was made; an older one becomes current now.
        var at = _addedSnapshots.Contains(snapshot.SnapshotId) ? Math.Max(snapshot.TimestampMs, LastLogged()) : _now;
        _metadata = _metadata with
        {
            CurrentSnapshotId = reference.SnapshotId,
            SnapshotLog = [.. _metadata.SnapshotLog, new SnapshotLogEntry(at, reference.SnapshotId)],
        };
    }

    private long LastLogged() => _metadata.SnapshotLog.Count == 0 ? 0 : _metadata.SnapshotLog[^1].TimestampMs;

    private void RemoveRef(string name)
    {
        var refs = new Dictionary<string, SnapshotRef>(_metadata.Refs, StringComparer.Ordinal);
        refs.Remove(name);
        // The log stays: a replaced table keeps its history.
        _metadata = _metadata with { Refs = refs, CurrentSnapshotId = name == SnapshotRef.Main ? null : _metadata.CurrentSnapshotId };
    }

    private void RemoveSnapshots(HashSet<long> ids)
    {
        foreach (var (name, reference) in _metadata.Refs)
        {
            if (ids.Contains(reference.SnapshotId))
                throw new CommitConflictException($"cannot remove snapshot {reference.SnapshotId}: the ref '{name}' needs it");
        }
        // The log stays an unbroken record of what can still be read: what lies before a removed snapshot goes too.
        var log = new List<SnapshotLogEntry>();
        foreach (var entry in _metadata.SnapshotLog)
        {
            if (ids.Contains(entry.SnapshotId))
                log.Clear();
            else
                log.Add(entry);
        }
        _metadata = _metadata with
        {
            Snapshots = _metadata.Snapshots.Where(s => !ids.Contains(s.SnapshotId)).ToArray(),
            SnapshotLog = log,
            Statistics = _metadata.Statistics.Where(s => !ids.Contains(SnapshotOf(s))).ToArray(),
            PartitionStatistics = _metadata.PartitionStatistics.Where(s => !ids.Contains(SnapshotOf(s))).ToArray(),
        };
    }

    private static System.Text.Json.JsonElement[] Without(IReadOnlyList<System.Text.Json.JsonElement> statistics, long snapshotId) =>
        statistics.Where(s => SnapshotOf(s) != snapshotId).ToArray();

    private static long SnapshotOf(System.Text.Json.JsonElement statistics) =>
        statistics.TryGetProperty("snapshot-id", out var id) && id.TryGetInt64(out var value) ? value : -1;

    private static int Added(int id, string what) =>
        id >= 0 ? id : throw new IcebergException($"Cannot set the last added {what}: no {what} has been added");

    private static void CheckTypes(IcebergSchema schema, int version)
    {
        if (version >= 3)
            return;
        foreach (var id in schema.FieldIds)
        {
            var field = schema.Find(id)!;
            if (field.Type is PrimitiveType { NeedsVersion3: true })
                throw new IcebergException($"Invalid type for {schema.NameOf(id)}: {field.Type} is not supported until v3");
            if (field.InitialDefault is not null)
                throw new IcebergException($"Invalid initial default for {schema.NameOf(id)}: non-null default is not supported until v3");
        }
    }
}
