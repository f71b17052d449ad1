using System.Collections.Frozen;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Millrace.Columnar;
using Millrace.DuckDb;

namespace Millrace.Streams.Sql;

/// <summary>A DuckDB database in memory that parses, prints and binds statements; it never holds a row.</summary>
internal sealed class SqlSession : IDisposable
{
    /// <summary>Levels of a syntax tree's JSON; an expression has some three a level. Walking a tree takes stack for each.</summary>
    public const int DeepestTree = 900;

    private static KnownNames? s_known;

    private readonly DuckDbDatabase _database;
    private readonly DuckDbConnection _connection;

    public SqlSession()
    {
        _database = DuckDbDatabase.Open(null, new DuckDbOptions { MemoryLimit = 128L << 20, Threads = 1 });
        _connection = _database.Connect();
        // The library's functions are the same for every session, and listing them takes longer than all else here.
        var known = LazyInitializer.EnsureInitialized(ref s_known, ReadNames);
        (Aggregates, Volatile, Keywords) = (known.Aggregates, known.Volatile, known.Keywords);
    }

    public FrozenSet<string> Aggregates { get; }

    /// <summary>Functions that give another value at each run: after a restart they would give other rows.</summary>
    public FrozenSet<string> Volatile { get; }

    /// <summary>Words that name nothing unless they are quoted.</summary>
    public FrozenSet<string> Keywords { get; }

    /// <summary>The statement's syntax tree as DuckDB serializes it, or its error object.</summary>
    /// <exception cref="JsonException">Expressions are nested deeper than <see cref="DeepestTree"/>.</exception>
    public JsonObject Parse(string sql) => JsonNode.Parse(Rows("SELECT CAST(json_serialize_sql(CAST($1 AS VARCHAR)) AS VARCHAR)", sql)[0][0]!, null, new JsonDocumentOptions { MaxDepth = DeepestTree })!.AsObject();

    /// <summary>A tree's text.</summary>
    public string Print(JsonNode selectNode)
    {
        var statements = new JsonObject
        {
            ["error"] = false,
            ["statements"] = new JsonArray(new JsonObject { ["node"] = selectNode.DeepClone(), ["named_param_map"] = new JsonArray() }),
        };
        return Rows("SELECT json_deserialize_sql(CAST(CAST($1 AS VARCHAR) AS JSON))", statements.ToJsonString())[0][0]!;
    }

    /// <summary>An empty table with those columns, replacing one of that name.</summary>
    public void CreateTable(string name, Schema schema)
    {
        var columns = string.Join(", ", schema.Fields.Select(f => $"{DuckDbSql.Identifier(f.Name)} {f.Type.SqlName}"));
        _connection.Execute($"CREATE OR REPLACE TEMP TABLE {DuckDbSql.Identifier(name)} ({columns})");
    }

    public void DropTable(string name) => _connection.Execute($"DROP TABLE IF EXISTS temp.{DuckDbSql.Identifier(name)}");

    /// <summary>Names and DuckDB types of a query's columns.</summary>
    /// <exception cref="DuckDbException">It does not bind; positions are in <paramref name="sql"/>.</exception>
    public IReadOnlyList<(string Name, string Type)> Describe(string sql)
    {
        const string prefix = "DESCRIBE ";
        try
        {
            return Rows(prefix + sql).Select(r => (r[0]!, r[1]!)).ToArray();
        }
        catch (DuckDbException error) when (error.Position is { } position)
        {
            throw new DuckDbException(error.Message, error.ErrorType, Math.Max(0, position - prefix.Length), error.Subtype);
        }
    }

    public void Dispose()
    {
        _connection.Dispose();
        _database.Dispose();
    }

    private List<string?[]> Rows(string sql, params ReadOnlySpan<object?> parameters)
    {
        using var result = _connection.Query(sql, parameters);
        var rows = new List<string?[]>();
        while (result.Next() is { } batch)
        {
            using (batch)
            {
                for (var row = 0; row < batch.RowCount; row++)
                    rows.Add(batch.Columns.Select(c => c.IsNull(row) ? null : Encoding.UTF8.GetString(c.GetBytes(row))).ToArray());
            }
        }
        return rows;
    }

    private KnownNames ReadNames()
    {
        var functions = Rows(
            "SELECT function_name, function_type, coalesce(stability, '') FROM duckdb_functions() WHERE function_type IN ('scalar', 'aggregate', 'macro')");
        var keywords = Rows("SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'");
        return new KnownNames(
            Names(functions, f => f[1] == "aggregate"), Names(functions, f => f[2] is not ("CONSISTENT" or "")), Names(keywords, _ => true));
    }

    private static FrozenSet<string> Names(List<string?[]> functions, Func<string?[], bool> chosen) =>
        functions.Where(chosen).Select(f => f[0]!.ToLowerInvariant()).ToFrozenSet(StringComparer.Ordinal);

    private sealed record KnownNames(FrozenSet<string> Aggregates, FrozenSet<string> Volatile, FrozenSet<string> Keywords);
}
