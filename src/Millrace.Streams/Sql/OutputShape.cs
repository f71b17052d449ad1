using Millrace.Columnar;
using Millrace.DuckDb;

namespace Millrace.Streams.Sql;

/// <summary>A column of a step's result: what DuckDB calls its type, and the type that it leaves the step with.</summary>
/// <param name="CastTo">The SQL type to cast to at the end, or null when the column can stay as it is.</param>
internal sealed record OutputColumn(string Name, DataType Type, string? CastTo, bool Nullable)
{
    /// <summary>The column for a DuckDB type, or null when nothing holds such values.</summary>
    public static OutputColumn? Of(string name, string duckDbType, bool nullable)
    {
        if (CastOf(duckDbType) is { } cast)
            return TypeNames.TryParse(cast, out var castType) ? new OutputColumn(name, castType, cast, nullable) : null;
        return TypeNames.TryParse(duckDbType, out var type) ? new OutputColumn(name, type, null, nullable) : null;
    }

    /// <summary>What a type that columns do not have is held as without loss, or null when no cast is needed (or none is known).</summary>
    public static string? CastOf(string duckDbType) => duckDbType switch
    {
        // Sums of integers are HUGEINT; 38 digits hold every sum of fewer than 10^19 BIGINTs.
        "HUGEINT" or "UHUGEINT" => "DECIMAL(38,0)",
        "TIMESTAMP_S" or "TIMESTAMP_MS" => "TIMESTAMP",
        "UUID" or "JSON" => "VARCHAR",
        _ when duckDbType.StartsWith("ENUM(", StringComparison.Ordinal) => "VARCHAR",
        _ => null,
    };
}

/// <summary>The columns of a step's result.</summary>
internal sealed class OutputShape(IReadOnlyList<OutputColumn> columns)
{
    public IReadOnlyList<OutputColumn> Columns { get; } = columns;

    public Schema Schema { get; } = new(columns.Select(c => new Field(c.Name, c.Type, c.Nullable)).ToArray());

    /// <summary>The statement with a cast around every column that needs one (or that <paramref name="also"/> names).</summary>
    public string Wrap(string sql, Func<int, bool>? also = null)
    {
        if (!Columns.Where((c, i) => c.CastTo is not null || also?.Invoke(i) == true).Any())
            return sql;
        var items = Columns.Select((c, i) =>
        {
            var name = DuckDbSql.Identifier(c.Name);
            return c.CastTo is not null || also?.Invoke(i) == true ? $"CAST({name} AS {c.CastTo ?? c.Type.SqlName}) AS {name}" : name;
        });
        return $"SELECT {string.Join(", ", items)} FROM ({sql})";
    }
}
