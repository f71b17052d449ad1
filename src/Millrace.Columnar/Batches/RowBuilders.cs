namespace Millrace.Columnar;

/// <summary>What decoders do with the builders of a schema's columns, one for each column.</summary>
internal static class RowBuilders
{
    /// <summary>Takes back what an unfinished row has appended to some of the columns.</summary>
    public static void CutTo(this ColumnBuilder[] builders, int rowCount)
    {
        foreach (var builder in builders)
        {
            if (builder.Length > rowCount)
                builder.Truncate(rowCount);
        }
    }

    /// <summary>The rows so far as a batch that the caller owns; the builders begin anew.</summary>
    public static ColumnBatch BuildBatch(this ColumnBuilder[] builders, Schema schema, int rowCount)
    {
        var columns = new Column[builders.Length];
        for (var i = 0; i < columns.Length; i++)
            columns[i] = builders[i].Build();
        return new ColumnBatch(schema, rowCount, columns);
    }
}
