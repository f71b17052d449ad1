using Millrace.DuckDb;
using Millrace.Query.Text;

namespace Millrace.Query.Engine;

/// <summary>Has DuckDB parse queries, on a connection of its own, so that no session's result is disturbed. Thread-safe.</summary>
internal sealed class SyntaxReader : IDisposable
{
    private readonly Lock _lock = new();
    private readonly DuckDbConnection _connection;
    private readonly DuckDbStatement _statement;

    public SyntaxReader(DuckDbDatabase database)
    {
        _connection = database.Connect();
        _statement = _connection.Prepare("SELECT json_serialize_sql($1::VARCHAR)");
    }

    /// <exception cref="SqlException">The text does not parse or is no query.</exception>
    public StatementReferences Read(RewrittenSql sql, int start)
    {
        string json;
        lock (_lock)
        {
            _statement.Bind(1, sql.Text);
            using var result = _statement.Execute();
            using var batch = result.Next() ?? throw new InvalidOperationException("json_serialize_sql gave no row");
            json = System.Text.Encoding.UTF8.GetString(batch[0].GetBytes(0));
        }
        try
        {
            return StatementReferences.Read(json);
        }
        catch (SqlException error) when (error.Position is { } bytes)
        {
            throw error.At(Positions.Of(bytes, sql, start));
        }
    }

    public void Dispose()
    {
        _statement.Dispose();
        _connection.Dispose();
    }
}
