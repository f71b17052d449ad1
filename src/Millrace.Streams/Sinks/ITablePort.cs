namespace Millrace.Streams.Sinks;

/// <summary>A table to append to, as <see cref="TableSink"/> needs it. Calls come one at a time, but for <see cref="Upkeep"/>.</summary>
internal interface ITablePort : IDisposable
{
    /// <summary>Makes the table when it is missing, so that it can be asked before its first rows come.</summary>
    /// <exception cref="TableUnavailableException">It did not work; <see cref="Append"/> tries again.</exception>
    void Ensure();

    /// <summary>The newest commit of a writer in the table's history, or null.</summary>
    TableCommit? NewestOf(string writer);

    /// <summary>
    /// Appends the rows of Parquet files as one snapshot that carries the commit in its summary; makes the table when it is missing.
    /// </summary>
    /// <returns>The snapshot's id.</returns>
    /// <exception cref="TableUnavailableException">It did not work; whether it was committed is to be looked up.</exception>
    string Append(IReadOnlyList<string> parquetFiles, TableCommit commit, CancellationToken cancellation);

    /// <summary>Keeps the table in shape; may run beside the others. A sentence on what was done, or null.</summary>
    /// <exception cref="TableUnavailableException">It did not work; the table is as before or better.</exception>
    string? Upkeep(CancellationToken cancellation);
}

/// <summary>What a snapshot's summary says of the commit that made it.</summary>
/// <param name="Writer">Which sink of which pipeline.</param>
/// <param name="Incarnation">Which state of that pipeline.</param>
/// <param name="Checkpoint">The table holds the rows of all checkpoints up to this one.</param>
/// <param name="Snapshot">The snapshot's id; empty before it is made.</param>
internal sealed record TableCommit(string Writer, string Incarnation, long Checkpoint, string Snapshot = "");

/// <summary>A table cannot be committed to now; trying again later may help.</summary>
internal sealed class TableUnavailableException(string message, Exception? inner = null) : Exception(message, inner);
