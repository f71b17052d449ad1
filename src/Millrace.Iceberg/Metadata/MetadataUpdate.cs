using System.Text.Json;
using Millrace.Iceberg.Schemas;

namespace Millrace.Iceberg.Metadata;

/// <summary>One change of a table's metadata, as the REST catalog names them (Iceberg REST catalog, TableUpdate).</summary>
public abstract record MetadataUpdate
{
    /// <summary>The id that means the schema, spec or order added last.</summary>
    public const int LastAdded = -1;

    public sealed record AssignUuid(Guid Uuid) : MetadataUpdate;

    public sealed record UpgradeFormatVersion(int Version) : MetadataUpdate;

    public sealed record AddSchema(IcebergSchema Schema) : MetadataUpdate;

    public sealed record SetCurrentSchema(int SchemaId) : MetadataUpdate;

    public sealed record AddSpec(PartitionSpec Spec) : MetadataUpdate;

    public sealed record SetDefaultSpec(int SpecId) : MetadataUpdate;

    public sealed record AddSortOrder(SortOrder Order) : MetadataUpdate;

    public sealed record SetDefaultSortOrder(int OrderId) : MetadataUpdate;

    public sealed record AddSnapshot(Snapshot Snapshot) : MetadataUpdate;

    public sealed record SetSnapshotRef(string Name, SnapshotRef Reference) : MetadataUpdate;

    public sealed record RemoveSnapshots(IReadOnlyList<long> SnapshotIds) : MetadataUpdate;

    public sealed record RemoveSnapshotRef(string Name) : MetadataUpdate;

    public sealed record SetLocation(string Location) : MetadataUpdate;

    public sealed record SetProperties(IReadOnlyDictionary<string, string> Updates) : MetadataUpdate;

    public sealed record RemoveProperties(IReadOnlyList<string> Removals) : MetadataUpdate;

    public sealed record SetStatistics(long SnapshotId, JsonElement Statistics) : MetadataUpdate;

    public sealed record RemoveStatistics(long SnapshotId) : MetadataUpdate;

    public sealed record SetPartitionStatistics(long SnapshotId, JsonElement Statistics) : MetadataUpdate;

    public sealed record RemovePartitionStatistics(long SnapshotId) : MetadataUpdate;

    public sealed record RemovePartitionSpecs(IReadOnlyList<int> SpecIds) : MetadataUpdate;

    public sealed record RemoveSchemas(IReadOnlyList<int> SchemaIds) : MetadataUpdate;

    public sealed record AddEncryptionKey(JsonElement Key) : MetadataUpdate;

    public sealed record RemoveEncryptionKey(string KeyId) : MetadataUpdate;
}

/// <summary>
/// What must be true of the current metadata for a commit to be applied (Iceberg REST catalog, TableRequirement). The texts are those of
/// Iceberg's reference implementation, which clients and its compatibility kit look for.
/// </summary>
public abstract record TableRequirement
{
    /// <summary>Null when it holds, else what is wrong.</summary>
    /// <param name="current">Null when there is no table.</param>
    public string? Check(TableMetadata? current)
    {
        if (this is AssertCreate)
            return current is null ? null : "table already exists";
        if (current is null)
            return "table does not exist";
        return this switch
        {
            AssertTableUuid r => r.Uuid == current.TableUuid ? null : $"UUID does not match: expected {r.Uuid} != {current.TableUuid}",
            AssertRefSnapshotId r => CheckRef(r, current),
            AssertLastAssignedFieldId r => Same("last assigned field id", current.LastColumnId, r.LastAssignedFieldId),
            AssertCurrentSchemaId r => Same("current schema", current.CurrentSchemaId, r.CurrentSchemaId),
            AssertLastAssignedPartitionId r => Same("last assigned partition id", current.LastPartitionId, r.LastAssignedPartitionId),
            AssertDefaultSpecId r => Same("default partition spec", current.DefaultSpecId, r.DefaultSpecId),
            AssertDefaultSortOrderId r => Same("default sort order", current.DefaultSortOrderId, r.DefaultSortOrderId),
            _ => $"unknown requirement {GetType().Name}",
        };
    }

    private static string? Same(string what, int actual, int expected) =>
        actual == expected ? null : $"{what} changed: expected id {expected} != {actual}";

    private static string? CheckRef(AssertRefSnapshotId requirement, TableMetadata current)
    {
        var actual = current.Refs.TryGetValue(requirement.Name, out var reference) ? reference.SnapshotId : (long?)null;
        if (actual == requirement.SnapshotId)
            return null;
        var kind = reference?.Kind == RefKind.Tag ? "tag" : "branch";
        if (requirement.SnapshotId is null)
            return $"{kind} {requirement.Name} was created concurrently";
        return reference is null
            ? $"branch or tag {requirement.Name} is missing, expected {requirement.SnapshotId}"
            : $"{kind} {requirement.Name} has changed: expected id {requirement.SnapshotId} != {actual}";
    }

    public sealed record AssertCreate : TableRequirement;

    public sealed record AssertTableUuid(Guid Uuid) : TableRequirement;

    /// <param name="SnapshotId">Null: the ref must not exist.</param>
    public sealed record AssertRefSnapshotId(string Name, long? SnapshotId) : TableRequirement;

    public sealed record AssertLastAssignedFieldId(int LastAssignedFieldId) : TableRequirement;

    public sealed record AssertCurrentSchemaId(int CurrentSchemaId) : TableRequirement;

    public sealed record AssertLastAssignedPartitionId(int LastAssignedPartitionId) : TableRequirement;

    public sealed record AssertDefaultSpecId(int DefaultSpecId) : TableRequirement;

    public sealed record AssertDefaultSortOrderId(int DefaultSortOrderId) : TableRequirement;
}
