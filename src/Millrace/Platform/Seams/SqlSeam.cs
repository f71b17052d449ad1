using Millrace.Columnar;
using Millrace.Query;
using Millrace.WebConsole.Seams;

namespace Millrace.Host.Platform.Seams;

/// <summary>The SQL engine for the console: each statement in a session of its own.</summary>
internal sealed class SqlSeam(SqlEngine engine) : ISql
{
    public async Task<SqlAnswer> RunAsync(string sql, int maxRows, CancellationToken cancellation)
    {
        var batches = new List<ColumnBatch>();
        try
        {
            await using var session = engine.OpenSession(new SqlSessionOptions { Application = "console" });
            await using var result = await engine.ExecuteAsync(session, sql, null, cancellation);
            var rows = 0L;
            while (rows <= maxRows && await result.NextAsync(cancellation) is { } batch)
            {
                batches.Add(batch);
                rows += batch.RowCount;
            }
            var schema = new Schema([.. Distinct(result.Columns)]);
            return new SqlAnswer.Rows(schema, batches, rows > maxRows, result.ReturnsRows ? null : result.CommandTag);
        }
        catch (SqlException refused)
        {
            batches.ForEach(b => b.Dispose());
            return new SqlAnswer.Fault(refused.SqlState, refused.Message, refused.Position, refused.Hint ?? refused.Detail);
        }
        catch
        {
            batches.ForEach(b => b.Dispose());
            throw;
        }
    }

    /// <summary>SQL allows two columns of one name, a schema does not: the later ones get a number.</summary>
    private static IEnumerable<Field> Distinct(IReadOnlyList<SqlColumn> columns)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var column in columns)
        {
            var name = column.Name;
            for (var number = 1; !seen.Add(name); number++)
                name = $"{column.Name}_{number}";
            yield return new Field(name, column.Type);
        }
    }
}
