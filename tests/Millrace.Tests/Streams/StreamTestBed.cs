using System.Globalization;
using System.Text;
using System.Text.Json;
using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Columnar;
using Millrace.DuckDb;
using Millrace.Iceberg.Catalogs;
using Millrace.Kafka.Clients;
using Millrace.Log;
using Millrace.Storage.Files;
using Millrace.Streams.Plans;
using Millrace.Streams.Running;
using Millrace.Streams.Sinks;

namespace Millrace.Tests.Streams;

/// <summary>
/// A broker, a warehouse and a pipeline of orders, with the one-pass truth of what was produced. MILLRACE_TEST_BROKERS names another
/// broker to run against.
/// </summary>
internal sealed class StreamTestBed : IAsyncDisposable
{
    public const long WindowMicros = 10_000_000;

    private static int _count;

    private readonly TemporaryFolder _folder = new();
    private readonly Broker? _broker;
    private readonly IProducer<byte[]?, byte[]?> _producer;

    private StreamTestBed(Broker? broker, string brokers)
    {
        _broker = broker;
        Brokers = brokers;
        Name = $"orders_{Environment.ProcessId}_{Interlocked.Increment(ref _count)}";
        Catalog = FolderCatalog.Open(DiskFileSystem.Instance, _folder["warehouse"], TimeProvider.System);
        _producer = new ProducerBuilder<byte[]?, byte[]?>(new ProducerConfig { BootstrapServers = brokers, Acks = Acks.All, LingerMs = 1, MessageMaxBytes = 64 << 20 }).Build();
    }

    public string Brokers { get; }

    public string Name { get; }

    public string Topic => Name;

    public FolderCatalog Catalog { get; }

    public string StateFolder => _folder["jobs/" + Name];

    /// <summary>What each produced record must come to.</summary>
    public OrderTruth Truth { get; } = new();

    public static async Task<StreamTestBed> StartAsync(int partitions = 2)
    {
        KafkaLibraries.EnsureReady();
        var brokers = Environment.GetEnvironmentVariable("MILLRACE_TEST_BROKERS");
        Broker? broker = null;
        TemporaryFolder? data = null;
        if (brokers is null)
        {
            data = new TemporaryFolder();
            broker = await Broker.StartAsync(
                new BrokerOptions { DataFolder = data.Path, Port = 0 }, NullLoggerFactory.Instance, TimeProvider.System, CancellationToken.None);
            brokers = broker.BootstrapServers;
        }
        var bed = new StreamTestBed(broker, brokers) { _data = data };
        using var admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = brokers }).Build();
        await admin.CreateTopicsAsync([new TopicSpecification { Name = bed.Topic, NumPartitions = partitions, ReplicationFactor = 1, Configs = new() { ["max.message.bytes"] = "67108864" } }]);
        return bed;
    }

    private TemporaryFolder? _data;

    public async ValueTask DisposeAsync()
    {
        _producer.Dispose();
        if (_broker is not null)
            await _broker.DisposeAsync();
        _data?.Dispose();
        _folder.Dispose();
    }

    /// <summary>Orders by country in windows of ten seconds, raw orders, and big orders: two tables and a topic.</summary>
    public PipelinePlan Plan(params CheckPlan[] checks)
    {
        var orders = new Schema(
            new Field("order_id", DataType.Int64, Nullable: false), new Field("country", DataType.Utf8),
            new Field("amount", new DataType(TypeKind.Decimal128, 12, 2)), new Field("ts", DataType.TimestampTz));
        var sum = new DataType(TypeKind.Decimal128, 38, 2);
        var start = $"make_timestamptz(epoch_us(ts) - epoch_us(ts) % {WindowMicros})";
        var source = new SourcePlan
        {
            Name = Name, Topic = Topic, Brokers = Brokers, Schema = orders, TimeColumn = "ts", WatermarkDelay = TimeSpan.FromSeconds(5),
            IdleAfter = TimeSpan.FromSeconds(1), Checks = checks,
        };
        return new PipelinePlan
        {
            Name = Name,
            Sources = [source],
            Queries =
            [
                new StatelessQueryPlan(
                    "big_orders", "", Name, new Schema(new Field("order_id", DataType.Int64), new Field("amount", new DataType(TypeKind.Decimal128, 12, 2))),
                    "SELECT order_id, amount FROM batch WHERE amount >= 900"),
                new WindowedQueryPlan(
                    "by_country", "", Name,
                    new Schema(
                        new Field("country", DataType.Utf8), new Field("window_start", DataType.TimestampTz, Nullable: false),
                        new Field("revenue", sum), new Field("orders", DataType.Int64)),
                    TimeSpan.FromMicroseconds(WindowMicros),
                    $"SELECT country AS k0, {start} AS window_start, CAST(sum(amount) AS DECIMAL(38,2)) AS p0, count(*) AS p1 FROM batch GROUP BY ALL",
                    [
                        new(new Field("k0", DataType.Utf8), Merge.Key), new(new Field("window_start", DataType.TimestampTz), Merge.Key),
                        new(new Field("p0", sum), Merge.Sum), new(new Field("p1", DataType.Int64), Merge.Sum),
                    ],
                    "SELECT k0 AS country, window_start, p0 AS revenue, p1 AS orders FROM partials") { Keys = ["country"] },
            ],
            Sinks =
            [
                new IcebergSinkPlan(Name, "sales", "orders", [], TimeSpan.FromMilliseconds(300)),
                new IcebergSinkPlan("by_country", "sales", "by_country", ["country", "window_start"], TimeSpan.FromMilliseconds(300)),
                new TopicSinkPlan("big_orders", Brokers, Name + "_big", ["order_id"]),
            ],
            Checkpoints = new CheckpointOptions(TimeSpan.FromMilliseconds(100), 64 << 20),
        };
    }

    public StreamEnvironment EnvironmentOf(StreamFailPoints? failPoints = null) => new()
    {
        StateFolder = StateFolder, Catalog = Catalog, FailPoints = failPoints ?? StreamFailPoints.None, Logs = TestLogs.Factory,
        Options = new StreamOptions
        {
            Delivery = new DeliveryOptions { MinBackoff = TimeSpan.FromMilliseconds(20), Settle = TimeSpan.FromMilliseconds(200) },
            MinRetryPause = TimeSpan.FromMilliseconds(20),
        },
    };

    public Task<StreamPipeline> StartPipelineAsync(PipelinePlan plan, StreamFailPoints? failPoints = null) =>
        StreamPipeline.StartAsync(plan, EnvironmentOf(failPoints), CancellationToken.None);

    /// <summary>Produces orders of consecutive ids and event times; every <paramref name="badEvery"/>th is no JSON. Returns when all are acknowledged.</summary>
    public void Produce(int count, int badEvery = 50)
    {
        for (var i = 0; i < count; i++)
        {
            var order = Truth.Next(badEvery);
            Send(order.Value);
        }
        _producer.Flush(TimeSpan.FromSeconds(30));
    }

    public void Send(byte[]? value, int? partition = null)
    {
        var target = partition is { } p ? new Confluent.Kafka.TopicPartition(Topic, p) : new Confluent.Kafka.TopicPartition(Topic, Partition.Any);
        _producer.Produce(target, new Message<byte[]?, byte[]?> { Value = value });
    }

    public void Flush() => _producer.Flush(TimeSpan.FromSeconds(30));

    /// <summary>An order far ahead of all others in each partition, so that every window before it closes.</summary>
    public void CloseAllWindows(int partitions = 2)
    {
        for (var partition = 0; partition < partitions; partition++)
            Send(Truth.Last(), partition);
        Flush();
    }

    public List<string> Table(string table, string columns)
    {
        var ident = TableIdent.Parse(table);
        if (!Catalog.TableExists(ident))
            return [];
        using var database = DuckDbDatabase.Open(null, new DuckDbOptions { EnableExternalAccess = true, Threads = 1 });
        using var connection = database.Connect();
        using var result = connection.Query($"SELECT concat_ws('|', {columns}) FROM ({Catalog.LoadTable(ident).ScanSql()}) ORDER BY 1");
        using var rows = result.ReadAll();
        return Enumerable.Range(0, rows.RowCount).Select(r => Encoding.UTF8.GetString(rows[0].GetBytes(r))).ToList();
    }

    /// <summary>All records of a topic.</summary>
    public List<TopicRecord> ReadTopic(string topic)
    {
        var records = new List<TopicRecord>();
        using var admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = Brokers }).Build();
        var partitions = admin.GetMetadata(topic, TimeSpan.FromSeconds(10)).Topics.Single().Partitions.Select(p => p.PartitionId).ToHashSet();
        using var consumer = new BatchConsumer(new BatchConsumerOptions { Brokers = Brokers, GroupId = "reader" }, _ => 0, NullLogger.Instance);
        consumer.EndReached += (partition, _) => partitions.Remove(partition.Partition);
        consumer.Assign(partitions.Select(p => KeyValuePair.Create(new Millrace.Kafka.Clients.TopicPartition(topic, p), BatchConsumer.Earliest)).ToArray());
        var deadline = DateTime.UtcNow.AddSeconds(30);
        while (partitions.Count > 0)
        {
            if (DateTime.UtcNow > deadline)
                throw new TimeoutException($"{topic} does not end");
            using var batch = consumer.Poll(TimeSpan.FromMilliseconds(50));
            for (var i = 0; i < batch.Count; i++)
            {
                var record = batch[i];
                records.Add(new TopicRecord(
                    record.HasKey ? Encoding.UTF8.GetString(record.Key) : null, record.HasValue ? Encoding.UTF8.GetString(record.Value) : null,
                    record.Headers().ToLookup(h => h.Key, h => Encoding.UTF8.GetString(h.Value))));
            }
        }
        return records;
    }

    public static async Task UntilAsync(Func<bool> condition, string what, IRunningPipeline? pipeline = null, int seconds = 60)
    {
        var deadline = DateTime.UtcNow.AddSeconds(seconds);
        TestLogs.Note("waiting: " + what);
        while (!condition())
        {
            if (pipeline is { Completion.IsFaulted: true })
                await pipeline.Completion;
            if (DateTime.UtcNow > deadline)
                throw new TimeoutException($"not within {seconds} s: {what}; {(pipeline is null ? "" : Describe(pipeline.Status))}");
            await Task.Delay(10);
        }
    }

    public static string Describe(PipelineStatus status) => JsonSerializer.Serialize(new
    {
        status.State, status.Reason, status.Checkpoint,
        Sources = status.Sources.Select(s => new { s.In, s.Good, s.Quarantined, s.Late, s.Lag, s.Watermark, s.Partitions }),
        Outputs = status.Outputs.Select(o => new { o.Name, o.Rows, o.OpenWindows, o.LateRows }),
        status.Sinks,
    });
}

/// <summary>A record of a topic as text.</summary>
internal sealed record TopicRecord(string? Key, string? Value, ILookup<string, string> Headers)
{
    public string Header(string name) => string.Join("; ", Headers[name]);
}

/// <summary>Makes orders and knows what they come to.</summary>
internal sealed class OrderTruth
{
    private static readonly string[] Countries = ["AT", "BE", "CH", "DE", "FR"];

    private readonly long _base = 1_700_000_000_000_000 - (1_700_000_000_000_000 % StreamTestBed.WindowMicros);
    private long _next;

    public long Good { get; private set; }

    public long Bad { get; private set; }

    public SortedSet<string> Orders { get; } = new(StringComparer.Ordinal);

    public SortedSet<string> BigOrders { get; } = new(StringComparer.Ordinal);

    public List<string> BadValues { get; } = [];

    public SortedDictionary<(long Start, string Country), (long Cents, long Orders)> Windows { get; } = [];

    public (byte[] Value, bool Bad) Next(int badEvery)
    {
        var id = _next++;
        if (badEvery > 0 && id % badEvery == badEvery - 1)
        {
            var text = $"{{\"order_id\": {id}, broken";
            BadValues.Add(text);
            Bad++;
            return (Encoding.UTF8.GetBytes(text), true);
        }
        return (Make(id, _base + (id * 5_000)), false);
    }

    public byte[] Last() => Make(_next++, _base + 3_600_000_000);

    private byte[] Make(long id, long micros)
    {
        var country = Countries[id * 7 % Countries.Length];
        var cents = id * 7919 % 100_000;
        Good++;
        var amount = (cents / 100m).ToString("0.00", CultureInfo.InvariantCulture);
        Orders.Add($"{id}|{country}|{amount}");
        if (cents >= 90_000)
            BigOrders.Add(id.ToString(CultureInfo.InvariantCulture));
        var key = (micros - (micros % StreamTestBed.WindowMicros), country);
        var (sum, count) = Windows.GetValueOrDefault(key);
        Windows[key] = (sum + cents, count + 1);
        var time = DateTimeOffset.FromUnixTimeMilliseconds(micros / 1000).UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture);
        return Encoding.UTF8.GetBytes($"{{\"order_id\":{id},\"country\":\"{country}\",\"amount\":{amount},\"ts\":\"{time}\"}}");
    }

    /// <summary>Rows of windows that an event time of <see cref="Last"/> closes.</summary>
    public List<string> ClosedWindows() => Rows(w => w < _base + 3_500_000_000);

    public List<string> OpenWindows() => Rows(w => w >= _base + 3_500_000_000);

    private List<string> Rows(Func<long, bool> start) => Windows.Where(w => start(w.Key.Start))
        .Select(w => $"{w.Key.Country}|{w.Key.Start}|{(w.Value.Cents / 100m).ToString("0.00", CultureInfo.InvariantCulture)}|{w.Value.Orders}")
        .Order(StringComparer.Ordinal).ToList();
}
