using System.Globalization;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Manifests;
using Millrace.Iceberg.Metadata;

namespace Millrace.Iceberg.Commits;

/// <summary>What a snapshot adds and takes away, for its summary.</summary>
internal sealed class SummaryChange
{
    private readonly HashSet<string> _partitions = new(StringComparer.Ordinal);

    public long AddedFiles { get; private set; }

    public long RemovedFiles { get; private set; }

    public long AddedRecords { get; private set; }

    public long RemovedRecords { get; private set; }

    public long AddedBytes { get; private set; }

    public long RemovedBytes { get; private set; }

    public long RemovedDeleteFiles { get; set; }

    public long RemovedPositionDeletes { get; set; }

    public long RemovedEqualityDeletes { get; set; }

    public int ChangedPartitions => _partitions.Count;

    public void Add(DataFile file)
    {
        AddedFiles++;
        AddedRecords += file.RecordCount;
        AddedBytes += file.FileSizeInBytes;
        _partitions.Add(KeyOf(file));
    }

    public void Remove(DataFile file)
    {
        RemovedBytes += file.FileSizeInBytes;
        _partitions.Add(KeyOf(file));
        if (file.Content == FileContent.Data)
        {
            RemovedFiles++;
            RemovedRecords += file.RecordCount;
            return;
        }
        RemovedDeleteFiles++;
        if (file.Content == FileContent.PositionDeletes)
            RemovedPositionDeletes += file.RecordCount;
        else
            RemovedEqualityDeletes += file.RecordCount;
    }

    internal static string KeyOf(DataFile file) => file.SpecId.ToString(CultureInfo.InvariantCulture) + "|"
        + string.Join('|', file.Partition.Select(v => v switch
        {
            null => "~",
            byte[] bytes => "x" + Convert.ToHexString(bytes),
            string text => "s" + text.Replace("|", "||", StringComparison.Ordinal),
            _ => "v" + Convert.ToString(v, CultureInfo.InvariantCulture),
        }));
}

/// <summary>What one attempt of a commit would put into the table.</summary>
internal sealed record SnapshotDraft(string Operation, IReadOnlyList<ManifestFile> Manifests, SummaryChange Change, IReadOnlyList<MetadataUpdate> MoreUpdates);

/// <summary>
/// Makes a snapshot and moves a branch to it; when somebody else was first, does it again on the newest state. Data files and
/// manifests stay from attempt to attempt; sequence number, parent, first row id and the manifest list do not.
/// </summary>
internal sealed class SnapshotCommit
{
    /// <summary>Iceberg's property for how often a commit is tried again.</summary>
    public const string RetriesProperty = "commit.retry.num-retries";

    // Iceberg's default is 4, with waits. Here a lost race costs milliseconds and a lost commit a pipeline's checkpoint.
    public const int DefaultRetries = 50;

    private readonly Table _table;
    private readonly Guid _commitId;
    private readonly List<string> _written = [];
    private int _manifests;

    public SnapshotCommit(Table table)
    {
        _table = table;
        _commitId = table.Storage.Options.NewGuid();
        SnapshotId = NewSnapshotId(table.Storage.Options.NewGuid());
    }

    /// <summary>The same in every attempt.</summary>
    public long SnapshotId { get; }

    private TableStorage Storage => _table.Storage;

    /// <param name="keys">Own keys of the summary.</param>
    /// <param name="build">Makes the draft for a state; called once an attempt.</param>
    /// <param name="alreadyDone">Asked before each attempt: a snapshot that says so ends the commit without a new one.</param>
    /// <exception cref="CommitConflictException">Others were faster more often than the property allows.</exception>
    public Snapshot Commit(
        IReadOnlyDictionary<string, string> keys,
        Func<TableMetadata, IReadOnlyList<ManifestFile>, SnapshotDraft> build,
        Func<TableMetadata, Snapshot?>? alreadyDone = null)
    {
        var retries = _table.Metadata.PropertyNumber(RetriesProperty, DefaultRetries);
        for (var attempt = 0; ; attempt++)
        {
            if (alreadyDone?.Invoke(_table.Metadata) is { } done)
            {
                DeleteExcept([]);
                return done;
            }
            var (snapshot, manifests, updates) = Write(attempt, keys, build);
            var parent = snapshot.ParentSnapshotId;
            try
            {
                _table.Commit(
                    [
                        new TableRequirement.AssertTableUuid(_table.Metadata.TableUuid),
                        new TableRequirement.AssertRefSnapshotId(SnapshotRef.Main, parent),
                        new TableRequirement.AssertDefaultSpecId(_table.Metadata.DefaultSpecId),
                    ],
                    updates);
                DeleteExcept([.. manifests.Select(m => m.Path), snapshot.ManifestList!]);
                return snapshot;
            }
            catch (CommitConflictException error)
            {
                if (attempt >= retries)
                {
                    DeleteExcept([]);
                    throw new CommitConflictException(
                        $"{_table.Ident}: others committed first {attempt + 1} times in a row (property {RetriesProperty}); last: {error.Message}");
                }
                _table.Refresh();
            }
        }
    }

    /// <summary>A new manifest in the table's metadata folder, durable when the manifest list is.</summary>
    public ManifestFile WriteManifest(TableMetadata metadata, PartitionSpec spec, ManifestContent content, Action<ManifestWriter> fill)
    {
        var writer = new ManifestWriter(metadata, spec, content, SnapshotId, Storage.Options.NewGuid());
        fill(writer);
        var path = $"{_table.MetadataFolder}/{_commitId:D}-m{_manifests++}.avro";
        var (bytes, manifest) = writer.Finish(path);
        Storage.WriteNew(path, bytes);
        _written.Add(path);
        return manifest;
    }

    internal static long NewSnapshotId(Guid random)
    {
        Span<byte> bytes = stackalloc byte[16];
        random.TryWriteBytes(bytes);
        var id = (BitConverter.ToInt64(bytes) ^ BitConverter.ToInt64(bytes[8..])) & long.MaxValue;
        return id == 0 ? 1 : id;
    }

    private (Snapshot Snapshot, IReadOnlyList<ManifestFile> Manifests, IReadOnlyList<MetadataUpdate> Updates) Write(
        int attempt, IReadOnlyDictionary<string, string> keys, Func<TableMetadata, IReadOnlyList<ManifestFile>, SnapshotDraft> build)
    {
        var metadata = _table.Metadata;
        if (metadata.FormatVersion < 2)
            throw new IcebergException($"{_table.Ident} has format version 1, which is read only here; upgrade it first: set its format-version to 2");
        var parent = metadata.CurrentSnapshot;
        var before = parent is null ? [] : Counted(metadata, Storage.ReadManifests(parent));
        var draft = build(metadata, before);
        var sequence = metadata.LastSequenceNumber + 1;
        var list = string.Create(CultureInfo.InvariantCulture, $"{_table.MetadataFolder}/snap-{SnapshotId}-{attempt}-{_commitId:D}.avro");
        var (bytes, addedRows) = ManifestList.Write(
            draft.Manifests, metadata.FormatVersion, SnapshotId, parent?.SnapshotId, sequence, metadata.NextRowId, Storage.Options.NewGuid());
        Storage.WriteNew(list, bytes);
        _written.Add(list);
        Storage.FlushFolder(_table.MetadataFolder);
        var snapshot = new Snapshot
        {
            SnapshotId = SnapshotId,
            ParentSnapshotId = parent?.SnapshotId,
            SequenceNumber = sequence,
            TimestampMs = Math.Max(Storage.Now.ToUnixTimeMilliseconds(), metadata.LastUpdatedMs),
            ManifestList = list,
            SchemaId = metadata.CurrentSchemaId,
            Summary = Summary(draft, parent, keys),
            FirstRowId = metadata.FormatVersion >= 3 ? metadata.NextRowId : null,
            AddedRows = metadata.FormatVersion >= 3 ? addedRows : null,
        };
        var reference = metadata.Refs.TryGetValue(SnapshotRef.Main, out var main)
            ? main with { SnapshotId = SnapshotId }
            : new SnapshotRef(SnapshotId, RefKind.Branch);
        return (snapshot, draft.Manifests,
            [new MetadataUpdate.AddSnapshot(snapshot), new MetadataUpdate.SetSnapshotRef(SnapshotRef.Main, reference), .. draft.MoreUpdates]);
    }

    /// <summary>Version 1 writers could leave counts out; a list of version 2 must have them, and 0 would hide the files.</summary>
    private IReadOnlyList<ManifestFile> Counted(TableMetadata metadata, IReadOnlyList<ManifestFile> manifests)
    {
        if (manifests.All(m => m is { AddedFiles: >= 0, ExistingFiles: >= 0, DeletedFiles: >= 0, AddedRows: >= 0, ExistingRows: >= 0, DeletedRows: >= 0 }))
            return manifests;
        return manifests.Select(manifest =>
        {
            var entries = Storage.ReadManifest(manifest, metadata);
            long Rows(EntryStatus status) => entries.Where(e => e.Status == status).Sum(e => e.File.RecordCount);
            int Files(EntryStatus status) => entries.Count(e => e.Status == status);
            return manifest with
            {
                Length = manifest.Length > 0 ? manifest.Length : Storage.ReadAll(manifest.Path, "manifest").Length,
                AddedFiles = Files(EntryStatus.Added),
                ExistingFiles = Files(EntryStatus.Existing),
                DeletedFiles = Files(EntryStatus.Deleted),
                AddedRows = Rows(EntryStatus.Added),
                ExistingRows = Rows(EntryStatus.Existing),
                DeletedRows = Rows(EntryStatus.Deleted),
            };
        }).ToArray();
    }

    private static Dictionary<string, string> Summary(SnapshotDraft draft, Snapshot? parent, IReadOnlyDictionary<string, string> keys)
    {
        var change = draft.Change;
        var summary = new Dictionary<string, string>(StringComparer.Ordinal) { ["operation"] = draft.Operation };
        foreach (var (key, value) in keys)
            summary[key] = value;
        void Set(string key, long value)
        {
            if (value != 0)
                summary[key] = value.ToString(CultureInfo.InvariantCulture);
        }

        // A parent that does not tell its total leaves ours unknown; inventing one would be wrong for ever.
        void Total(string key, long added, long removed)
        {
            var before = parent is null ? 0 : parent.Total(key);
            if (before is { } total)
                summary[key] = (total + added - removed).ToString(CultureInfo.InvariantCulture);
        }

        Set("added-data-files", change.AddedFiles);
        Set("deleted-data-files", change.RemovedFiles);
        Set("added-records", change.AddedRecords);
        Set("deleted-records", change.RemovedRecords);
        Set("added-files-size", change.AddedBytes);
        Set("removed-files-size", change.RemovedBytes);
        Set("removed-delete-files", change.RemovedDeleteFiles);
        Set("removed-position-deletes", change.RemovedPositionDeletes);
        Set("removed-equality-deletes", change.RemovedEqualityDeletes);
        summary["changed-partition-count"] = change.ChangedPartitions.ToString(CultureInfo.InvariantCulture);
        Total("total-records", change.AddedRecords, change.RemovedRecords);
        Total("total-files-size", change.AddedBytes, change.RemovedBytes);
        Total("total-data-files", change.AddedFiles, change.RemovedFiles);
        Total("total-delete-files", 0, change.RemovedDeleteFiles);
        Total("total-position-deletes", 0, change.RemovedPositionDeletes);
        Total("total-equality-deletes", 0, change.RemovedEqualityDeletes);
        return summary;
    }

    /// <summary>Deletes what earlier attempts wrote in vain. Failing to leaves orphans, which maintenance removes.</summary>
    private void DeleteExcept(HashSet<string> needed)
    {
        foreach (var path in _written)
        {
            if (needed.Contains(path) || !Storage.Files.FileExists(path))
                continue;
            try
            {
                Storage.Files.DeleteFile(path);
            }
            catch (IOException)
            {
                return;
            }
        }
    }
}
