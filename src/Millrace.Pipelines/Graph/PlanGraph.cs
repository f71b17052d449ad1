using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Millrace.Streams.Plans;
using Millrace.Streams.Running;
using Millrace.Streams.Sql;

namespace Millrace.Pipelines.Graph;

/// <summary>A step of a pipeline as it is shown.</summary>
/// <param name="Id">Distinct within the graph, e.g. <c>query/by_country</c>.</param>
/// <param name="Kind">source, checks, quarantine, late, query, sink or alert.</param>
/// <param name="Name">What the file calls it, or where it goes.</param>
/// <param name="Detail">The topic, the rules, the SQL, ...</param>
/// <param name="RunsOn">What does the work, e.g. <c>DuckDB, memory over RocksDB</c>.</param>
/// <param name="State">What it has done and does now; null for a plan that does not run.</param>
public sealed record PlanNode(string Id, string Kind, string Name, string Detail, string RunsOn, string? State = null);

/// <param name="Label">What flows, where it is not simply rows: <c>bad rows</c>, <c>late rows</c>.</param>
public sealed record PlanEdge(string From, string To, string? Label = null);

/// <summary>A pipeline as a graph: what <c>millrace plan</c> prints and the console draws. Every node has at most one node before it.</summary>
public sealed record PlanGraph(string Name, string? Description, string? State, IReadOnlyList<PlanNode> Nodes, IReadOnlyList<PlanEdge> Edges)
{
    private static readonly JsonSerializerOptions JsonOptions = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>The graph of a plan, with what a running pipeline says of its parts.</summary>
    public static PlanGraph Of(PipelinePlan plan, PipelineStatus? status = null) => new PlanGraphBuilder(plan, status).Build();

    /// <summary>Nodes and edges as JSON, names in camel case.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, JsonOptions);

    /// <summary>The graph as an indented tree, for a terminal.</summary>
    public string ToText() => PlanGraphText.Render(this);
}

internal sealed class PlanGraphBuilder(PipelinePlan plan, PipelineStatus? status)
{
    private readonly List<PlanNode> _nodes = [];
    private readonly List<PlanEdge> _edges = [];

    // Where the rows of a source or query come from.
    private readonly Dictionary<string, string> _outlets = [];

    public PlanGraph Build()
    {
        foreach (var source in plan.Sources)
            AddSource(source);
        foreach (var query in plan.Queries)
            AddQuery(query);
        foreach (var sink in plan.Sinks)
            AddSink(sink);
        foreach (var alert in plan.Alerts)
            AddAlert(alert);
        foreach (var saga in plan.Sagas)
        {
            var back = saga.Steps.Where(static s => s.Undo is not null).Select(static s => s.Name).Reverse().ToArray();
            Add(new PlanNode(
                $"saga/{saga.Name}", "saga", saga.Name,
                $"{string.Join(", then ", saga.Steps.Select(static s => s.Name))}; taken back: {(back.Length > 0 ? string.Join(", then ", back) : "nothing")}",
                $"begun by ./millrace saga run --saga {saga.Name}{string.Concat(saga.Parameters.Select(static p => $" --with {p}=..."))}", null));
        }
        var state = status is null ? null : status.State.ToString().ToLowerInvariant() + (status.Reason is { } reason ? $": {reason}" : "");
        return new PlanGraph(plan.Name, plan.Description, state, _nodes, _edges);
    }

    private void AddSource(SourcePlan source)
    {
        var now = status?.Sources.FirstOrDefault(s => s.Name == source.Name);
        var time = source.TimeColumn ?? "the record's timestamp";
        var inlet = Add(new PlanNode(
            $"source/{source.Name}", "source", source.Name, $"topic {source.Topic} at {source.Brokers}, {(source.Format == RecordFormat.Avro ? "Avro" : "JSON")}, {source.Schema.Count} columns, time from {time}",
            "librdkafka", now is null ? null : $"{Number(now.In)} in, {Number((long)now.InPerSecond)}/s, lag {Number(now.Lag)}"));
        var rules = source.Checks.Count switch
        {
            0 => "no rules",
            1 => source.Checks[0].Text,
            var n => $"{n} rules: {string.Join("; ", source.Checks.Select(c => c.Text))}",
        };
        if (source.Breaker is { } breaker)
            rules += $"; pauses above {(breaker.Share * 100).ToString("0.##", CultureInfo.InvariantCulture)}% bad over {DurationText.Write(breaker.Over)}";
        var outlet = Add(
            new PlanNode(
                $"checks/{source.Name}", "checks", source.Name, rules, source.Checks.Any(c => c is UniqueCheck) ? "columns, RocksDB" : "columns",
                now is null ? null : $"{Number(now.Good)} good, {Number(now.Quarantined)} quarantined"),
            inlet);
        if (source.OnFail == OnFail.Quarantine)
        {
            var state = now is null ? null : $"{Number(now.Quarantined)} rows";
            Add(new PlanNode($"quarantine/{source.Name}", "quarantine", source.QuarantineTopic, source.Errors.Retries > 0
                ? $"every bad row with its reasons; what may pass is tried {source.Errors.Retries} times more, after {DurationText.Write(source.Errors.Backoff)} to {DurationText.Write(source.Errors.MaxBackoff)}"
                : "every bad row with its reasons", "librdkafka", state), outlet, "bad rows");
        }
        if (plan.Queries.Any(q => q is WindowedQueryPlan && SourceOf(q) == source.Name))
        {
            var state = now is null ? null : $"{Number(now.Late)} rows";
            Add(new PlanNode($"late/{source.Name}", "late", source.LateTopic, "rows behind their window's end", "librdkafka", state), outlet, "late rows");
        }
        _outlets[source.Name] = outlet;
    }

    private string SourceOf(QueryPlan query) =>
        plan.Queries.FirstOrDefault(q => q.Name == query.Input) is { } before ? SourceOf(before) : query.Input;

    private void AddQuery(QueryPlan query)
    {
        var now = status?.Outputs.FirstOrDefault(o => o.Name == query.Name);
        var sql = string.Join(' ', query.Sql.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        var windowed = query as WindowedQueryPlan;
        var where = windowed is null ? "DuckDB" : "DuckDB, memory over RocksDB";
        var state = now is null ? null : $"{Number(now.Rows)} rows{(windowed is null ? "" : $", {Number(now.OpenWindows)} open windows")}";
        var detail = windowed is null ? sql : $"windows of {DurationText.Write(windowed.Size)}: {sql}";
        _outlets[query.Name] = Add(new PlanNode($"query/{query.Name}", "query", query.Name, detail, where, state), _outlets[query.Input]);
    }

    private void AddSink(SinkPlan sink)
    {
        var (name, detail, where) = sink switch
        {
            IcebergSinkPlan table => (
                $"iceberg:{table.Namespace}.{table.Table}",
                (table.Key.Count > 0 ? $"key {string.Join(", ", table.Key)}; " : "") + $"a snapshot at most every {DurationText.Write(table.CommitEvery)}",
                "DuckDB (Parquet), Iceberg"),
            TopicSinkPlan topic => (
                $"topic:{topic.Topic}", $"{(topic.Avro is null ? "JSON" : $"Avro of subject {topic.Avro.Subject}")} to {topic.Brokers}{(topic.Key.Count > 0 ? $", key {string.Join(", ", topic.Key)}" : "")}", "librdkafka"),
            _ => throw new InvalidOperationException($"no such sink: {sink}"),
        };
        var index = plan.Sinks.Where(s => s.Input == sink.Input).ToList().IndexOf(sink);
        var now = status?.Sinks.Where(s => s.Input == sink.Input).ElementAtOrDefault(index);
        var state = now is null ? null : $"{Number(now.Committed)} committed, {Number(now.Pending)} pending{(now.LastCommit is { } last ? $", last {last}" : "")}";
        Add(new PlanNode($"sink/{sink.Input}/{name}", "sink", name, detail, where, state), _outlets[sink.Input]);
    }

    private void AddAlert(AlertPlan alert)
    {
        var now = status?.Alerts.FirstOrDefault(a => a.Name == alert.Name);
        var targets = string.Join(", ", alert.Targets.Select(t => t is AlertTarget.Webhook webhook ? webhook.ToString() : "log"));
        var span = alert.For > TimeSpan.Zero ? $" for {DurationText.Write(alert.For)}" : "";
        var state = now is null ? null : now.Firing ? $"firing{(now.Detail is { } detail ? $": {detail}" : "")}" : "quiet";
        Add(new PlanNode($"alert/{alert.Name}", "alert", alert.Name, $"when {alert.Condition}{span}, tell {targets}", "DuckDB", state), _outlets[alert.Input]);
    }

    private string Add(PlanNode node, string? from = null, string? label = null)
    {
        _nodes.Add(node);
        if (from is not null)
            _edges.Add(new PlanEdge(from, node.Id, label));
        return node.Id;
    }

    private static string Number(long value) => value.ToString("N0", CultureInfo.InvariantCulture);
}
