using Millrace.Iceberg;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Maintenance;
using Millrace.Iceberg.Metadata;
using Millrace.WebConsole.Seams;
using Millrace.WebConsole.Wire;

namespace Millrace.Host.Platform.Seams;

/// <summary>The catalog's tables for the console.</summary>
internal sealed class TableSeam(FolderCatalog catalog, UpkeepOptions upkeep) : ITables
{
    private const int MostFiles = 1000;

    public Task<IReadOnlyList<TableInfo>> ListAsync(CancellationToken cancellation) => Task.Run<IReadOnlyList<TableInfo>>(
        () => [.. catalog.ListNamespaces().SelectMany(catalog.ListTables).Select(Describe)], cancellation);

    public Task<TableDetail?> FindAsync(string @namespace, string table, CancellationToken cancellation) =>
        WithTable(@namespace, table, Detail, cancellation);

    public Task<UpkeepReply?> UpkeepAsync(string @namespace, string table, TableTask task, bool dryRun, CancellationToken cancellation) =>
        WithTable(@namespace, table, found => Do(found, task, dryRun, cancellation), cancellation);

    public async Task<bool> DropAsync(string @namespace, string table, CancellationToken cancellation) => await WithTable(
        @namespace, table, found =>
        {
            catalog.DropTable(found.Ident);
            return found;
        }, cancellation) is not null;

    private UpkeepReply Do(Table table, TableTask task, bool dryRun, CancellationToken cancellation)
    {
        var done = new UpkeepReply(table.Ident.ToString(), dryRun, [], null, 0, 0, 0, 0, 0, null);
        switch (task)
        {
            case TableTask.Expire expire:
                var expired = TableUpkeep.Expire(
                    table, upkeep with { Keep = expire.Keep ?? upkeep.Keep, KeepLast = expire.KeepLast ?? upkeep.KeepLast }, dryRun);
                return done with
                {
                    Expired = [.. expired.Snapshots.Select(s => s.ToString())],
                    DeletedFiles = expired.ManifestLists + expired.Manifests + expired.DataFiles, DeletedBytes = expired.DataBytes,
                };
            case TableTask.Compact compact:
                var compacted = TableUpkeep.Compact(table, upkeep with { CompactTo = compact.Target ?? upkeep.CompactTo }, dryRun, cancellation);
                return done with
                {
                    Snapshot = compacted.Snapshot?.SnapshotId.ToString(), FilesBefore = compacted.FilesBefore, FilesAfter = compacted.FilesAfter,
                    BytesBefore = compacted.BytesBefore, BytesAfter = compacted.BytesAfter,
                };
            case TableTask.Clean clean:
                return done with { DeletedFiles = OrphanRemoval.Run(table, new OrphanOptions(clean.OlderThan, dryRun)).Count };
            default:
                throw new ArgumentOutOfRangeException(nameof(task), task, "unknown task");
        }
    }

    private Task<T?> WithTable<T>(string @namespace, string table, Func<Table, T> use, CancellationToken cancellation)
        where T : class => Task.Run(
        () =>
        {
            TableIdent ident;
            try
            {
                ident = TableIdent.Parse($"{@namespace}.{table}");
            }
            catch (ArgumentException)
            {
                return null;
            }
            try
            {
                return catalog.TableExists(ident) ? use(catalog.LoadTable(ident)) : null;
            }
            catch (CommitConflictException busy)
            {
                throw new ConsoleException(409, "Table is busy", busy.Message, "try again");
            }
            catch (RewriteOvertakenException overtaken)
            {
                throw new ConsoleException(409, "Table is busy", overtaken.Message, "try again");
            }
            catch (IcebergException damaged)
            {
                throw new ConsoleException(500, "Unreadable table", damaged.Message);
            }
        }, cancellation);

    /// <summary>One unreadable table does not hide the others.</summary>
    private TableInfo Describe(TableIdent ident)
    {
        try
        {
            return Describe(catalog.LoadTable(ident));
        }
        catch (IcebergException damaged)
        {
            return new TableInfo(ident.Namespace.ToString(), ident.Name, 0, 0, 0, 0, null, null, damaged.Message);
        }
    }

    private static TableInfo Describe(Table table)
    {
        var current = table.CurrentSnapshot;
        return new TableInfo(
            table.Ident.Namespace.ToString(), table.Ident.Name, current?.Total("total-records") ?? 0, current?.Total("total-files-size") ?? 0,
            (int)(current?.Total("total-data-files") ?? 0), table.Metadata.Snapshots.Count, current?.SnapshotId.ToString(), current?.At);
    }

    private static TableDetail Detail(Table table)
    {
        var schema = table.Metadata.Schema;
        var keys = schema.IdentifierFieldIds.Select(id => schema.NameOf(id) ?? "").ToArray();
        return new TableDetail(
            Describe(table), table.MetadataLocation, table.Metadata.FormatVersion,
            [.. schema.Fields.Select(f => new TableColumn(f.Id, f.Name, f.Type.ToString() ?? "", f.Required))], keys,
            [.. table.Metadata.Snapshots.OrderByDescending(s => s.SequenceNumber).Select(Describe)],
            [.. table.PlanFiles().Files.Take(MostFiles).Select(f => new DataFileInfo(f.File.Path, f.File.RecordCount, f.File.FileSizeInBytes))]);
    }

    private static SnapshotInfo Describe(Snapshot snapshot) => new(
        snapshot.SnapshotId.ToString(), snapshot.ParentSnapshotId?.ToString(), snapshot.At, snapshot.Operation, snapshot.Total("added-records"),
        snapshot.Total("total-records"), snapshot.Summary);
}
