namespace Millrace.Query.Text;

/// <summary>What a statement asks for, as far as its first words tell.</summary>
internal abstract record SqlCommand
{
    /// <summary>Rows from DuckDB.</summary>
    /// <param name="Sql">The query itself.</param>
    /// <param name="Start">Where the query begins in the statement: behind <c>EXPLAIN</c>, <c>COPY (</c> and the like.</param>
    /// <param name="Prefix">What stands in front when it runs, e.g. <c>EXPLAIN </c>.</param>
    /// <param name="Tag">The first word of the command tag.</param>
    public sealed record Query(string Sql, int Start = 0, string Prefix = "", string Tag = "SELECT") : SqlCommand;

    public sealed record Copy(Query Source, CopyFormat Format) : SqlCommand;

    /// <summary><c>CREATE TEMP TABLE name AS query</c>.</summary>
    public sealed record CreateTemp(string Name, Query Source, bool Replace, bool IfNotExists) : SqlCommand;

    public sealed record DropTemp(string Name, bool IfExists) : SqlCommand;

    /// <summary>A null value is <c>DEFAULT</c>.</summary>
    public sealed record Set(string Name, string? Value, bool Local) : SqlCommand;

    /// <summary>A null name is all.</summary>
    public sealed record Show(string? Name) : SqlCommand;

    /// <summary>A null name is all.</summary>
    public sealed record Reset(string? Name) : SqlCommand;

    public sealed record Begin : SqlCommand;

    /// <summary>COMMIT, or ROLLBACK when not <paramref name="Commit"/>; <c>AND CHAIN</c> begins anew.</summary>
    public sealed record End(bool Commit, bool Chain) : SqlCommand;

    public sealed record Prepare(string Name, IReadOnlyList<string> Types, string Sql, int Start) : SqlCommand;

    /// <param name="Name">The prepared statement's.</param>
    /// <param name="Arguments">Expressions, separated by commas; empty for none.</param>
    public sealed record Execute(string Name, string Arguments) : SqlCommand;

    /// <summary>A null name is all.</summary>
    public sealed record Deallocate(string? Name) : SqlCommand;

    public sealed record Declare(string Name, Query Source, bool Hold) : SqlCommand;

    /// <summary>FETCH or MOVE; a null count is all.</summary>
    public sealed record Fetch(string Name, long? Count, bool Move) : SqlCommand;

    /// <summary>A null name is all.</summary>
    public sealed record Close(string? Name) : SqlCommand;

    public sealed record Discard(string What) : SqlCommand;

    /// <summary>Accepted, and nothing is to be done.</summary>
    public sealed record Nothing(string Tag) : SqlCommand;

    public sealed record Refused(string Message, string SqlState, string? Hint = null) : SqlCommand;
}

/// <summary>The options of COPY TO STDOUT that are spoken.</summary>
internal sealed record CopyFormat
{
    public bool Csv { get; init; }

    public bool Header { get; init; }

    public char Delimiter { get; init; } = '\t';

    public string Null { get; init; } = "\\N";

    public char Quote { get; init; } = '"';
}
