using Millrace.Columnar;
using Millrace.Schemas;
using Millrace.Streams.Plans;
using Millrace.Streams.Running;
using Millrace.Tests.WebConsole.Fakes;
using Millrace.WebConsole.Seams;
using Millrace.WebConsole.Wire;

namespace Millrace.Interop.WebConsole;

/// <summary>
/// Rooms below that move as a busy shop does: about 16,700 orders a second, windows of ten seconds by country, one bad row in two
/// hundred, a commit every ten seconds. For tests of the page alone; what the whole product shows is tested with the product.
/// </summary>
internal sealed class MovingPlatform : IAsyncDisposable
{
    private const int Rate = 16_700;
    private static readonly TimeSpan Window = TimeSpan.FromSeconds(10);

    private static readonly (string Country, double Share)[] Countries =
    [
        ("United Kingdom", 0.34), ("Germany", 0.17), ("France", 0.15), ("EIRE", 0.11), ("Spain", 0.07), ("Netherlands", 0.05),
        ("Belgium", 0.04), ("Switzerland", 0.03), ("Portugal", 0.02), ("Australia", 0.02),
    ];

    private static readonly (string Reason, string Value, double Share)[] Faults =
    [
        ("not JSON: a value ends at byte 14", "{\"LineId\":481516; DROP", 0.2), ("Quantity is no bigint: \"many\"", "{\"LineId\":23,\"Quantity\":\"many\",\"UnitPrice\":1.0,\"Country\":\"France\"}", 0.2),
        ("not_null(LineId, Country): Country is null", "{\"LineId\":42,\"Quantity\":1,\"UnitPrice\":1.0,\"Country\":null}", 0.25),
        ("UnitPrice between 0 and 100000: -4.5", "{\"LineId\":108,\"Quantity\":1,\"UnitPrice\":-4.5,\"Country\":\"France\"}", 0.2),
        ("unique(LineId) within 1h: 4815 came before", "{\"LineId\":4815,\"Quantity\":6,\"UnitPrice\":2.55,\"Country\":\"EIRE\"}", 0.15),
    ];

    private readonly FakeServices _services = new();
    private readonly FakePipeline _pipeline = new("retail");
    private readonly Random _random = new(7);
    private readonly Lock _gate = new();
    private readonly Timer _timer;
    private readonly SortedDictionary<long, double[]> _open = [];
    private readonly SortedDictionary<long, double[]> _closed = [];
    private readonly List<SnapshotInfo> _snapshots = [];
    private readonly long[] _faults = new long[Faults.Length];
    private long _in;
    private long _bad;
    private long _checkpoint;
    private long _committed;
    private long _pending;
    private double _rate = Rate;
    private DateTimeOffset _last;
    private DateTimeOffset _commitAt;
    private bool _stopped;

    public MovingPlatform()
    {
        var now = DateTimeOffset.UtcNow;
        _last = now;
        _commitAt = now;
        for (var at = now - (Window * 30); at < now; at += TimeSpan.FromMilliseconds(500))
            Pass(at, 0.5);
        _pipeline.Rows = output => output == "by_country" ? Live() : null;
        _services.Jobs.Put(new JobEntry("retail", Plan(), File, now.AddMinutes(-12), _pipeline));
        _services.Topics.All["orders"] = Topic();
        _services.Schemas.RegisterAsync("orders-value", new SchemaRegistration(new SchemaContent(SchemaType.Json, """{"type":"object","required":["LineId"]}""", []))).GetAwaiter().GetResult();
        _services.Sql.Answer = Answer;
        Publish(now);
        _timer = new Timer(_ => Tick(), null, 50, 50);
    }

    public const string File = """
        pipeline: retail
        sources:
          orders: kafka:orders?format=json&time=InvoiceDate&watermark=5s
        checks:
          orders:
            - not_null(LineId, Country)
            - UnitPrice between 0 and 100000
            - unique(LineId) within 1h
            - on_fail: quarantine
        sql:
          by_country: |
            SELECT Country, window_start, sum(Quantity * UnitPrice) AS revenue, count(*) AS orders
            FROM tumble(orders, 10s) GROUP BY Country, window_start
        sinks:
          by_country: iceberg:shop.by_country?key=Country,window_start&commit=10s
        alerts:
          no_orders: {when: "orders < 10 for 1m", to: log}
        """;

    public FakeServices Services => _services;

    /// <summary>With the moving tables in place of the still ones.</summary>
    public ConsoleServices Build() => _services.Build() with { Tables = new MovingTables(this), Cluster = new FakeCluster(), Sessions = new FakeSessions() };

    /// <summary>No more orders come.</summary>
    public void Stop()
    {
        lock (_gate)
            _stopped = true;
    }

    public async ValueTask DisposeAsync() => await _timer.DisposeAsync();

    private void Tick()
    {
        lock (_gate)
        {
            var now = DateTimeOffset.UtcNow;
            if (_stopped)
                return;
            Pass(now, (now - _last).TotalSeconds);
            _last = now;
            Publish(now);
        }
        _pipeline.Raise();
    }

    private void Pass(DateTimeOffset now, double seconds)
    {
        _rate += (Rate - _rate) * 0.02 + ((_random.NextDouble() - 0.5) * 260);
        var count = (long)(_rate * seconds);
        var bad = 0L;
        for (var i = 0; i < Faults.Length; i++)
        {
            var few = (long)(count / 200.0 * Faults[i].Share + _random.NextDouble());
            _faults[i] += few;
            bad += few;
        }
        _in += count;
        _bad += bad;
        var window = now.ToUnixTimeMilliseconds() / (long)Window.TotalMilliseconds * (long)Window.TotalMilliseconds * 1000;
        if (!_open.TryGetValue(window, out var counts))
            _open[window] = counts = new double[Countries.Length];
        for (var i = 0; i < Countries.Length; i++)
            counts[i] += (count - bad) * Countries[i].Share * (0.8 + (0.4 * _random.NextDouble()));
        foreach (var old in _open.Keys.Where(w => w < window - (6_000_000 * 2)).ToArray())
        {
            _closed[old] = _open[old];
            _pending += Countries.Length;
            _open.Remove(old);
        }
        if ((now - _commitAt).Duration() >= Window && _pending > 0)
        {
            _committed += _pending;
            _snapshots.Add(new SnapshotInfo(
                (7_000_000_000_000_000_000 + _snapshots.Count).ToString(), _snapshots.LastOrDefault()?.Id, now, "append", _pending, _committed,
                new Dictionary<string, string> { ["millrace.checkpoint-id"] = _checkpoint.ToString() }));
            _pending = 0;
            _commitAt = now;
        }
        if (_random.NextDouble() < seconds)
            _checkpoint++;
        if (bad > 0)
            Quarantine(now);
    }

    private void Quarantine(DateTimeOffset now)
    {
        var fault = Faults[_random.Next(Faults.Length)];
        _pipeline.Quarantined.Insert(0, new QuarantinedRow(
            "orders", "orders", _random.Next(3), _in / 3, now, [fault.Reason], System.Text.Encoding.UTF8.GetBytes(fault.Value)));
        if (_pipeline.Quarantined.Count > 100)
            _pipeline.Quarantined.RemoveAt(100);
    }

    private void Publish(DateTimeOffset now)
    {
        var third = _in / 3;
        var p99 = 34 + (_random.NextDouble() * 14);
        _pipeline.Status = new PipelineStatus
        {
            Name = "retail",
            State = PipelineState.Running,
            Sources =
            [
                new SourceStatus(
                    "orders", "orders", _in, _in - _bad, _bad, 12, _rate, _random.Next(400), now.AddSeconds(-5),
                    [.. Enumerable.Range(0, 3).Select(p => new PartitionStatus(p, third, third + _random.Next(130), false, now.AddSeconds(-5)))],
                    [.. Faults.Select((f, i) => new ReasonCount(f.Reason.Split(':')[0], _faults[i]))]),
            ],
            Outputs = [new OutputStatus("by_country", Schema, _closed.Count * Countries.Length, _open.Count, 12)],
            Sinks = [new SinkStatus("by_country", "iceberg:shop.by_country", _committed, _pending, _snapshots.LastOrDefault()?.Id, _snapshots.LastOrDefault()?.At)],
            Alerts = [new AlertStatus("no_orders", false, null, null)],
            Checkpoint = new CheckpointStatus(_checkpoint, now.AddMilliseconds(-400), TimeSpan.FromMilliseconds(9.4), 18_432, true),
            Latency = new LatencyPercentiles(p99 / 3, p99 / 1.6, p99, p99 * 1.4),
        };
        _services.Topics.All["orders"] = Topic();
    }

    private TopicInfo Topic() => new(
        "orders", [.. Enumerable.Range(0, 3).Select(p => new TopicPartition(p, 0, _in / 3, _in / 3 * 68))], _in, _in * 68,
        new Dictionary<string, string> { ["retention.ms"] = "604800000" });

    private static Schema Schema { get; } = new(
        new Field("Country", DataType.Utf8), new Field("window_start", DataType.TimestampTz), new Field("revenue", new DataType(TypeKind.Decimal128, 18, 2)),
        new Field("orders", DataType.Int64));

    private ColumnBatch Live()
    {
        lock (_gate)
            return Batch(_open);
    }

    private static ColumnBatch Batch(IEnumerable<KeyValuePair<long, double[]>> windows)
    {
        var rows = windows.SelectMany(w => Countries.Select((c, i) => (c.Country, w.Key, (long)(w.Value[i] * 1743), (long)w.Value[i]))).ToList();
        using var batch = FakePipeline.Batch(rows);
        return new ColumnBatch(Schema, batch.RowCount, [.. batch.Columns.Select(c => c.Retain())]);
    }

    private SqlAnswer Answer(string sql, int maxRows)
    {
        var wrong = sql.IndexOf("contry", StringComparison.OrdinalIgnoreCase);
        if (wrong >= 0)
            return new SqlAnswer.Fault("42703", "column \"contry\" does not exist", wrong + 1, "did you mean \"Country\"?");
        lock (_gate)
            return new SqlAnswer.Rows(Schema, [Batch(_closed.Reverse().Take(maxRows / Countries.Length))], false);
    }

    private static PipelinePlan Plan() => FakePipeline.Plan("retail") with
    {
        Queries =
        [
            new WindowedQueryPlan(
                "by_country", "SELECT Country, window_start, sum(Quantity * UnitPrice) AS revenue, count(*) AS orders FROM tumble(orders, 10s) GROUP BY Country, window_start",
                "orders", Schema, Window, "", [new PartialColumn(Schema[0], Merge.Key), new PartialColumn(Schema[1], Merge.Key)], ""),
        ],
        Sinks = [new IcebergSinkPlan("by_country", "shop", "by_country", ["Country", "window_start"], Window)],
    };

    private sealed class MovingTables(MovingPlatform platform) : ITables
    {
        public Task<IReadOnlyList<TableInfo>> ListAsync(CancellationToken cancellation)
        {
            lock (platform._gate)
                return Task.FromResult<IReadOnlyList<TableInfo>>([Info()]);
        }

        public Task<TableDetail?> FindAsync(string @namespace, string table, CancellationToken cancellation)
        {
            lock (platform._gate)
            {
                return Task.FromResult(table != "by_country" ? null : new TableDetail(
                    Info(), "warehouse/shop/by_country", 2,
                    [.. Schema.Fields.Select((f, i) => new TableColumn(i + 1, f.Name, f.Type.ToString().ToLowerInvariant(), i < 2))], ["Country", "window_start"],
                    [.. platform._snapshots], [.. platform._snapshots.Select((s, i) => new DataFileInfo($"data/00000-{i}.parquet", s.AddedRows ?? 0, 3120))]));
            }
        }

        public Task<UpkeepReply?> UpkeepAsync(string @namespace, string table, TableTask task, bool dryRun, CancellationToken cancellation) =>
            throw new NotSupportedException("the page asks for no upkeep");

        public Task<bool> DropAsync(string @namespace, string table, CancellationToken cancellation) => throw new NotSupportedException("the page drops no table");

        private TableInfo Info()
        {
            var last = platform._snapshots.LastOrDefault();
            var count = platform._snapshots.Count;
            return new TableInfo("shop", "by_country", platform._committed, count * 3120, count, count, last?.Id, last?.At);
        }
    }
}
