namespace Millrace.Columnar;

/// <summary>
/// Rows as columns: the unit in which events travel from a source to a sink. Immutable; whoever holds it disposes of it once.
/// </summary>
public sealed class ColumnBatch : IDisposable
{
    /// <exception cref="ArgumentException">Columns do not match the schema or differ in length.</exception>
    public ColumnBatch(Schema schema, int rowCount, params IReadOnlyList<Column> columns)
    {
        if (columns.Count != schema.Count)
            throw new ArgumentException($"{columns.Count} columns for a schema of {schema.Count}");
        for (var i = 0; i < columns.Count; i++)
        {
            if (columns[i].Length != rowCount)
                throw new ArgumentException($"column '{schema[i].Name}' has {columns[i].Length} rows, the batch {rowCount}");
            if (columns[i].Type.Kind != schema[i].Type.Kind)
                throw new ArgumentException($"column '{schema[i].Name}' is {columns[i].Type}, the schema says {schema[i].Type}");
        }
        Schema = schema;
        RowCount = rowCount;
        Columns = columns;
    }

    public Schema Schema { get; }

    public int RowCount { get; }

    public IReadOnlyList<Column> Columns { get; }

    public Column this[int index] => Columns[index];

    /// <exception cref="KeyNotFoundException">No column has that name.</exception>
    public Column this[string name] => Schema.IndexOf(name) is >= 0 and var index
        ? Columns[index]
        : throw new KeyNotFoundException($"the batch has no column '{name}'");

    /// <summary>Another handle on the same rows, disposed of on its own.</summary>
    public ColumnBatch Retain() => new(Schema, RowCount, Columns.Select(c => c.Retain()).ToArray());

    public void Dispose()
    {
        foreach (var column in Columns)
            column.Dispose();
    }
}
