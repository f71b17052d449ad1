using System.ComponentModel;

namespace Millrace.WebConsole.Wire;

/// <summary>A job and what it does now: the same record in lists, details and live frames.</summary>
public sealed record JobInfo(
    string Name,
    [property: Description("starting, running, paused, waiting (for its next start), stopping, stopped or failed")] string State,
    [property: Description("why it is paused or failed, or what it waits for")] string? Reason,
    [property: Description("low, normal or high")] string Priority,
    DateTimeOffset SubmittedAt,
    IReadOnlyList<SourceInfo> Sources,
    IReadOnlyList<OutputInfo> Outputs,
    IReadOnlyList<SinkInfo> Sinks,
    IReadOnlyList<AlertInfo> Alerts,
    CheckpointInfo Checkpoint,
    LatencyInfo Latency);

public sealed record SourceInfo(
    string Name,
    string Topic,
    [property: Description("records taken in since the job's first start; in = good + quarantined + waiting at every checkpoint")] long In,
    long Good,
    long Quarantined,
    long Late,
    [property: Description("records a second over the last seconds")] double PerSecond,
    [property: Description("records between what was read and the topic's end")] long Lag,
    DateTimeOffset? Watermark,
    IReadOnlyList<SourcePartition> Partitions,
    IReadOnlyList<ReasonInfo> Reasons,
    [property: Description("records that failed for a reason that may pass and wait to be tried again; in = good + quarantined + waiting")] long Waiting = 0,
    [property: Description("attempts with records that had failed before")] long Retried = 0,
    [property: Description("what the next of them waits for, and when it is tried")] string? WaitingFor = null);

public sealed record SourcePartition(
    int Partition,
    [property: Description("all records below this offset are reflected")] long NextOffset,
    long EndOffset,
    bool Idle);

public sealed record ReasonInfo(string Reason, long Count);

public sealed record OutputInfo(string Name, long Rows, int OpenWindows, long LateRows);

public sealed record SinkInfo(
    [property: Description("the output whose rows land here")] string Input,
    string Target,
    long Committed,
    long Pending,
    [property: Description("e.g. the Iceberg snapshot's id")] string? LastCommit,
    DateTimeOffset? LastCommitAt,
    [property: Description("rows that a topic refused for good, which are in its dead letter topic")] long Refused);

public sealed record AlertInfo(string Name, bool Firing, DateTimeOffset? Since, string? Detail);

public sealed record CheckpointInfo(
    long Id,
    DateTimeOffset? At,
    double TookMillis,
    long Bytes,
    [property: Description("good + quarantined + waiting = in held at the last checkpoint")] bool Balanced);

[Description("milliseconds from a record's Kafka timestamp to when the live state showed it")]
public sealed record LatencyInfo(double P50, double P95, double P99, double Max);

public sealed record JobList(IReadOnlyList<JobInfo> Jobs);

public sealed record JobDetail(JobInfo Job, [property: Description("the pipeline file as submitted")] string File, PlanInfo Plan);

[Description("steps and how rows flow between them")]
public sealed record PlanInfo(IReadOnlyList<PlanNode> Nodes, IReadOnlyList<PlanEdge> Edges);

public sealed record PlanNode(
    string Id,
    [property: Description("source, checks, quarantine, late, query, sink or alert")] string Kind,
    string Name,
    [property: Description("e.g. the topic, the rules or the SQL")] string Detail,
    [property: Description("what runs it, e.g. duckdb, rocksdb, kafka, iceberg")] string Where);

public sealed record PlanEdge(string From, string To, string? Label);

public sealed record DiagnosticInfo(
    [property: Description("error or warning")] string Severity,
    string Message,
    [property: Description("line from 1")] int Line,
    [property: Description("column from 1")] int Column,
    [property: Description("characters to underline")] int Length,
    string? Hint,
    [property: Description("stable code of the rule")] string? Code,
    [property: Description("the command to run next, where there is one")] string? Next = null);

public sealed record LintAnswer(bool Ok, IReadOnlyList<DiagnosticInfo> Diagnostics);

public sealed record SubmitReply(
    string Name, bool DryRun,
    [property: Description("a job of that name was there before")] bool Replaces,
    [property: Description("what is different from that job")] IReadOnlyList<PlanChangeInfo> Changes,
    IReadOnlyList<DiagnosticInfo> Diagnostics);

public sealed record PlanChangeInfo(
    [property: Description("e.g. sources.orders")] string Part, string Text,
    [property: Description("the kept state cannot go on under the new file")] bool Breaks);

public sealed record QuarantinePage(long Total, IReadOnlyList<ReasonInfo> Reasons, IReadOnlyList<QuarantinedInfo> Rows);

public sealed record QuarantinedInfo(
    string Source, string Topic, int Partition, long Offset, DateTimeOffset At, IReadOnlyList<string> Reasons,
    [property: Description("the original record, at most 4 KiB; invalid UTF-8 shows as U+FFFD")] string Value);
