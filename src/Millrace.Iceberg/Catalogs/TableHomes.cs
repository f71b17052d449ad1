using System.Text.Json;
using Millrace.Storage.Files;

namespace Millrace.Iceberg.Catalogs;

/// <summary>
/// Which folder a table lives in. As a rule the one of its name; after a rename it stays where it was, since its files are named by
/// full paths: then the new name's folder points at the home (<c>table.json</c>), and the home says whose it is (<c>owner.json</c>).
/// The owner file alone decides, so that one atomic write moves a table from name to name.
/// </summary>
internal sealed class TableHomes(IFileSystem files, string warehouse, FolderCatalogOptions options)
{
    private const string PointerFile = "table.json";
    private const string OwnerFile = "owner.json";
    private const string NamespaceFile = "namespace.json";

    public string FolderOf(Namespace space) =>
        space.IsRoot ? warehouse : warehouse + "/" + string.Join('/', space.Levels.Select(FolderNames.Encode));

    public string FolderOf(TableIdent ident) => FolderOf(ident.Namespace) + "/" + FolderNames.Encode(ident.Name);

    public string MarkOf(Namespace space) => FolderOf(space) + "/" + NamespaceFile;

    public MetadataFolder MetadataOf(string home) => new(files, home + "/metadata", options.MaxMetadataBytes);

    /// <summary>The table's home, or null when there is no table of that name.</summary>
    public string? Find(TableIdent ident) => OwnedBy(ident) is { } home && MetadataOf(home).Exists ? home : null;

    /// <summary>The folder that a name stands for, whether a table's metadata is in it or not; null when it is another's.</summary>
    public string? OwnedBy(TableIdent ident)
    {
        var entry = FolderOf(ident);
        var home = PointerOf(entry) ?? entry;
        var owner = OwnerOf(home, out var isKnown);
        return (isKnown ? owner == ident : home == entry) ? home : null;
    }

    /// <summary>A folder for a new table: that of its name, or one beside it when another table's files are there.</summary>
    public string HomeForNew(TableIdent ident)
    {
        var entry = FolderOf(ident);
        // No name is encoded with ~, so such a folder is never taken for a table or a namespace.
        return MetadataOf(entry).Current() is null ? entry : $"{entry}~{options.NewGuid():N}";
    }

    /// <summary>Gives a home to a name; the table has it when this returns, and after a crash it has it or not.</summary>
    public void Assign(string home, TableIdent ident)
    {
        var entry = FolderOf(ident);
        if (entry != home)
        {
            MakeFolder(entry);
            DurableFile.Replace(files, entry + "/" + PointerFile, JsonSerializer.SerializeToUtf8Bytes(new { format = 1, home = Path.GetRelativePath(warehouse, home) }));
        }
        else if (files.FileExists(entry + "/" + PointerFile))
        {
            files.DeleteFile(entry + "/" + PointerFile);
        }
        if (entry != home || files.FileExists(home + "/" + OwnerFile))
            WriteOwner(home, ident);
    }

    /// <summary>Takes a home away from every name; its files stay.</summary>
    public void Disown(string home) => WriteOwner(home, null);

    /// <summary>True when the home was taken from every name and nobody has it since.</summary>
    public bool IsDisowned(string home) => OwnerOf(home, out var isKnown) is null && isKnown;

    /// <summary>Forgets whose an emptied home was.</summary>
    public void DeleteOwner(string home)
    {
        files.DeleteFile(home + "/" + OwnerFile);
        files.FlushFolder(home);
    }

    /// <summary>Removes what a name's own folder holds beside a home.</summary>
    public void RemovePointer(TableIdent ident)
    {
        var entry = FolderOf(ident);
        if (!files.FileExists(entry + "/" + PointerFile))
            return;
        files.DeleteFile(entry + "/" + PointerFile);
        DeleteIfEmpty(entry);
    }

    public void DeleteIfEmpty(string folder)
    {
        if (files.ListFiles(folder).Count > 0 || files.ListFolders(folder).Count > 0)
            return;
        files.DeleteFolder(folder);
        files.FlushFolder(Path.GetDirectoryName(folder)!);
    }

    public void MakeFolder(string folder)
    {
        if (files.FolderExists(folder))
            return;
        var missing = new Stack<string>();
        for (var at = folder; !files.FolderExists(at); at = Path.GetDirectoryName(at)!)
            missing.Push(at);
        files.CreateFolder(folder);
        // A folder's name is durable when its parent is flushed.
        foreach (var made in missing)
            files.FlushFolder(Path.GetDirectoryName(made)!);
    }

    private void WriteOwner(string home, TableIdent? ident) => DurableFile.Replace(
        files, home + "/" + OwnerFile, JsonSerializer.SerializeToUtf8Bytes(new { format = 1, @namespace = ident?.Namespace.Levels, name = ident?.Name }));

    private string? PointerOf(string entry)
    {
        if (Read(entry + "/" + PointerFile) is not { } json)
            return null;
        using (json)
        {
            var relative = json.RootElement.GetProperty("home").GetString()!;
            var home = Path.GetFullPath(Path.Combine(warehouse, relative));
            return home.StartsWith(warehouse + "/", StringComparison.Ordinal)
                ? home
                : throw new IcebergException($"{entry}/{PointerFile} points out of the warehouse; delete it or write the table's folder into it");
        }
    }

    /// <param name="isKnown">False when nothing is written down: the table is that of its folder's name.</param>
    private TableIdent? OwnerOf(string home, out bool isKnown)
    {
        isKnown = false;
        if (Read(home + "/" + OwnerFile) is not { } json)
            return null;
        using (json)
        {
            isKnown = true;
            var root = json.RootElement;
            if (root.GetProperty("name").GetString() is not { } name)
                return null;
            return new TableIdent(new Namespace(root.GetProperty("namespace").EnumerateArray().Select(l => l.GetString()!).ToArray()), name);
        }
    }

    private JsonDocument? Read(string path)
    {
        if (!files.FileExists(path))
            return null;
        try
        {
            var json = JsonDocument.Parse(DurableFile.ReadAll(files, path, 1 << 20));
            if (json.RootElement.GetProperty("format").GetInt32() == 1)
                return json;
            throw new IcebergException($"{path} has a format that a newer Millrace wrote; open the warehouse with that");
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new IcebergException($"{path} is damaged: {error.Message}; delete it, and the table is found under its folder's name", error);
        }
    }
}
