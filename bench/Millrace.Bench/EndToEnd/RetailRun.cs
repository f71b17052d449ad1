using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Millrace.Bench.Running;
using Millrace.Host.Demo;
using Millrace.Kafka.Clients;

namespace Millrace.Bench.EndToEnd;

/// <summary>The pipeline that the end-to-end benchmark and the crash test run, its load, and the comparison of all it made with the truth.</summary>
public sealed class RetailRun(PlatformProcess platform, string topic = "orders")
{
    private const int Partitions = 3;
    private static readonly TimeSpan Window = TimeSpan.FromSeconds(10);

    /// <summary>Event time of record 0, milliseconds since 1970.</summary>
    public long StartMillis { get; private set; }

    public double RecordsPerSecond { get; private set; } = 1_000_000 / 60.0;

    public string Job => "bench_" + topic;

    public string Pipeline =>
        $$"""
        pipeline: {{Job}}
        sources:
          {{topic}}:
            from: kafka:{{topic}}?format=json&time=InvoiceDate&watermark=5s
            schema:
              LineId: bigint
              InvoiceNo: varchar
              StockCode: varchar
              Description: varchar
              Quantity: bigint
              InvoiceDate: timestamptz
              UnitPrice: decimal(12,3)
              CustomerID: bigint
              Country: varchar
        checks:
          {{topic}}:
            - not_null(LineId, Country)
            - UnitPrice between 0 and 100000
            - Quantity between -100000 and 100000
            - length(Country) between 1 and 40
            - unique(LineId) within 1h
            - on_fail: quarantine
        sql:
          {{topic}}_by_country: |
            SELECT Country, window_start, sum(Quantity * UnitPrice) AS revenue, sum(Quantity) AS quantity, count(*) AS orders
            FROM tumble({{topic}}, 10s) GROUP BY Country, window_start
        sinks:
          {{topic}}: iceberg:bench.{{topic}}?commit=10s
          {{topic}}_by_country: iceberg:bench.{{topic}}_by_country?key=Country,window_start&commit=10s
        """;

    /// <summary>Creates the topic where the platform's settings say that topics are.</summary>
    public async Task CreateTopicAsync(CancellationToken cancellation)
    {
        using var command = platform.Run(
            ["topic", "create", topic, "--partitions", Number(Partitions), "--config", Path.Combine(platform.Folder, "millrace.yaml")]);
        await command.WaitForExitAsync(cancellation);
        if (command.ExitCode != 0)
            throw new InvalidOperationException(await command.StandardError.ReadToEndAsync(cancellation));
    }

    public Task SubmitAsync(CancellationToken cancellation) => platform.PostAsync("/api/jobs", Pipeline, "application/yaml", cancellation);

    /// <summary>Starts the producer in its own process.</summary>
    /// <param name="rate">Events a second; 0 for full speed.</param>
    /// <param name="count">The index that the producer stops before.</param>
    /// <param name="first">The first event's index; other than 0 it goes on where a producer before stopped.</param>
    public Process StartProducer(double rate, long count, string? samples = null, double linger = 5, long first = 0)
    {
        if (first == 0)
            StartMillis = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        if (rate > 0)
            RecordsPerSecond = rate;
        List<string> arguments =
        [
            "replay", topic, "--brokers", platform.Brokers, "--rate", Number(rate), "--event-rate", Number(RecordsPerSecond), "--count", Number(count),
            "--first", Number(first), "--start", Number(StartMillis), "--linger", Number(linger), "--attached", "--json",
        ];
        if (samples is not null)
            arguments.AddRange(["--samples", samples]);
        return platform.Run(arguments);
    }

    /// <summary>Waits until the job has taken in so many records and its sinks have made all rows visible.</summary>
    public async Task WaitUntilDoneAsync(long records, TimeSpan patience, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        JsonNode? job = null;
        while (clock.Elapsed < patience)
        {
            job = (await platform.GetAsync($"/api/jobs/{Job}", cancellation))["job"]!;
            if (job["sources"]![0]!["in"]!.GetValue<long>() >= records && job["sinks"]!.AsArray().All(s => s!["pending"]!.GetValue<long>() == 0))
                return;
            await Task.Delay(100, cancellation);
        }
        throw new InvalidOperationException($"{records} records were not through in {patience}: {job?.ToJsonString()}");
    }

    /// <summary>Every difference between what <paramref name="records"/> records must come to and what is there; none is right.</summary>
    public async Task<IReadOnlyList<string>> CompareAsync(long records, CancellationToken cancellation)
    {
        var truth = new RetailTruth(RetailReplay.Load(ExampleData.File, StartMillis, RecordsPerSecond), Window);
        truth.CountTo(records);
        var differences = new List<string>();
        var source = (await platform.GetAsync($"/api/jobs/{Job}", cancellation))["job"]!["sources"]![0]!;
        Expect(differences, "taken in", truth.In, source["in"]!.GetValue<long>());
        Expect(differences, "good", truth.Good, source["good"]!.GetValue<long>());
        Expect(differences, "late", 0, source["late"]!.GetValue<long>());
        var rows = (await platform.SqlAsync($"SELECT count(*), count(DISTINCT LineId) FROM bench.{topic}", cancellation))[0]!.AsArray();
        Expect(differences, "rows in the table", truth.Good, Whole(rows[0]));
        Expect(differences, "distinct rows in the table", truth.Good, Whole(rows[1]));
        var (quarantined, positions) = CountQuarantined();
        Expect(differences, "records in quarantine", truth.Quarantined, quarantined);
        Expect(differences, "distinct positions in quarantine", truth.Quarantined, positions);
        await CompareWindowsAsync(truth, differences, cancellation);
        return differences;
    }

    private async Task CompareWindowsAsync(RetailTruth truth, List<string> differences, CancellationToken cancellation)
    {
        // A window is in the table when it was closed and in the live view while it is open, never in both.
        var rows = new List<JsonNode?>();
        foreach (var relation in new[] { $"bench.{topic}_by_country", $"live.{topic}_by_country" })
        {
            rows.AddRange(await platform.SqlAsync($"SELECT Country, epoch_us(window_start), orders, quantity, revenue FROM {relation}", cancellation));
        }
        var seen = new HashSet<(string, long)>();
        foreach (var row in rows)
        {
            var key = (row![0]!.GetValue<string>(), Whole(row[1]));
            if (!seen.Add(key))
                differences.Add($"window {key} stands twice");
            var is_ = new WindowTruth(Whole(row[2]), Whole(row[3]), Exact(row[4]));
            if (!truth.Windows.TryGetValue(key, out var must))
                differences.Add($"window {key} should not be there");
            else if (must != is_)
                differences.Add($"window {key} must be {must}, is {is_}");
        }
        foreach (var key in truth.Windows.Keys.Where(k => !seen.Contains(k)))
            differences.Add($"window {key} is missing");
    }

    private (long Records, long Positions) CountQuarantined()
    {
        using var reader = new TopicReader(platform.Brokers, TimeSpan.FromSeconds(20), TimeProvider.System);
        var quarantine = topic + ".quarantine";
        if (reader.Partitions(quarantine) is not { } partitions)
            return (0, 0);
        var records = 0L;
        var positions = new HashSet<(string, string)>();
        foreach (var record in reader.Read(quarantine, partitions.ToDictionary(p => p, p => reader.Bounds(quarantine, p).Low)))
        {
            records++;
            positions.Add((Header(record, "millrace.source-partition"), Header(record, "millrace.source-offset")));
        }
        return (records, positions.Count);
    }

    private static string Header(TopicRecord record, string name) =>
        record.Headers.FirstOrDefault(h => h.Key == name).Value is { } bytes ? System.Text.Encoding.UTF8.GetString(bytes) : "";

    private static void Expect(List<string> differences, string what, long must, long actual)
    {
        if (must != actual)
            differences.Add($"{what}: must be {must}, is {actual} ({actual - must:+0;-0})");
    }

    // Wide integers and decimals travel as text in JSON.
    private static long Whole(JsonNode? node) => (long)Exact(node);

    private static decimal Exact(JsonNode? node) => decimal.Parse(node!.ToString(), NumberStyles.Float, CultureInfo.InvariantCulture);

    private static string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);

    private static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);
}
