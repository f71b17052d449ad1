using Millrace.WebConsole.Wire;

namespace Millrace.WebConsole.Seams;

/// <summary>The catalog's tables.</summary>
public interface ITables
{
    Task<IReadOnlyList<TableInfo>> ListAsync(CancellationToken cancellation);

    /// <summary>Null when there is no such table.</summary>
    Task<TableDetail?> FindAsync(string @namespace, string table, CancellationToken cancellation);

    /// <summary>Keeps a table in shape, or tells what that would do; null when there is no such table.</summary>
    Task<UpkeepReply?> UpkeepAsync(string @namespace, string table, TableTask task, bool dryRun, CancellationToken cancellation);

    /// <summary>Drops a table with its files; false when there is none.</summary>
    Task<bool> DropAsync(string @namespace, string table, CancellationToken cancellation);
}

/// <summary>A piece of upkeep; null takes the table's own properties, then the installation's settings.</summary>
public abstract record TableTask
{
    /// <summary>Takes out old snapshots with the files that only they need.</summary>
    public sealed record Expire(TimeSpan? Keep, int? KeepLast) : TableTask;

    /// <summary>Rewrites small files as files of a size.</summary>
    public sealed record Compact(long? Target) : TableTask;

    /// <summary>Deletes files that nothing names.</summary>
    public sealed record Clean(TimeSpan OlderThan) : TableTask;
}
