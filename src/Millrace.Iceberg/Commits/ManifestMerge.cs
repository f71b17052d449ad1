using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Manifests;
using Millrace.Iceberg.Metadata;

namespace Millrace.Iceberg.Commits;

/// <summary>
/// Joins small manifests when there are many, so that a table that is committed to every few seconds stays quick to plan. Options are
/// Iceberg's own table properties.
/// </summary>
internal static class ManifestMerge
{
    private const string EnabledProperty = "commit.manifest-merge.enabled";
    private const string MinCountProperty = "commit.manifest.min-count-to-merge";
    private const string TargetSizeProperty = "commit.manifest.target-size-bytes";
    private const int DefaultMinCount = 100;
    private const long DefaultTargetSize = 8 << 20;

    /// <summary>The manifests that the next snapshot takes over, merged where that is due; dead ones are left out.</summary>
    public static IReadOnlyList<ManifestFile> Apply(
        SnapshotCommit commit, TableStorage storage, TableMetadata metadata, IReadOnlyList<ManifestFile> manifests)
    {
        var live = manifests.Where(m => m.MayHaveLiveFiles).ToList();
        var minCount = metadata.PropertyNumber(MinCountProperty, DefaultMinCount);
        if (live.Count < minCount || metadata.Properties.GetValueOrDefault(EnabledProperty, "true") != "true")
            return live;
        var target = metadata.PropertyNumber(TargetSizeProperty, DefaultTargetSize);
        var result = new List<ManifestFile>();
        foreach (var group in live.GroupBy(m => (m.SpecId, m.Content)))
        {
            var small = group.Where(m => m.Length < target).ToList();
            var spec = metadata.SpecById(group.Key.SpecId);
            // Row ids of a v3 manifest are counted in its order, which merging would change.
            if (small.Count < minCount || spec is null || !ManifestWriter.CanWrite(metadata, spec)
                || (metadata.FormatVersion >= 3 && group.Key.Content == ManifestContent.Data && small.Any(m => m.FirstRowId is null)))
            {
                result.AddRange(group);
                continue;
            }
            result.AddRange(group.Where(m => m.Length >= target));
            foreach (var bin in Bins(small, target))
                result.Add(bin.Count == 1 ? bin[0] : Merge(commit, storage, metadata, spec, bin));
        }
        return result;
    }

    private static IEnumerable<List<ManifestFile>> Bins(List<ManifestFile> manifests, long target)
    {
        var bin = new List<ManifestFile>();
        var bytes = 0L;
        foreach (var manifest in manifests)
        {
            if (bin.Count > 0 && bytes + manifest.Length > target)
            {
                yield return bin;
                bin = [];
                bytes = 0;
            }
            bin.Add(manifest);
            bytes += manifest.Length;
        }
        if (bin.Count > 0)
            yield return bin;
    }

    private static ManifestFile Merge(SnapshotCommit commit, TableStorage storage, TableMetadata metadata, PartitionSpec spec, List<ManifestFile> bin)
    {
        var merged = commit.WriteManifest(metadata, spec, bin[0].Content, writer =>
        {
            foreach (var manifest in bin)
            {
                // Reading fills in what entries inherited, so that the files keep their sequence numbers and row ids.
                foreach (var entry in storage.ReadManifest(manifest, metadata))
                {
                    if (entry.IsLive)
                        writer.Keep(entry);
                }
            }
        });
        // The least first row id of its parts: the files carry their own, and no new ids may be given out for them.
        return metadata.FormatVersion >= 3 && bin[0].Content == ManifestContent.Data
            ? merged with { FirstRowId = bin.Min(m => m.FirstRowId) }
            : merged;
    }
}
