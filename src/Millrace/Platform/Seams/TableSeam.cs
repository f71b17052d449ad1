using Millrace.Iceberg;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Metadata;
using Millrace.WebConsole.Seams;
using Millrace.WebConsole.Wire;

namespace Millrace.Host.Platform.Seams;

/// <summary>The catalog's tables for the console.</summary>
internal sealed class TableSeam(FolderCatalog catalog) : ITables
{
    private const int MostFiles = 1000;

    public Task<IReadOnlyList<TableInfo>> ListAsync(CancellationToken cancellation) => Task.Run<IReadOnlyList<TableInfo>>(
        () => [.. catalog.ListNamespaces().SelectMany(catalog.ListTables).Select(Describe)], cancellation);

    public Task<TableDetail?> FindAsync(string @namespace, string table, CancellationToken cancellation) => Task.Run(() =>
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
            return catalog.TableExists(ident) ? Detail(catalog.LoadTable(ident)) : null;
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
