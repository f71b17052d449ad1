using System.Text;
using Millrace.Columnar;
using Millrace.Storage.RocksDb;
using Millrace.Streams.Checkpoints;
using Millrace.Streams.Plans;
using Millrace.Streams.Windows;

namespace Millrace.Tests.Streams;

public sealed class WindowStateTests(Xunit.Abstractions.ITestOutputHelper output)
{
    private const long Minute = 60_000_000;

    private static readonly PartialLayout Layout = new(
    [
        new(new Field("country", DataType.Utf8), Merge.Key),
        new(new Field("window_start", DataType.TimestampTz), Merge.Key),
        new(new Field("vip", DataType.Boolean), Merge.Key),
        new(new Field("n", DataType.Int64), Merge.Sum),
        new(new Field("amount", new DataType(TypeKind.Decimal128, 38, 2)), Merge.Sum),
        new(new Field("least", DataType.Float64), Merge.Min),
        new(new Field("last", DataType.Utf8), Merge.Max),
        new(new Field("all_paid", DataType.Boolean), Merge.And),
        new(new Field("small", DataType.Int32), Merge.Max),
    ]);

    [Fact]
    public void Merged_partials_equal_a_plain_dictionary_also_after_restores_and_closes()
    {
        var seed = Seeds.Next(output);
        var random = new Random(seed);
        using var folder = new TemporaryFolder();
        var state = new WindowState(Layout, TimeSpan.FromMinutes(1));
        var truth = new SortedDictionary<string, Twin>(StringComparer.Ordinal);
        var store = StateStore.Open(folder.Path);
        try
        {
            for (var step = 0; step < 60; step++)
            {
                using (var partials = RandomPartials(random, step, truth))
                    Assert.Equal(0, state.Merge(partials));
                if (random.Next(4) == 0)
                    Save(store, state);
                if (random.Next(10) == 0)
                {
                    Save(store, state);
                    var closedUpTo = state.ClosedUpTo;
                    store.Dispose();
                    store = StateStore.Open(folder.Path);
                    state = new WindowState(Layout, TimeSpan.FromMinutes(1));
                    state.RestoreClosedUpTo(closedUpTo);
                    store.LoadWindows("q", state);
                }
                if (random.Next(5) == 0)
                    CloseBoth(state, truth, (step - 3) * Minute);
                using var rows = state.ToBatch();
                Assert.Equal(truth.Values.Select(t => t.ToString()).Order(StringComparer.Ordinal), Describe(rows));
            }
        }
        finally
        {
            store.Dispose();
        }
    }

    [Fact]
    public void Rows_of_closed_windows_and_of_no_window_are_left_out_and_counted()
    {
        var state = new WindowState(Layout, TimeSpan.FromMinutes(1));
        Assert.Empty(state.Close(5 * Minute));
        using var partials = Partials([4 * Minute, 5 * Minute, null]);
        Assert.Equal(2, state.Merge(partials));
        Assert.Equal(1, state.OpenWindows);
        using var rows = state.ToBatch();
        Assert.Equal(1, rows.RowCount);
    }

    [Fact]
    public void A_sum_over_its_type_is_refused_by_name()
    {
        var layout = new PartialLayout(
            [new(new Field("window_start", DataType.TimestampTz), Merge.Key), new(new Field("total", DataType.Int64), Merge.Sum)]);
        var state = new WindowState(layout, TimeSpan.FromMinutes(1));
        using var start = new ColumnBuilder(DataType.TimestampTz);
        using var total = new ColumnBuilder(DataType.Int64);
        for (var i = 0; i < 2; i++)
        {
            start.Append(0L);
            total.Append(long.MaxValue);
        }
        using var batch = new ColumnBatch(layout.Schema, 2, start.Build(), total.Build());
        Assert.Contains("'total'", Assert.Throws<OverflowException>(() => state.Merge(batch)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Ten_thousand_groups_grow_the_table()
    {
        var layout = new PartialLayout(
            [new(new Field("window_start", DataType.TimestampTz), Merge.Key), new(new Field("k", DataType.Int64), Merge.Key), new(new Field("n", DataType.Int64), Merge.Sum)]);
        var state = new WindowState(layout, TimeSpan.FromMinutes(1));
        for (var round = 0; round < 2; round++)
        {
            using var start = new ColumnBuilder(DataType.TimestampTz);
            using var key = new ColumnBuilder(DataType.Int64);
            using var count = new ColumnBuilder(DataType.Int64);
            for (var i = 0; i < 10_000; i++)
            {
                start.Append(0L);
                key.Append((long)i);
                count.Append(1L);
            }
            using var batch = new ColumnBatch(layout.Schema, 10_000, start.Build(), key.Build(), count.Build());
            state.Merge(batch);
        }
        using var rows = state.ToBatch();
        Assert.Equal(10_000, rows.RowCount);
        Assert.All(rows["n"].Values<long>().ToArray(), n => Assert.Equal(2, n));
    }

    private static void Save(StateStore store, WindowState state)
    {
        using var batch = new RocksWriteBatch();
        store.PutWindows(batch, "q", state);
        store.Commit(batch);
    }

    private static void CloseBoth(WindowState state, SortedDictionary<string, Twin> truth, long watermark)
    {
        var closed = new List<string>();
        foreach (var window in state.Close(watermark))
        {
            closed.AddRange(Describe(window.Rows));
            window.Rows.Dispose();
        }
        var expected = truth.Where(t => t.Value.Start + Minute <= watermark).ToArray();
        Assert.Equal(expected.Select(t => t.Value.ToString()).Order(StringComparer.Ordinal), closed.Order(StringComparer.Ordinal));
        foreach (var (key, _) in expected)
            truth.Remove(key);
    }

    private static ColumnBatch RandomPartials(Random random, int step, SortedDictionary<string, Twin> truth)
    {
        var rows = random.Next(1, 40);
        var builders = Layout.Columns.Select(c => new ColumnBuilder(c.Field.Type)).ToArray();
        for (var row = 0; row < rows; row++)
        {
            var country = random.Next(5) == 0 ? null : new string((char)('a' + random.Next(5)), random.Next(1, 4));
            var start = (step + random.Next(3)) * Minute;
            bool? vip = random.Next(3) switch { 0 => null, 1 => true, _ => false };
            var key = $"{start}|{country}|{vip}";
            if (!truth.TryGetValue(key, out var twin))
                truth.Add(key, twin = new Twin { Country = country, Start = start, Vip = vip });
            Append(builders[0], country);
            builders[1].Append(start);
            Append(builders[2], vip);
            twin.Add(random, builders);
        }
        return new ColumnBatch(Layout.Schema, rows, builders.Select(b => b.Build()).ToArray());
    }

    private static ColumnBatch Partials(long?[] starts)
    {
        var builders = Layout.Columns.Select(c => new ColumnBuilder(c.Field.Type)).ToArray();
        foreach (var start in starts)
        {
            foreach (var builder in builders)
            {
                if (builder == builders[1] && start is { } value)
                    builder.Append(value);
                else
                    builder.AppendNull();
            }
        }
        return new ColumnBatch(Layout.Schema, starts.Length, builders.Select(b => b.Build()).ToArray());
    }

    private static void Append(ColumnBuilder builder, string? value)
    {
        if (value is null)
            builder.AppendNull();
        else
            builder.AppendBytes(Encoding.UTF8.GetBytes(value));
    }

    private static void Append(ColumnBuilder builder, bool? value)
    {
        if (value is null)
            builder.AppendNull();
        else
            builder.AppendBoolean(value.Value);
    }

    private static IEnumerable<string> Describe(ColumnBatch batch)
    {
        var rows = new List<string>();
        for (var row = 0; row < batch.RowCount; row++)
        {
            rows.Add(string.Join("|",
                Text(batch[0], row), batch[1].Values<long>()[row], Bool(batch[2], row),
                batch[3].IsNull(row) ? "" : batch[3].Values<long>()[row], batch[4].IsNull(row) ? "" : batch[4].Values<Int128>()[row],
                batch[5].IsNull(row) ? "" : batch[5].Values<double>()[row], Text(batch[6], row), Bool(batch[7], row),
                batch[8].IsNull(row) ? "" : batch[8].Values<int>()[row]));
        }
        return rows.Order(StringComparer.Ordinal);

        static string Text(Column column, int row) => column.IsNull(row) ? "" : Encoding.UTF8.GetString(column.GetBytes(row));

        static string Bool(Column column, int row) => column.IsNull(row) ? "" : column.GetBoolean(row).ToString();
    }

    /// <summary>The slow, obvious way to hold one group.</summary>
    private sealed class Twin
    {
        private long? _n;
        private Int128? _amount;
        private double? _least;
        private string? _last;
        private bool? _allPaid;
        private int? _small;

        public string? Country { get; init; }

        public long Start { get; init; }

        public bool? Vip { get; init; }

        public void Add(Random random, ColumnBuilder[] builders)
        {
            Next(random, builders[3], (long)random.Next(1000), v => _n = (_n ?? 0) + v);
            Next(random, builders[4], (Int128)random.NextInt64() * 1000, v => _amount = (_amount ?? 0) + v);
            Next(random, builders[5], random.Next(100) / 8.0, v => _least = _least is null ? v : Math.Min(_least.Value, v));
            if (random.Next(4) == 0)
            {
                builders[6].AppendNull();
            }
            else
            {
                var text = new string((char)('a' + random.Next(26)), random.Next(0, 5));
                builders[6].AppendBytes(Encoding.UTF8.GetBytes(text));
                _last = _last is null || string.CompareOrdinal(text, _last) > 0 ? text : _last;
            }
            bool? paid = random.Next(3) switch { 0 => null, 1 => true, _ => false };
            Append(builders[7], paid);
            if (paid is not null)
                _allPaid = (_allPaid ?? true) && paid.Value;
            Next(random, builders[8], random.Next(-50, 50), v => _small = _small is null ? v : Math.Max(_small.Value, v));
        }

        public override string ToString() =>
            string.Join("|", Country, Start, Vip?.ToString(), _n?.ToString(), _amount?.ToString(), _least?.ToString(), _last, _allPaid?.ToString(), _small?.ToString());

        private static void Next<T>(Random random, ColumnBuilder builder, T value, Action<T> merge)
            where T : unmanaged
        {
            if (random.Next(6) == 0)
            {
                builder.AppendNull();
                return;
            }
            builder.Append(value);
            merge(value);
        }
    }
}
