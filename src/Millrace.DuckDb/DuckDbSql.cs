namespace Millrace.DuckDb;

/// <summary>Quoting for the few statements that cannot take parameters.</summary>
public static class DuckDbSql
{
    /// <summary>The name in double quotes.</summary>
    public static string Identifier(string name) => $"\"{name.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";

    /// <summary>The text in single quotes.</summary>
    /// <exception cref="ArgumentException">It holds a NUL, where DuckDB would end the statement.</exception>
    public static string Literal(string text) => text.Contains('\0')
        ? throw new ArgumentException("a SQL literal cannot hold a NUL character")
        : $"'{text.Replace("'", "''", StringComparison.Ordinal)}'";
}
