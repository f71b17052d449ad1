using System.ComponentModel;
using System.Text.Json.Serialization;

namespace Millrace.WebConsole.Wire;

public sealed record StatusInfo(ProcessInfo Process, bool Ready, string? NotReadyReason, IReadOnlyList<JobInfo> Jobs, int Topics, long TopicBytes, int Tables);

public sealed record ProcessInfo(
    string Version, DateTimeOffset StartedAt, double UptimeSeconds,
    [property: Description("cores in use since the last sample: 1 is one core")] double Cores,
    double CpuSeconds, int Processors, long ResidentBytes, long ManagedBytes, int Threads,
    [property: Description("bytes of the data folder, measured every 15 s")] long DataBytes,
    long DiskFreeBytes, long DiskTotalBytes);

[Description("samples of the last minutes, oldest first; every list has one entry for each entry of `at`")]
public sealed record HistoryInfo(
    int EveryMillis,
    [property: Description("milliseconds since 1970")] IReadOnlyList<long> At,
    IReadOnlyList<double> Cores, IReadOnlyList<long> ResidentBytes, IReadOnlyList<JobHistory> Jobs);

[Description("null where the job did not run")]
public sealed record JobHistory(
    string Job, IReadOnlyList<double?> PerSecond, IReadOnlyList<double?> QuarantinedPerSecond, IReadOnlyList<double?> P50,
    IReadOnlyList<double?> P95, IReadOnlyList<double?> P99, IReadOnlyList<double?> Lag);

public sealed record Health(string Status, string? Reason);

[Description("RFC 9457 problem details")]
public sealed record Problem
{
    [Description("a stable name of the kind of problem, relative to /api")]
    public required string Type { get; init; }

    public required string Title { get; init; }

    public required int Status { get; init; }

    public required string Detail { get; init; }

    [Description("what to do next")]
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Hint { get; init; }

    [Description("SQL: character (code point) of the statement, from 1")]
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? Position { get; init; }

    [Description("SQL: line of the statement, from 1")]
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? Line { get; init; }

    [Description("SQL: column in the line, from 1")]
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? Column { get; init; }

    [Description("SQL: five-character error code")]
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? SqlState { get; init; }

    [Description("pipeline files: every fault found")]
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<DiagnosticInfo>? Diagnostics { get; init; }
}

[Description("an `overview` event's data")]
public sealed record OverviewFrame(long Seq, [property: Description("milliseconds since 1970")] long At, ProcessInfo Process, IReadOnlyList<JobInfo> Jobs);

[Description("an `output` event's data: the jobs whose live rows changed")]
public sealed record OutputFrame(long Seq, long At, IReadOnlyList<OutputFrameJob> Jobs);

[Description("counters are read before the rows: the rows reflect at least these. Outputs are those whose rows are new since the frame before")]
public sealed record OutputFrameJob(string Job, long Checkpoint, IReadOnlyList<FrameSource> Sources, IReadOnlyList<LiveOutput> Outputs);

public sealed record FrameSource(
    string Name, long In, long Good, long Quarantined,
    [property: Description("next offset by partition, as pairs [partition, offset]")] IReadOnlyList<IReadOnlyList<long>> Offsets);
