using System.Globalization;
using Microsoft.Extensions.Logging;
using Millrace.Columnar;
using Millrace.DuckDb;
using Millrace.Storage.RocksDb;
using Millrace.Streams.Alerts;
using Millrace.Streams.Checkpoints;
using Millrace.Streams.Plans;
using Millrace.Streams.Queries;
using Millrace.Streams.Sinks;
using Millrace.Streams.Sources;
using Millrace.Streams.Windows;

namespace Millrace.Streams.Running;

/// <summary>
/// A pipeline's life from one durable checkpoint until it stops or fails: whatever happens to it, nothing but what a checkpoint made
/// durable has an effect outside, so that a new session may begin at any time. The parts are made here; <see cref="SessionLoop"/> runs them.
/// </summary>
internal sealed class PipelineSession : IAsyncDisposable
{
    private readonly CheckpointRecord? _restored;

    private PipelineSession(PipelinePlan plan, StreamEnvironment environment, IReadOnlyDictionary<(string Source, int Partition), long> stopBefore)
    {
        Plan = plan;
        Environment = environment;
        StopBefore = stopBefore;
        Log = environment.Logs.CreateLogger("Millrace.Streams");
        Store = StateStore.Open(Path.Combine(environment.StateFolder, "state"), environment.Options.State);
        try
        {
            _restored = Store.ReadCheckpoint();
            if (_restored is not null)
                PlanFingerprint.Check(plan, _restored, environment.StateFolder);
            Incarnation = _restored?.Incarnation ?? environment.Time.GetUtcNow().ToUnixTimeMilliseconds().ToString("x", CultureInfo.InvariantCulture);
            Writer = new CheckpointWriter(Store, Incarnation, environment.Time, environment.FailPoints);
        }
        catch
        {
            Store.Dispose();
            throw;
        }
    }

    public PipelinePlan Plan { get; }

    public StreamEnvironment Environment { get; }

    public ILogger Log { get; }

    public StateStore Store { get; }

    public CheckpointWriter Writer { get; }

    public string Incarnation { get; }

    public IReadOnlyDictionary<(string Source, int Partition), long> StopBefore { get; }

    /// <summary>The newest durable checkpoint's id; 0 before the first.</summary>
    public long CheckpointId => _restored?.Id ?? 0;

    public CheckpointRecord? Restored => _restored;

    public List<SourceReader> Sources { get; } = [];

    /// <summary>Sources and queries, in order of dependency.</summary>
    public List<OutputNode> Outputs { get; } = [];

    public List<WindowedStep> Windowed { get; } = [];

    public List<TableSink> Tables { get; } = [];

    public Dictionary<string, TopicDelivery> Topics { get; } = new(StringComparer.Ordinal);

    public AlertNotifier? Notifier { get; private set; }

    /// <summary>Set when a part that runs beside the stream cannot go on.</summary>
    public Exception? Failure { get; private set; }

    /// <summary>Told of each quarantined record, for display.</summary>
    public Action<QuarantinedRow>? Quarantined { get; init; }

    private DuckDbDatabase? QueryDatabase { get; set; }

    private DuckDbDatabase? SinkDatabase { get; set; }

    private HttpAlertSender? OwnSender { get; set; }

    /// <summary>The table sink's name, which the checkpoint knows it by.</summary>
    public static string NameOf(IcebergSinkPlan sink) => $"iceberg:{sink.Namespace}.{sink.Table} from {sink.Input}";

    /// <summary>All topics that the plan may write to, by the name that the checkpoint knows them by.</summary>
    public static IEnumerable<(string Name, string Brokers, string Topic, string? DeadLetters)> TopicsOf(PipelinePlan plan)
    {
        foreach (var source in plan.Sources)
        {
            yield return ($"topic:{source.QuarantineTopic}", source.Brokers, source.QuarantineTopic, null);
            yield return ($"topic:{source.LateTopic}", source.Brokers, source.LateTopic, null);
        }
        foreach (var sink in plan.Sinks.OfType<TopicSinkPlan>())
            yield return (NameOf(sink), sink.Brokers, sink.Topic, sink.DeadLetterTopic);
    }

    public static string NameOf(TopicSinkPlan sink) => $"topic:{sink.Topic} from {sink.Input}";

    /// <summary>Opens the state and all parts, at the newest durable checkpoint.</summary>
    /// <exception cref="IncompatiblePlanException">The state is of another plan.</exception>
    /// <exception cref="InvalidDataException">The state is damaged, or older than the tables.</exception>
    /// <exception cref="DuckDbException">SQL of the plan is refused.</exception>
    public static async Task<PipelineSession> OpenAsync(
        PipelinePlan plan, StreamEnvironment environment, IReadOnlyDictionary<(string Source, int Partition), long> stopBefore,
        Action<QuarantinedRow> quarantined)
    {
        var session = new PipelineSession(plan, environment, stopBefore) { Quarantined = quarantined };
        try
        {
            session.Build();
            return session;
        }
        catch
        {
            await session.DisposeAsync();
            throw;
        }
    }

    public OutputNode Output(string name) => Outputs.First(o => o.Name == name);

    public void Fail(Exception failure) => Failure ??= failure;

    public async ValueTask DisposeAsync()
    {
        foreach (var source in Sources)
            source.Dispose();
        foreach (var delivery in Topics.Values)
            await delivery.DisposeAsync();
        foreach (var table in Tables)
            await table.DisposeAsync();
        if (Notifier is not null)
            await Notifier.DisposeAsync();
        OwnSender?.Dispose();
        foreach (var output in Outputs)
        {
            foreach (var alert in output.Alerts)
                alert.Dispose();
            foreach (var step in output.Stateless)
                step.Dispose();
            output.Dispose();
        }
        foreach (var step in Windowed)
            step.Dispose();
        QueryDatabase?.Dispose();
        SinkDatabase?.Dispose();
        Store.Dispose();
    }

    private void Build()
    {
        var options = Environment.Options;
        // Two databases: the plan's SQL must not reach files, writing data files must.
        QueryDatabase = DuckDbDatabase.Open(null, new DuckDbOptions { Threads = 1, MemoryLimit = options.QueryMemoryBytes, LockConfiguration = true });
        foreach (var source in Plan.Sources)
            Outputs.Add(RestoreCounts(new OutputNode(source.Name, source.RowSchema, options.LiveRows)));
        foreach (var query in Plan.Queries)
            AddQuery(query);
        AddDeliveries();
        foreach (var sink in Plan.Sinks)
            AddSink(sink);
        AddAlerts();
        foreach (var source in Plan.Sources)
            AddSource(source);
    }

    private OutputNode RestoreCounts(OutputNode output)
    {
        if (_restored?.Queries.GetValueOrDefault(output.Name) is { } known)
            output.Rows = known.Rows;
        return output;
    }

    private void AddQuery(QueryPlan query)
    {
        var input = Output(query.Input);
        switch (query)
        {
            case StatelessQueryPlan stateless:
                input.Stateless.Add(new StatelessStep(stateless, QueryDatabase!, input.Schema));
                Outputs.Add(RestoreCounts(new OutputNode(query.Name, query.Output, Environment.Options.LiveRows)));
                break;
            case WindowedQueryPlan windowed:
                var step = new WindowedStep(windowed, QueryDatabase!, input.Schema, Environment.Options.MaxDeferredRows);
                Windowed.Add(step);
                input.Windowed.Add(step);
                Outputs.Add(RestoreCounts(new OutputNode(query.Name, query.Output, Environment.Options.LiveRows) { Windows = step }));
                if (_restored?.Queries.GetValueOrDefault(query.Name) is { } known)
                {
                    step.State.RestoreClosedUpTo(known.ClosedUpTo);
                    step.State.LateRows = known.LateRows;
                    var rows = Store.LoadWindows(query.Name, step.State);
                    SessionLog.Restored(Log, query.Name, rows, step.State.OpenWindows);
                }
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(query), query, "unknown kind of query");
        }
    }

    private void AddDeliveries()
    {
        var learn = Plan.Sinks.OfType<TopicSinkPlan>().Select(NameOf).ToHashSet(StringComparer.Ordinal);
        foreach (var (name, brokers, topic, dead) in TopicsOf(Plan))
        {
            var known = _restored?.Topics.GetValueOrDefault(name);
            var context = new TopicDelivery.Context
            {
                Name = name, Pipeline = Plan.Name, Incarnation = Incarnation,
                Port = Port(topic, false), DeadLetters = dead is null ? null : Port(dead, true),
                ReadOwed = id => Store.ReadOwed(name, id), Time = Environment.Time, Log = Log, Options = Environment.Options.Delivery,
                FailPoints = Environment.FailPoints, Failed = Fail, LearnEnds = learn.Contains(name) && known is null,
            };
            Topics.Add(name, new TopicDelivery(context, known));

            KafkaTopicPort Port(string name, bool madeWhenSent) =>
                new(brokers, name, Environment.Logins.For(brokers), Environment.FailPoints, Environment.Logs.CreateLogger("Millrace.Streams.Kafka"), madeWhenSent);
        }
    }

    private void AddSink(SinkPlan plan)
    {
        var input = Output(plan.Input);
        // Raw tables and topics of a source hold its own columns, not the Kafka timestamp behind them.
        var schema = Plan.Sources.FirstOrDefault(s => s.Name == plan.Input)?.Schema ?? input.Schema;
        if (plan is TopicSinkPlan topic)
        {
            input.Topics.Add(new TopicInlet(topic, Topics[NameOf(topic)], schema, Environment.Logins));
            return;
        }
        var iceberg = (IcebergSinkPlan)plan;
        SinkDatabase ??= DuckDbDatabase.Open(
            null, new DuckDbOptions { Threads = 1, MemoryLimit = Environment.Options.SinkMemoryBytes, EnableExternalAccess = true });
        var name = NameOf(iceberg);
        var upkeep = Environment.Options.Upkeep;
        upkeep = upkeep with
        {
            Keep = iceberg.Upkeep.Keep ?? upkeep.Keep, KeepLast = iceberg.Upkeep.KeepLast ?? upkeep.KeepLast, CompactTo = iceberg.Upkeep.CompactTo ?? upkeep.CompactTo,
        };
        var context = new TableSink.Context
        {
            Name = name, Writer = $"{Plan.Name}/{iceberg.Input}", Incarnation = Incarnation,
            Port = new IcebergTablePort(Environment.Catalog, iceberg, schema, Plan.Name, upkeep), UpkeepEvery = upkeep.Every, Database = SinkDatabase,
            StagingFolder = Path.Combine(Environment.StateFolder, "staged"), FilePrefix = $"{iceberg.Input}-to-{iceberg.Namespace}.{iceberg.Table}",
            Schema = schema, CommitEvery = iceberg.CommitEvery, Time = Environment.Time, Log = Log, Options = Environment.Options.Delivery,
            FailPoints = Environment.FailPoints, Failed = Fail,
        };
        var sink = new TableSink(context, _restored?.Tables.GetValueOrDefault(name));
        Tables.Add(sink);
        input.Tables.Add(new TableInlet(iceberg, sink, schema));
    }

    private void AddAlerts()
    {
        if (Plan.Alerts.Count == 0)
            return;
        var sender = Environment.AlertSender;
        if (sender is null)
            sender = OwnSender = new HttpAlertSender();
        Notifier = new AlertNotifier(Plan.Name, Incarnation, Plan.Alerts, sender, Environment.Time, Environment.Options.Delivery, Log);
        foreach (var alert in Plan.Alerts)
        {
            var output = Output(alert.Input);
            var keys = Plan.Queries.OfType<WindowedQueryPlan>().FirstOrDefault(q => q.Name == alert.Input)?.Keys ?? [];
            var restored = _restored?.Alerts.GetValueOrDefault(alert.Name);
            output.Alerts.Add(new AlertInlet(alert, output.Schema, keys, QueryDatabase!, Environment.Options.MaxAlertKeys, Environment.Options.AlertSilence, restored));
            foreach (var notice in restored?.Owed ?? [])
                Notifier.EnqueueOnce(notice);
        }
    }

    private void AddSource(SourcePlan source)
    {
        var context = new SourceReader.Context
        {
            Pipeline = Plan.Name, Plan = source, Login = Environment.Logins.For(source.Brokers), Logins = Environment.Logins, Store = Store, Options = Environment.Options, Time = Environment.Time, Logs = Environment.Logs,
            FailPoints = Environment.FailPoints,
            StopBefore = StopBefore.Where(s => s.Key.Source == source.Name).ToDictionary(s => s.Key.Partition, s => s.Value),
        };
        var reader = new SourceReader(context, _restored?.Sources.GetValueOrDefault(source.Name)) { Quarantined = Quarantined };
        Sources.Add(reader);
        foreach (var step in Windowed)
        {
            if (SourceOf(step.Plan) == source.Name)
                reader.Windows.Add((step.Plan.Name, step.State));
        }
    }

    /// <summary>The source whose rows a query sees in the end.</summary>
    public string SourceOf(QueryPlan query)
    {
        var input = query.Input;
        while (Plan.Queries.FirstOrDefault(q => q.Name == input) is { } before)
            input = before.Input;
        return input;
    }
}

internal static partial class SessionLog
{
    [LoggerMessage(Level = LogLevel.Information, Message = "Query {Query}: {Rows} rows of {Windows} open windows are back")]
    public static partial void Restored(ILogger log, string query, long rows, int windows);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Checkpoint {Id} took {Millis} ms, {Bytes} bytes")]
    public static partial void Checkpoint(ILogger log, long id, double millis, long bytes);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Stages since the last line, in ms: poll {Poll}, route {Route}, close {Close}, barrier {Barrier}, publish {Publish}; {Batches} batches, {Rows} rows")]
    public static partial void Stages(ILogger log, double poll, double route, double close, double barrier, double publish, long batches, long rows);

    [LoggerMessage(Level = LogLevel.Error, Message = "Pipeline {Name} failed: {Reason}")]
    public static partial void Failed(ILogger log, string name, string reason, Exception failure);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Pipeline {Name} pauses: {Reason}")]
    public static partial void Paused(ILogger log, string name, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "Pipeline {Name} goes on")]
    public static partial void Resumed(ILogger log, string name);
}
