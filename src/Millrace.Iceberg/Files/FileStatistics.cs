using System.Globalization;
using Millrace.Columnar;
using Millrace.Iceberg.Manifests;
using Millrace.Iceberg.Schemas;
using Millrace.Iceberg.Values;

namespace Millrace.Iceberg.Files;

/// <summary>What DuckDB's <c>COPY ... (RETURN_STATS)</c> says of one written file.</summary>
internal sealed record WrittenFile(
    string Path, long Rows, long Bytes, IReadOnlyDictionary<string, IReadOnlyDictionary<string, string?>> Columns,
    IReadOnlyDictionary<string, string?> PartitionKeys);

/// <summary>RETURN_STATS to Iceberg's column metrics.</summary>
internal static class FileStatistics
{
    /// <summary>Iceberg's default for how many columns carry metrics (write.metadata.metrics.max-inferred-column-defaults).</summary>
    public const int MostColumns = 100;

    /// <summary>The rows of the statement's result.</summary>
    public static IEnumerable<WrittenFile> Read(ColumnBatch batch)
    {
        for (var row = 0; row < batch.RowCount; row++)
        {
            yield return new WrittenFile(
                Text(batch["filename"], row)!,
                Number(batch["count"], row),
                Number(batch["file_size_bytes"], row),
                Map(batch["column_statistics"], row, (values, at) => (IReadOnlyDictionary<string, string?>)Map(values, at, Text)),
                Map(batch["partition_keys"], row, Text));
        }
    }

    /// <summary>The metrics of a file by field id; <paramref name="withNan"/> gets the top-level columns whose NaN must be counted.</summary>
    public static FileMetrics Metrics(IcebergSchema schema, WrittenFile file, out List<NestedField> withNan)
    {
        var columns = new List<ColumnMetrics>();
        withNan = [];
        foreach (var field in schema.Fields.Take(MostColumns))
            Add(columns, withNan, field, Sql.Name(field.Name), file, topLevel: true, inList: false);
        return new FileMetrics(columns.ToArray());
    }

    private static void Add(List<ColumnMetrics> columns, List<NestedField> withNan, NestedField field, string name, WrittenFile file, bool topLevel, bool inList)
    {
        switch (field.Type)
        {
            case StructType structure:
                foreach (var child in structure.Fields)
                    Add(columns, withNan, child, $"{name}.{Sql.Name(child.Name)}", file, false, inList);
                return;
            case ListType list:
                Add(columns, withNan, new NestedField(list.ElementId, "element", list.ElementRequired, list.Element), name + ".\"element\"", file, false, true);
                return;
            case MapType map:
                Add(columns, withNan, new NestedField(map.KeyId, "key", true, map.Key), name + ".\"key\"", file, false, true);
                Add(columns, withNan, new NestedField(map.ValueId, "value", map.ValueRequired, map.Value), name + ".\"value\"", file, false, true);
                return;
        }
        if (!file.Columns.TryGetValue(name, out var statistics))
            return;
        var type = (PrimitiveType)field.Type;
        var metrics = new ColumnMetrics(
            field.Id, NumberOf(statistics, "column_size_bytes"), NumberOf(statistics, "num_values"), NumberOf(statistics, "null_count"));
        if (statistics.TryGetValue("has_nan", out var nan))
        {
            if (nan == "false")
                metrics = metrics with { NanCount = 0 };
            else if (topLevel)
                withNan.Add(field);
        }
        // A bound over the elements of lists says nothing of rows, and readers do not expect one.
        if (!inList)
            metrics = metrics with { Lower = Bound(type, statistics, "min"), Upper = Bound(type, statistics, "max") };
        columns.Add(metrics);
    }

    private static byte[]? Bound(PrimitiveType type, IReadOnlyDictionary<string, string?> statistics, string key)
    {
        if (!statistics.TryGetValue(key, out var text) || text is null || DuckDbText.Parse(type, text) is not { } value)
            return null;
        var isLower = key == "min";
        switch (value)
        {
            case string s:
                return (isLower ? Bounds.LowerText(s) : Bounds.UpperText(s)) is { } cut ? SingleValue.Encode(type, cut) : null;
            case byte[] b when type.Kind == PrimitiveKind.Binary:
                return isLower ? Bounds.LowerBytes(b) : Bounds.UpperBytes(b);
            // DuckDB holds -0.0 and 0.0 for one; the bounds must enclose both.
            case float and 0f:
                return SingleValue.Encode(type, isLower ? -0f : 0f);
            case double and 0d:
                return SingleValue.Encode(type, isLower ? -0d : 0d);
            default:
                return SingleValue.Encode(type, value);
        }
    }

    private static long NumberOf(IReadOnlyDictionary<string, string?> statistics, string key) =>
        statistics.TryGetValue(key, out var text) && long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value) ? value : -1;

    private static long Number(Column column, int row) => column.Type.Kind == TypeKind.UInt64 ? (long)column.Values<ulong>()[row] : column.Values<long>()[row];

    private static string? Text(Column column, int row) => column.IsNull(row) ? null : System.Text.Encoding.UTF8.GetString(column.GetBytes(row));

    private static Dictionary<string, T> Map<T>(Column map, int row, Func<Column, int, T> read)
    {
        var result = new Dictionary<string, T>(StringComparer.Ordinal);
        if (map.IsNull(row))
            return result;
        var entries = map.Children[0];
        var from = map.Offsets[row];
        var to = map.Offsets[row + 1];
        for (var i = from; i < to; i++)
        {
            // Children of a struct are not shifted by its own offset.
            var at = i + entries.Offset;
            result[Text(entries.Children[0], at)!] = read(entries.Children[1], at);
        }
        return result;
    }
}
