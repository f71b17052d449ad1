using System.Diagnostics;
using Millrace.Bench.Decode;
using Millrace.Columnar;
using Millrace.Columnar.Json;
using Millrace.Streams.Checks;
using Millrace.Streams.Checks.Unique;
using Millrace.Streams.Plans;

namespace Millrace.Bench.Checks;

/// <summary>What the firewall costs an event on one core: five rules over single rows, and a unique rule over millions of keys.</summary>
internal sealed class ChecksBenchmark : IBenchmark
{
    private const int BatchRows = 4096;

    private static readonly string[] Countries = ["United Kingdom", "France", "Germany", "Norway", "EIRE", "Netherlands", "Australia"];

    public string Name => "checks";

    public string Summary => "checks on column batches: nanoseconds an event for five rules, and for unique over many keys";

    public Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options, CancellationToken cancellation)
    {
        var figures = new List<Figure>();
        using (var batch = Decode())
            figures.Add(MeasureRules(batch, options.Quick ? 200 : 5_000));
        cancellation.ThrowIfCancellationRequested();
        figures.AddRange(MeasureUnique(options.Quick ? 500_000 : 10_000_000, options.Progress, cancellation));
        return Task.FromResult<IReadOnlyList<Figure>>(figures);
    }

    private static ColumnBatch Decode()
    {
        var events = EventFile.Load(2 << 20);
        var schema = JsonSchemaSampler.Sample(Enumerable.Range(0, 1000).Select(events.Memory));
        using var decoder = new JsonColumnDecoder(schema);
        for (var i = 0; i < BatchRows; i++)
        {
            if (!decoder.TryDecode(events[i], out var error))
                throw new InvalidDataException(decoder.Render(error, events[i]));
        }
        return decoder.Build();
    }

    private static Figure MeasureRules(ColumnBatch batch, int rounds)
    {
        var checker = RowChecker.Compile(
        [
            new NotNullCheck("not_null(InvoiceNo, StockCode)", ["InvoiceNo", "StockCode"]),
            new BetweenCheck("UnitPrice between 0 and 10000", "UnitPrice", new Literal.Integer(0), new Literal.Integer(10_000)),
            new ComparisonCheck("Quantity > -100000", "Quantity", ComparisonOperator.Greater, new Literal.Integer(-100_000)),
            new OneOfCheck("Country in (...)", "Country", Countries.Select(c => new Literal.Text(c)).ToArray(), false),
            new LengthCheck("length(StockCode) between 1 and 12", "StockCode", 1, 12),
        ], batch.Schema);
        var best = double.MaxValue;
        for (var i = 0; i < rounds; i++)
        {
            var began = Stopwatch.GetTimestamp();
            checker.Check(batch);
            best = Math.Min(best, Stopwatch.GetElapsedTime(began).TotalNanoseconds);
        }
        return new Figure("five rules", best / batch.RowCount, "ns/event", Goal: "under 50,000", Met: best / batch.RowCount < 50_000);
    }

    private static List<Figure> MeasureUnique(int keys, Action<string> progress, CancellationToken cancellation)
    {
        var store = new UniqueStore("bench", TimeSpan.FromHours(1), new UniqueOptions { MaxMemoryBytes = 4L << 30 });
        Span<byte> text = stackalloc byte[24];
        var writer = new NoWriter();
        var began = Stopwatch.GetTimestamp();
        double longestBatch = 0;
        for (var start = 0; start < keys; start += BatchRows)
        {
            cancellation.ThrowIfCancellationRequested();
            var batch = Stopwatch.GetTimestamp();
            for (var i = start; i < start + BatchRows; i++)
            {
                "order-"u8.CopyTo(text);
                i.TryFormat(text[6..], out var digits);
                var key = RowKey.Of(text[..(6 + digits)]);
                var micros = 1_700_000_000_000_000 + (i * 60L);
                if (!store.Contains(key, micros))
                    store.Add(key, micros);
            }
            longestBatch = Math.Max(longestBatch, Stopwatch.GetElapsedTime(batch).TotalMilliseconds);
            if (start % (BatchRows * 64) == 0)
                store.WriteChanges(start, writer);
        }
        var seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        progress($"{store.MemoryKeys:N0} keys in {store.MemoryBytes / 1e6:N0} MB");
        return
        [
            new Figure($"unique over {keys / 1e6:0.#} M keys", keys / seconds, "events/s", Goal: "at least 250,000", Met: keys / seconds >= 250_000),
            new Figure("unique, longest batch of 4,096", longestBatch, "ms"),
            new Figure("unique, memory", (double)store.MemoryBytes / store.MemoryKeys, "bytes/key"),
        ];
    }

    private sealed class NoWriter : IStateWriter
    {
        public void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
        {
        }

        public void DeletePrefix(ReadOnlySpan<byte> prefix)
        {
        }
    }
}
