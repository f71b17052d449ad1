using Millrace.Columnar;

namespace Millrace.Query;

/// <summary>
/// The present state of running pipelines as tables of the schema <c>live</c>. Connected by the host; all members are thread-safe and cheap.
/// </summary>
public interface ILiveTables
{
    /// <summary>All tables that exist now. Names are distinct and lie in the schema <c>live</c>.</summary>
    IReadOnlyList<LiveTable> List();

    /// <summary>The present rows of a table, whose schema is that of <see cref="List"/>; the caller disposes of them. Null when it is gone.</summary>
    ColumnBatch? Rows(string name);
}

/// <param name="Name">E.g. <c>by_country</c> for <c>live.by_country</c>.</param>
/// <param name="Schema">Its columns.</param>
/// <param name="Comment">What it shows, for <c>\d+</c>; null for nothing.</param>
public sealed record LiveTable(string Name, Schema Schema, string? Comment = null);

/// <summary>No live tables.</summary>
public sealed class NoLiveTables : ILiveTables
{
    public static readonly NoLiveTables Instance = new();

    private NoLiveTables()
    {
    }

    public IReadOnlyList<LiveTable> List() => [];

    public ColumnBatch? Rows(string name) => null;
}
