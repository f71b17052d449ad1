using System.Text.Json;
using Millrace.Iceberg.Schemas;

namespace Millrace.Iceberg.Metadata;

/// <summary>Metadata as JSON, in the table's own format version.</summary>
internal static class TableMetadataWriter
{
    public static byte[] Write(TableMetadata metadata)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream))
            Write(writer, metadata);
        return stream.ToArray();
    }

    public static void Write(Utf8JsonWriter writer, TableMetadata metadata)
    {
        writer.WriteStartObject();
        writer.WriteNumber("format-version", metadata.FormatVersion);
        if (metadata.FormatVersion > 1 || metadata.TableUuid != Guid.Empty)
            writer.WriteString("table-uuid", metadata.TableUuid.ToString("D"));
        writer.WriteString("location", metadata.Location);
        if (metadata.FormatVersion > 1)
            writer.WriteNumber("last-sequence-number", metadata.LastSequenceNumber);
        writer.WriteNumber("last-updated-ms", metadata.LastUpdatedMs);
        writer.WriteNumber("last-column-id", metadata.LastColumnId);
        WriteSchemasAndSpecs(writer, metadata);
        WriteMap(writer, "properties", metadata.Properties);
        if (metadata.CurrentSnapshotId is { } current)
            writer.WriteNumber("current-snapshot-id", current);
        else if (metadata.FormatVersion == 1)
            writer.WriteNumber("current-snapshot-id", -1);
        if (metadata.FormatVersion >= 3)
            writer.WriteNumber("next-row-id", metadata.NextRowId);
        writer.WriteStartObject("refs");
        foreach (var (name, reference) in metadata.Refs.OrderBy(r => r.Key, StringComparer.Ordinal))
        {
            writer.WritePropertyName(name);
            WriteRef(writer, reference);
        }
        writer.WriteEndObject();
        writer.WriteStartArray("snapshots");
        foreach (var snapshot in metadata.Snapshots)
            WriteSnapshot(writer, snapshot, metadata.FormatVersion);
        writer.WriteEndArray();
        WriteList(writer, "statistics", metadata.Statistics);
        WriteList(writer, "partition-statistics", metadata.PartitionStatistics);
        if (metadata.EncryptionKeys.Count > 0)
            WriteList(writer, "encryption-keys", metadata.EncryptionKeys);
        WriteLogs(writer, metadata);
        WriteUnknown(writer, metadata.Unknown);
        writer.WriteEndObject();
    }

    public static void WriteSnapshot(Utf8JsonWriter writer, Snapshot snapshot, int formatVersion)
    {
        writer.WriteStartObject();
        if (formatVersion > 1)
            writer.WriteNumber("sequence-number", snapshot.SequenceNumber);
        writer.WriteNumber("snapshot-id", snapshot.SnapshotId);
        if (snapshot.ParentSnapshotId is { } parent)
            writer.WriteNumber("parent-snapshot-id", parent);
        writer.WriteNumber("timestamp-ms", snapshot.TimestampMs);
        if (snapshot.Summary.Count > 0)
            WriteMap(writer, "summary", snapshot.Summary);
        if (snapshot.ManifestList is not null)
            writer.WriteString("manifest-list", snapshot.ManifestList);
        if (snapshot.Manifests is not null)
        {
            writer.WriteStartArray("manifests");
            foreach (var manifest in snapshot.Manifests)
                writer.WriteStringValue(manifest);
            writer.WriteEndArray();
        }
        if (snapshot.SchemaId is { } schema)
            writer.WriteNumber("schema-id", schema);
        if (snapshot.FirstRowId is { } first)
            writer.WriteNumber("first-row-id", first);
        if (snapshot.AddedRows is { } added)
            writer.WriteNumber("added-rows", added);
        if (snapshot.KeyId is not null)
            writer.WriteString("key-id", snapshot.KeyId);
        WriteUnknown(writer, snapshot.Unknown);
        writer.WriteEndObject();
    }

    public static void WriteSpec(Utf8JsonWriter writer, PartitionSpec spec)
    {
        writer.WriteStartObject();
        writer.WriteNumber("spec-id", spec.SpecId);
        writer.WritePropertyName("fields");
        WriteSpecFields(writer, spec);
        writer.WriteEndObject();
    }

    /// <summary>The bare list, as manifests and version 1 metadata have it.</summary>
    public static void WriteSpecFields(Utf8JsonWriter writer, PartitionSpec spec)
    {
        writer.WriteStartArray();
        foreach (var field in spec.Fields)
        {
            writer.WriteStartObject();
            writer.WriteString("name", field.Name);
            writer.WriteString("transform", field.Transform.Text);
            if (field.SourceIds is { } sources)
            {
                writer.WriteStartArray("source-ids");
                foreach (var source in sources)
                    writer.WriteNumberValue(source);
                writer.WriteEndArray();
            }
            else
            {
                writer.WriteNumber("source-id", field.SourceId);
            }
            writer.WriteNumber("field-id", field.FieldId);
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
    }

    public static void WriteSortOrder(Utf8JsonWriter writer, SortOrder order)
    {
        writer.WriteStartObject();
        writer.WriteNumber("order-id", order.OrderId);
        writer.WriteStartArray("fields");
        foreach (var field in order.Fields)
        {
            writer.WriteStartObject();
            writer.WriteString("transform", field.Transform.Text);
            writer.WriteNumber("source-id", field.SourceId);
            writer.WriteString("direction", field.Direction == SortDirection.Ascending ? "asc" : "desc");
            writer.WriteString("null-order", field.Nulls == NullOrder.First ? "nulls-first" : "nulls-last");
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    public static void WriteMap(Utf8JsonWriter writer, string name, IReadOnlyDictionary<string, string> map)
    {
        writer.WriteStartObject(name);
        foreach (var (key, value) in map)
            writer.WriteString(key, value);
        writer.WriteEndObject();
    }

    private static void WriteRef(Utf8JsonWriter writer, SnapshotRef reference)
    {
        writer.WriteStartObject();
        writer.WriteNumber("snapshot-id", reference.SnapshotId);
        writer.WriteString("type", reference.Kind == RefKind.Branch ? "branch" : "tag");
        if (reference.MinSnapshotsToKeep is { } least)
            writer.WriteNumber("min-snapshots-to-keep", least);
        if (reference.MaxSnapshotAgeMs is { } age)
            writer.WriteNumber("max-snapshot-age-ms", age);
        if (reference.MaxRefAgeMs is { } refAge)
            writer.WriteNumber("max-ref-age-ms", refAge);
        writer.WriteEndObject();
    }

    private static void WriteSchemasAndSpecs(Utf8JsonWriter writer, TableMetadata metadata)
    {
        if (metadata.FormatVersion == 1)
        {
            // Version 1 readers know only the bare forms.
            writer.WritePropertyName("schema");
            SchemaJson.Write(writer, metadata.Schema);
            writer.WritePropertyName("partition-spec");
            WriteSpecFields(writer, metadata.Spec);
        }
        writer.WriteNumber("current-schema-id", metadata.CurrentSchemaId);
        writer.WriteStartArray("schemas");
        foreach (var schema in metadata.Schemas)
            SchemaJson.Write(writer, schema);
        writer.WriteEndArray();
        writer.WriteNumber("default-spec-id", metadata.DefaultSpecId);
        writer.WriteStartArray("partition-specs");
        foreach (var spec in metadata.PartitionSpecs)
            WriteSpec(writer, spec);
        writer.WriteEndArray();
        writer.WriteNumber("last-partition-id", metadata.LastPartitionId);
        writer.WriteNumber("default-sort-order-id", metadata.DefaultSortOrderId);
        writer.WriteStartArray("sort-orders");
        foreach (var order in metadata.SortOrders)
            WriteSortOrder(writer, order);
        writer.WriteEndArray();
    }

    private static void WriteLogs(Utf8JsonWriter writer, TableMetadata metadata)
    {
        writer.WriteStartArray("snapshot-log");
        foreach (var entry in metadata.SnapshotLog)
        {
            writer.WriteStartObject();
            writer.WriteNumber("timestamp-ms", entry.TimestampMs);
            writer.WriteNumber("snapshot-id", entry.SnapshotId);
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
        writer.WriteStartArray("metadata-log");
        foreach (var entry in metadata.MetadataLog)
        {
            writer.WriteStartObject();
            writer.WriteNumber("timestamp-ms", entry.TimestampMs);
            writer.WriteString("metadata-file", entry.MetadataFile);
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
    }

    private static void WriteList(Utf8JsonWriter writer, string name, IReadOnlyList<JsonElement> items)
    {
        writer.WriteStartArray(name);
        foreach (var item in items)
            item.WriteTo(writer);
        writer.WriteEndArray();
    }

    private static void WriteUnknown(Utf8JsonWriter writer, UnknownFields? unknown)
    {
        if (unknown is null)
            return;
        foreach (var (name, value) in unknown)
        {
            writer.WritePropertyName(name);
            value.WriteTo(writer);
        }
    }
}
