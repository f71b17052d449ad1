using System.Text;
using Millrace.Columnar;

namespace Millrace.Query.Engine;

/// <summary>DuckDB's plan as PostgreSQL tells one: a column <c>QUERY PLAN</c> with a row a line.</summary>
internal static class ExplainRows
{
    public static readonly IReadOnlyList<SqlColumn> Columns = [new SqlColumn("QUERY PLAN", DataType.Utf8, "VARCHAR")];

    /// <summary>Reads the source to its end and disposes of it.</summary>
    public static async Task<(IReadOnlyList<SqlColumn> Columns, RowSource Rows)> ReadAsync(RowSource source, CancellationToken cancellation)
    {
        var lines = new List<string?[]>();
        await using (source)
        {
            while (await source.NextAsync(cancellation) is { } batch)
            {
                using (batch)
                {
                    for (var row = 0; row < batch.RowCount; row++)
                    {
                        var text = Encoding.UTF8.GetString(batch[batch.Columns.Count - 1].GetBytes(row));
                        lines.AddRange(text.TrimEnd('\n').Split('\n').Select(line => new string?[] { line }));
                    }
                }
            }
        }
        var (_, rows) = MemoryRows.Texts([Columns[0].Name], lines);
        return (Columns, rows);
    }
}
