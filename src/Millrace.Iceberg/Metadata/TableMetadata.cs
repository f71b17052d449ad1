using System.Text.Json;
using Millrace.Iceberg.Schemas;

namespace Millrace.Iceberg.Metadata;

/// <summary>
/// The content of one metadata file: immutable; <see cref="TableMetadataBuilder"/> makes the next one. Properties that this version
/// does not know are kept and written back. Thread-safe.
/// </summary>
public sealed record TableMetadata
{
    /// <summary>The newest format version that is understood; the specification's drafts beyond it are refused.</summary>
    public const int NewestVersion = 3;

    public required int FormatVersion { get; init; }

    public required Guid TableUuid { get; init; }

    /// <summary>The table's base, without a trailing slash.</summary>
    public required string Location { get; init; }

    /// <summary>0 in version 1.</summary>
    public long LastSequenceNumber { get; init; }

    public required long LastUpdatedMs { get; init; }

    public required int LastColumnId { get; init; }

    public required IReadOnlyList<IcebergSchema> Schemas { get; init; }

    public required int CurrentSchemaId { get; init; }

    public required IReadOnlyList<PartitionSpec> PartitionSpecs { get; init; }

    public required int DefaultSpecId { get; init; }

    /// <summary>999 when no partition field was ever made.</summary>
    public required int LastPartitionId { get; init; }

    public required IReadOnlyList<SortOrder> SortOrders { get; init; }

    public required int DefaultSortOrderId { get; init; }

    public IReadOnlyDictionary<string, string> Properties { get; init; } = new Dictionary<string, string>();

    public long? CurrentSnapshotId { get; init; }

    public IReadOnlyList<Snapshot> Snapshots { get; init; } = [];

    public IReadOnlyList<SnapshotLogEntry> SnapshotLog { get; init; } = [];

    public IReadOnlyList<MetadataLogEntry> MetadataLog { get; init; } = [];

    public IReadOnlyDictionary<string, SnapshotRef> Refs { get; init; } = new Dictionary<string, SnapshotRef>();

    /// <summary>Statistics files as they stand, by snapshot.</summary>
    public IReadOnlyList<JsonElement> Statistics { get; init; } = [];

    public IReadOnlyList<JsonElement> PartitionStatistics { get; init; } = [];

    /// <summary>v3: the row id that the next new row gets.</summary>
    public long NextRowId { get; init; }

    /// <summary>v3.</summary>
    public IReadOnlyList<JsonElement> EncryptionKeys { get; init; } = [];

    public UnknownFields? Unknown { get; init; }

    public IcebergSchema Schema => SchemaById(CurrentSchemaId) ?? throw new InvalidOperationException("the current schema was checked when the metadata was read");

    public PartitionSpec Spec => SpecById(DefaultSpecId) ?? throw new InvalidOperationException("the default spec was checked when the metadata was read");

    public Snapshot? CurrentSnapshot => CurrentSnapshotId is { } id ? SnapshotById(id) : null;

    public Snapshot? SnapshotById(long id)
    {
        // Newest last: what is asked for is nearly always near the end.
        for (var i = Snapshots.Count - 1; i >= 0; i--)
        {
            if (Snapshots[i].SnapshotId == id)
                return Snapshots[i];
        }
        return null;
    }

    public IcebergSchema? SchemaById(int id) => Schemas.FirstOrDefault(s => s.SchemaId == id);

    public PartitionSpec? SpecById(int id) => PartitionSpecs.FirstOrDefault(s => s.SpecId == id);

    /// <summary>The snapshot and its ancestors that are still in the metadata, newest first.</summary>
    public IEnumerable<Snapshot> AncestorsOf(long? snapshotId)
    {
        var byId = new Dictionary<long, Snapshot>(Snapshots.Count);
        foreach (var snapshot in Snapshots)
            byId[snapshot.SnapshotId] = snapshot;
        // Each is taken out when it was seen, so that a cycle in broken metadata ends.
        while (snapshotId is { } id && byId.Remove(id, out var snapshot))
        {
            yield return snapshot;
            snapshotId = snapshot.ParentSnapshotId;
        }
    }

    /// <summary>The snapshot that was current at a time, by the snapshot log; null when the table was empty or its history does not reach so far back.</summary>
    public Snapshot? SnapshotAt(DateTimeOffset at)
    {
        var millis = at.ToUnixTimeMilliseconds();
        long? found = null;
        foreach (var entry in SnapshotLog)
        {
            if (entry.TimestampMs <= millis)
                found = entry.SnapshotId;
        }
        return found is { } id ? SnapshotById(id) : null;
    }

    /// <summary>A table property as a number, or the default.</summary>
    public long PropertyNumber(string key, long otherwise) =>
        Properties.TryGetValue(key, out var text) && long.TryParse(text, out var value) ? value : otherwise;

    /// <summary>Reads a metadata file.</summary>
    /// <param name="file">What errors call it.</param>
    /// <exception cref="InvalidMetadataException">It breaks the specification, or its version is not understood.</exception>
    public static TableMetadata Read(ReadOnlyMemory<byte> json, string file) => TableMetadataReader.Read(json, file);

    /// <summary>The metadata as JSON in its own format version.</summary>
    public byte[] ToJson() => TableMetadataWriter.Write(this);
}
