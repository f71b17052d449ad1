using Millrace.Iceberg.Catalogs;
using Millrace.Storage.Files;

namespace Millrace.Iceberg.Maintenance;

/// <param name="OlderThan">Younger files may belong to a commit that is under way.</param>
/// <param name="DryRun">Tells without deleting.</param>
public sealed record OrphanOptions(TimeSpan OlderThan, bool DryRun = false)
{
    /// <summary>Iceberg's own tools wait three days.</summary>
    public OrphanOptions()
        : this(TimeSpan.FromDays(3))
    {
    }
}

/// <summary>Deletes files in a table's folder that nothing names: left by crashes and by commits that lost.</summary>
public static class OrphanRemoval
{
    /// <returns>The files that were deleted, or would be.</returns>
    public static IReadOnlyList<string> Run(Table table, OrphanOptions? options = null)
    {
        options ??= new OrphanOptions();
        var storage = table.Storage;
        // The state is read after the listing: what was committed in between is then known, and what is listed later is young.
        var listed = new List<string>();
        foreach (var folder in new[] { table.DataFolder, table.MetadataFolder, Path.GetDirectoryName(table.MetadataLocation)! }.Distinct())
            List(storage.Files, folder, listed);
        table.Refresh();
        var live = new ReachableFiles(table.Metadata, storage);
        live.MarkLists();
        live.MarkFiles();
        var named = new HashSet<string>(StringComparer.Ordinal);
        foreach (var path in live.Lists.Concat(live.Manifests).Concat(live.Files).Append(table.MetadataLocation)
            .Concat(table.Metadata.MetadataLog.Select(m => m.MetadataFile)).Concat(StatisticsOf(table)))
            named.Add(storage.Resolve(path));
        var deleted = new List<string>();
        foreach (var path in listed)
        {
            if (named.Contains(path) || IsOurs(path) || storage.Now - storage.Options.LastWritten(path) < options.OlderThan)
                continue;
            if (!options.DryRun)
                storage.Files.DeleteFile(path);
            deleted.Add(path);
        }
        return deleted;
    }

    private static bool IsOurs(string path) => Path.GetFileName(path) is "version-hint.text" or "commit.lock" || path.EndsWith(".metadata.json", StringComparison.Ordinal);

    private static IEnumerable<string> StatisticsOf(Table table) => table.Metadata.Statistics.Concat(table.Metadata.PartitionStatistics)
        .Select(s => s.TryGetProperty("statistics-path", out var path) ? path.GetString() : null).OfType<string>();

    private static void List(IFileSystem files, string folder, List<string> into)
    {
        if (!files.FolderExists(folder))
            return;
        foreach (var name in files.ListFiles(folder))
            into.Add($"{folder}/{name}");
        foreach (var name in files.ListFolders(folder))
            List(files, $"{folder}/{name}", into);
    }
}
