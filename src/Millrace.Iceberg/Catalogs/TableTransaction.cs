using System.Text.Json;
using Millrace.Iceberg.Metadata;
using Millrace.Storage.Files;

namespace Millrace.Iceberg.Catalogs;

/// <summary>One table's part of a commit of several.</summary>
public sealed record TableChange(TableIdent Ident, IReadOnlyList<TableRequirement> Requirements, IReadOnlyList<MetadataUpdate> Updates);

/// <summary>
/// Commits several tables at once. All new metadata files are written and flushed under other names, then one intent file names them:
/// that is the commit. The renames that follow are finished by whoever comes next when the process dies among them.
/// </summary>
internal sealed class TableTransaction(IFileSystem files, string warehouse, FolderCatalogOptions options, TimeProvider time)
{
    private readonly string _folder = warehouse + "/.transactions";

    /// <summary>Finishes transactions that were cut off. Costs one look at the disk when there are none.</summary>
    public void Recover()
    {
        if (!files.FolderExists(_folder))
            return;
        foreach (var name in files.ListFiles(_folder))
        {
            if (!name.EndsWith(".json", StringComparison.Ordinal))
                continue;
            var path = $"{_folder}/{name}";
            if (ReadIntent(path) is not { } renames)
                continue;
            var locks = Lock(renames.Select(r => Path.GetDirectoryName(r.To)!));
            try
            {
                // Its writer may have been alive and finished while the locks were waited for.
                if (files.FileExists(path))
                    Finish(path, renames);
            }
            finally
            {
                Release(locks);
            }
        }
    }

    /// <summary>Locks metadata folders in one order for all, so that two transactions never wait for each other.</summary>
    public List<TableLock> Lock(IEnumerable<string> folders)
    {
        var locks = new List<TableLock>();
        try
        {
            foreach (var folder in folders.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal))
                locks.Add(TableLock.Take(files, folder, options, time));
            return locks;
        }
        catch
        {
            Release(locks);
            throw;
        }
    }

    public static void Release(List<TableLock> locks)
    {
        for (var i = locks.Count - 1; i >= 0; i--)
            locks[i].Dispose();
    }

    /// <summary>Makes all the new versions current, or none. The folders' locks are held.</summary>
    public void Commit(IReadOnlyList<(MetadataFolder Folder, MetadataVersion Current, byte[] Content)> tables)
    {
        var renames = new List<(string From, string To)>();
        foreach (var (folder, current, content) in tables)
        {
            var to = folder.PathOf(current.Number + 1);
            var from = $"{folder.Path}/{options.NewGuid():D}.metadata.json.tmp";
            using (var file = files.Open(from, create: true))
            {
                file.Write(0, content);
                file.Flush();
            }
            files.FlushFolder(folder.Path);
            renames.Add((from, to));
        }
        if (!files.FolderExists(_folder))
        {
            files.CreateFolder(_folder);
            files.FlushFolder(warehouse);
        }
        var intent = $"{_folder}/{options.NewGuid():N}.json";
        DurableFile.Replace(files, intent, JsonSerializer.SerializeToUtf8Bytes(
            new { format = 1, renames = renames.Select(r => new { from = Path.GetRelativePath(warehouse, r.From), to = Path.GetRelativePath(warehouse, r.To) }) }));
        try
        {
            Finish(intent, renames);
        }
        catch (IOException error)
        {
            throw new CommitStateUnknownException($"the disk failed while several tables were committed: {error.Message}; it is finished when a table is next loaded", error);
        }
    }

    private void Finish(string intent, List<(string From, string To)> renames)
    {
        foreach (var (from, to) in renames)
        {
            if (files.FileExists(from))
                files.Rename(from, to);
            new MetadataFolder(files, Path.GetDirectoryName(to)!, options.MaxMetadataBytes).CurrentDurable();
        }
        files.DeleteFile(intent);
        files.FlushFolder(_folder);
    }

    private List<(string From, string To)>? ReadIntent(string path)
    {
        try
        {
            using var json = JsonDocument.Parse(DurableFile.ReadAll(files, path, 16 << 20));
            return json.RootElement.GetProperty("renames").EnumerateArray()
                .Select(r => (Resolve(r.GetProperty("from").GetString()!), Resolve(r.GetProperty("to").GetString()!))).ToList();
        }
        catch (FileNotFoundException)
        {
            // Finished since it was listed.
            return null;
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new IcebergException($"{path} is damaged: {error.Message}; the tables it names may be half committed: delete it only after looking at them", error);
        }
    }

    private string Resolve(string relative)
    {
        var path = Path.GetFullPath(Path.Combine(warehouse, relative));
        return path.StartsWith(warehouse + "/", StringComparison.Ordinal) ? path : throw new IcebergException($"a transaction names {relative}, which is outside the warehouse");
    }
}
