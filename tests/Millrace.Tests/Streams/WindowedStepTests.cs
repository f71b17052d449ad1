using Millrace.Columnar;
using Millrace.DuckDb;
using Millrace.Streams.Plans;
using Millrace.Streams.Queries;

namespace Millrace.Tests.Streams;

public sealed class WindowedStepTests : IDisposable
{
    private const long Minute = 60_000_000;

    private static readonly Schema Input = new(new Field("n", DataType.Int64), new Field("ts", DataType.TimestampTz));

    private readonly DuckDbDatabase _database = DuckDbDatabase.Open(null, new DuckDbOptions { Threads = 1, MemoryLimit = 64L << 20 });

    [Fact]
    public void Rows_that_wait_are_in_the_live_rows()
    {
        using var step = Step(maxDeferredRows: 1000);
        Add(step, (1, 0), (2, 1));
        Add(step, (3, 2), (4, Minute));
        Assert.Equal(["0: 6 of 3", "1: 4 of 1"], Live(step));
        Add(step, (5, Minute));
        Assert.Equal(["0: 6 of 3", "1: 9 of 2"], Live(step));
    }

    [Fact]
    public void Rows_that_wait_are_in_a_checkpoint()
    {
        using var step = Step(maxDeferredRows: 1000);
        Add(step, (1, 0));
        Assert.Equal(0, step.State.OpenWindows);
        step.WithState(s => Assert.Equal(1, s.Groups));
    }

    [Fact]
    public void Rows_that_wait_are_in_the_window_that_ends_after_them()
    {
        using var step = Step(maxDeferredRows: 1000);
        Add(step, (1, 0), (7, Minute));
        Assert.Empty(step.Close(Minute - 1));
        Add(step, (2, Minute - 1));
        Assert.Equal(["0: 3 of 2"], Closed(step, Minute));
        Add(step, (3, Minute + 1));
        // Too late by now: its window is closed.
        Add(step, (9, 0));
        Assert.Empty(step.Close(Minute + 1));
        Assert.Equal(["1: 10 of 2"], Closed(step, 5 * Minute));
    }

    [Fact]
    public void As_many_rows_as_may_wait_are_merged_at_once()
    {
        using var step = Step(maxDeferredRows: 3);
        Add(step, (1, 0), (2, 0));
        Assert.Equal(0, step.State.OpenWindows);
        Add(step, (3, 0));
        Assert.Equal(1, step.State.OpenWindows);
        Assert.Equal(["0: 6 of 3"], Live(step));
    }

    [Fact]
    public void A_run_that_failed_for_a_page_fails_the_stream_too()
    {
        using var step = Step(maxDeferredRows: 1000);
        Add(step, (long.MaxValue, 0), (1, 0));
        Assert.Throws<DuckDbException>(() => step.LiveRows().Dispose());
        // The rows are gone: no checkpoint may say that the windows hold them.
        Assert.Throws<DuckDbException>(() => step.WithState(_ => { }));
        Assert.Throws<DuckDbException>(() => step.Close(Minute));
    }

    public void Dispose() => _database.Dispose();

    private WindowedStep Step(int maxDeferredRows)
    {
        const string key = "make_timestamptz(epoch_us(ts) - epoch_us(ts) % 60000000)";
        var plan = new WindowedQueryPlan(
            "q", "", "s",
            new Schema(new Field("window_start", DataType.TimestampTz), new Field("total", DataType.Int64), new Field("rows", DataType.Int64)),
            TimeSpan.FromMinutes(1), $"SELECT {key} AS window_start, CAST(sum(n) AS BIGINT) AS p0, count(*) AS p1 FROM batch GROUP BY ALL",
            [
                new(new Field("window_start", DataType.TimestampTz), Merge.Key), new(new Field("p0", DataType.Int64), Merge.Sum),
                new(new Field("p1", DataType.Int64), Merge.Sum),
            ],
            "SELECT window_start, p0 AS total, p1 AS rows FROM partials");
        return new WindowedStep(plan, _database, Input, maxDeferredRows);
    }

    private static void Add(WindowedStep step, params (long N, long Micros)[] rows)
    {
        using var n = new ColumnBuilder(DataType.Int64, rows.Length);
        using var ts = new ColumnBuilder(DataType.TimestampTz, rows.Length);
        foreach (var row in rows)
        {
            n.Append(row.N);
            ts.Append(row.Micros);
        }
        using var batch = new ColumnBatch(Input, rows.Length, [n.Build(), ts.Build()]);
        step.Add(batch);
    }

    private static string[] Live(WindowedStep step)
    {
        using var rows = step.LiveRows();
        return Describe(rows);
    }

    private static string[] Closed(WindowedStep step, long watermark)
    {
        var closed = Assert.Single(step.Close(watermark));
        using var rows = closed.Rows;
        return Describe(rows);
    }

    private static string[] Describe(ColumnBatch rows) => Enumerable.Range(0, rows.RowCount)
        .Select(i => $"{rows[0].Values<long>()[i] / Minute}: {rows[1].Values<long>()[i]} of {rows[2].Values<long>()[i]}").Order(StringComparer.Ordinal).ToArray();
}
