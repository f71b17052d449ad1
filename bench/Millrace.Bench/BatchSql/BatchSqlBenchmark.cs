using System.Diagnostics;
using Millrace.Bench.Decode;
using Millrace.Columnar;
using Millrace.Columnar.Json;
using Millrace.Columnar.Kernels;
using Millrace.DuckDb;

namespace Millrace.Bench.BatchSql;

/// <summary>One prepared statement over one batch after another: the stream's hot path through DuckDB.</summary>
internal sealed class BatchSqlBenchmark : IBenchmark
{
    private static readonly (string Name, string Sql)[] Statements =
    [
        ("filter and project", "SELECT InvoiceNo, upper(Country) AS country, UnitPrice * Quantity AS amount FROM batch WHERE Quantity > 0"),
        ("group by country and minute", """
            SELECT Country, time_bucket(INTERVAL '1 minute', InvoiceDate) AS window_start, sum(UnitPrice * Quantity) AS revenue, count(*) AS orders
            FROM batch GROUP BY ALL
            """),
    ];

    public string Name => "batch-sql";

    public string Summary => "one prepared DuckDB statement over batch after batch: microseconds a batch of 300 and of 50,000 rows";

    public Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options, CancellationToken cancellation)
    {
        var events = EventFile.Load(12 << 20);
        var schema = JsonSchemaSampler.Sample(Enumerable.Range(0, 1000).Select(events.Memory));
        using var decoder = new JsonColumnDecoder(schema);
        for (var i = 0; i < 50_000; i++)
        {
            if (!decoder.TryDecode(events[i], out var error))
                throw new InvalidDataException(decoder.Render(error, events[i]));
        }
        using var large = decoder.Build();
        using var small = large.Slice(0, 300);
        using var database = DuckDbDatabase.Open(null, new DuckDbOptions { Threads = 1 });
        using var connection = database.Connect();
        using var table = connection.RegisterBatches("batch", schema);
        var figures = new List<Figure>();
        foreach (var (name, sql) in Statements)
        {
            using var statement = connection.Prepare(sql);
            foreach (var (batch, rounds) in new[] { (small, options.Quick ? 200 : 5_000), (large, options.Quick ? 10 : 100) })
            {
                cancellation.ThrowIfCancellationRequested();
                var micros = Median(rounds, () => Run(table, statement, batch));
                var goal = batch == small;
                figures.Add(new Figure(
                    $"{name}, {batch.RowCount:N0} rows", micros, "us/batch", Goal: goal ? "under 500" : null, Met: goal ? micros < 500 : null));
            }
        }
        return Task.FromResult<IReadOnlyList<Figure>>(figures);
    }

    private static void Run(BatchTable table, DuckDbStatement statement, ColumnBatch batch)
    {
        table.Set(batch);
        using var result = statement.Execute(streaming: true);
        while (result.Next() is { } rows)
            rows.Dispose();
        table.Clear();
    }

    private static double Median(int rounds, Action run)
    {
        var times = new double[rounds];
        for (var i = 0; i < rounds; i++)
        {
            var began = Stopwatch.GetTimestamp();
            run();
            times[i] = Stopwatch.GetElapsedTime(began).TotalMicroseconds;
        }
        Array.Sort(times);
        return times[rounds / 2];
    }
}
