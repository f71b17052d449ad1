using Millrace.Columnar;
using Millrace.DuckDb;
using Millrace.Iceberg;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Commits;
using Millrace.Iceberg.Files;
using Millrace.Iceberg.Maintenance;
using Millrace.Iceberg.Schemas;
using Millrace.Streams.Plans;

namespace Millrace.Streams.Sinks;

/// <summary>An Iceberg table in a catalog. The checkpoint's id goes into the snapshot and the table's properties by the same atomic commit.</summary>
internal sealed class IcebergTablePort(FolderCatalog catalog, IcebergSinkPlan plan, Schema schema, string pipeline, UpkeepOptions upkeep) : ITablePort
{
    private const string JobKey = "millrace.job";

    private readonly TableIdent _ident = new(Namespace.Parse(plan.Namespace), plan.Table);

    public void Ensure()
    {
        try
        {
            Fit(OpenOrCreate());
        }
        catch (IOException error)
        {
            throw new TableUnavailableException(error.Message, error);
        }
    }

    public TableCommit? NewestOf(string writer)
    {
        try
        {
            if (!catalog.TableExists(_ident))
                return null;
            var table = catalog.LoadTable(_ident);
            Fit(table);
            if (table.LastCommitted(writer) is not { } checkpoint)
                return null;
            var snapshot = table.FindInHistory(s => s.Summary.GetValueOrDefault(AppendFiles.WriterKey) == writer);
            return new TableCommit(
                writer, table.LastState(writer) ?? "", checkpoint, snapshot?.SnapshotId.ToString() ?? "");
        }
        catch (IcebergException error)
        {
            throw new TableUnavailableException(error.Message, error);
        }
    }

    public string Append(IReadOnlyList<string> parquetFiles, TableCommit commit, CancellationToken cancellation)
    {
        try
        {
            var table = OpenOrCreate();
            using var writer = new ParquetWriter(table);
            var files = writer.WriteStaged(parquetFiles);
            var snapshot = table.NewAppend()
                .Add(files)
                .Checkpoint(commit.Writer, commit.Checkpoint, commit.Incarnation)
                .Set(JobKey, pipeline)
                .Commit();
            return snapshot.SnapshotId.ToString();
        }
        catch (IOException error)
        {
            throw new TableUnavailableException(error.Message, error);
        }
    }

    public string? Upkeep(CancellationToken cancellation)
    {
        try
        {
            if (!catalog.TableExists(_ident))
                return null;
            var result = TableUpkeep.Run(catalog.LoadTable(_ident), upkeep, cancellation);
            return result.DidNothing ? null : Describe(result);
        }
        catch (Exception error) when (error is IOException or DuckDbException)
        {
            throw new TableUnavailableException("upkeep of the table: " + error.Message, error);
        }
    }

    public void Dispose()
    {
    }

    private static string Describe(UpkeepResult result)
    {
        var compacted = result.Compacted is { Snapshot: not null } c ? $"{c.FilesBefore} files became {c.FilesAfter}" : null;
        var expired = result.Expired is { } e ? $"{e.Snapshots.Count} snapshots expired with {e.DataFiles} data files of {e.DataBytes} bytes" : null;
        return string.Join("; ", new[] { compacted, expired }.OfType<string>());
    }

    private Table OpenOrCreate()
    {
        if (catalog.TableExists(_ident))
            return catalog.LoadTable(_ident);
        try
        {
            return catalog.CreateTable(_ident, IcebergSchema.From(schema, plan.Key));
        }
        catch (AlreadyExistsException)
        {
            return catalog.LoadTable(_ident);
        }
    }

    /// <summary>Makes the table take the rows, where that is wanted, and sees that it does.</summary>
    /// <exception cref="InvalidDataException">The table cannot take the rows, whatever is tried.</exception>
    private void Fit(Table table)
    {
        Refuse(table);
        if (!plan.Evolve)
            return;
        try
        {
            SchemaEvolution.Evolve(table, schema);
        }
        catch (IcebergException error) when (error is not CommitConflictException)
        {
            // Another writer changed it meanwhile.
            Refuse(catalog.LoadTable(_ident));
            throw;
        }
    }

    private void Refuse(Table table)
    {
        if (TableFit.Fault(table.Metadata, schema, plan.Evolve) is var (reason, hint))
            throw new InvalidDataException($"table {_ident}: {reason}; {hint}");
    }
}
