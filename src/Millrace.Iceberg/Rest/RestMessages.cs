using System.Text.Json;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Metadata;
using Millrace.Iceberg.Schemas;

namespace Millrace.Iceberg.Rest;

/// <summary>The REST catalog's JSON to updates and requirements (Iceberg REST catalog, TableUpdate and TableRequirement).</summary>
internal static class RestMessages
{
    public static TableChange ReadChange(JsonFields json, TableIdent? ident, int formatVersion)
    {
        if (ident is null && json.Optional("identifier") is null)
            throw new IcebergException("a table change needs an identifier");
        return new TableChange(
            ident ?? ReadIdent(json.Object("identifier")),
            json.Objects("requirements").Select(ReadRequirement).ToArray(),
            json.Objects("updates").Select(u => ReadUpdate(u, formatVersion)).ToArray());
    }

    public static TableIdent ReadIdent(JsonFields json) =>
        new(new Namespace(json.Items("namespace").Select(l => l.GetString() ?? "").ToArray()), json.Text("name"));

    public static TableRequirement ReadRequirement(JsonFields json) => json.Text("type") switch
    {
        "assert-create" => new TableRequirement.AssertCreate(),
        "assert-table-uuid" => new TableRequirement.AssertTableUuid(Uuid(json)),
        "assert-ref-snapshot-id" => new TableRequirement.AssertRefSnapshotId(json.Text("ref"), json.OptionalLong("snapshot-id")),
        "assert-last-assigned-field-id" => new TableRequirement.AssertLastAssignedFieldId(json.Int("last-assigned-field-id")),
        "assert-current-schema-id" => new TableRequirement.AssertCurrentSchemaId(json.Int("current-schema-id")),
        "assert-last-assigned-partition-id" => new TableRequirement.AssertLastAssignedPartitionId(json.Int("last-assigned-partition-id")),
        "assert-default-spec-id" => new TableRequirement.AssertDefaultSpecId(json.Int("default-spec-id")),
        "assert-default-sort-order-id" => new TableRequirement.AssertDefaultSortOrderId(json.Int("default-sort-order-id")),
        var other => throw new IcebergException($"unknown requirement '{other}'"),
    };

    public static MetadataUpdate ReadUpdate(JsonFields json, int formatVersion)
    {
        var action = json.Text("action");
        return action switch
        {
            "assign-uuid" => new MetadataUpdate.AssignUuid(Uuid(json)),
            "upgrade-format-version" => new MetadataUpdate.UpgradeFormatVersion(json.Int("format-version")),
            "add-schema" => new MetadataUpdate.AddSchema(SchemaJson.Read(json.Object("schema"))),
            "set-current-schema" => new MetadataUpdate.SetCurrentSchema(json.Int("schema-id")),
            "add-spec" => new MetadataUpdate.AddSpec(TableMetadataReader.ReadUnboundSpec(json.Object("spec"))),
            "set-default-spec" => new MetadataUpdate.SetDefaultSpec(json.Int("spec-id")),
            "add-sort-order" => new MetadataUpdate.AddSortOrder(TableMetadataReader.ReadSortOrder(json.Object("sort-order"))),
            "set-default-sort-order" => new MetadataUpdate.SetDefaultSortOrder(json.Int("sort-order-id")),
            "set-location" => new MetadataUpdate.SetLocation(json.Text("location")),
            "set-properties" => new MetadataUpdate.SetProperties(json.TextMap(json.Optional("updates") is null ? "updated" : "updates")),
            "remove-properties" => new MetadataUpdate.RemoveProperties(
                json.Items(json.Optional("removals") is null ? "removed" : "removals").Select(r => r.GetString() ?? "").ToArray()),
            _ => ReadSnapshotUpdate(json, action, formatVersion),
        };
    }

    public static void WriteIdent(Utf8JsonWriter writer, TableIdent ident)
    {
        writer.WriteStartObject();
        writer.WriteStartArray("namespace");
        foreach (var level in ident.Namespace.Levels)
            writer.WriteStringValue(level);
        writer.WriteEndArray();
        writer.WriteString("name", ident.Name);
        writer.WriteEndObject();
    }

    private static MetadataUpdate ReadSnapshotUpdate(JsonFields json, string action, int formatVersion) => action switch
    {
        "add-snapshot" => new MetadataUpdate.AddSnapshot(TableMetadataReader.ReadSnapshot(json.Object("snapshot"), formatVersion)),
        "set-snapshot-ref" => new MetadataUpdate.SetSnapshotRef(json.Text("ref-name"), TableMetadataReader.ReadRef(json)),
        "remove-snapshots" => new MetadataUpdate.RemoveSnapshots(json.Items("snapshot-ids").Select(i => i.GetInt64()).ToArray()),
        "remove-snapshot-ref" => new MetadataUpdate.RemoveSnapshotRef(json.Text("ref-name")),
        "set-statistics" => new MetadataUpdate.SetStatistics(
            json.OptionalLong("snapshot-id") ?? json.Object("statistics").Long("snapshot-id"), json.Required("statistics").Clone()),
        "remove-statistics" => new MetadataUpdate.RemoveStatistics(json.Long("snapshot-id")),
        "set-partition-statistics" => new MetadataUpdate.SetPartitionStatistics(
            json.Object("partition-statistics").Long("snapshot-id"), json.Required("partition-statistics").Clone()),
        "remove-partition-statistics" => new MetadataUpdate.RemovePartitionStatistics(json.Long("snapshot-id")),
        "remove-partition-specs" => new MetadataUpdate.RemovePartitionSpecs(json.OptionalInts("spec-ids") ?? []),
        "remove-schemas" => new MetadataUpdate.RemoveSchemas(json.OptionalInts("schema-ids") ?? []),
        "add-encryption-key" => new MetadataUpdate.AddEncryptionKey(json.Required("encryption-key").Clone()),
        "remove-encryption-key" => new MetadataUpdate.RemoveEncryptionKey(json.Text("key-id")),
        _ => throw new IcebergException($"unknown update '{action}'"),
    };

    private static Guid Uuid(JsonFields json) =>
        Guid.TryParse(json.Text("uuid"), out var uuid) ? uuid : throw new IcebergException($"'{json.Text("uuid")}' is no UUID");
}
