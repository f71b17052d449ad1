using Millrace.Columnar;
using Millrace.Columnar.Kernels;
using Millrace.DuckDb;
using Xunit.Abstractions;

namespace Millrace.Tests.Columnar;

/// <summary>Kernels against plain lists of values, over columns of every kind, sliced and not.</summary>
public sealed class KernelTests(ITestOutputHelper output)
{
    // DuckDB makes columns of every kind, nested ones too.
    private const string EveryKind = """
        SELECT CASE WHEN i % 7 = 1 THEN NULL ELSE i % 2 = 0 END AS b, i::TINYINT AS i8, CASE WHEN i % 5 = 0 THEN NULL ELSE i::SMALLINT END AS i16,
          i::INTEGER AS i32, CASE WHEN i % 3 = 0 THEN NULL ELSE i END AS i64, i * 1.5::DOUBLE AS f64, (i / 4)::DECIMAL(12,3) AS d, DATE '2020-01-01' + i::INTEGER AS day,
          CASE WHEN i % 4 = 3 THEN NULL ELSE repeat('ä', (i % 9)::INTEGER) || i END AS s, ('\x01' || i)::BLOB AS bin,
          CASE WHEN i % 6 = 5 THEN NULL ELSE range(i % 4) END AS l, {'x': i, 'y': CASE WHEN i % 2 = 0 THEN NULL ELSE 'y' || i END} AS st,
          CASE WHEN i % 8 = 1 THEN NULL ELSE MAP {'k' || i: [i, NULL]} END AS m, INTERVAL (i) DAY AS iv, NULL AS n
        FROM range(100) t(i)
        """;

    [Fact]
    public void Take_Filter_Slice_and_Concat_give_the_rows_that_lists_give()
    {
        var seed = Seeds.Next(output);
        var random = new Random(seed);
        using var database = DuckDbDatabase.Open(null, new DuckDbOptions { Threads = 1 });
        using var connection = database.Connect();
        using var result = connection.Query(EveryKind);
        using var whole = result.ReadAll();
        for (var round = 0; round < 150; round++)
        {
            var start = random.Next(100);
            using var batch = whole.Slice(start, random.Next(101 - start));
            var rows = Values(batch);
            Assert.Equal(Values(whole).Skip(start).Take(batch.RowCount), rows);

            var indexes = batch.RowCount == 0 ? [] : Enumerable.Range(0, random.Next(150)).Select(_ => random.Next(batch.RowCount)).ToArray();
            using var taken = batch.Take(indexes);
            Assert.Equal(indexes.Select(i => rows[i]), Values(taken));

            var bits = new ulong[(batch.RowCount + 63) / 64];
            foreach (ref var word in bits.AsSpan())
                word = random.Next(5) == 0 ? ulong.MaxValue : (ulong)random.NextInt64() * 2 + (ulong)random.Next(2);
            using var filtered = batch.Filter(bits);
            Assert.Equal(rows.Where((_, i) => (bits[i >> 6] & (1UL << (i & 63))) != 0), Values(filtered));

            var parts = new[] { batch, taken, filtered, batch };
            using var joined = Concatenation.Concat(batch.Schema, parts);
            Assert.Equal(parts.SelectMany(Values), Values(joined));
            Assert.Equal(parts.Sum(p => p["i64"].NullCount), joined["i64"].NullCount);
        }
    }

    [Fact]
    public void A_missing_index_gives_null()
    {
        using var builder = new ColumnBuilder(DataType.Utf8);
        builder.AppendBytes("a"u8);
        using var column = builder.Build();
        using var taken = column.Take([-1, 0, -1]);
        Assert.Equal([null, "a", null], Enumerable.Range(0, 3).Select(i => ColumnText.Format(taken, i)));
    }

    [Fact]
    public unsafe void Words_of_bitmaps_start_at_any_bit()
    {
        var random = new Random(Seeds.Next(output));
        var bytes = new byte[64];
        random.NextBytes(bytes);
        fixed (byte* p = bytes)
        {
            for (var round = 0; round < 5_000; round++)
            {
                var start = random.Next(512);
                var end = start + random.Next(1, 513 - start);
                var word = Bitmaps.Word(p, start, end);
                for (var i = 0; i < 64; i++)
                    Assert.Equal(start + i < end && (bytes[(start + i) / 8] >> ((start + i) % 8) & 1) != 0, (word >> i & 1) != 0);
                Assert.Equal(Enumerable.Range(start, end - start).Count(i => (bytes[i / 8] >> (i % 8) & 1) != 0), Bitmaps.CountSet(p, start, end - start));
            }
        }
    }

    [Fact]
    public void A_builder_that_is_cut_back_is_as_if_nothing_had_come()
    {
        var random = new Random(Seeds.Next(output));
        foreach (var type in new[] { DataType.Utf8, DataType.Boolean, DataType.Int64, DataType.Int32 })
        {
            using var builder = new ColumnBuilder(type, 1);
            for (var batch = 0; batch < 5; batch++)
            {
                var twin = new List<string?>();
                for (var step = 0; step < 2_000; step++)
                {
                    if (random.Next(20) == 0)
                    {
                        var keep = random.Next(Math.Max(0, twin.Count - 9), twin.Count + 1);
                        twin.RemoveRange(keep, twin.Count - keep);
                        builder.Truncate(keep);
                        continue;
                    }
                    var value = random.Next(1000);
                    if (value % 5 == 0)
                        builder.AppendNull();
                    else if (type.Kind == TypeKind.Utf8)
                        builder.AppendBytes(System.Text.Encoding.UTF8.GetBytes(new string('v', value % 50)));
                    else if (type.Kind == TypeKind.Boolean)
                        builder.AppendBoolean(value % 2 == 0);
                    else if (type.Kind == TypeKind.Int64)
                        builder.Append((long)value);
                    else
                        builder.Append(value);
                    twin.Add(value % 5 == 0 ? null : type.Kind switch { TypeKind.Utf8 => new string('v', value % 50), TypeKind.Boolean => value % 2 == 0 ? "true" : "false", _ => $"{value}" });
                }
                using var column = builder.Build();
                Assert.Equal(twin, Enumerable.Range(0, column.Length).Select(i => ColumnText.Format(column, i)));
                Assert.Equal(twin.Count(v => v is null), column.NullCount);
            }
        }
    }

    private static string[] Values(ColumnBatch batch) => Enumerable.Range(0, batch.RowCount)
        .Select(row => string.Join("|", batch.Columns.Select(c => ColumnText.Format(c, row) ?? "null"))).ToArray();
}
