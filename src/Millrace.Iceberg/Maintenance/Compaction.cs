using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Commits;
using Millrace.Iceberg.Files;
using Millrace.Iceberg.Manifests;
using Millrace.Iceberg.Metadata;
using Millrace.Iceberg.Scans;

namespace Millrace.Iceberg.Maintenance;

/// <summary>Bounds of <see cref="Compaction"/>.</summary>
public sealed record CompactionOptions
{
    /// <summary>Size of the files to make (write.target-file-size-bytes when the table has it).</summary>
    public long TargetFileBytes { get; init; } = 512L << 20;

    /// <summary>A file below this share of the target is small.</summary>
    public double SmallShare { get; init; } = 0.75;

    /// <summary>A partition is rewritten when it has so many small files, or files with deletes.</summary>
    public int MinInputFiles { get; init; } = 5;

    /// <summary>
    /// Above 1, only files whose sizes lie within this factor are put together, so that one run after the other does not write the same
    /// rows again and again (size-tiered, as in log-structured merge trees). 0 takes all small files at once.
    /// </summary>
    public double SizeStep { get; init; }

    /// <summary>The most bytes that one run rewrites; the rest waits for the next.</summary>
    public long MaxBytes { get; init; } = 8L << 30;

    /// <summary>Of the writer that makes the new files.</summary>
    public ParquetWriterOptions Writer { get; init; } = new();
}

/// <summary>What compaction did.</summary>
public sealed record CompactionResult(Snapshot? Snapshot, int FilesBefore, int FilesAfter, long BytesBefore, long BytesAfter);

/// <summary>
/// Rewrites small files, and files with deletes, into larger ones: same rows, one <c>replace</c> snapshot. New files carry the data
/// sequence number of the state that was read, so that equality deletes committed meanwhile still reach their rows.
/// </summary>
public static class Compaction
{
    private const double SmallestTier = 64 << 10;

    /// <exception cref="RewriteOvertakenException">The rewritten files were changed meanwhile; nothing was done.</exception>
    public static CompactionResult Run(Table table, CompactionOptions? options = null, CancellationToken cancellation = default)
    {
        options ??= new CompactionOptions();
        var (scan, chosen, target) = Look(table, options);
        if (chosen.Count == 0)
            return new CompactionResult(null, 0, 0, 0, 0);
        var sequence = scan.Snapshot!.SequenceNumber;
        var bytesBefore = chosen.Sum(t => t.File.FileSizeInBytes);
        var added = new List<DataFile>();
        using (var writer = new ParquetWriter(table, options.Writer with { TargetFileBytes = target }))
        {
            // One partition at a time: its files come together, and memory stays that of one.
            foreach (var group in chosen.GroupBy(t => SummaryChange.KeyOf(t.File)))
            {
                cancellation.ThrowIfCancellationRequested();
                var tasks = group.ToList();
                added.AddRange(writer.WriteQuery(ScanSqlWriter.Write(table, scan.Only(tasks), null), tasks.Sum(t => t.File.FileSizeInBytes)));
            }
        }
        var snapshot = Replace(table, chosen, added, sequence);
        return new CompactionResult(snapshot, chosen.Count, added.Count, bytesBefore, added.Sum(f => f.FileSizeInBytes));
    }

    /// <summary>What <see cref="Run"/> would rewrite; the sizes of what it would make are estimates.</summary>
    public static CompactionResult Preview(Table table, CompactionOptions? options = null)
    {
        var (_, chosen, target) = Look(table, options ?? new CompactionOptions());
        var after = chosen.GroupBy(t => SummaryChange.KeyOf(t.File)).Sum(g => (int)(g.Sum(t => t.File.FileSizeInBytes) / target) + 1);
        var bytes = chosen.Sum(t => t.File.FileSizeInBytes);
        return new CompactionResult(null, chosen.Count, after, bytes, bytes);
    }

    private static (TableScan Scan, List<FileScanTask> Chosen, long Target) Look(Table table, CompactionOptions options)
    {
        if (table.Metadata.FormatVersion >= 3)
            throw new IcebergException($"{table.Ident} has format version 3, whose row ids a rewrite must carry over; that cannot be done yet");
        var target = table.Metadata.PropertyNumber("write.target-file-size-bytes", options.TargetFileBytes);
        var scan = table.PlanFiles();
        return (scan, Choose(scan, target, options), target);
    }

    private static List<FileScanTask> Choose(TableScan scan, long target, CompactionOptions options)
    {
        var chosen = new List<FileScanTask>();
        var bytes = 0L;
        foreach (var group in scan.Files.GroupBy(t => SummaryChange.KeyOf(t.File)))
        {
            var candidates = group.Where(t => t.Deletes.Count > 0 || t.File.FileSizeInBytes < target * options.SmallShare);
            foreach (var tier in candidates.GroupBy(t => TierOf(t, options.SizeStep)))
            {
                if (tier.Count() < options.MinInputFiles && !tier.Any(t => t.Deletes.Count > 0))
                    continue;
                foreach (var task in tier)
                {
                    if (bytes + task.File.FileSizeInBytes > options.MaxBytes)
                        return chosen;
                    bytes += task.File.FileSizeInBytes;
                    chosen.Add(task);
                }
            }
        }
        return chosen;
    }

    private static int TierOf(FileScanTask task, double step) =>
        step <= 1 ? 0 : (int)Math.Log(Math.Max(1, task.File.FileSizeInBytes / SmallestTier), step);

    private static Snapshot Replace(Table table, List<FileScanTask> removed, List<DataFile> added, long sequence)
    {
        var deletesSeen = removed.ToDictionary(t => t.File.Path, t => Positions(t.Deletes), StringComparer.Ordinal);
        var commit = new SnapshotCommit(table);
        ManifestFile? addition = null;
        return commit.Commit(
            new Dictionary<string, string>(),
            (metadata, before) =>
            {
                CheckUnchanged(table, deletesSeen);
                var change = new SummaryChange();
                if (added.Count > 0)
                {
                    addition ??= commit.WriteManifest(metadata, metadata.SpecById(added[0].SpecId)!, ManifestContent.Data, writer =>
                    {
                        foreach (var file in added)
                            writer.Add(file, sequence);
                    });
                }
                foreach (var file in added)
                    change.Add(file);
                var manifests = addition is null ? new List<ManifestFile>() : [addition];
                foreach (var manifest in before.Where(m => m.MayHaveLiveFiles))
                    manifests.Add(Without(commit, table.Storage, metadata, manifest, deletesSeen, change));
                return new SnapshotDraft("replace", manifests, change, []);
            });
    }

    private static string Positions(IReadOnlyList<ManifestEntry> deletes) =>
        string.Join('\n', deletes.Where(d => d.File.Content == FileContent.PositionDeletes).Select(d => $"{d.File.Path}#{d.File.ContentOffset}").Order(StringComparer.Ordinal));

    /// <summary>Positions deleted in a file after it was read would be lost with it, and a file that is gone must not come back.</summary>
    private static void CheckUnchanged(Table table, Dictionary<string, string> deletesSeen)
    {
        var now = table.PlanFiles().Files.Where(t => deletesSeen.ContainsKey(t.File.Path)).ToDictionary(t => t.File.Path, StringComparer.Ordinal);
        foreach (var (path, deletes) in deletesSeen)
        {
            if (!now.TryGetValue(path, out var task) || Positions(task.Deletes) != deletes)
                throw new RewriteOvertakenException($"{table.Ident}: {path} was changed while it was rewritten; run the compaction again");
        }
    }

    private static ManifestFile Without(
        SnapshotCommit commit, TableStorage storage, TableMetadata metadata, ManifestFile manifest, Dictionary<string, string> removed, SummaryChange change)
    {
        if (manifest.Content != ManifestContent.Data)
            return manifest;
        var entries = storage.ReadManifest(manifest, metadata);
        if (!entries.Any(e => e.IsLive && removed.ContainsKey(e.File.Path)))
            return manifest;
        return commit.WriteManifest(metadata, metadata.SpecById(manifest.SpecId)!, ManifestContent.Data, writer =>
        {
            foreach (var entry in entries.Where(e => e.IsLive))
            {
                if (removed.ContainsKey(entry.File.Path))
                {
                    writer.Delete(entry);
                    change.Remove(entry.File);
                }
                else
                {
                    writer.Keep(entry);
                }
            }
        });
    }
}

/// <summary>The files that a rewrite replaces were changed meanwhile. Nothing was done; its new files are orphans.</summary>
public sealed class RewriteOvertakenException(string message) : IcebergException(message);
