using System.Text.Json;
using Millrace.Iceberg.Metadata;
using Millrace.Iceberg.Schemas;
using Millrace.Storage.Files;

namespace Millrace.Iceberg.Catalogs;

/// <summary>
/// A catalog in a folder: namespaces are folders, a table is a folder with <c>metadata</c> and <c>data</c>, opened by other readers by
/// its path. Commits are atomic and durable across processes on one machine.
/// </summary>
/// <remarks>Thread-safe; any number of instances and processes may share a warehouse.</remarks>
public sealed class FolderCatalog : ICatalog
{
    private const string NamespaceFile = "namespace.json";

    /// <summary>Iceberg's property for how many earlier metadata files a table keeps.</summary>
    private const string PreviousVersionsMax = "write.metadata.previous-versions-max";
    private const string DeleteAfterCommit = "write.metadata.delete-after-commit.enabled";

    private FolderCatalog(IFileSystem files, string warehouse, TimeProvider time, FolderCatalogOptions options)
    {
        Files = files;
        Warehouse = warehouse;
        Time = time;
        Options = options;
    }

    /// <summary>The warehouse's full path, without a trailing slash.</summary>
    public string Warehouse { get; }

    internal IFileSystem Files { get; }

    internal TimeProvider Time { get; }

    internal FolderCatalogOptions Options { get; }

    /// <summary>Opens a warehouse, creating its folder when it is missing.</summary>
    public static FolderCatalog Open(IFileSystem files, string warehouseFolder, TimeProvider time, FolderCatalogOptions? options = null)
    {
        var warehouse = Path.GetFullPath(warehouseFolder).TrimEnd('/');
        MakeFolder(files, warehouse);
        return new FolderCatalog(files, warehouse, time, options ?? new FolderCatalogOptions());
    }

    public IReadOnlyList<Namespace> ListNamespaces(Namespace? parent = null)
    {
        parent ??= new Namespace();
        var folder = FolderOf(parent);
        if (!parent.IsRoot && !NamespaceExists(parent))
            throw new NoSuchNamespaceException($"Namespace does not exist: {parent}");
        var spaces = new List<Namespace>();
        foreach (var name in Files.ListFolders(folder))
        {
            if (FolderNames.Decode(name) is { } level && IsNamespace(Path.Combine(folder, name)))
                spaces.Add(new Namespace([.. parent.Levels, level]));
        }
        return spaces;
    }

    public bool NamespaceExists(Namespace space) => !space.IsRoot && IsNamespace(FolderOf(space));

    /// <exception cref="AlreadyExistsException">It exists.</exception>
    public void CreateNamespace(Namespace space, IReadOnlyDictionary<string, string>? properties = null)
    {
        if (space.IsRoot)
            throw new IcebergException("a namespace needs a name");
        if (NamespaceExists(space))
            throw new AlreadyExistsException($"Namespace already exists: {space}");
        var folder = FolderOf(space);
        MakeFolder(Files, folder);
        DurableFile.Replace(Files, Path.Combine(folder, NamespaceFile), JsonSerializer.SerializeToUtf8Bytes(properties ?? new Dictionary<string, string>()));
    }

    /// <exception cref="NoSuchNamespaceException">It does not exist.</exception>
    public IReadOnlyDictionary<string, string> NamespaceProperties(Namespace space)
    {
        if (!NamespaceExists(space))
            throw new NoSuchNamespaceException($"Namespace does not exist: {space}");
        var path = Path.Combine(FolderOf(space), NamespaceFile);
        return Files.FileExists(path)
            ? JsonSerializer.Deserialize<Dictionary<string, string>>(DurableFile.ReadAll(Files, path)) ?? []
            : new Dictionary<string, string>();
    }

    /// <summary>Exchanges a namespace's properties for what <paramref name="change"/> makes of them.</summary>
    public void UpdateNamespace(Namespace space, Func<IReadOnlyDictionary<string, string>, IReadOnlyDictionary<string, string>> change)
    {
        using var mine = TableLock.Take(Files, FolderOf(space), Options, Time);
        var next = change(NamespaceProperties(space));
        DurableFile.Replace(Files, Path.Combine(FolderOf(space), NamespaceFile), JsonSerializer.SerializeToUtf8Bytes(next));
    }

    /// <exception cref="NamespaceNotEmptyException">Tables or namespaces are left in it.</exception>
    public void DropNamespace(Namespace space)
    {
        if (!NamespaceExists(space))
            throw new NoSuchNamespaceException($"Namespace does not exist: {space}");
        if (ListTables(space).Count > 0 || ListNamespaces(space).Count > 0)
            throw new NamespaceNotEmptyException($"Namespace {space} is not empty");
        var folder = FolderOf(space);
        // A table may have the namespace's name; then only the mark goes.
        if (IsTable(folder))
            Files.DeleteFile(Path.Combine(folder, NamespaceFile));
        else
            Files.DeleteFolder(folder);
        Files.FlushFolder(Path.GetDirectoryName(folder)!);
    }

    public IReadOnlyList<TableIdent> ListTables(Namespace space)
    {
        if (!NamespaceExists(space))
            throw new NoSuchNamespaceException($"Namespace does not exist: {space}");
        var folder = FolderOf(space);
        var tables = new List<TableIdent>();
        foreach (var name in Files.ListFolders(folder))
        {
            if (FolderNames.Decode(name) is { } table && IsTable(Path.Combine(folder, name)))
                tables.Add(new TableIdent(space, table));
        }
        return tables;
    }

    public bool TableExists(TableIdent ident) => IsTable(FolderOf(ident));

    public Table LoadTable(TableIdent ident) => LoadTable(ident, null);

    /// <summary>As <see cref="LoadTable(TableIdent)"/>, but gives <paramref name="known"/> back, without reading metadata, when it is still current.</summary>
    /// <exception cref="NoSuchTableException">There is no such table.</exception>
    public Table LoadTable(TableIdent ident, Table? known)
    {
        var folder = MetadataOf(ident);
        if (!folder.IsSettled(out var current) && current is not null)
        {
            using var mine = TableLock.Take(Files, folder.Path, Options, Time);
            current = folder.CurrentDurable();
        }
        if (known is not null && current?.Path == known.MetadataLocation && known.Ident == ident)
            return known;
        return current is { } version ? Open(ident, folder, version) : throw new NoSuchTableException($"Table does not exist: {ident}");
    }

    public Table CreateTable(TableIdent ident, IcebergSchema schema, PartitionSpec? spec = null, IReadOnlyDictionary<string, string>? properties = null) =>
        CreateTable(ident, schema, spec ?? PartitionSpec.Unpartitioned, SortOrder.Unsorted, properties ?? new Dictionary<string, string>(), null);

    public Table CreateTable(
        TableIdent ident, IcebergSchema schema, PartitionSpec spec, SortOrder order, IReadOnlyDictionary<string, string> properties, string? location)
    {
        var metadata = NewMetadata(ident, schema, spec, order, properties, location);
        return CommitNew(ident, metadata);
    }

    public Table CommitTable(TableIdent ident, IReadOnlyList<TableRequirement> requirements, IReadOnlyList<MetadataUpdate> updates)
    {
        var folder = MetadataOf(ident);
        if (!folder.Exists)
            throw new NoSuchTableException($"Table does not exist: {ident}");
        using var mine = TableLock.Take(Files, folder.Path, Options, Time);
        var version = folder.CurrentDurable() ?? throw new NoSuchTableException($"Table does not exist: {ident}");
        var current = folder.Read(version);
        foreach (var requirement in requirements)
        {
            if (requirement.Check(current) is { } wrong)
                throw new CommitConflictException($"Requirement failed: {wrong}");
        }
        var next = TableMetadataBuilder.Apply(current, updates, Time.GetUtcNow());
        if (Equals(next with { LastUpdatedMs = current.LastUpdatedMs }, current))
            return Open(ident, folder, version, current);
        next = WithLog(next, current, version, out var forgotten);
        var written = folder.Write(version, next.ToJson(), Options.NewGuid());
        Forget(next, folder, forgotten);
        return Open(ident, folder, written, next);
    }

    public void DropTable(TableIdent ident, bool purge = true)
    {
        var folder = FolderOf(ident);
        var metadata = MetadataOf(ident);
        if (!metadata.Exists)
            throw new NoSuchTableException($"Table does not exist: {ident}");
        using (TableLock.Take(Files, metadata.Path, Options, Time))
        {
            // One rename takes the table out of sight; a crash while its files go leaves a folder that no name decodes to.
            var aside = Path.Combine(Path.GetDirectoryName(folder)!, $".dropped-{Options.NewGuid():N}");
            if (IsNamespaceMarked(folder))
            {
                MakeFolder(Files, aside);
                Files.Rename(metadata.Path, Path.Combine(aside, "metadata"));
                if (Files.FolderExists(Path.Combine(folder, "data")))
                    Files.Rename(Path.Combine(folder, "data"), Path.Combine(aside, "data"));
                Files.FlushFolder(folder);
            }
            else
            {
                Files.Rename(folder, aside);
            }
            Files.FlushFolder(Path.GetDirectoryName(folder)!);
            if (purge)
                Files.DeleteFolder(aside);
        }
    }

    /// <summary>What a create would write, without writing it: the metadata of a staged table.</summary>
    internal TableMetadata NewMetadata(
        TableIdent ident, IcebergSchema schema, PartitionSpec spec, SortOrder order, IReadOnlyDictionary<string, string> properties, string? location)
    {
        var version = 2;
        var kept = new Dictionary<string, string>(properties, StringComparer.Ordinal);
        if (kept.Remove("format-version", out var text) && (!int.TryParse(text, out version) || version is < 1 or > TableMetadata.NewestVersion))
            throw new IcebergException($"format-version is '{text}'; 1 to {TableMetadata.NewestVersion} are understood");
        return TableMetadataBuilder.Create(
            Options.NewGuid(), location ?? FolderOf(ident), schema, spec, order, kept, version, Time.GetUtcNow());
    }

    /// <summary>Writes a table's first metadata file.</summary>
    internal Table CommitNew(TableIdent ident, TableMetadata metadata)
    {
        var folder = MetadataOf(ident);
        if (!NamespaceExists(ident.Namespace))
            CreateNamespace(ident.Namespace);
        MakeFolder(Files, folder.Path);
        using var mine = TableLock.Take(Files, folder.Path, Options, Time);
        if (folder.Current() is not null)
            throw new AlreadyExistsException($"Table already exists: {ident}");
        var version = folder.Write(null, metadata.ToJson(), Options.NewGuid());
        return Open(ident, folder, version, metadata);
    }

    internal string FolderOf(Namespace space) =>
        space.IsRoot ? Warehouse : Warehouse + "/" + string.Join('/', space.Levels.Select(FolderNames.Encode));

    internal string FolderOf(TableIdent ident) => FolderOf(ident.Namespace) + "/" + FolderNames.Encode(ident.Name);

    private static void MakeFolder(IFileSystem files, string folder)
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

    private MetadataFolder MetadataOf(TableIdent ident) => new(Files, FolderOf(ident) + "/metadata", Options.MaxMetadataBytes);

    private bool IsTable(string folder) => new MetadataFolder(Files, folder + "/metadata", Options.MaxMetadataBytes).Exists;

    private bool IsNamespaceMarked(string folder) => Files.FileExists(Path.Combine(folder, NamespaceFile));

    private bool IsNamespace(string folder) => Files.FolderExists(folder) && (IsNamespaceMarked(folder) || !Files.FolderExists(folder + "/metadata"));

    private Table Open(TableIdent ident, MetadataFolder folder, MetadataVersion version, TableMetadata? metadata = null) =>
        new(this, ident, metadata ?? folder.Read(version), version.Path, new TableStorage(Files, TablePaths.Direct, Options, Time));

    private static TableMetadata WithLog(TableMetadata next, TableMetadata previous, MetadataVersion version, out IReadOnlyList<MetadataLogEntry> forgotten)
    {
        var log = new List<MetadataLogEntry>(next.MetadataLog) { new(previous.LastUpdatedMs, version.Path) };
        var keep = (int)Math.Max(1, next.PropertyNumber(PreviousVersionsMax, 100));
        var surplus = Math.Max(0, log.Count - keep);
        forgotten = log.GetRange(0, surplus);
        log.RemoveRange(0, surplus);
        return next with { MetadataLog = log };
    }

    /// <summary>Deletes metadata files that fell out of the log. Iceberg's default keeps them; here a commit every few seconds would fill the folder.</summary>
    private void Forget(TableMetadata metadata, MetadataFolder folder, IReadOnlyList<MetadataLogEntry> forgotten)
    {
        if (metadata.Properties.GetValueOrDefault(DeleteAfterCommit, "true") != "true")
            return;
        foreach (var entry in forgotten)
        {
            if (Path.GetDirectoryName(entry.MetadataFile) != folder.Path || !Files.FileExists(entry.MetadataFile))
                continue;
            try
            {
                Files.DeleteFile(entry.MetadataFile);
            }
            catch (IOException)
            {
                // The commit stands; what could not be deleted is an orphan that maintenance removes.
                return;
            }
        }
    }
}
