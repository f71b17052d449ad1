using Millrace.Columnar;

namespace Millrace.Streams.Sinks;

/// <summary>How much memory rows take: what the bounds on pending rows count.</summary>
internal static class BatchSize
{
    /// <summary>Bytes of the batch's own rows (not of the buffers that it may share).</summary>
    public static long Of(ColumnBatch batch)
    {
        long bytes = 0;
        foreach (var column in batch.Columns)
            bytes += Of(column);
        return bytes;
    }

    private static long Of(Column column)
    {
        long bytes = ((long)column.Length * column.Type.Width) + (column.Length / 4);
        if (column.Length > 0 && column.OffsetsBuffer is not null)
        {
            var offsets = column.Offsets;
            bytes += ((long)column.Length * 4) + (column.Type.IsVariable ? offsets[^1] - offsets[0] : 0);
        }
        foreach (var child in column.Children)
            bytes += Of(child);
        return bytes;
    }
}
