using Millrace.WebConsole.Seams;
using Millrace.Streams.Plans;
using Millrace.Streams.Running;

namespace Millrace.WebConsole.Wire;

/// <summary>Turns a job's status into its wire record.</summary>
internal static class JobInfos
{
    /// <summary>Reasons that a frame carries; the rest is in the quarantine topic.</summary>
    private const int MaxReasons = 20;

    public static JobInfo Of(JobEntry job)
    {
        var priority = job.Plan.Priority switch
        {
            Priority.Low => "low",
            Priority.High => "high",
            _ => "normal",
        };
        if (job.Running?.Status is not { } status)
            return Stopped(job, priority);
        return new JobInfo(
            job.Name, Text(status.State), status.Reason ?? job.Reason, priority, job.SubmittedAt,
            [.. status.Sources.Select(Of)],
            [.. status.Outputs.Select(o => new OutputInfo(o.Name, o.Rows, o.OpenWindows, o.LateRows))],
            [.. status.Sinks.Select(s => new SinkInfo(s.Input, s.Target, s.Committed, s.Pending, s.LastCommit, s.LastCommitAt, s.Refused))],
            [.. status.Alerts.Select(a => new AlertInfo(a.Name, a.Firing, a.Since, a.Detail))],
            new CheckpointInfo(
                status.Checkpoint.Id, status.Checkpoint.At, Round(status.Checkpoint.Took.TotalMilliseconds), status.Checkpoint.Bytes,
                status.Checkpoint.Balanced),
            new LatencyInfo(Round(status.Latency.P50), Round(status.Latency.P95), Round(status.Latency.P99), Round(status.Latency.Max)));
    }

    public static string Text(PipelineState state) => state switch
    {
        PipelineState.Starting => "starting",
        PipelineState.Running => "running",
        PipelineState.Paused => "paused",
        PipelineState.Stopping => "stopping",
        PipelineState.Stopped => "stopped",
        PipelineState.Failed => "failed",
        _ => throw new ArgumentOutOfRangeException(nameof(state), state, null),
    };

    private static SourceInfo Of(SourceStatus source)
    {
        var partitions = new SourcePartition[source.Partitions.Count];
        for (var i = 0; i < partitions.Length; i++)
        {
            var p = source.Partitions[i];
            partitions[i] = new SourcePartition(p.Partition, p.NextOffset, p.EndOffset, p.Idle);
        }
        return new SourceInfo(
            source.Name, source.Topic, source.In, source.Good, source.Quarantined, source.Late, Round(source.InPerSecond), source.Lag,
            source.Watermark, partitions, Reasons(source.Reasons), source.Waiting, source.Retried, source.WaitingFor);
    }

    private static IReadOnlyList<ReasonInfo> Reasons(IReadOnlyList<ReasonCount> reasons) =>
        [.. reasons.OrderByDescending(r => r.Count).ThenBy(r => r.Reason, StringComparer.Ordinal).Take(MaxReasons)
            .Select(r => new ReasonInfo(r.Reason, r.Count))];

    private static JobInfo Stopped(JobEntry job, string priority) => new(
        job.Name, job.State ?? (job.Reason is null ? "stopped" : "failed"), job.Reason, priority, job.SubmittedAt,
        [.. job.Plan.Sources.Select(s => new SourceInfo(s.Name, s.Topic, 0, 0, 0, 0, 0, 0, null, [], []))],
        [.. job.Plan.Queries.Select(q => new OutputInfo(q.Name, 0, 0, 0))],
        [], [.. job.Plan.Alerts.Select(a => new AlertInfo(a.Name, false, null, null))],
        new CheckpointInfo(0, null, 0, 0, true), new LatencyInfo(0, 0, 0, 0));

    private static double Round(double value) => double.IsFinite(value) ? Math.Round(value, 2) : 0;
}
