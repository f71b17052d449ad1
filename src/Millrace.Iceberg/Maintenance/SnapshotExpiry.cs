using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Manifests;
using Millrace.Iceberg.Metadata;

namespace Millrace.Iceberg.Maintenance;

/// <summary>What expiry keeps beyond what branches and tags ask for. Null takes the table's property, then Iceberg's default.</summary>
/// <param name="MaxSnapshotAge">Younger snapshots stay (history.expire.max-snapshot-age-ms; 5 days).</param>
/// <param name="MinSnapshotsToKeep">So many of each branch stay (history.expire.min-snapshots-to-keep; 1).</param>
/// <param name="DryRun">Tells without doing.</param>
public sealed record ExpiryOptions(TimeSpan? MaxSnapshotAge = null, int? MinSnapshotsToKeep = null, bool DryRun = false);

/// <summary>What expiry took away.</summary>
public sealed record ExpiryResult(IReadOnlyList<long> Snapshots, IReadOnlyList<string> Refs, int ManifestLists, int Manifests, int DataFiles, long DataBytes);

/// <summary>
/// Takes old snapshots out of a table and deletes the files that no snapshot needs any more: marked from every snapshot that stays
/// (branches and tags included), swept from those that went (Iceberg spec, Snapshot Retention Policy).
/// </summary>
public static class SnapshotExpiry
{
    internal const string MaxAgeProperty = "history.expire.max-snapshot-age-ms";
    internal const string MinKeepProperty = "history.expire.min-snapshots-to-keep";

    private const long DefaultMaxAgeMs = 5L * 24 * 3600 * 1000;

    /// <summary>Expires and deletes. The metadata is committed first, so a crash on the way leaves orphans, never a hole.</summary>
    public static ExpiryResult Run(Table table, ExpiryOptions? options = null)
    {
        options ??= new ExpiryOptions();
        var before = table.Metadata;
        IReadOnlyList<long> snapshots = [];
        IReadOnlyList<string> refs = [];
        TableMetadata after;
        if (options.DryRun)
        {
            after = TableMetadataBuilder.Apply(before, Updates(before, table.Storage.Now), table.Storage.Now);
        }
        else
        {
            table.Update(metadata =>
            {
                before = metadata;
                // A ref that moved meanwhile may need what this would take.
                return (metadata.Refs.Select(r => new TableRequirement.AssertRefSnapshotId(r.Key, r.Value.SnapshotId)).ToArray(), Updates(metadata, table.Storage.Now));
            });
            after = table.Metadata;
        }
        if (snapshots.Count == 0)
            return new ExpiryResult([], refs, 0, 0, 0, 0);
        var gone = snapshots.ToHashSet();
        return Sweep(table.Storage, after, before.Snapshots.Where(s => gone.Contains(s.SnapshotId)).ToArray(), before, options.DryRun) with { Refs = refs };

        List<MetadataUpdate> Updates(TableMetadata metadata, DateTimeOffset now)
        {
            (snapshots, refs) = Expired(metadata, options, now);
            List<MetadataUpdate> updates = [.. refs.Select(name => new MetadataUpdate.RemoveSnapshotRef(name))];
            if (snapshots.Count > 0)
                updates.Add(new MetadataUpdate.RemoveSnapshots(snapshots));
            return updates;
        }
    }

    /// <summary>Which snapshots and refs are due: a pure function of the metadata and the time.</summary>
    internal static (IReadOnlyList<long> Snapshots, IReadOnlyList<string> Refs) Expired(TableMetadata metadata, ExpiryOptions options, DateTimeOffset now)
    {
        var nowMs = now.ToUnixTimeMilliseconds();
        var maxAge = options.MaxSnapshotAge is { } age ? (long)age.TotalMilliseconds : metadata.PropertyNumber(MaxAgeProperty, DefaultMaxAgeMs);
        var minKeep = options.MinSnapshotsToKeep ?? (int)metadata.PropertyNumber(MinKeepProperty, 1);
        var maxRefAge = metadata.PropertyNumber("history.expire.max-ref-age-ms", long.MaxValue);
        var refs = new List<string>();
        var keep = new HashSet<long>();
        var onBranches = new HashSet<long>();
        foreach (var (name, reference) in metadata.Refs)
        {
            var snapshot = metadata.SnapshotById(reference.SnapshotId)!;
            if (name != SnapshotRef.Main && nowMs - snapshot.TimestampMs > (reference.MaxRefAgeMs ?? maxRefAge))
            {
                refs.Add(name);
                continue;
            }
            keep.Add(snapshot.SnapshotId);
            onBranches.Add(snapshot.SnapshotId);
            if (reference.Kind == RefKind.Tag)
                continue;
            var kept = 0;
            foreach (var ancestor in metadata.AncestorsOf(snapshot.SnapshotId))
            {
                onBranches.Add(ancestor.SnapshotId);
                if (kept < (reference.MinSnapshotsToKeep ?? minKeep) || nowMs - ancestor.TimestampMs <= (reference.MaxSnapshotAgeMs ?? maxAge))
                {
                    keep.Add(ancestor.SnapshotId);
                    kept++;
                }
            }
        }
        var expired = metadata.Snapshots
            // What is on no branch (rolled back, staged) stays until it is old.
            .Where(s => !keep.Contains(s.SnapshotId) && (onBranches.Contains(s.SnapshotId) || nowMs - s.TimestampMs > maxAge))
            .Select(s => s.SnapshotId).ToArray();
        return (expired, refs);
    }

    private static ExpiryResult Sweep(TableStorage storage, TableMetadata after, Snapshot[] expired, TableMetadata before, bool dryRun)
    {
        var live = new ReachableFiles(after, storage);
        live.MarkLists();
        var manifests = new Dictionary<string, ManifestFile>(StringComparer.Ordinal);
        foreach (var snapshot in expired)
        {
            foreach (var manifest in storage.ReadManifests(snapshot))
            {
                if (!live.Manifests.Contains(manifest.Path))
                    manifests[manifest.Path] = manifest;
            }
        }
        var files = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (var manifest in manifests.Values)
        {
            foreach (var entry in storage.ReadManifest(manifest, before))
                files[entry.File.Path] = entry.File.FileSizeInBytes;
        }
        if (files.Count > 0)
        {
            live.MarkFiles();
            foreach (var path in live.Files)
                files.Remove(path);
        }
        var lists = expired.Select(s => s.ManifestList).OfType<string>().Where(p => !live.Lists.Contains(p)).ToArray();
        if (!dryRun)
        {
            foreach (var path in files.Keys.Concat(manifests.Keys).Concat(lists))
                Delete(storage, path);
        }
        return new ExpiryResult(expired.Select(s => s.SnapshotId).ToArray(), [], lists.Length, manifests.Count, files.Count, files.Values.Sum());
    }

    internal static void Delete(TableStorage storage, string path)
    {
        var resolved = storage.Resolve(path);
        if (storage.Files.FileExists(resolved))
            storage.Files.DeleteFile(resolved);
    }
}

/// <summary>All that the snapshots of a table's present state can reach.</summary>
internal sealed class ReachableFiles(TableMetadata metadata, TableStorage storage)
{
    private readonly Dictionary<string, ManifestFile> _manifests = new(StringComparer.Ordinal);

    public HashSet<string> Lists { get; } = new(StringComparer.Ordinal);

    public HashSet<string> Manifests { get; } = new(StringComparer.Ordinal);

    /// <summary>Data and delete files.</summary>
    public HashSet<string> Files { get; } = new(StringComparer.Ordinal);

    public void MarkLists()
    {
        foreach (var snapshot in metadata.Snapshots)
        {
            if (snapshot.ManifestList is { } list)
                Lists.Add(list);
            foreach (var manifest in storage.ReadManifests(snapshot))
            {
                Manifests.Add(manifest.Path);
                _manifests[manifest.Path] = manifest;
            }
        }
    }

    public void MarkFiles()
    {
        foreach (var manifest in _manifests.Values)
        {
            foreach (var entry in storage.ReadManifest(manifest, metadata))
            {
                if (entry.IsLive)
                    Files.Add(entry.File.Path);
            }
        }
    }
}
