using System.Diagnostics;
using System.Globalization;
using System.Text;
using Confluent.Kafka;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Columnar;
using Millrace.Iceberg.Catalogs;
using Millrace.Kafka.Clients;
using Millrace.Log;
using Millrace.Storage.Files;
using Millrace.Streams.Plans;
using Millrace.Streams.Running;

namespace Millrace.Bench.Streams;

/// <summary>
/// The stream alone: broker and pipeline in this process, records of 200 bytes with five checks, a window by key, raw rows and windows
/// into tables. First all that a full log gives, then a steady load with the processor's time told apart by threads.
/// </summary>
internal sealed class StreamBenchmark : IBenchmark
{
    private const int Partitions = 4;
    private static readonly string[] Countries = ["AT", "BE", "CH", "CZ", "DE", "DK", "ES", "FI", "FR", "GB", "IE", "IT", "NL", "NO", "PL", "PT", "SE"];

    public string Name => "stream";

    public string Summary => "Broker and pipeline in one process: most events a second from a full log, cost of a steady load by thread";

    public async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options, CancellationToken cancellation)
    {
        var figures = new List<Figure>();
        var folder = Directory.CreateTempSubdirectory("millrace-stream-").FullName;
        KafkaLibraries.EnsureReady();
        try
        {
            await using var broker = await Broker.StartAsync(
                new BrokerOptions { DataFolder = Path.Combine(folder, "log"), Port = 0 }, NullLoggerFactory.Instance, TimeProvider.System, cancellation);
            var catalog = FolderCatalog.Open(DiskFileSystem.Instance, Path.Combine(folder, "warehouse"), TimeProvider.System);
            await FullLogAsync(options, broker, catalog, folder, figures, cancellation);
            await SteadyAsync(options, broker, catalog, folder, figures, cancellation);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
        return figures;
    }

    private static async Task FullLogAsync(
        BenchOptions options, Broker broker, FolderCatalog catalog, string folder, List<Figure> figures, CancellationToken cancellation)
    {
        var count = options.Quick ? 500_000 : 4_000_000;
        broker.CreateTopic("full", Partitions);
        using (var producer = Producer(broker))
        {
            for (var i = 0L; i < count; i++)
                Send(producer, "full", i, DateTimeOffset.UtcNow.ToUnixTimeMilliseconds());
            producer.Flush(TimeSpan.FromMinutes(2));
        }
        options.Progress($"{count} records are in the log");
        var cpu = Process.GetCurrentProcess().TotalProcessorTime;
        var threads = ThreadTimes.Read();
        var clock = Stopwatch.StartNew();
        await using var pipeline = await StreamPipeline.StartAsync(Plan("full", broker), Environment(folder, "full", catalog), cancellation);
        await UntilAsync(() => pipeline.Status.Sources.Sum(s => s.In) >= count, cancellation);
        var seconds = clock.Elapsed.TotalSeconds;
        var used = (Process.GetCurrentProcess().TotalProcessorTime - cpu).TotalSeconds;
        await UntilAsync(() => pipeline.Status.Sinks.Single(s => s.Target == "iceberg:bench.full_raw").Committed == count, cancellation);
        options.Progress($"all committed after {clock.Elapsed.TotalSeconds:0.00} s; {ThreadTimes.Describe(threads, count)} us/event");
        figures.Add(new Figure("most events a second, from a full log", count / seconds, "events/s", Goal: "at least 250,000", Met: count / seconds >= 250_000));
        figures.Add(new Figure("processor time an event", used * 1e6 / count, "us"));
        figures.Add(new Figure("resident memory after it", System.Environment.WorkingSet / 1048576.0, "MiB"));
        await pipeline.StopAsync(cancellation);
    }

    private static async Task SteadyAsync(
        BenchOptions options, Broker broker, FolderCatalog catalog, string folder, List<Figure> figures, CancellationToken cancellation)
    {
        const double rate = 1_000_000 / 60.0;
        broker.CreateTopic("steady", Partitions);
        await using var pipeline = await StreamPipeline.StartAsync(Plan("steady", broker), Environment(folder, "steady", catalog), cancellation);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using var producer = Producer(broker);
        var feeding = Task.Factory.StartNew(
            () =>
            {
                Thread.CurrentThread.Name = "feeder";
                var clock = Stopwatch.StartNew();
                for (var i = 0L; !stop.IsCancellationRequested; i++)
                {
                    while (clock.Elapsed.TotalSeconds * rate < i && !stop.IsCancellationRequested)
                        stop.Token.WaitHandle.WaitOne(2);
                    Send(producer, "steady", i, DateTimeOffset.UtcNow.ToUnixTimeMilliseconds());
                }
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        await Task.Delay(TimeSpan.FromSeconds(options.Quick ? 4 : 10), cancellation);
        var threads = ThreadTimes.Read();
        var span = TimeSpan.FromSeconds(options.Quick ? 10 : 30);
        var before = pipeline.Status.Sources[0].In;
        await Task.Delay(span, cancellation);
        var taken = pipeline.Status.Sources[0].In - before;
        var latency = pipeline.Status.Latency;
        options.Progress($"cores by thread: {ThreadTimes.Describe(threads, span.TotalSeconds * 1e6)}");
        figures.Add(new Figure("steady load", taken / span.TotalSeconds, "events/s"));
        figures.Add(new Figure("processor of the stream at it", ThreadTimes.Of(threads, "pipeline", ".NET TP", ".NET Long", "rdk:") / span.TotalSeconds, "cores", Goal: "under 0.3"));
        figures.Add(new Figure("record to live state, median", latency.P50, "ms"));
        figures.Add(new Figure("record to live state, P99", latency.P99, "ms", Goal: "under 100", Met: latency.P99 < 100));
        await stop.CancelAsync();
        await feeding;
        await pipeline.StopAsync(cancellation);
    }

    private static PipelinePlan Plan(string name, Broker broker)
    {
        const long window = 10_000_000;
        var money = new DataType(TypeKind.Decimal128, 12, 2);
        var sum = new DataType(TypeKind.Decimal128, 38, 2);
        var schema = new Schema(
            new Field("order_id", DataType.Int64), new Field("country", DataType.Utf8), new Field("customer", DataType.Utf8), new Field("product", DataType.Utf8),
            new Field("quantity", DataType.Int32), new Field("amount", money), new Field("ts", DataType.TimestampTz));
        return new PipelinePlan
        {
            Name = name,
            Sources =
            [
                new SourcePlan
                {
                    Name = name + "_in", Topic = name, Brokers = broker.BootstrapServers, Schema = schema, TimeColumn = "ts",
                    Checks =
                    [
                        new NotNullCheck("not_null(order_id, country, amount)", ["order_id", "country", "amount"]),
                        new BetweenCheck("amount between 0 and 100000", "amount", new Literal.Integer(0), new Literal.Integer(100_000)),
                        new BetweenCheck("quantity between 1 and 1000", "quantity", new Literal.Integer(1), new Literal.Integer(1000)),
                        new LengthCheck("length(country) = 2", "country", 2, 2),
                        new UniqueCheck("unique(order_id) within 1m", ["order_id"], TimeSpan.FromMinutes(1)),
                    ],
                },
            ],
            Queries =
            [
                new WindowedQueryPlan(
                    "by_country", "", name + "_in",
                    new Schema(
                        new Field("country", DataType.Utf8), new Field("window_start", DataType.TimestampTz), new Field("revenue", sum), new Field("orders", DataType.Int64)),
                    TimeSpan.FromMicroseconds(window),
                    $"SELECT country AS k0, make_timestamptz(epoch_us(ts) - epoch_us(ts) % {window}) AS window_start, CAST(sum(amount) AS DECIMAL(38,2)) AS p0, count(*) AS p1 FROM batch GROUP BY ALL",
                    [
                        new(new Field("k0", DataType.Utf8), Merge.Key), new(new Field("window_start", DataType.TimestampTz), Merge.Key),
                        new(new Field("p0", sum), Merge.Sum), new(new Field("p1", DataType.Int64), Merge.Sum),
                    ],
                    "SELECT k0 AS country, window_start, p0 AS revenue, p1 AS orders FROM partials"),
            ],
            Sinks =
            [
                new IcebergSinkPlan(name + "_in", "bench", name + "_raw", [], TimeSpan.FromSeconds(10)),
                new IcebergSinkPlan("by_country", "bench", name + "_by_country", [], TimeSpan.FromSeconds(10)),
            ],
        };
    }

    private static StreamEnvironment Environment(string folder, string name, FolderCatalog catalog) =>
        new() { StateFolder = Path.Combine(folder, "jobs", name), Catalog = catalog };

    private static IProducer<Null, byte[]> Producer(Broker broker) => new ProducerBuilder<Null, byte[]>(new ProducerConfig
    {
        BootstrapServers = broker.BootstrapServers, Acks = Acks.All, LingerMs = 5, BatchSize = 1 << 20, QueueBufferingMaxMessages = 1_000_000,
        EnableDeliveryReports = false,
    }).Build();

    private static void Send(IProducer<Null, byte[]> producer, string topic, long id, long millis)
    {
        var time = DateTimeOffset.FromUnixTimeMilliseconds(millis).UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture);
        var text = string.Create(
            CultureInfo.InvariantCulture,
            $"{{\"order_id\":{id},\"country\":\"{Countries[id % Countries.Length]}\",\"customer\":\"customer-{id % 9973:00000}\",\"product\":\"a product with a name {id % 311:000}\",\"quantity\":{1 + (id % 20)},\"amount\":{id % 90_000 / 100.0:0.00},\"ts\":\"{time}\"}}");
        var message = new Message<Null, byte[]> { Value = Encoding.UTF8.GetBytes(text) };
        while (true)
        {
            try
            {
                producer.Produce(topic, message);
                return;
            }
            catch (ProduceException<Null, byte[]> full) when (full.Error.Code == ErrorCode.Local_QueueFull)
            {
                producer.Poll(TimeSpan.FromMilliseconds(10));
            }
        }
    }

    private static async Task UntilAsync(Func<bool> condition, CancellationToken cancellation)
    {
        while (!condition())
            await Task.Delay(5, cancellation);
    }
}
