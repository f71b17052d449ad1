using Millrace.Columnar;
using Millrace.WebConsole.Wire;
using Millrace.Streams.Plans;

namespace Millrace.WebConsole.Events;

/// <summary>Which columns of an output are its window, its keys and its measures: what a chart needs to know.</summary>
internal sealed class OutputShape
{
    public required Schema Schema { get; init; }

    /// <summary>Index of the window's start, or -1.</summary>
    public required int Window { get; init; }

    public required IReadOnlyList<int> Keys { get; init; }

    public required IReadOnlyList<int> Measures { get; init; }

    public required IReadOnlyList<ColumnInfo> Columns { get; init; }

    public required IReadOnlyList<string> Roles { get; init; }

    /// <summary>
    /// A windowed query names its keys; SQL may rename them on the way out, so a column that is no number counts as a key there too.
    /// A query without windows shows its newest rows, so keys matter only for the sink's key.
    /// </summary>
    public static OutputShape Of(PipelinePlan plan, string output, Schema schema)
    {
        var windowed = plan.Queries.OfType<WindowedQueryPlan>().FirstOrDefault(q => q.Name == output);
        var named = new HashSet<string>(StringComparer.Ordinal);
        if (windowed is not null)
            named.UnionWith(windowed.Partial.Where(p => p.Merge == Merge.Key).Select(p => p.Field.Name));
        foreach (var sink in plan.Sinks.Where(s => s.Input == output))
            named.UnionWith(sink switch { IcebergSinkPlan i => i.Key, TopicSinkPlan t => t.Key, _ => [] });

        var window = windowed is null ? -1 : schema.IndexOf("window_start");
        var roles = new string[schema.Count];
        var keys = new List<int>();
        var measures = new List<int>();
        for (var i = 0; i < roles.Length; i++)
        {
            var type = schema[i].Type;
            if (i == window)
                roles[i] = "window";
            else if (windowed is not null && JsonRows.IsTime(type))
                roles[i] = "other";
            else if (named.Contains(schema[i].Name) || (windowed is not null && !JsonRows.IsNumber(type)))
                Add(keys, i, "key");
            else if (JsonRows.IsNumber(type))
                Add(measures, i, "measure");
            else
                roles[i] = "other";
        }
        return new OutputShape
        {
            Schema = schema,
            Window = window,
            Keys = keys,
            Measures = measures,
            Columns = [.. schema.Fields.Select(f => new ColumnInfo(f.Name, f.Type.ToString()))],
            Roles = roles,
        };

        void Add(List<int> list, int index, string role)
        {
            list.Add(index);
            roles[index] = role;
        }
    }

    /// <summary>
    /// Rows to show: of the newest <paramref name="windows"/> windows, newest first, each the <paramref name="keys"/> rows with the
    /// largest first measure. Without a window column the last <paramref name="most"/> rows, newest first.
    /// </summary>
    public int[] Pick(ColumnBatch batch, int windows, int keys, int most)
    {
        var count = batch.RowCount;
        if (Window < 0 || batch[Window].Type.Width != sizeof(long))
        {
            var newest = new int[Math.Min(count, most)];
            for (var i = 0; i < newest.Length; i++)
                newest[i] = count - 1 - i;
            return newest;
        }
        var rows = new int[count];
        var order = new RowRank[count];
        var starts = batch[Window];
        var measure = Measures.Count > 0 ? batch[Measures[0]] : null;
        var values = starts.Values<long>();
        for (var i = 0; i < count; i++)
        {
            rows[i] = i;
            var size = measure is null ? 0 : JsonRows.AsNumber(measure, i);
            order[i] = new RowRank(starts.IsNull(i) ? long.MinValue : values[i], double.IsNaN(size) ? double.NegativeInfinity : size, i);
        }
        Array.Sort(order, rows);
        return Cut(rows, order, windows, keys);
    }

    private static int[] Cut(int[] rows, RowRank[] order, int windows, int keys)
    {
        var taken = 0;
        var seenWindows = 0;
        var inWindow = 0;
        for (var i = 0; i < rows.Length; i++)
        {
            if (i == 0 || order[i].Window != order[i - 1].Window)
            {
                if (++seenWindows > windows)
                    break;
                inWindow = 0;
            }
            if (++inWindow <= keys)
                rows[taken++] = rows[i];
        }
        return rows[..taken];
    }

    private readonly record struct RowRank(long Window, double Size, int Row) : IComparable<RowRank>
    {
        public int CompareTo(RowRank other)
        {
            var byWindow = other.Window.CompareTo(Window);
            if (byWindow != 0)
                return byWindow;
            var bySize = other.Size.CompareTo(Size);
            return bySize != 0 ? bySize : Row.CompareTo(other.Row);
        }
    }
}
