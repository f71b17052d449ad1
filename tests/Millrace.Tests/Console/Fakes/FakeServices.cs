using Millrace.Columnar;
using Millrace.Schemas;
using Millrace.WebConsole.Metrics;
using Millrace.WebConsole.Seams;
using Millrace.WebConsole.Wire;

namespace Millrace.Tests.WebConsole.Fakes;

/// <summary>Rooms below as a test wants them; every member may be replaced.</summary>
internal sealed class FakeServices
{
    public FakeJobs Jobs { get; } = new();

    public FakeTopics Topics { get; } = new();

    public FakeTables Tables { get; } = new();

    public FakeSql Sql { get; } = new();

    public SchemaRegistry Schemas { get; } = SchemaRegistry.Open(new FakeSchemaLog());

    public Readiness Readiness { get; set; } = new(true, null);

    public ConsoleServices Build() => new()
    {
        Jobs = Jobs, Topics = Topics, Tables = Tables, Sql = Sql, Process = new FakeProcess(), Ready = () => Readiness,
        Cluster = new FakeCluster(), Users = new FakeUsers(), Sessions = new FakeSessions(), Schemas = new RegistryApi(Schemas),
    };
}

internal sealed class FakeProcess : IProcess
{
    public ProcessInfo Look() => new("0.1.0", DateTimeOffset.UnixEpoch, 60, 0.12, 7.5, 2, 180 << 20, 60 << 20, 30, 5 << 20, 10L << 30, 40L << 30);
}

internal sealed class FakeJobs : IJobs
{
    private readonly Dictionary<string, JobEntry> _jobs = [];

    public event Action? Changed;

    public List<string> Calls { get; } = [];

    public string FileSchema => """{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object"}""";

    public FakePipeline Start(string name = "orders_by_country")
    {
        var pipeline = new FakePipeline(name);
        _jobs[name] = new JobEntry(name, FakePipeline.Plan(name), $"pipeline: {name}\n", DateTimeOffset.UnixEpoch, pipeline);
        Changed?.Invoke();
        return pipeline;
    }

    public void Put(JobEntry job)
    {
        _jobs[job.Name] = job;
        Changed?.Invoke();
    }

    public IReadOnlyList<JobEntry> List() => [.. _jobs.Values];

    public JobEntry? Find(string name) => _jobs.GetValueOrDefault(name);

    public Task<IReadOnlyList<DiagnosticInfo>> LintAsync(string file, CancellationToken cancellation) => Task.FromResult(Check(file));

    public Task<SubmitAnswer> SubmitAsync(string file, bool dryRun, CancellationToken cancellation)
    {
        var found = Check(file);
        if (found.Count > 0)
            return Task.FromResult(new SubmitAnswer(null, false, found));
        var name = file.Split(':')[1].Trim();
        if (_jobs.ContainsKey(name))
            throw new ConsoleException(409, "Job exists", $"a job named '{name}' runs", $"stop it: ./millrace job stop {name}");
        if (!dryRun)
            Start(name);
        return Task.FromResult(new SubmitAnswer(name, true, found));
    }

    public Task StopAsync(string name, CancellationToken cancellation) => Call($"stop {name}");

    public Task RestartAsync(string name, CancellationToken cancellation) => Call($"restart {name}");

    public Task RemoveAsync(string name, CancellationToken cancellation)
    {
        _jobs.Remove(name);
        Changed?.Invoke();
        return Call($"remove {name}");
    }

    public PlanInfo Graph(JobEntry job) => new(
        [
            new PlanNode("source/orders", "source", "orders", "kafka:orders", "kafka"),
            new PlanNode("checks/orders", "checks", "orders", "not_null(order_id, amount)", "columns"),
            new PlanNode("quarantine/orders", "quarantine", "orders.quarantine", "every bad row with its reasons", "librdkafka"),
            new PlanNode("late/orders", "late", "orders.late", "rows behind their window's end", "librdkafka"),
            new PlanNode("query/by_country", "query", "by_country", job.Plan.Queries[0].Sql, "DuckDB, memory over RocksDB"),
            new PlanNode(
                "sink/by_country/iceberg:sales.by_country", "sink", "iceberg:sales.by_country", "key country; a snapshot at most every 10s", "DuckDB (Parquet), Iceberg"),
            new PlanNode("alert/low_revenue", "alert", "low_revenue", "revenue < 100 for 5m", "log"),
        ],
        [
            new PlanEdge("source/orders", "checks/orders", null), new PlanEdge("checks/orders", "query/by_country", null),
            new PlanEdge("checks/orders", "quarantine/orders", "bad rows"), new PlanEdge("checks/orders", "late/orders", "late rows"),
            new PlanEdge("query/by_country", "sink/by_country/iceberg:sales.by_country", null), new PlanEdge("query/by_country", "alert/low_revenue", null),
        ]);

    private Task Call(string call)
    {
        Calls.Add(call);
        return Task.CompletedTask;
    }

    private static IReadOnlyList<DiagnosticInfo> Check(string file) => file.StartsWith("pipeline:", StringComparison.Ordinal)
        ? []
        : [new DiagnosticInfo("error", "unknown field 'pipelin'", 1, 1, 7, "did you mean 'pipeline'?", "unknown-field")];
}

internal sealed class FakeTopics : ITopics
{
    public Dictionary<string, TopicInfo> All { get; } = new()
    {
        ["orders"] = new TopicInfo("orders", [new TopicPartition(0, 0, 100, 20_000)], 100, 20_000, new Dictionary<string, string>()),
    };

    public List<TopicRecord> Records { get; } =
    [
        new(0, 98, DateTimeOffset.UnixEpoch, "k"u8.ToArray(), "{\"order_id\":1}"u8.ToArray(), []),
        new(0, 99, DateTimeOffset.UnixEpoch, null, [0xFF, 0xFE], [new("h", "v"u8.ToArray())]),
    ];

    public IReadOnlyList<TopicInfo> List() => [.. All.Values];

    public TopicInfo? Find(string name) => All.GetValueOrDefault(name);

    public Task<TopicInfo> CreateAsync(TopicRequest request, CancellationToken cancellation)
    {
        if (All.ContainsKey(request.Name))
            throw new ConsoleException(409, "Topic exists", $"a topic named '{request.Name}' is there");
        var topic = new TopicInfo(
            request.Name, [.. Enumerable.Range(0, request.Partitions).Select(i => new TopicPartition(i, 0, 0, 0))], 0, 0,
            request.Config ?? new Dictionary<string, string>());
        All[request.Name] = topic;
        return Task.FromResult(topic);
    }

    public Task DeleteAsync(string name, CancellationToken cancellation)
    {
        All.Remove(name);
        return Task.CompletedTask;
    }

    public Task<IReadOnlyList<TopicRecord>> ReadAsync(string topic, int partition, long offset, int limit, CancellationToken cancellation) =>
        Task.FromResult<IReadOnlyList<TopicRecord>>([.. Records.Take(limit)]);

    public IReadOnlyList<GroupInfo> Groups() =>
        [new GroupInfo("orders_by_country", "Stable", 1, 3, [new GroupPartition("orders", 0, 97, 100, 3, "m-1")])];

    public IEnumerable<MetricFamily> Metrics() =>
        [MetricFamily.Counter("millrace_broker_appended_bytes_total", "Bytes appended.", MetricSample.Of(20_000, ("topic", "a\"b\\c\nd")))];
}

internal sealed class FakeTables : ITables
{
    public TableInfo Table { get; } = new("sales", "by_country", 20, 4096, 2, 2, "9007199254740993", DateTimeOffset.UnixEpoch);

    public Task<IReadOnlyList<TableInfo>> ListAsync(CancellationToken cancellation) => Task.FromResult<IReadOnlyList<TableInfo>>([Table]);

    public Task<TableDetail?> FindAsync(string @namespace, string table, CancellationToken cancellation) => Task.FromResult(
        @namespace == "sales" && table == "by_country"
            ? new TableDetail(
                Table, "/data/sales/by_country", 2, [new TableColumn(1, "country", "string", true)], ["country"],
                [new SnapshotInfo("9007199254740993", null, DateTimeOffset.UnixEpoch, "append", 20, 20, new Dictionary<string, string>())],
                [new DataFileInfo("data/a.parquet", 20, 4096)])
            : null);

    public Task<bool> DropAsync(string @namespace, string table, CancellationToken cancellation) => Task.FromResult(table == "by_country");

    public List<(TableTask Task, bool DryRun)> Upkeep { get; } = [];

    public Task<UpkeepReply?> UpkeepAsync(string @namespace, string table, TableTask task, bool dryRun, CancellationToken cancellation)
    {
        if (table != "by_country")
            return Task.FromResult<UpkeepReply?>(null);
        Upkeep.Add((task, dryRun));
        return Task.FromResult<UpkeepReply?>(new UpkeepReply("sales.by_country", dryRun, ["9007199254740993"], null, 0, 0, 0, 0, 3, 4096));
    }
}

internal sealed class FakeSql : ISql
{
    public Func<string, int, SqlAnswer> Answer { get; set; } = static (sql, _) => sql.Contains("selec ", StringComparison.OrdinalIgnoreCase)
        ? new SqlAnswer.Fault("42601", "syntax error at or near \"selec\"", sql.IndexOf("selec", StringComparison.OrdinalIgnoreCase) + 1, "did you mean SELECT?")
        : new SqlAnswer.Rows(FakePipeline.ByCountry, [FakePipeline.Batch([("DE", 0, 1050, 3), ("FR", 0, 99, 1)])], false);

    public Task<SqlAnswer> RunAsync(string sql, int maxRows, CancellationToken cancellation) => Task.FromResult(Answer(sql, maxRows));
}
