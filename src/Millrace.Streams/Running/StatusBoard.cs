using System.Globalization;
using Millrace.Streams.Checkpoints;
using Millrace.Streams.Plans;
using Millrace.Streams.Sources;

namespace Millrace.Streams.Running;

/// <summary>
/// What others may see of a pipeline: the stream's thread puts up a fresh status at most every ten milliseconds, everybody reads the
/// newest without waiting.
/// </summary>
internal sealed class StatusBoard
{
    private static readonly TimeSpan PublishEvery = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan RateSpan = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan AssignmentPatience = TimeSpan.FromSeconds(3);

    private readonly PipelinePlan _plan;
    private readonly TimeProvider _time;
    private readonly Action _changed;
    private readonly Lock _lock = new();
    private readonly Queue<QuarantinedRow> _quarantined = new();
    private readonly int _maxQuarantined;
    private readonly Dictionary<string, Queue<(long At, long In)>> _rates = new(StringComparer.Ordinal);
    private readonly LatencyWindow _latency;
    private long _published;
    private long _sessionBegan;
    private string? _pressure;
    private CheckpointStatus _checkpoint = new(0, null, TimeSpan.Zero, 0, true);
    private volatile PipelineStatus _status;

    public StatusBoard(PipelinePlan plan, TimeProvider time, StreamOptions options, Action changed)
    {
        _plan = plan;
        _time = time;
        _changed = changed;
        _maxQuarantined = options.NewestQuarantined;
        _latency = new LatencyWindow(time);
        _status = new PipelineStatus
        {
            Name = plan.Name, State = PipelineState.Starting, Sources = [], Outputs = [], Sinks = [], Alerts = [], Checkpoint = _checkpoint,
            Latency = default,
        };
    }

    public PipelineStatus Status => _status;

    public IReadOnlyList<QuarantinedRow> NewestQuarantined(int most)
    {
        lock (_lock)
            return _quarantined.Reverse().Take(most).ToArray();
    }

    public void Quarantined(QuarantinedRow row)
    {
        lock (_lock)
        {
            _quarantined.Enqueue(row);
            if (_quarantined.Count > _maxQuarantined)
                _quarantined.Dequeue();
        }
    }

    /// <summary>A new session begins from a durable checkpoint.</summary>
    public void Session(PipelineSession session)
    {
        _sessionBegan = _time.GetTimestamp();
        _pressure = null;
        _rates.Clear();
        if (session.Restored is { } restored)
            _checkpoint = _checkpoint with { Id = restored.Id, At = DateTimeOffset.FromUnixTimeMilliseconds(restored.AtMillis) };
        Publish(session, changed: true, always: true);
    }

    public void Pressure(string? reason) => _pressure = reason;

    public void Stopping() => Set(PipelineState.Stopping, null);

    /// <summary>Puts up a state that is not the stream's own.</summary>
    public void Set(PipelineState state, string? reason)
    {
        _status = _status with { State = state, Reason = reason };
        _changed();
    }

    public void Checkpoint(CheckpointResult result) => _checkpoint = new CheckpointStatus(
        result.Record.Id, DateTimeOffset.FromUnixTimeMilliseconds(result.Record.AtMillis), result.Took, result.Bytes, Balanced: true);

    /// <summary>Notes when records that were made at these times (milliseconds) show in the live state.</summary>
    public void Latencies(ReadOnlySpan<long> timestamps, long nowMillis) => _latency.Add(timestamps, nowMillis);

    public void Publish(PipelineSession session, bool changed, bool always = false)
    {
        var now = _time.GetTimestamp();
        var since = _time.GetElapsedTime(_published, now);
        // Without news the ages in it still move on.
        if (!always && (since < PublishEvery || (!changed && since < TimeSpan.FromMilliseconds(500))))
            return;
        _published = now;
        var (state, reason) = StateOf(session);
        if (_status.State == PipelineState.Stopping)
            (state, reason) = (PipelineState.Stopping, null);
        _status = new PipelineStatus
        {
            Name = _plan.Name,
            State = state,
            Reason = reason,
            Sources = session.Sources.ConvertAll(s => SourceOf(s, now)),
            Outputs = session.Outputs.ConvertAll(OutputOf),
            Sinks = SinksOf(session),
            Alerts = AlertsOf(session),
            Checkpoint = _checkpoint,
            Latency = _latency.Percentiles(),
        };
        _changed();
    }

    private (PipelineState State, string? Reason) StateOf(PipelineSession session)
    {
        if (_pressure is { } pause)
            return (PipelineState.Paused, pause);
        foreach (var source in session.Sources)
        {
            if (source.AssignedPartitions > 0)
                continue;
            var waiting = _time.GetElapsedTime(_sessionBegan) > AssignmentPatience
                ? $"source {source.Plan.Name} waits for topic {source.Plan.Topic} at {source.Plan.Brokers}: {source.Trouble ?? "no partition is assigned yet"}"
                : null;
            return (PipelineState.Starting, waiting);
        }
        return (PipelineState.Running, Waits(session));
    }

    /// <summary>What a running pipeline waits for: a partition that gives errors, a sink that takes nothing.</summary>
    private string? Waits(PipelineSession session)
    {
        if (_time.GetElapsedTime(_sessionBegan) <= AssignmentPatience)
            return null;
        foreach (var source in session.Sources)
        {
            if (source.Trouble is { } trouble)
                return $"source {source.Plan.Name} waits for topic {source.Plan.Topic} at {source.Plan.Brokers}: {trouble}";
            var others = source.Watermarks.Partitions.Where(p => !p.Value.Held).Select(p => p.Key).ToArray();
            if (others.Length > 0)
            {
                return $"source {source.Plan.Name} reads all but partition {string.Join(", ", others)} of {source.Plan.Topic}, which another member of the "
                    + $"consumer group '{_plan.Name}' has; windows wait for its rows: stop that consumer, or give it another group";
            }
        }
        foreach (var table in session.Tables)
        {
            if (table.Trouble is { } trouble)
                return $"{table.Name} waits: {trouble}";
        }
        foreach (var topic in session.Topics.Values)
        {
            if (topic.Trouble is { } trouble)
                return $"{topic.Name} waits: {trouble}";
        }
        return null;
    }

    private SourceStatus SourceOf(SourceReader source, long now)
    {
        var partitions = new List<PartitionStatus>();
        long lag = 0;
        foreach (var (partition, progress) in source.Watermarks.Partitions)
        {
            lag += Math.Max(0, progress.EndOffset - progress.NextOffset);
            partitions.Add(new PartitionStatus(
                partition, progress.NextOffset, progress.EndOffset, progress.Idle, Instant(source.Watermarks.WatermarkOf(progress))));
        }
        var counters = source.Counters;
        var reasons = counters.Reasons.OrderByDescending(r => r.Value).Select(r => new ReasonCount(r.Key, r.Value)).ToArray();
        var (waiting, next) = source.Waiting;
        return new SourceStatus(
            source.Plan.Name, source.Plan.Topic, counters.In, counters.Good, counters.Quarantined, counters.Late,
            RateOf(source.Plan.Name, counters.In, now), lag, Instant(source.Watermarks.Current), partitions, reasons)
        {
            Waiting = waiting, Retried = counters.Retried,
            WaitingFor = next is null ? null : string.Create(
                CultureInfo.InvariantCulture,
                $"partition {next.Partition}, offset {next.Offset}: {next.Reason}; attempt {next.Attempts + 1} of {source.Plan.Errors.Retries + 1} at {DateTimeOffset.FromUnixTimeMilliseconds(next.DueMillis):HH:mm:ss}Z"),
        };
    }

    private double RateOf(string source, long total, long now)
    {
        if (!_rates.TryGetValue(source, out var samples))
            _rates.Add(source, samples = new Queue<(long, long)>());
        if (samples.Count == 0 || _time.GetElapsedTime(samples.Last().At, now) >= TimeSpan.FromMilliseconds(100))
            samples.Enqueue((now, total));
        while (samples.Count > 1 && _time.GetElapsedTime(samples.Peek().At, now) > RateSpan)
            samples.Dequeue();
        var (at, before) = samples.Peek();
        var span = _time.GetElapsedTime(at, now);
        return span < TimeSpan.FromMilliseconds(50) ? 0 : (total - before) / span.TotalSeconds;
    }

    private static OutputStatus OutputOf(OutputNode output) => new(
        output.Name, output.Schema, output.Rows, output.Windows?.State.OpenWindows ?? 0, output.Windows?.State.LateRows ?? 0);

    private static List<SinkStatus> SinksOf(PipelineSession session)
    {
        var sinks = new List<SinkStatus>();
        foreach (var output in session.Outputs)
        {
            foreach (var table in output.Tables)
            {
                var (committed, pending, last, at) = table.Sink.Progress;
                sinks.Add(new SinkStatus(output.Name, $"iceberg:{table.Plan.Namespace}.{table.Plan.Table}", committed, pending, last, at));
            }
            foreach (var topic in output.Topics)
            {
                var (delivered, owed, at) = topic.Delivery.Progress;
                sinks.Add(new SinkStatus(output.Name, $"kafka:{topic.Plan.Topic}", delivered, owed + topic.Pending.Count, null, at) { Refused = topic.Delivery.Refused });
            }
        }
        foreach (var source in session.Sources)
        {
            foreach (var topic in new[] { source.Plan.QuarantineTopic, source.Plan.LateTopic })
            {
                var (delivered, owed, at) = session.Topics[$"topic:{topic}"].Progress;
                sinks.Add(new SinkStatus(source.Plan.Name, $"kafka:{topic}", delivered, owed, null, at));
            }
        }
        return sinks;
    }

    private static List<AlertStatus> AlertsOf(PipelineSession session)
    {
        var alerts = new List<AlertStatus>();
        foreach (var output in session.Outputs)
        {
            foreach (var alert in output.Alerts)
            {
                var firing = alert.Tracker.Keys.Where(k => k.Firing).MinBy(k => k.SinceMicros);
                var detail = firing is null ? null : alert.Tracker.Firing == 1 ? firing.Detail : $"{alert.Tracker.Firing} series, e.g. {firing.Detail}";
                alerts.Add(new AlertStatus(alert.Tracker.Plan.Name, firing is not null, firing is null ? null : Instant(firing.SinceMicros), detail));
            }
        }
        return alerts;
    }

    private static DateTimeOffset? Instant(long micros) => micros is < -62_135_596_800_000_000 or > 253_402_300_799_999_999
        ? null
        : DateTimeOffset.FromUnixTimeMilliseconds(micros / 1000);
}
