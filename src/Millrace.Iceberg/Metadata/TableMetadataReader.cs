using System.IO.Compression;
using System.Text.Json;
using Millrace.Iceberg.Schemas;
using Millrace.Iceberg.Values;

namespace Millrace.Iceberg.Metadata;

/// <summary>Metadata JSON of versions 1 to 3, checked (Iceberg spec, Table Metadata Fields).</summary>
internal static class TableMetadataReader
{
    // A metadata file of ten thousand snapshots has some 10 MB; a packed bomb must not unpack without end.
    private const int MostUnpacked = 1 << 30;

    public static TableMetadata Read(ReadOnlyMemory<byte> content, string file)
    {
        if (content.Length > 2 && content.Span[0] == 0x1F && content.Span[1] == 0x8B)
            content = Unpack(content, file);
        try
        {
            using var document = JsonDocument.Parse(content, new JsonDocumentOptions { MaxDepth = IcebergSchema.MostDepth * 4 });
            return Read(new JsonFields(document.RootElement, file, "$"));
        }
        catch (JsonException error)
        {
            throw new InvalidMetadataException(
                file, $"line {error.LineNumber + 1}, byte {error.BytePositionInLine + 1}", "not JSON: " + error.Message,
                "the file was cut short or overwritten; take the metadata file before it", error);
        }
    }

    public static TableMetadata Read(JsonFields json)
    {
        var version = json.Int("format-version");
        if (version is < 1 or > TableMetadata.NewestVersion)
        {
            throw new InvalidMetadataException(
                json.File, "$.format-version", $"version {version}; 1 to {TableMetadata.NewestVersion} are understood",
                "read the table with a newer Millrace, or write it with an older format version");
        }
        var (schemas, currentSchemaId) = Schemas(json, version);
        var (specs, defaultSpecId) = Specs(json, version, schemas.First(s => s.SchemaId == currentSchemaId));
        var (orders, defaultOrderId) = SortOrders(json, version);
        var snapshots = json.Objects("snapshots").Select(s => ReadSnapshot(s, version)).ToArray();
        var current = json.OptionalLong("current-snapshot-id") is { } id and not -1 ? id : (long?)null;
        if (current is { } wanted && !snapshots.Any(s => s.SnapshotId == wanted))
            throw json.Broken($"the current snapshot {wanted} is not among the snapshots");
        var metadata = new TableMetadata
        {
            FormatVersion = version,
            TableUuid = Uuid(json, version),
            Location = json.Text("location").TrimEnd('/'),
            LastSequenceNumber = version == 1 ? json.OptionalLong("last-sequence-number") ?? 0 : json.Long("last-sequence-number"),
            LastUpdatedMs = json.Long("last-updated-ms"),
            LastColumnId = json.Int("last-column-id"),
            Schemas = schemas,
            CurrentSchemaId = currentSchemaId,
            PartitionSpecs = specs,
            DefaultSpecId = defaultSpecId,
            LastPartitionId = version == 1
                ? json.OptionalInt("last-partition-id") ?? specs.Max(s => s.HighestFieldId)
                : json.Int("last-partition-id"),
            SortOrders = orders,
            DefaultSortOrderId = defaultOrderId,
            Properties = json.TextMap("properties"),
            CurrentSnapshotId = current,
            Snapshots = snapshots,
            SnapshotLog = json.Objects("snapshot-log").Select(e => new SnapshotLogEntry(e.Long("timestamp-ms"), e.Long("snapshot-id"))).ToArray(),
            MetadataLog = json.Objects("metadata-log").Select(e => new MetadataLogEntry(e.Long("timestamp-ms"), e.Text("metadata-file"))).ToArray(),
            Refs = Refs(json, current, snapshots),
            Statistics = json.Items("statistics").Select(e => e.Clone()).ToArray(),
            PartitionStatistics = json.Items("partition-statistics").Select(e => e.Clone()).ToArray(),
            NextRowId = version >= 3 ? json.Long("next-row-id") : json.OptionalLong("next-row-id") ?? 0,
            EncryptionKeys = json.Items("encryption-keys").Select(e => e.Clone()).ToArray(),
        };
        return metadata with { Unknown = json.Rest() };
    }

    public static PartitionSpec ReadSpec(JsonFields json) =>
        new(json.Int("spec-id"), json.Required("fields") is { } ? PartitionFields(json, "fields") : []);

    /// <summary>A spec that a client sends: its id, and those of its fields, may be left to the catalog.</summary>
    public static PartitionSpec ReadUnboundSpec(JsonFields json)
    {
        json.Required("fields");
        return new PartitionSpec(json.OptionalInt("spec-id") ?? 0, json.Objects("fields").Select(f => new PartitionField(
            f.Int("source-id"), f.OptionalInt("field-id") ?? 0, f.Text("name"), Transform.Parse(f.Text("transform")))).ToArray());
    }

    public static SortOrder ReadSortOrder(JsonFields json)
    {
        json.Required("fields");
        return new SortOrder(json.Int("order-id"), json.Objects("fields").Select(SortField).ToArray());
    }

    public static Snapshot ReadSnapshot(JsonFields json, int version)
    {
        var snapshot = new Snapshot
        {
            SnapshotId = json.Long("snapshot-id"),
            ParentSnapshotId = json.OptionalLong("parent-snapshot-id"),
            // A version 1 snapshot keeps no number when the table is upgraded: it reads as 0.
            SequenceNumber = json.OptionalLong("sequence-number") ?? 0,
            TimestampMs = json.Long("timestamp-ms"),
            ManifestList = json.OptionalText("manifest-list"),
            Manifests = json.Optional("manifests") is null ? null : json.Items("manifests").Select(m => m.GetString() ?? "").ToArray(),
            Summary = json.TextMap("summary"),
            SchemaId = json.OptionalInt("schema-id"),
            FirstRowId = json.OptionalLong("first-row-id"),
            AddedRows = json.OptionalLong("added-rows"),
            KeyId = json.OptionalText("key-id"),
        };
        if (snapshot.ManifestList is null && snapshot.Manifests is null && version >= 2)
            throw json.Broken("the snapshot has no manifest-list");
        return snapshot with { Unknown = json.Rest() };
    }

    public static SnapshotRef ReadRef(JsonFields json) =>
        new(json.Long("snapshot-id"), json.Text("type").ToLowerInvariant() switch
        {
            "branch" => RefKind.Branch,
            "tag" => RefKind.Tag,
            var other => throw json.Broken($"the ref's type is '{other}'; expected branch or tag"),
        })
        {
            MinSnapshotsToKeep = json.OptionalInt("min-snapshots-to-keep"),
            MaxSnapshotAgeMs = json.OptionalLong("max-snapshot-age-ms"),
            MaxRefAgeMs = json.OptionalLong("max-ref-age-ms"),
        };

    private static Guid Uuid(JsonFields json, int version)
    {
        var text = version == 1 ? json.OptionalText("table-uuid") : json.Text("table-uuid");
        if (text is null)
            return Guid.Empty;
        return Guid.TryParse(text, out var uuid) ? uuid : throw json.Broken($"table-uuid is '{text}', which is no UUID");
    }

    private static (IReadOnlyList<IcebergSchema> Schemas, int Current) Schemas(JsonFields json, int version)
    {
        // Version 1 writers give the old form (schema) beside the new one; the new one counts when it is there.
        if (version == 1 && json.Optional("schemas") is null)
        {
            var only = SchemaJson.Read(json.Object("schema"));
            return ([only], only.SchemaId);
        }
        json.Required("schemas");
        var schemas = json.Objects("schemas").Select(s => SchemaJson.Read(s)).ToArray();
        _ = json.Optional("schema");
        var current = json.Int("current-schema-id");
        if (!schemas.Any(s => s.SchemaId == current))
            throw json.Broken($"the current schema {current} is not among the schemas");
        return (schemas, current);
    }

    private static (IReadOnlyList<PartitionSpec> Specs, int Default) Specs(JsonFields json, int version, IcebergSchema schema)
    {
        if (version == 1 && json.Optional("partition-specs") is null)
        {
            json.Required("partition-spec");
            var only = new PartitionSpec(0, PartitionFields(json, "partition-spec"));
            return ([only], 0);
        }
        json.Required("partition-specs");
        var specs = json.Objects("partition-specs").Select(ReadSpec).ToArray();
        _ = json.Optional("partition-spec");
        var id = version == 1 ? json.OptionalInt("default-spec-id") ?? specs.Max(s => s.SpecId) : json.Int("default-spec-id");
        if (!specs.Any(s => s.SpecId == id))
            throw json.Broken($"the default partition spec {id} is not among the specs");
        _ = schema;
        return (specs, id);
    }

    private static PartitionField[] PartitionFields(JsonFields json, string name)
    {
        // Version 1 did not write field ids; they count from 1000 in order (Iceberg spec, Partition Evolution).
        var index = PartitionSpec.FirstFieldId;
        return json.Objects(name).Select(f =>
        {
            var sources = f.OptionalInts("source-ids");
            return new PartitionField(
                sources is { Count: > 0 } ? sources[0] : f.Int("source-id"), f.OptionalInt("field-id") ?? index++, f.Text("name"),
                Transform.Parse(f.Text("transform")), sources);
        }).ToArray();
    }

    private static (IReadOnlyList<SortOrder> Orders, int Default) SortOrders(JsonFields json, int version)
    {
        if (version == 1 && json.Optional("sort-orders") is null)
            return ([SortOrder.Unsorted], 0);
        json.Required("sort-orders");
        var orders = json.Objects("sort-orders").Select(ReadSortOrder).ToArray();
        var id = json.Int("default-sort-order-id");
        if (!orders.Any(o => o.OrderId == id))
        {
            // Some writers leave the unsorted order out of an empty list.
            if (id != 0)
                throw json.Broken($"the default sort order {id} is not among the sort orders");
            orders = [SortOrder.Unsorted, .. orders];
        }
        return (orders, id);
    }

    private static SortField SortField(JsonFields json)
    {
        var sources = json.OptionalInts("source-ids");
        return new SortField(
            Transform.Parse(json.Text("transform")),
            sources is { Count: > 0 } ? sources[0] : json.Int("source-id"),
            json.Text("direction").ToLowerInvariant() switch
            {
                "asc" => SortDirection.Ascending,
                "desc" => SortDirection.Descending,
                var other => throw json.Broken($"the direction is '{other}'; expected asc or desc"),
            },
            json.Text("null-order").ToLowerInvariant() switch
            {
                "nulls-first" => NullOrder.First,
                "nulls-last" => NullOrder.Last,
                var other => throw json.Broken($"the null order is '{other}'; expected nulls-first or nulls-last"),
            },
            sources);
    }

    private static Dictionary<string, SnapshotRef> Refs(JsonFields json, long? current, Snapshot[] snapshots)
    {
        var refs = new Dictionary<string, SnapshotRef>(StringComparer.Ordinal);
        if (json.Optional("refs") is { } value)
        {
            if (value.ValueKind != JsonValueKind.Object)
                throw json.Broken("'refs' is no object");
            foreach (var property in value.EnumerateObject())
                refs[property.Name] = ReadRef(new JsonFields(property.Value, json.File, $"$.refs.{property.Name}"));
        }
        foreach (var (name, reference) in refs)
        {
            if (!snapshots.Any(s => s.SnapshotId == reference.SnapshotId))
                throw json.Broken($"the ref '{name}' names snapshot {reference.SnapshotId}, which is not there");
        }
        if (current is { } id && refs.TryGetValue(SnapshotRef.Main, out var main) && main.SnapshotId != id)
            throw json.Broken($"the branch main is at snapshot {main.SnapshotId}, the current snapshot is {id}");
        if (current is { } snapshot && !refs.ContainsKey(SnapshotRef.Main))
            refs[SnapshotRef.Main] = new SnapshotRef(snapshot, RefKind.Branch);
        return refs;
    }

    private static ReadOnlyMemory<byte> Unpack(ReadOnlyMemory<byte> packed, string file)
    {
        using var gzip = new GZipStream(new MemoryStream(packed.ToArray()), CompressionMode.Decompress);
        using var unpacked = new MemoryStream();
        var buffer = new byte[64 << 10];
        try
        {
            while (gzip.Read(buffer) is > 0 and var read)
            {
                unpacked.Write(buffer, 0, read);
                if (unpacked.Length > MostUnpacked)
                    throw new InvalidMetadataException(file, "$", $"unpacks to more than {MostUnpacked} bytes", "it is no metadata file");
            }
        }
        catch (InvalidDataException error)
        {
            throw new InvalidMetadataException(file, "$", "the gzip data is broken: " + error.Message, "take the metadata file before it", error);
        }
        return unpacked.ToArray();
    }
}
