using Millrace.Columnar;
using Millrace.Streams.Plans;
using Millrace.Streams.Running;

namespace Millrace.Tests.WebConsole.Fakes;

/// <summary>A pipeline whose state a test sets.</summary>
internal sealed class FakePipeline : IRunningPipeline
{
    public static readonly Schema ByCountry = new(
        new Field("country", DataType.Utf8), new Field("window_start", DataType.TimestampTz), new Field("revenue", new DataType(TypeKind.Decimal128, 18, 2)),
        new Field("orders", DataType.Int64));

    private volatile PipelineStatus _status;

    public FakePipeline(string name = "orders_by_country")
    {
        Name = name;
        _status = Reading(0);
    }

    public string Name { get; }

    public PipelineStatus Status
    {
        get => _status;
        set => _status = value;
    }

    public Func<string, ColumnBatch?> Rows { get; set; } = output => output == "by_country" ? Batch([("DE", 0, 1050, 3)]) : null;

    public List<QuarantinedRow> Quarantined { get; } = [];

    public int LiveRowsRead { get; private set; }

    public event Action<IRunningPipeline>? Changed;

    public Task Completion { get; } = new TaskCompletionSource().Task;

    public bool Listened => Changed is not null;

    public void Raise() => Changed?.Invoke(this);

    /// <summary>A status that says <paramref name="count"/> records were read, one in a hundred of them bad.</summary>
    public PipelineStatus Reading(long count) => new()
    {
        Name = Name,
        State = PipelineState.Running,
        Sources =
        [
            new SourceStatus(
                "orders", "orders", count, count - (count / 100), count / 100, 0, count, 0, DateTimeOffset.UnixEpoch,
                [new PartitionStatus(0, count, count, false, DateTimeOffset.UnixEpoch)], [new ReasonCount("not_null(order_id)", count / 100)]),
        ],
        Outputs = [new OutputStatus("by_country", ByCountry, count / 10, 1, 0)],
        Sinks = [new SinkStatus("by_country", "iceberg:sales.by_country", 0, 0, null, null)],
        Alerts = [new AlertStatus("low_revenue", false, null, null)],
        Checkpoint = new CheckpointStatus(7, DateTimeOffset.UnixEpoch, TimeSpan.FromMilliseconds(12), 4096, true),
        Latency = new LatencyPercentiles(8, 20, 40, 55),
    };

    public static ColumnBatch Batch(IReadOnlyList<(string Country, long WindowMicros, long Cents, long Orders)> rows)
    {
        using var country = new ColumnBuilder(DataType.Utf8);
        using var window = new ColumnBuilder(DataType.TimestampTz);
        using var revenue = new ColumnBuilder(ByCountry[2].Type);
        using var orders = new ColumnBuilder(DataType.Int64);
        foreach (var row in rows)
        {
            country.AppendBytes(System.Text.Encoding.UTF8.GetBytes(row.Country));
            window.Append(row.WindowMicros);
            revenue.Append((Int128)row.Cents);
            orders.Append(row.Orders);
        }
        return new ColumnBatch(ByCountry, rows.Count, country.Build(), window.Build(), revenue.Build(), orders.Build());
    }

    public static PipelinePlan Plan(string name) => new()
    {
        Name = name,
        Sources =
        [
            new SourcePlan
            {
                Name = "orders", Topic = "orders", Brokers = "localhost:9092", TimeColumn = "ts",
                Schema = new Schema(
                    new Field("order_id", DataType.Utf8), new Field("country", DataType.Utf8), new Field("amount", DataType.Float64),
                    new Field("ts", DataType.TimestampTz)),
                Checks = [new NotNullCheck("not_null(order_id, amount)", ["order_id", "amount"])],
            },
        ],
        Queries =
        [
            new WindowedQueryPlan(
                "by_country", "SELECT country, window_start, sum(amount) AS revenue, count(*) AS orders FROM tumble(orders, 1m) GROUP BY country, window_start",
                "orders", ByCountry, TimeSpan.FromMinutes(1), "", [new PartialColumn(ByCountry[0], Merge.Key), new PartialColumn(ByCountry[1], Merge.Key)], ""),
        ],
        Sinks = [new IcebergSinkPlan("by_country", "sales", "by_country", ["country", "window_start"], TimeSpan.FromSeconds(10))],
        Alerts = [new AlertPlan("low_revenue", "by_country", "revenue < 100", TimeSpan.FromMinutes(5), [new AlertTarget.Log()])],
    };

    public ColumnBatch? LiveRows(string output)
    {
        LiveRowsRead++;
        return Rows(output);
    }

    public IReadOnlyList<QuarantinedRow> NewestQuarantined(int most) => [.. Quarantined.Take(most)];

    public Task StopAsync(CancellationToken cancellation) => Task.CompletedTask;

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
