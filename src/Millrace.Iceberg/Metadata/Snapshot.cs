namespace Millrace.Iceberg.Metadata;

/// <summary>A table's state at one commit.</summary>
/// <remarks>Ids use all 63 bits and the timestamp is in milliseconds since 1970 UTC.</remarks>
public sealed record Snapshot
{
    public required long SnapshotId { get; init; }

    public long? ParentSnapshotId { get; init; }

    /// <summary>0 in version 1 tables.</summary>
    public long SequenceNumber { get; init; }

    public required long TimestampMs { get; init; }

    /// <summary>The manifest list's path; null in old version 1 snapshots, which name their <see cref="Manifests"/>.</summary>
    public string? ManifestList { get; init; }

    /// <summary>Version 1 without a manifest list: the manifests' paths.</summary>
    public IReadOnlyList<string>? Manifests { get; init; }

    /// <summary>The operation, totals, and keys of whoever committed.</summary>
    public IReadOnlyDictionary<string, string> Summary { get; init; } = new Dictionary<string, string>();

    public int? SchemaId { get; init; }

    /// <summary>v3: the row id of the first row that this snapshot added.</summary>
    public long? FirstRowId { get; init; }

    /// <summary>v3: how far the snapshot moved the table's next row id.</summary>
    public long? AddedRows { get; init; }

    /// <summary>v3: the key that the manifest list is encrypted with.</summary>
    public string? KeyId { get; init; }

    public UnknownFields? Unknown { get; init; }

    public DateTimeOffset At => DateTimeOffset.FromUnixTimeMilliseconds(TimestampMs);

    /// <summary>append, replace, overwrite or delete; empty when unknown.</summary>
    public string Operation => Summary.GetValueOrDefault("operation", "");

    /// <summary>A summary value that is a number, or null.</summary>
    public long? Total(string key) => Summary.TryGetValue(key, out var text) && long.TryParse(text, out var value) ? value : null;
}

public enum RefKind
{
    Branch,
    Tag,
}

/// <summary>A branch or tag.</summary>
public sealed record SnapshotRef(long SnapshotId, RefKind Kind)
{
    public const string Main = "main";

    /// <summary>Branch only: expiry keeps at least so many of its snapshots.</summary>
    public int? MinSnapshotsToKeep { get; init; }

    /// <summary>Branch only: expiry keeps its snapshots that are younger.</summary>
    public long? MaxSnapshotAgeMs { get; init; }

    /// <summary>The ref itself ends when its snapshot is older; never main.</summary>
    public long? MaxRefAgeMs { get; init; }
}

/// <summary>When a snapshot became current.</summary>
public readonly record struct SnapshotLogEntry(long TimestampMs, long SnapshotId);

/// <summary>An earlier metadata file.</summary>
public readonly record struct MetadataLogEntry(long TimestampMs, string MetadataFile);
