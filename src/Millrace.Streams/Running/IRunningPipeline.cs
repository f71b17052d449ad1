using Millrace.Columnar;

namespace Millrace.Streams.Running;

/// <summary>A pipeline at work, as the rooms above see it. All members are thread-safe and cheap.</summary>
public interface IRunningPipeline : IAsyncDisposable
{
    string Name { get; }

    /// <summary>What it is doing now.</summary>
    PipelineStatus Status { get; }

    /// <summary>
    /// The present rows of an output: for a windowed query its open windows, else the newest rows (at most 1,000). The caller
    /// disposes of the batch. Null when no such output exists.
    /// </summary>
    ColumnBatch? LiveRows(string output);

    /// <summary>The newest quarantined rows, newest first.</summary>
    IReadOnlyList<QuarantinedRow> NewestQuarantined(int most);

    /// <summary>Raised at most every 10 ms when rows were taken in or a checkpoint ended; handlers must not block.</summary>
    event Action<IRunningPipeline>? Changed;

    /// <summary>Cuts a last checkpoint, delivers what is pending and stops.</summary>
    Task StopAsync(CancellationToken cancellation);

    /// <summary>Ends when the pipeline stops or fails; carries the failure.</summary>
    Task Completion { get; }
}

public enum PipelineState
{
    Starting,
    Running,

    /// <summary>The breaker is open: too many bad rows.</summary>
    Paused,
    Stopping,
    Stopped,
    Failed,
}

/// <summary>Counters are since the pipeline's first start and survive restarts; rates are over the last seconds.</summary>
public sealed record PipelineStatus
{
    public required string Name { get; init; }

    public required PipelineState State { get; init; }

    /// <summary>Why it is paused or failed, or what a running one waits for; else null.</summary>
    public string? Reason { get; init; }

    public required IReadOnlyList<SourceStatus> Sources { get; init; }

    public required IReadOnlyList<OutputStatus> Outputs { get; init; }

    public required IReadOnlyList<SinkStatus> Sinks { get; init; }

    public required IReadOnlyList<AlertStatus> Alerts { get; init; }

    public required CheckpointStatus Checkpoint { get; init; }

    /// <summary>Milliseconds from a record's Kafka timestamp to when the live state showed it.</summary>
    public required LatencyPercentiles Latency { get; init; }
}

public sealed record SourceStatus(
    string Name, string Topic, long In, long Good, long Quarantined, long Late, double InPerSecond, long Lag, DateTimeOffset? Watermark,
    IReadOnlyList<PartitionStatus> Partitions, IReadOnlyList<ReasonCount> Reasons)
{
    /// <summary>Records that failed for a reason that may pass and wait to be tried again.</summary>
    public long Waiting { get; init; }

    /// <summary>Attempts with records that had failed before.</summary>
    public long Retried { get; init; }

    /// <summary>What the next of them waits for, and when it is tried; null when none waits.</summary>
    public string? WaitingFor { get; init; }
}

public sealed record PartitionStatus(int Partition, long NextOffset, long EndOffset, bool Idle, DateTimeOffset? Watermark);

/// <summary>How many rows failed for a reason.</summary>
public sealed record ReasonCount(string Reason, long Count);

public sealed record OutputStatus(string Name, Schema Schema, long Rows, int OpenWindows, long LateRows);

/// <param name="Committed">Rows that the sink has made visible.</param>
/// <param name="Pending">Rows that wait for the sink's next commit.</param>
/// <param name="LastCommit">E.g. the Iceberg snapshot's id.</param>
public sealed record SinkStatus(string Input, string Target, long Committed, long Pending, string? LastCommit, DateTimeOffset? LastCommitAt)
{
    /// <summary>Rows that a topic refused for good: its dead letters.</summary>
    public long Refused { get; init; }
}

public sealed record AlertStatus(string Name, bool Firing, DateTimeOffset? Since, string? Detail);

/// <param name="Balanced">good + quarantined + waiting = in held at the last checkpoint (a breach stops the pipeline).</param>
public sealed record CheckpointStatus(long Id, DateTimeOffset? At, TimeSpan Took, long Bytes, bool Balanced);

public readonly record struct LatencyPercentiles(double P50, double P95, double P99, double Max);

/// <param name="Reasons">Every rule that the row broke, with the column and value where there is one.</param>
/// <param name="Value">The original bytes, cut to 4 KiB for display.</param>
public sealed record QuarantinedRow(
    string Source, string Topic, int Partition, long Offset, DateTimeOffset At, IReadOnlyList<string> Reasons, byte[] Value);
