using Millrace.Iceberg.Commits;
using Millrace.Iceberg.Metadata;
using Millrace.Iceberg.Scans;
using Millrace.Storage.Files;

namespace Millrace.Iceberg.Catalogs;

/// <summary>
/// A table at one of its states. The state does not move by itself: <see cref="Refresh"/> takes the newest, a commit takes its own.
/// Reading is thread-safe; commits of one object are not, use one object a writer.
/// </summary>
public sealed class Table
{
    private readonly ICatalog? _catalog;

    internal Table(ICatalog? catalog, TableIdent ident, TableMetadata metadata, string metadataLocation, TableStorage storage)
    {
        _catalog = catalog;
        Ident = ident;
        Metadata = metadata;
        MetadataLocation = metadataLocation;
        Storage = storage;
    }

    public TableIdent Ident { get; }

    public TableMetadata Metadata { get; private set; }

    /// <summary>The path of the metadata file that this state was read from.</summary>
    public string MetadataLocation { get; private set; }

    public Snapshot? CurrentSnapshot => Metadata.CurrentSnapshot;

    /// <summary>The folder for data files.</summary>
    public string DataFolder => TablePaths.Plain(Metadata.Location) + "/data";

    internal string MetadataFolder => TablePaths.Plain(Metadata.Location) + "/metadata";

    internal TableStorage Storage { get; }

    /// <summary>
    /// Opens a table by path, read only: a table's folder or one of its metadata files. The table may lie elsewhere than where it was
    /// written.
    /// </summary>
    /// <exception cref="NoSuchTableException">There is none.</exception>
    public static Table OpenPath(IFileSystem files, string path, FolderCatalogOptions? options = null)
    {
        options ??= new FolderCatalogOptions();
        path = Path.GetFullPath(TablePaths.Plain(path));
        string file;
        if (files.FileExists(path))
            file = path;
        else
            file = new MetadataFolder(files, path + "/metadata", options.MaxMetadataBytes).Current()?.Path
                ?? throw new NoSuchTableException($"{path} holds no Iceberg table (no metadata/vN.metadata.json)");
        var metadata = TableMetadata.Read(DurableFile.ReadAll(files, file, options.MaxMetadataBytes), file);
        var folder = Path.GetDirectoryName(Path.GetDirectoryName(file))!;
        var ident = new TableIdent(new Namespace("path"), Path.GetFileName(folder) is { Length: > 0 } name ? name : "table");
        return new Table(null, ident, metadata, file, new TableStorage(files, new TablePaths(metadata.Location, folder), options, TimeProvider.System));
    }

    /// <summary>Takes the newest state; true when it differs.</summary>
    /// <exception cref="IcebergException">Another table was put in this one's place.</exception>
    public bool Refresh()
    {
        var fresh = Catalog.LoadTable(Ident);
        if (fresh.Metadata.TableUuid != Metadata.TableUuid)
            throw new IcebergException($"{Ident} was dropped and made anew (its UUID changed); load it again");
        var changed = fresh.MetadataLocation != MetadataLocation;
        Take(fresh);
        return changed;
    }

    /// <summary>Begins a commit that adds files.</summary>
    public AppendFiles NewAppend() => new(this);

    /// <summary>The newest ancestor of the current snapshot (itself included) that satisfies the condition, or null.</summary>
    public Snapshot? FindInHistory(Func<Snapshot, bool> condition) => Metadata.AncestorsOf(Metadata.CurrentSnapshotId).FirstOrDefault(condition);

    /// <summary>
    /// The newest checkpoint that a writer has committed, or null. Kept in the table's properties by the same atomic commit, so that it
    /// is found whatever came later: other writers, compaction, expiry.
    /// </summary>
    public long? LastCommitted(string writer) => AppendFiles.LastCommitted(Metadata, writer);

    /// <summary>Which state of the writer <see cref="LastCommitted"/> is of, as it said; null when it never did.</summary>
    public string? LastState(string writer) => Metadata.Properties.GetValueOrDefault(AppendFiles.StatePropertyPrefix + writer)
        ?? FindInHistory(s => s.Summary.GetValueOrDefault(AppendFiles.WriterKey) == writer)?.Summary.GetValueOrDefault(AppendFiles.StateKey);

    /// <summary>The files to read: of the current snapshot, or of another by id, time or ref.</summary>
    /// <exception cref="IcebergException">There is no such snapshot, or a manifest is missing or damaged.</exception>
    public TableScan PlanFiles(ScanTarget? target = null) => TableScan.Plan(this, target ?? ScanTarget.Current);

    /// <summary>
    /// A SELECT for DuckDB that gives the table's columns and rows: columns by field id through renames and additions, deletes
    /// applied. It reads the data files directly and needs no extension.
    /// </summary>
    public string ScanSql(ScanTarget? target = null, IReadOnlyList<string>? columns = null) => ScanSqlWriter.Write(this, PlanFiles(target), columns);

    /// <summary>Changes metadata without adding data: schema, spec, properties, refs. Tried again on the newest state when others commit meanwhile.</summary>
    /// <param name="change">Makes the updates and what they require, from the state that they shall apply to.</param>
    public void Update(Func<TableMetadata, (IReadOnlyList<TableRequirement> Requirements, IReadOnlyList<MetadataUpdate> Updates)> change)
    {
        var retries = Metadata.PropertyNumber(SnapshotCommit.RetriesProperty, SnapshotCommit.DefaultRetries);
        for (var attempt = 0; ; attempt++)
        {
            var (requirements, updates) = change(Metadata);
            try
            {
                Commit([new TableRequirement.AssertTableUuid(Metadata.TableUuid), .. requirements], updates);
                return;
            }
            catch (CommitConflictException) when (attempt < retries)
            {
                Refresh();
            }
        }
    }

    /// <summary>Sets table properties.</summary>
    public void SetProperties(IReadOnlyDictionary<string, string> properties) => Update(_ => ([], [new MetadataUpdate.SetProperties(properties)]));

    internal void Commit(IReadOnlyList<TableRequirement> requirements, IReadOnlyList<MetadataUpdate> updates) =>
        Take(Catalog.CommitTable(Ident, requirements, updates));

    private ICatalog Catalog => _catalog ?? throw new IcebergException($"{Ident} was opened by its path and is read only; open it through its catalog");

    private void Take(Table other)
    {
        Metadata = other.Metadata;
        MetadataLocation = other.MetadataLocation;
    }
}
