using Millrace.Columnar;
using Millrace.Streams.Plans;

namespace Millrace.Streams.Sql;

/// <summary>What a SQL step reads.</summary>
/// <param name="Columns">For a source its <see cref="SourcePlan.RowSchema"/>, for a query its output.</param>
/// <param name="TimeColumn">The column that carries event time, or null when there is none any more.</param>
public sealed record SqlInput(string Name, Schema Columns, string? TimeColumn)
{
    /// <summary>A source's good rows: event time and columns under a not_null check are never null in them.</summary>
    public static SqlInput Of(SourcePlan source)
    {
        var present = source.Checks.OfType<NotNullCheck>().SelectMany(c => c.Columns).Append(source.TimeColumn).ToHashSet();
        var columns = source.RowSchema.Fields.Select(f => present.Contains(f.Name) ? f with { Nullable = false } : f).ToArray();
        return new SqlInput(source.Name, new Schema(columns), source.TimeColumn ?? SourcePlan.KafkaTimeColumn);
    }
}

/// <summary>An analysed step.</summary>
/// <param name="TimeColumn">The column that carries event time for steps behind it, or null.</param>
/// <param name="KeyColumns">Output columns that identify a row: those that a windowed step groups by, window_start among them if selected.</param>
public sealed record SqlAnalysis(QueryPlan Plan, string? TimeColumn, IReadOnlyList<string> KeyColumns)
{
    public SqlInput AsInput => new(Plan.Name, Plan.Output, TimeColumn);
}
