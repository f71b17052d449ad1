using Millrace.Columnar;
using Millrace.Columnar.Kernels;
using Millrace.DuckDb;
using Millrace.Streams.Plans;

namespace Millrace.Streams.Queries;

/// <summary>Runs one SQL statement on every batch. For one thread.</summary>
internal sealed class StatelessStep : IDisposable
{
    private readonly DuckDbConnection _connection;
    private readonly BatchTable _batch;
    private readonly DuckDbStatement _statement;

    /// <exception cref="DuckDbException">The SQL is refused.</exception>
    public StatelessStep(StatelessQueryPlan plan, DuckDbDatabase database, Schema input)
    {
        Plan = plan;
        _connection = database.Connect();
        _batch = _connection.RegisterBatches("batch", input);
        _statement = _connection.Prepare(plan.BatchSql);
    }

    public StatelessQueryPlan Plan { get; }

    /// <summary>The statement's rows over a batch; the caller disposes of them.</summary>
    public ColumnBatch Run(ColumnBatch batch) => StepRows.Run(_batch, _statement, [batch], Plan.Output);

    public void Dispose()
    {
        _statement.Dispose();
        _batch.Dispose();
        _connection.Dispose();
    }
}

/// <summary>One run of a statement over batches.</summary>
internal static class StepRows
{
    public static ColumnBatch Run(BatchTable table, DuckDbStatement statement, IReadOnlyList<ColumnBatch> batches, Schema output)
    {
        table.Set(batches);
        try
        {
            using var result = statement.Execute();
            using var rows = result.ReadAll();
            return As(rows, output);
        }
        finally
        {
            table.Clear();
        }
    }

    /// <summary>The same rows under the plan's names and nullability.</summary>
    /// <exception cref="InvalidDataException">The statement gives other types than the plan says.</exception>
    private static ColumnBatch As(ColumnBatch rows, Schema output)
    {
        if (rows.Schema.Count != output.Count)
            throw new InvalidDataException($"the SQL gives {rows.Schema.Count} columns, the plan says {output.Count} ({output})");
        for (var i = 0; i < output.Count; i++)
        {
            if (!rows.Schema[i].Type.Equals(output[i].Type))
                throw new InvalidDataException($"the SQL gives column '{output[i].Name}' as {rows.Schema[i].Type}, the plan says {output[i].Type}");
        }
        return new ColumnBatch(output, rows.RowCount, rows.Columns.Select(c => c.Retain()).ToArray());
    }
}
