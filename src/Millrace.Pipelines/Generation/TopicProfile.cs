using System.Text;
using Millrace.Columnar;
using Millrace.Columnar.Json;

namespace Millrace.Pipelines.Generation;

/// <summary>What a sample of records tells of a column.</summary>
/// <param name="Nulls">Rows without a value.</param>
/// <param name="Distinct">Different values, counted up to <see cref="TopicProfile.MostDistinct"/>.</param>
/// <param name="Least">The least number, for numeric columns with values.</param>
/// <param name="Longest">Characters of the longest text.</param>
internal sealed record ColumnProfile(Field Field, int Nulls, int Distinct, double? Least, double? Greatest, int Longest)
{
    public string Name => Field.Name;

    public bool IsNumeric => Field.Type.Kind is TypeKind.Int64 or TypeKind.Float64;
}

/// <summary>A sample of a topic's records, column by column.</summary>
internal sealed record TopicProfile(int Rows, IReadOnlyList<ColumnProfile> Columns)
{
    public const int MostDistinct = 10_000;

    /// <exception cref="InvalidDataException">No record is a JSON object with fields.</exception>
    public static TopicProfile Of(IReadOnlyList<byte[]> records)
    {
        var schema = JsonSchemaSampler.Sample(records.Select(r => (ReadOnlyMemory<byte>)r));
        using var decoder = new JsonColumnDecoder(schema);
        foreach (var record in records)
            decoder.TryDecode(record, out _);
        using var batch = decoder.Build();
        return new TopicProfile(batch.RowCount, schema.Fields.Select((f, i) => Profile(f, batch[i])).ToArray());
    }

    private static ColumnProfile Profile(Field field, Column column)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var (nulls, longest) = (0, 0);
        double? least = null, greatest = null;
        for (var row = 0; row < column.Length; row++)
        {
            if (column.IsNull(row))
            {
                nulls++;
                continue;
            }
            var text = TextOf(column, row);
            longest = Math.Max(longest, text.Length);
            if (seen.Count < MostDistinct)
                seen.Add(text);
            if (NumberOf(column, row) is { } number)
            {
                least = Math.Min(least ?? number, number);
                greatest = Math.Max(greatest ?? number, number);
            }
        }
        return new ColumnProfile(field, nulls, seen.Count, least, greatest, longest);
    }

    private static double? NumberOf(Column column, int row) => column.Type.Kind switch
    {
        TypeKind.Int64 => column.Values<long>()[row],
        TypeKind.Float64 => column.Values<double>()[row],
        _ => null,
    };

    private static string TextOf(Column column, int row) => column.Type.Kind switch
    {
        TypeKind.Boolean => column.GetBoolean(row) ? "true" : "false",
        TypeKind.Int64 or TypeKind.TimestampTz => column.Values<long>()[row].ToString(),
        TypeKind.Float64 => column.Values<double>()[row].ToString("R"),
        TypeKind.Date32 => column.Values<int>()[row].ToString(),
        _ => Encoding.UTF8.GetString(column.GetBytes(row)),
    };
}
