using Millrace.WebConsole.Wire;

namespace Millrace.WebConsole.Seams;

/// <summary>The catalog's tables.</summary>
public interface ITables
{
    Task<IReadOnlyList<TableInfo>> ListAsync(CancellationToken cancellation);

    /// <summary>Null when there is no such table.</summary>
    Task<TableDetail?> FindAsync(string @namespace, string table, CancellationToken cancellation);
}
