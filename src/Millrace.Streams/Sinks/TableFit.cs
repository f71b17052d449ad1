using Millrace.Columnar;
using Millrace.Iceberg;
using Millrace.Iceberg.Metadata;
using Millrace.Iceberg.Schemas;

namespace Millrace.Streams.Sinks;

/// <summary>Whether rows of some columns can go into a table that is there: what lint says beforehand and a sink when it begins.</summary>
public static class TableFit
{
    /// <param name="table">The table as it is.</param>
    /// <param name="rows">The columns of the rows.</param>
    /// <param name="evolve">The table may be changed to take them.</param>
    /// <returns>Why not, and what to do; null when they can.</returns>
    public static (string Reason, string Hint)? Fault(TableMetadata table, Schema rows, bool evolve)
    {
        var columns = table.Schema.Fields;
        if (evolve)
        {
            try
            {
                SchemaEvolution.For(table.Schema, table.LastColumnId, rows);
            }
            catch (IcebergException error)
            {
                return (error.Message, "write to another table, or cast the column in SQL");
            }
        }
        else if (rows.Fields.FirstOrDefault(f => !columns.Any(c => c.Name == f.Name)) is { Name: { } missing })
        {
            return (
                $"the table has no column '{missing}' (it has {string.Join(", ", columns.Select(c => c.Name))})",
                "evolve=true adds it; or leave it out of the query, or write to another table");
        }
        return columns.FirstOrDefault(c => c.Required && rows.IndexOf(c.Name) < 0) is { } required
            ? ($"the table requires the column '{required.Name}', which the rows do not have", "select it in the query")
            : null;
    }
}
