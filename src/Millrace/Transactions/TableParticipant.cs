using System.Text.Json;
using Millrace.Coordination.Commitment;
using Millrace.DuckDb;
using Millrace.Iceberg;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Files;
using Millrace.Storage.Files;

namespace Millrace.Host.Transactions;

/// <summary>
/// Rows for an Iceberg table. Preparing writes them as the table's own data files and notes them beside the catalog; an append conflicts with no
/// other commit, so that it can always follow. The snapshot carries the transaction's id, by which a repeated commit finds the first.
/// </summary>
/// <param name="name">Unique in its transaction.</param>
/// <param name="files">The disk.</param>
/// <param name="catalog">The warehouse.</param>
/// <param name="staging">A folder for what is prepared.</param>
/// <param name="table">It must exist.</param>
/// <param name="source">What DuckDB reads the rows from, e.g. <c>read_json_auto('rows.json')</c>.</param>
internal sealed class TableParticipant(string name, IFileSystem files, FolderCatalog catalog, string staging, TableIdent table, string source) : ITransactionParticipant
{
    /// <summary>The snapshot's summary has the transaction's id here.</summary>
    public const string TransactionKey = "millrace.transaction";

    public string Name => name;

    public Task PrepareAsync(string id, CancellationToken cancellation)
    {
        if (Read(id) is not null || IsCommitted(id))
            return Task.CompletedTask;
        var folder = FolderOf(id);
        try
        {
            if (!catalog.TableExists(table))
                throw new TransactionRefusedException($"there is no table {table}");
            files.CreateFolder(folder);
            var staged = $"{folder}/{name}.parquet";
            using (var database = DuckDbDatabase.Open(null, new DuckDbOptions { MemoryLimit = 256L << 20, Threads = 1, EnableExternalAccess = true }))
            using (var connection = database.Connect())
                connection.Execute($"COPY (SELECT * FROM {source}) TO '{staged.Replace("'", "''", StringComparison.Ordinal)}' (FORMAT parquet)");
            using (var file = files.Open(staged))
                file.Flush();
            // Written for the table once now, so that rows which it cannot take are found before anyone votes.
            using var writer = new ParquetWriter(catalog.LoadTable(table));
            foreach (var tried in writer.WriteStaged([staged]))
                files.DeleteFile(tried.Path);
            files.FlushFolder(folder);
            Write(id, ParticipantState.Prepared);
            return Task.CompletedTask;
        }
        catch (Exception error) when (error is IcebergException or DuckDbException)
        {
            throw new TransactionRefusedException(error.Message, error);
        }
    }

    public Task PreCommitAsync(string id, CancellationToken cancellation)
    {
        if (Read(id) is not null)
            Write(id, ParticipantState.PreCommitted);
        return Task.CompletedTask;
    }

    public Task CommitAsync(string id, CancellationToken cancellation)
    {
        if (Read(id) is null)
            return Task.CompletedTask;
        if (!IsCommitted(id))
        {
            var current = catalog.LoadTable(table);
            using var writer = new ParquetWriter(current);
            current.NewAppend().Add(writer.WriteStaged([$"{FolderOf(id)}/{name}.parquet"])).Set(TransactionKey, id).Commit();
        }
        return AbortAsync(id, cancellation);
    }

    public Task AbortAsync(string id, CancellationToken cancellation)
    {
        var folder = FolderOf(id);
        if (!files.FolderExists(folder))
            return Task.CompletedTask;
        // The note last: while it is there, the rows are.
        if (Read(id) is not null)
            files.DeleteFile(NoteOf(id));
        files.FlushFolder(folder);
        if (files.FileExists($"{folder}/{name}.parquet"))
            files.DeleteFile($"{folder}/{name}.parquet");
        if (files.ListFiles(folder).Count == 0)
            files.DeleteFolder(folder);
        return Task.CompletedTask;
    }

    public Task<ParticipantState> StateAsync(string id, CancellationToken cancellation) =>
        Task.FromResult(Read(id) ?? (IsCommitted(id) ? ParticipantState.Committed : ParticipantState.Working));

    private string FolderOf(string id) => $"{staging}/{Uri.EscapeDataString(id)}";

    private string NoteOf(string id) => $"{FolderOf(id)}/{name}.json";

    private ParticipantState? Read(string id) => files.FileExists(NoteOf(id))
        ? Enum.Parse<ParticipantState>(JsonSerializer.Deserialize<string>(DurableFile.ReadAll(files, NoteOf(id)))!)
        : null;

    private void Write(string id, ParticipantState state) => DurableFile.Replace(files, NoteOf(id), JsonSerializer.SerializeToUtf8Bytes(state.ToString()));

    private bool IsCommitted(string id) => catalog.TableExists(table)
        && catalog.LoadTable(table).FindInHistory(s => s.Summary.GetValueOrDefault(TransactionKey) == id) is not null;
}
