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
    /// <summary>Iceberg's property for how many earlier metadata files a table keeps.</summary>
    private const string PreviousVersionsMax = "write.metadata.previous-versions-max";
    private const string DeleteAfterCommit = "write.metadata.delete-after-commit.enabled";

    private readonly TableHomes _homes;
    private readonly TableTransaction _transaction;

    private FolderCatalog(IFileSystem files, string warehouse, TimeProvider time, FolderCatalogOptions options)
    {
        _homes = new TableHomes(files, warehouse, options);
        _transaction = new TableTransaction(files, warehouse, options, time);
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
        var catalog = new FolderCatalog(files, Path.GetFullPath(warehouseFolder).TrimEnd('/'), time, options ?? new FolderCatalogOptions());
        catalog._homes.MakeFolder(catalog.Warehouse);
        catalog._transaction.Recover();
        return catalog;
    }

    public IReadOnlyList<Namespace> ListNamespaces(Namespace? parent = null)
    {
        parent ??= new Namespace();
        if (!parent.IsRoot && !NamespaceExists(parent))
            throw new NoSuchNamespaceException($"Namespace does not exist: {parent}");
        var spaces = new List<Namespace>();
        foreach (var name in Files.ListFolders(_homes.FolderOf(parent)))
        {
            if (FolderNames.Decode(name) is not { } level)
                continue;
            var space = new Namespace([.. parent.Levels, level]);
            if (NamespaceExists(space))
                spaces.Add(space);
        }
        return spaces;
    }

    public bool NamespaceExists(Namespace space) => !space.IsRoot && Files.FileExists(_homes.MarkOf(space));

    /// <summary>Makes a namespace, and its parents where they are missing.</summary>
    /// <exception cref="AlreadyExistsException">It exists.</exception>
    public void CreateNamespace(Namespace space, IReadOnlyDictionary<string, string>? properties = null)
    {
        if (space.IsRoot)
            throw new IcebergException("a namespace needs a name");
        using var mine = LockNames();
        if (NamespaceExists(space))
            throw new AlreadyExistsException($"Namespace already exists: {space}");
        MakeNamespace(space, properties ?? new Dictionary<string, string>());
    }

    /// <exception cref="NoSuchNamespaceException">It does not exist.</exception>
    public IReadOnlyDictionary<string, string> NamespaceProperties(Namespace space) => NamespaceExists(space)
        ? JsonSerializer.Deserialize<Dictionary<string, string>>(DurableFile.ReadAll(Files, _homes.MarkOf(space))) ?? []
        : throw new NoSuchNamespaceException($"Namespace does not exist: {space}");

    /// <summary>Exchanges a namespace's properties for what <paramref name="change"/> makes of them.</summary>
    public void UpdateNamespace(Namespace space, Func<IReadOnlyDictionary<string, string>, IReadOnlyDictionary<string, string>> change)
    {
        using var mine = LockNames();
        DurableFile.Replace(Files, _homes.MarkOf(space), JsonSerializer.SerializeToUtf8Bytes(change(NamespaceProperties(space))));
    }

    /// <exception cref="NamespaceNotEmptyException">Tables or namespaces are left in it.</exception>
    public void DropNamespace(Namespace space)
    {
        using var mine = LockNames();
        if (!NamespaceExists(space))
            throw new NoSuchNamespaceException($"Namespace does not exist: {space}");
        if (ListTables(space).Count > 0 || ListNamespaces(space).Count > 0)
            throw new NamespaceNotEmptyException($"Namespace {space} is not empty");
        Files.DeleteFile(_homes.MarkOf(space));
        Files.FlushFolder(_homes.FolderOf(space));
        // The homes of tables that were renamed out of it, or dropped without their files, stay.
        _homes.DeleteIfEmpty(_homes.FolderOf(space));
    }

    public IReadOnlyList<TableIdent> ListTables(Namespace space)
    {
        if (!NamespaceExists(space))
            throw new NoSuchNamespaceException($"Namespace does not exist: {space}");
        var tables = new List<TableIdent>();
        foreach (var name in Files.ListFolders(_homes.FolderOf(space)))
        {
            if (FolderNames.Decode(name) is { } table && new TableIdent(space, table) is var ident && _homes.Find(ident) is not null)
                tables.Add(ident);
        }
        return tables;
    }

    public bool TableExists(TableIdent ident) => _homes.Find(ident) is not null;

    public Table LoadTable(TableIdent ident) => LoadTable(ident, null);

    /// <summary>As <see cref="LoadTable(TableIdent)"/>, but gives <paramref name="known"/> back, without reading metadata, when it is still current.</summary>
    /// <exception cref="NoSuchTableException">There is no such table.</exception>
    public Table LoadTable(TableIdent ident, Table? known)
    {
        _transaction.Recover();
        var folder = MetadataOf(ident);
        if (!folder.IsSettled(out var current) && current is not null)
        {
            using var mine = TableLock.Take(Files, folder.Path, Options, Time);
            current = folder.CurrentDurable();
        }
        if (known is not null && current?.Path == known.MetadataLocation && known.Ident == ident)
            return known;
        return current is { } version ? Open(ident, folder, version) : throw Missing(ident);
    }

    public Table CreateTable(TableIdent ident, IcebergSchema schema, PartitionSpec? spec = null, IReadOnlyDictionary<string, string>? properties = null) =>
        CreateTable(ident, schema, spec ?? PartitionSpec.Unpartitioned, SortOrder.Unsorted, properties ?? new Dictionary<string, string>(), null);

    public Table CreateTable(
        TableIdent ident, IcebergSchema schema, PartitionSpec spec, SortOrder order, IReadOnlyDictionary<string, string> properties, string? location) =>
        CommitNew(ident, home => NewMetadata(home, schema, spec, order, properties, location));

    public Table CommitTable(TableIdent ident, IReadOnlyList<TableRequirement> requirements, IReadOnlyList<MetadataUpdate> updates)
    {
        _transaction.Recover();
        var folder = MetadataOf(ident);
        using var mine = TableLock.Take(Files, folder.Path, Options, Time);
        var version = folder.CurrentDurable() ?? throw Missing(ident);
        var current = folder.Read(version);
        var next = Next(new TableChange(ident, requirements, updates), current, version, out var forgotten);
        var written = folder.Write(version, next.ToJson(), Options.NewGuid());
        Forget(next, folder, forgotten);
        return Open(ident, folder, written, next);
    }

    /// <summary>Commits several tables, all or none.</summary>
    /// <exception cref="CommitConflictException">A requirement of one does not hold; nothing was changed.</exception>
    public void CommitTables(IReadOnlyList<TableChange> changes)
    {
        _transaction.Recover();
        if (changes.Select(c => c.Ident).Distinct().Count() != changes.Count)
            throw new IcebergException("a transaction names a table twice; join its changes");
        var folders = changes.Select(c => MetadataOf(c.Ident)).ToArray();
        var locks = _transaction.Lock(folders.Select(f => f.Path));
        try
        {
            var writes = new List<(MetadataFolder, MetadataVersion, byte[])>();
            for (var i = 0; i < changes.Count; i++)
            {
                var version = folders[i].CurrentDurable() ?? throw Missing(changes[i].Ident);
                writes.Add((folders[i], version, Next(changes[i], folders[i].Read(version), version, out _).ToJson()));
            }
            _transaction.Commit(writes);
        }
        finally
        {
            TableTransaction.Release(locks);
        }
    }

    /// <summary>Gives a table another name, also in another namespace. Its files stay where they are.</summary>
    public void RenameTable(TableIdent from, TableIdent to)
    {
        using var names = LockNames();
        var home = _homes.Find(from) ?? throw Missing(from);
        if (!NamespaceExists(to.Namespace))
            throw new NoSuchNamespaceException($"Namespace does not exist: {to.Namespace}");
        if (TableExists(to))
            throw new AlreadyExistsException($"Table already exists: {to}");
        _homes.Assign(home, to);
        if (_homes.FolderOf(from) != home)
            _homes.RemovePointer(from);
    }

    /// <summary>Takes in a table by one of its metadata files: one that was dropped without its files, or of another catalog.</summary>
    public Table RegisterTable(TableIdent ident, string metadataLocation)
    {
        using var names = LockNames();
        if (!NamespaceExists(ident.Namespace))
            throw new NoSuchNamespaceException($"Namespace does not exist: {ident.Namespace}");
        if (TableExists(ident))
            throw new AlreadyExistsException($"Table already exists: {ident}");
        var file = Path.GetFullPath(TablePaths.Plain(metadataLocation));
        if (!Files.FileExists(file))
            throw new IcebergException($"there is no metadata file {metadataLocation}");
        var content = DurableFile.ReadAll(Files, file, Options.MaxMetadataBytes);
        var metadata = TableMetadata.Read(content, file);
        // A table of ours that was dropped goes on where it was.
        if (Path.GetDirectoryName(Path.GetDirectoryName(file)) is { } old && old.StartsWith(Warehouse + "/", StringComparison.Ordinal)
            && _homes.MetadataOf(old).Current() is { } current && current.Path == file && _homes.IsDisowned(old))
        {
            _homes.Assign(old, ident);
            return Open(ident, _homes.MetadataOf(old), current, metadata);
        }
        var home = _homes.HomeForNew(ident);
        var folder = _homes.MetadataOf(home);
        _homes.MakeFolder(folder.Path);
        var version = folder.Write(null, content, Options.NewGuid());
        _homes.Assign(home, ident);
        return Open(ident, folder, version, metadata);
    }

    public void DropTable(TableIdent ident, bool purge = true)
    {
        using var names = LockNames();
        var home = _homes.Find(ident) ?? throw Missing(ident);
        using (TableLock.Take(Files, home + "/metadata", Options, Time))
        {
            // This makes it gone; a crash while its files go leaves a folder that belongs to no name.
            _homes.Disown(home);
            _homes.RemovePointer(ident);
            if (!purge)
                return;
            foreach (var part in new[] { "data", "metadata" })
            {
                if (Files.FolderExists($"{home}/{part}"))
                    Files.DeleteFolder($"{home}/{part}");
            }
            _homes.DeleteOwner(home);
        }
        // Namespaces below a table's name, and their tables, are none of its files.
        _homes.DeleteIfEmpty(home);
    }

    /// <summary>What a create would write, without writing it: the metadata of a staged table.</summary>
    internal TableMetadata NewMetadata(
        string home, IcebergSchema schema, PartitionSpec spec, SortOrder order, IReadOnlyDictionary<string, string> properties, string? location)
    {
        var version = 2;
        var kept = new Dictionary<string, string>(properties, StringComparer.Ordinal);
        if (kept.Remove("format-version", out var text) && (!int.TryParse(text, out version) || version is < 1 or > TableMetadata.NewestVersion))
            throw new IcebergException($"format-version is '{text}'; 1 to {TableMetadata.NewestVersion} are understood");
        return TableMetadataBuilder.Create(Options.NewGuid(), location ?? home, schema, spec, order, kept, version, Time.GetUtcNow());
    }

    /// <summary>Where a table of that name would be made now.</summary>
    internal string HomeForNew(TableIdent ident) => _homes.HomeForNew(ident);

    /// <summary>Writes a table's first metadata file.</summary>
    internal Table CommitNew(TableIdent ident, Func<string, TableMetadata> make)
    {
        using var names = LockNames();
        if (TableExists(ident))
            throw new AlreadyExistsException($"Table already exists: {ident}");
        if (!NamespaceExists(ident.Namespace))
            MakeNamespace(ident.Namespace, new Dictionary<string, string>());
        var home = _homes.HomeForNew(ident);
        var metadata = make(home);
        var folder = _homes.MetadataOf(home);
        _homes.MakeFolder(folder.Path);
        var version = folder.Write(null, metadata.ToJson(), Options.NewGuid());
        _homes.Assign(home, ident);
        return Open(ident, folder, version, metadata);
    }

    private IcebergException Missing(TableIdent ident) => _homes.OwnedBy(ident) is { } home && _homes.MetadataOf(home).LostFile() is { } lost
        ? new MissingFileException($"Failed to open input stream for file: {lost}: it is missing, and no other metadata file of {ident} is left; restore it from a backup")
        : new NoSuchTableException($"Table does not exist: {ident}");

    /// <summary>Excludes other changes of names; commits to tables go on.</summary>
    private TableLock LockNames() => TableLock.Take(Files, Warehouse, Options, Time);

    private void MakeNamespace(Namespace space, IReadOnlyDictionary<string, string> properties)
    {
        for (var levels = 1; levels <= space.Levels.Count; levels++)
        {
            var at = new Namespace(space.Levels.Take(levels).ToArray());
            if (NamespaceExists(at))
                continue;
            _homes.MakeFolder(_homes.FolderOf(at));
            DurableFile.Replace(Files, _homes.MarkOf(at), JsonSerializer.SerializeToUtf8Bytes(levels == space.Levels.Count ? properties : new Dictionary<string, string>()));
        }
    }

    private MetadataFolder MetadataOf(TableIdent ident) => _homes.MetadataOf(_homes.Find(ident) ?? throw Missing(ident));

    private TableMetadata Next(TableChange change, TableMetadata current, MetadataVersion version, out IReadOnlyList<MetadataLogEntry> forgotten)
    {
        foreach (var requirement in change.Requirements)
        {
            if (requirement.Check(current) is { } wrong)
                throw new CommitConflictException($"Requirement failed: {wrong}");
        }
        return WithLog(TableMetadataBuilder.Apply(current, change.Updates, Time.GetUtcNow()), current, version, out forgotten);
    }

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
