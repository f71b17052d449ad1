using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Commits;
using Millrace.Iceberg.Manifests;
using Millrace.Iceberg.Metadata;
using Millrace.Iceberg.Schemas;

namespace Millrace.Iceberg.Scans;

/// <summary>Which state of a table to read.</summary>
public abstract record ScanTarget
{
    public static readonly ScanTarget Current = new CurrentState();

    public sealed record CurrentState : ScanTarget;

    public sealed record AtSnapshot(long SnapshotId) : ScanTarget;

    /// <summary>The snapshot that was current at that time.</summary>
    public sealed record AsOf(DateTimeOffset Time) : ScanTarget;

    /// <summary>A branch or tag.</summary>
    public sealed record AtRef(string Name) : ScanTarget;
}

/// <summary>A data file and the delete files that apply to it.</summary>
public sealed record FileScanTask(DataFile File, long SequenceNumber, IReadOnlyList<ManifestEntry> Deletes);

/// <summary>The files of one snapshot.</summary>
public sealed class TableScan
{
    private TableScan(Snapshot? snapshot, IcebergSchema schema, IReadOnlyList<FileScanTask> files)
    {
        Snapshot = snapshot;
        Schema = schema;
        Files = files;
    }

    /// <summary>Null for a table without snapshots.</summary>
    public Snapshot? Snapshot { get; }

    /// <summary>What its rows look like: the current schema for the current state and branches, else the snapshot's own.</summary>
    public IcebergSchema Schema { get; }

    public IReadOnlyList<FileScanTask> Files { get; }

    /// <summary>Rows in the data files, deletes not taken off.</summary>
    public long RecordCount => Files.Sum(f => f.File.RecordCount);

    public bool HasDeletes => Files.Any(f => f.Deletes.Count > 0);

    /// <summary>The same state with some of its files.</summary>
    internal TableScan Only(IReadOnlyList<FileScanTask> files) => new(Snapshot, Schema, files);

    internal static TableScan Plan(Table table, ScanTarget target)
    {
        var metadata = table.Metadata;
        var (snapshot, ownSchema) = Find(metadata, target);
        var schema = ownSchema && snapshot?.SchemaId is { } id ? metadata.SchemaById(id) ?? metadata.Schema : metadata.Schema;
        if (snapshot is null)
            return new TableScan(null, schema, []);
        var data = new List<ManifestEntry>();
        var deletes = new List<ManifestEntry>();
        foreach (var manifest in table.Storage.ReadManifests(snapshot))
        {
            if (!manifest.MayHaveLiveFiles)
                continue;
            foreach (var entry in table.Storage.ReadManifest(manifest, metadata))
            {
                if (entry.IsLive)
                    (entry.File.Content == FileContent.Data ? data : deletes).Add(entry);
            }
        }
        var index = new DeleteIndex(metadata, deletes);
        return new TableScan(snapshot, schema, data.Select(e => new FileScanTask(e.File, e.SequenceNumber, index.For(e))).ToArray());
    }

    private static (Snapshot? Snapshot, bool OwnSchema) Find(TableMetadata metadata, ScanTarget target)
    {
        switch (target)
        {
            case ScanTarget.AtSnapshot t:
                return (metadata.SnapshotById(t.SnapshotId) ?? throw new IcebergException(
                    $"there is no snapshot {t.SnapshotId}; it may have expired. The newest is {metadata.CurrentSnapshotId}"), true);
            case ScanTarget.AsOf t:
                return (metadata.SnapshotAt(t.Time) ?? throw new IcebergException(
                    $"no snapshot was current at {t.Time:O}; the history begins {(metadata.SnapshotLog.Count > 0 ? DateTimeOffset.FromUnixTimeMilliseconds(metadata.SnapshotLog[0].TimestampMs).ToString("O") : "nowhere")}"), true);
            case ScanTarget.AtRef t:
                if (!metadata.Refs.TryGetValue(t.Name, out var reference))
                    throw new IcebergException($"there is no branch or tag '{t.Name}'; there are {string.Join(", ", metadata.Refs.Keys.Order(StringComparer.Ordinal))}");
                return (metadata.SnapshotById(reference.SnapshotId), reference.Kind == RefKind.Tag);
            default:
                return (metadata.CurrentSnapshot, false);
        }
    }

    /// <summary>Which deletes apply to a file (Iceberg spec, Scan Planning): by sequence number, spec and partition.</summary>
    private sealed class DeleteIndex
    {
        private readonly List<ManifestEntry> _globalEquality = [];
        private readonly Dictionary<string, List<ManifestEntry>> _byPartition = new(StringComparer.Ordinal);
        private readonly Dictionary<string, ManifestEntry> _vectors = new(StringComparer.Ordinal);
        private readonly bool _isEmpty;

        public DeleteIndex(TableMetadata metadata, List<ManifestEntry> deletes)
        {
            _isEmpty = deletes.Count == 0;
            foreach (var delete in deletes)
            {
                if (delete.File.IsDeletionVector)
                {
                    _vectors[delete.File.ReferencedDataFile ?? throw new IcebergException($"the deletion vector {delete.File.Path} names no data file")] = delete;
                }
                else if (delete.File.Content == FileContent.EqualityDeletes && metadata.SpecById(delete.File.SpecId)?.IsUnpartitioned != false)
                {
                    _globalEquality.Add(delete);
                }
                else
                {
                    var key = SummaryChange.KeyOf(delete.File);
                    if (!_byPartition.TryGetValue(key, out var list))
                        _byPartition[key] = list = [];
                    list.Add(delete);
                }
            }
        }

        public IReadOnlyList<ManifestEntry> For(ManifestEntry data)
        {
            if (_isEmpty)
                return [];
            var applicable = new List<ManifestEntry>();
            if (_vectors.TryGetValue(data.File.Path, out var vector) && data.SequenceNumber <= vector.SequenceNumber)
                applicable.Add(vector);
            else
                vector = null;
            foreach (var delete in _globalEquality)
            {
                if (data.SequenceNumber < delete.SequenceNumber)
                    applicable.Add(delete);
            }
            foreach (var delete in _byPartition.GetValueOrDefault(SummaryChange.KeyOf(data.File)) ?? [])
            {
                if (delete.File.Content == FileContent.EqualityDeletes)
                {
                    if (data.SequenceNumber < delete.SequenceNumber)
                        applicable.Add(delete);
                }
                else if (vector is null && data.SequenceNumber <= delete.SequenceNumber && delete.File.ReferencedDataFile is var referenced
                    && (referenced is null || referenced == data.File.Path))
                {
                    applicable.Add(delete);
                }
            }
            return applicable;
        }
    }
}
