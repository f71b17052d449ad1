using System.Text.Json;
using System.Text.Json.Serialization;
using Millrace.Columnar;
using Millrace.Columnar.Json;
using Millrace.DuckDb;

namespace Millrace.Bench.Decode;

/// <summary>JSON and Avro records into columns on one core, beside System.Text.Json into objects, DuckDB's read_json and npm's avsc, on the same records.</summary>
internal sealed class DecodeBenchmark : IBenchmark
{
    private const int BatchRows = 4096;

    public string Name => "decode";

    public string Summary => "JSON and Avro to columns on one core, beside System.Text.Json into objects, DuckDB's read_json and avsc";

    public IReadOnlyList<string> Parts => ["json", "avro"];

    public Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options, CancellationToken cancellation)
    {
        var events = EventFile.Load(options.Quick ? 8L << 20 : 128L << 20);
        options.Progress($"{events.Count:N0} records, {events.Bytes / 1e6:N0} MB, {events.Bytes / (double)events.Count:N0} bytes each");
        var schema = JsonSchemaSampler.Sample(Enumerable.Range(0, 1000).Select(events.Memory));
        options.Progress($"columns: {schema}");
        var rounds = options.Quick ? 2 : 5;
        var figures = new List<Figure>();
        if (options.Wants("json"))
            figures.AddRange(Json(options, events, schema, rounds, cancellation));
        if (options.Wants("avro"))
            figures.AddRange(Avro(options, events, schema, rounds, cancellation));
        return Task.FromResult<IReadOnlyList<Figure>>(figures);
    }

    private static IEnumerable<Figure> Avro(BenchOptions options, EventFile events, Schema schema, int rounds, CancellationToken cancellation)
    {
        var avro = AvroDecode.Of(events, schema);
        options.Progress($"the same rows as Avro: {avro.Bytes / 1e6:N0} MB, {avro.Bytes / (double)avro.Count:N0} bytes each");
        var ours = Best(rounds, avro.Run, cancellation);
        options.Progress($"Avro to columns: {avro.Count / ours / 1e6:N2} million/s");
        var json = Best(rounds, () => DecodeColumns(events, schema), cancellation);
        yield return Rows("Avro to columns", avro.Count / ours / 1e6, "JSON to columns, the same rows", events.Count / json / 1e6);
        if (avro.RunAvsc(rounds) is { } avsc)
            yield return Rows("Avro to columns", avro.Count / ours / 1e6, "npm avsc into objects", avro.Count / avsc / 1e6);
        var allocated = avro.AllocatedPerRow();
        yield return new Figure("managed memory a row", allocated, "bytes", Goal: "none by the row", Met: allocated < 1);
    }

    private static Figure Rows(string name, double value, string rival, double rivalValue) =>
        new(name, value, "million/s a core", rival, rivalValue, value / rivalValue);

    private static IReadOnlyList<Figure> Json(BenchOptions options, EventFile events, Schema schema, int rounds, CancellationToken cancellation)
    {
        var ours = Best(rounds, () => DecodeColumns(events, schema), cancellation);
        options.Progress($"columns: {events.Bytes / ours / 1e9:N3} GB/s");
        var objects = Best(rounds, () => DecodeObjects(events), cancellation);
        options.Progress($"System.Text.Json objects: {events.Bytes / objects / 1e9:N3} GB/s");
        var file = Path.Combine(Path.GetTempPath(), $"millrace-decode-{Environment.ProcessId}.jsonl");
        double duck;
        try
        {
            events.WriteLines(file);
            duck = BestRead(rounds, file, schema, cancellation);
        }
        finally
        {
            File.Delete(file);
        }
        options.Progress($"DuckDB read_json: {events.Bytes / duck / 1e9:N3} GB/s");
        return
        [
            Compared("JSON to columns", events.Bytes / ours / 1e9, "System.Text.Json into objects", events.Bytes / objects / 1e9),
            Compared("JSON to columns", events.Bytes / ours / 1e9, "DuckDB read_json, 1 thread", events.Bytes / duck / 1e9),
            new Figure("records to columns", events.Count / ours / 1e6, "million/s"),
        ];
    }

    private static Figure Compared(string name, double value, string rival, double rivalValue) =>
        new(name, value, "GB/s a core", rival, rivalValue, value / rivalValue);

    private static double Best(int rounds, Func<long> run, CancellationToken cancellation)
    {
        var best = double.MaxValue;
        for (var i = 0; i < rounds; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            // Processor time: a core's work is asked for, whatever else the machine does.
            var began = Environment.CpuUsage.TotalTime;
            run();
            best = Math.Min(best, (Environment.CpuUsage.TotalTime - began).TotalSeconds);
        }
        return best;
    }

    private static long DecodeColumns(EventFile events, Schema schema)
    {
        using var decoder = new JsonColumnDecoder(schema, capacity: BatchRows);
        long rows = 0;
        for (var i = 0; i < events.Count; i++)
        {
            if (!decoder.TryDecode(events[i], out var error))
                throw new InvalidDataException(decoder.Render(error, events[i]));
            if (decoder.RowCount < BatchRows)
                continue;
            using var batch = decoder.Build();
            rows += batch.RowCount;
        }
        return rows + decoder.RowCount;
    }

    private static long DecodeObjects(EventFile events)
    {
        long quantity = 0;
        for (var i = 0; i < events.Count; i++)
            quantity += JsonSerializer.Deserialize(events[i], RetailJson.Default.Retail)!.Quantity;
        return quantity;
    }

    private static double BestRead(int rounds, string file, Schema schema, CancellationToken cancellation)
    {
        using var database = DuckDbDatabase.Open(null, new DuckDbOptions { Threads = 1, EnableExternalAccess = true });
        using var connection = database.Connect();
        var columns = string.Join(", ", schema.Fields.Select(f => $"{DuckDbSql.Identifier(f.Name)}: {DuckDbSql.Literal(f.Type.SqlName)}"));
        // Every column must be read, and none written anywhere.
        var sums = string.Join(", ", schema.Fields.Select(f => $"count({DuckDbSql.Identifier(f.Name)})"));
        using var statement = connection.Prepare(
            $"SELECT {sums} FROM read_json({DuckDbSql.Literal(file)}, format = 'newline_delimited', columns = {{{columns}}})");
        return Best(
            rounds,
            () =>
            {
                using var result = statement.Execute();
                using var rows = result.ReadAll();
                return rows[0].Values<long>()[0];
            },
            cancellation);
    }
}

/// <summary>The rival's object for one record.</summary>
internal sealed record Retail(
    string InvoiceNo, string StockCode, string? Description, long Quantity, DateTimeOffset InvoiceDate, double UnitPrice, long? CustomerID,
    string Country);

[JsonSerializable(typeof(Retail))]
internal sealed partial class RetailJson : JsonSerializerContext;
