using System.Globalization;
using Millrace.Columnar;
using Millrace.DuckDb;
using Millrace.Iceberg.Metadata;
using Millrace.Iceberg.Schemas;
using Millrace.Iceberg.Values;

namespace Millrace.Iceberg.Files;

/// <summary>
/// The partition values of rows as extra text columns that COPY divides by. DuckDB computes them but for buckets and truncated
/// decimals and bytes: those are computed here once for each distinct value and joined.
/// </summary>
internal sealed class PartitionColumns : IDisposable
{
    private readonly PartitionSpec _spec;
    private readonly (NestedField Source, PrimitiveType SourceType, PrimitiveType Result)[] _types;
    private readonly List<BatchTable> _maps = [];

    private PartitionColumns(PartitionSpec spec, (NestedField, PrimitiveType, PrimitiveType)[] types, string[] names)
    {
        _spec = spec;
        _types = types;
        Names = names;
    }

    /// <summary>The extra columns, which are also the folders' names; none is a column of the table.</summary>
    public IReadOnlyList<string> Names { get; }

    public static PartitionColumns For(IcebergSchema schema, PartitionSpec spec)
    {
        var types = new (NestedField, PrimitiveType, PrimitiveType)[spec.Fields.Count];
        var names = new string[spec.Fields.Count];
        for (var i = 0; i < names.Length; i++)
        {
            var field = spec.Fields[i];
            var source = schema.Fields.FirstOrDefault(f => f.Id == field.SourceId)
                ?? throw new IcebergException($"rows cannot be divided by '{field.Name}': its source is nested or gone");
            if (source.Type is not PrimitiveType type || field.Transform.ResultOf(type) is not { } result)
                throw new IcebergException($"rows cannot be divided by {field.Transform} of '{source.Name}' ({source.Type})");
            types[i] = (source, type, result);
            names[i] = field.Name;
            while (schema.Fields.Any(f => f.Name.Equals(names[i], StringComparison.OrdinalIgnoreCase)) || Array.IndexOf(names, names[i]) < i)
                names[i] += "_part";
        }
        return new PartitionColumns(spec, types, names);
    }

    /// <summary>The select with the partition columns added.</summary>
    public string Select(DuckDbConnection connection, string select)
    {
        var columns = new List<string>();
        var joins = new List<string>();
        for (var i = 0; i < Names.Count; i++)
        {
            var (source, type, _) = _types[i];
            var column = "r." + Sql.Name(source.Name);
            if (_spec.Fields[i].Transform.ToSql(type, column) is { } sql)
            {
                columns.Add($"{AsText(_types[i].Result, sql)} AS {Sql.Name(Names[i])}");
                continue;
            }
            var map = Map(connection, select, i);
            columns.Add($"m{i}.result AS {Sql.Name(Names[i])}");
            joins.Add($" LEFT JOIN {map} m{i} ON m{i}.value = {AsText(type, column)}");
        }
        return $"SELECT r.*, {string.Join(", ", columns)} FROM ({select}) r{string.Concat(joins)}";
    }

    /// <summary>The typed tuple of a written file.</summary>
    public object?[] Tuple(IReadOnlyDictionary<string, string?> keys)
    {
        var tuple = new object?[Names.Count];
        for (var i = 0; i < tuple.Length; i++)
        {
            if (keys[Names[i]] is { } text)
                tuple[i] = FromText(_types[i].Result, text) ?? throw new IcebergException($"the partition value '{text}' of '{Names[i]}' is out of range");
        }
        return tuple;
    }

    public void Dispose()
    {
        foreach (var map in _maps)
            map.Dispose();
    }

    /// <summary>Text that names a value exactly: timestamps as microseconds, bytes in hex, the rest as DuckDB prints it.</summary>
    private static string AsText(PrimitiveType type, string sql) => type.Kind switch
    {
        PrimitiveKind.Timestamp or PrimitiveKind.TimestampTz => $"epoch_us({sql})::VARCHAR",
        PrimitiveKind.Date => $"datediff('day', DATE '1970-01-01', {sql})::VARCHAR",
        PrimitiveKind.Time => $"epoch_us({sql})::VARCHAR",
        PrimitiveKind.Binary or PrimitiveKind.Fixed => $"hex({sql})",
        PrimitiveKind.String => sql,
        _ => $"({sql})::VARCHAR",
    };

    private static object? FromText(PrimitiveType type, string text) => type.Kind switch
    {
        PrimitiveKind.Timestamp or PrimitiveKind.TimestampTz or PrimitiveKind.Time => DuckDbText.Parse(PrimitiveType.Long, text),
        PrimitiveKind.Date => DuckDbText.Parse(PrimitiveType.Int, text),
        PrimitiveKind.Float when text == "nan" => float.NaN,
        PrimitiveKind.Double when text == "nan" => double.NaN,
        _ => DuckDbText.Parse(type, text),
    };

    private static string ToText(PrimitiveType type, object value) => value switch
    {
        byte[] bytes => Convert.ToHexString(bytes),
        Int128 d => SingleValue.DecimalText(d, type.Scale),
        _ => Convert.ToString(value, CultureInfo.InvariantCulture)!,
    };

    private string Map(DuckDbConnection connection, string select, int index)
    {
        var (source, type, result) = _types[index];
        var name = string.Create(CultureInfo.InvariantCulture, $"millrace_partition_{index}");
        using var values = new ColumnBuilder(DataType.Utf8);
        using var results = new ColumnBuilder(DataType.Utf8);
        using (var distinct = connection.Query($"SELECT DISTINCT {AsText(type, Sql.Name(source.Name))} FROM ({select}) WHERE {Sql.Name(source.Name)} IS NOT NULL"))
        {
            while (distinct.Next() is { } batch)
            {
                using (batch)
                {
                    for (var row = 0; row < batch.RowCount; row++)
                    {
                        var text = batch[0].GetBytes(row);
                        var value = FromText(type, System.Text.Encoding.UTF8.GetString(text))
                            ?? throw new IcebergException($"a value of '{source.Name}' is out of range");
                        values.AppendBytes(text);
                        results.AppendBytes(System.Text.Encoding.UTF8.GetBytes(ToText(result, _spec.Fields[index].Transform.Apply(type, value)!)));
                    }
                }
            }
        }
        var schema = new Schema(new Field("value", DataType.Utf8), new Field("result", DataType.Utf8));
        var count = values.Length;
        using var map = new ColumnBatch(schema, count, values.Build(), results.Build());
        _maps.Add(connection.RegisterBatches(name, schema, [map]));
        return name;
    }
}
