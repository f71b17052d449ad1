using Microsoft.AspNetCore.Http;
using Millrace.WebConsole.Events;
using Millrace.WebConsole.Http;
using Millrace.WebConsole.Seams;
using Millrace.Streams.Running;

namespace Millrace.WebConsole.Metrics;

/// <summary>Gathers every room's figures for <c>/metrics</c>.</summary>
internal sealed class MetricsPage(ConsoleServices services, EventHub hub, HttpMeter http, TimeProvider time)
{
    public Task ServeAsync(HttpContext context) =>
        Replies.TextAsync(context, PrometheusWriter.Write(Families()), PrometheusWriter.ContentType);

    public IEnumerable<MetricFamily> Families() =>
        Process().Concat(Jobs()).Concat(services.Topics.Metrics()).Concat(services.Cluster?.Metrics() ?? []).Concat(Groups()).Concat(http.Families()).Concat(Events());

    private IEnumerable<MetricFamily> Process()
    {
        var process = services.Process.Look();
        yield return MetricFamily.Gauge(
            "millrace_build_info", "The version that runs; always 1.", MetricSample.Of(1, ("version", process.Version)));
        yield return MetricFamily.Gauge("millrace_uptime_seconds", "Time since the process started.", MetricSample.Of(process.UptimeSeconds));
        yield return MetricFamily.Counter("process_cpu_seconds_total", "CPU time in user and kernel mode.", MetricSample.Of(process.CpuSeconds));
        yield return MetricFamily.Gauge("process_resident_memory_bytes", "Resident memory.", MetricSample.Of(process.ResidentBytes));
        yield return MetricFamily.Gauge("millrace_managed_memory_bytes", "Memory of the managed heap.", MetricSample.Of(process.ManagedBytes));
        yield return MetricFamily.Gauge("process_threads", "Threads.", MetricSample.Of(process.Threads));
        yield return MetricFamily.Gauge("millrace_data_bytes", "Size of the data folder.", MetricSample.Of(process.DataBytes));
        yield return MetricFamily.Gauge("millrace_disk_free_bytes", "Free bytes where the data folder is.", MetricSample.Of(process.DiskFreeBytes));
    }

    private IEnumerable<MetricFamily> Jobs()
    {
        var jobs = services.Jobs.List();
        yield return new MetricFamily(
            "millrace_jobs", MetricKind.Gauge, "Jobs by state.",
            [.. jobs.Select(Wire.JobInfos.Of).GroupBy(j => j.State).Select(g => MetricSample.Of(g.Count(), ("state", g.Key)))]);
        foreach (var job in jobs)
        {
            if (job.Running?.Status is not { } status)
                continue;
            foreach (var family in Sources(job.Name, status).Concat(Sinks(job.Name, status)).Concat(Steps(job.Name, status)))
                yield return family;
        }
    }

    private static IEnumerable<MetricFamily> Sources(string job, PipelineStatus status)
    {
        foreach (var source in status.Sources)
        {
            MetricSample Sample(double value) => MetricSample.Of(value, ("job", job), ("source", source.Name));
            yield return MetricFamily.Counter("millrace_events_in_total", "Records taken in; in = good + quarantined + waiting.", Sample(source.In));
            yield return MetricFamily.Counter("millrace_events_good_total", "Records that passed every check.", Sample(source.Good));
            yield return MetricFamily.Counter("millrace_events_quarantined_total", "Records that failed a check.", Sample(source.Quarantined));
            yield return MetricFamily.Gauge("millrace_events_waiting", "Records that failed for a reason that may pass and wait to be tried again.", Sample(source.Waiting));
            yield return MetricFamily.Counter("millrace_events_retried_total", "Attempts with records that had failed before.", Sample(source.Retried));
            yield return MetricFamily.Counter("millrace_events_late_total", "Good records behind the watermark of a closed window.", Sample(source.Late));
            yield return MetricFamily.Gauge("millrace_events_per_second", "Records taken in over the last seconds.", Sample(source.InPerSecond));
            yield return MetricFamily.Gauge("millrace_source_lag_records", "Records between what was read and the topic's end.", Sample(source.Lag));
            yield return MetricFamily.Counter(
                "millrace_quarantine_reasons_total", "Rows that failed, by rule.",
                [.. source.Reasons.Select(r => MetricSample.Of(r.Count, ("job", job), ("source", source.Name), ("reason", r.Reason)))]);
            if (source.Watermark is { } watermark)
            {
                yield return MetricFamily.Gauge(
                    "millrace_watermark_timestamp_seconds", "The source's watermark, in seconds since 1970.",
                    Sample(watermark.ToUnixTimeMilliseconds() / 1000.0));
            }
        }
    }

    private static IEnumerable<MetricFamily> Sinks(string job, PipelineStatus status)
    {
        foreach (var sink in status.Sinks)
        {
            MetricSample Sample(double value) => MetricSample.Of(value, ("job", job), ("input", sink.Input), ("target", sink.Target));
            yield return MetricFamily.Counter("millrace_sink_rows_total", "Rows that a sink made visible.", Sample(sink.Committed));
            yield return MetricFamily.Counter("millrace_sink_refused_rows_total", "Rows that a topic refused for good: its dead letters.", Sample(sink.Refused));
            yield return MetricFamily.Gauge("millrace_sink_pending_rows", "Rows that wait for a sink's next commit.", Sample(sink.Pending));
        }
    }

    private IEnumerable<MetricFamily> Steps(string job, PipelineStatus status)
    {
        MetricSample Sample(double value) => MetricSample.Of(value, ("job", job));
        foreach (var output in status.Outputs)
        {
            yield return MetricFamily.Gauge(
                "millrace_open_windows", "Windows that still take rows.", MetricSample.Of(output.OpenWindows, ("job", job), ("output", output.Name)));
            yield return MetricFamily.Counter(
                "millrace_output_rows_total", "Rows that an output gave.", MetricSample.Of(output.Rows, ("job", job), ("output", output.Name)));
        }
        foreach (var alert in status.Alerts)
        {
            yield return MetricFamily.Gauge(
                "millrace_alert_firing", "1 while the alert fires.", MetricSample.Of(alert.Firing ? 1 : 0, ("job", job), ("alert", alert.Name)));
        }
        yield return MetricFamily.Counter("millrace_checkpoints_total", "Number of the newest checkpoint.", Sample(status.Checkpoint.Id));
        yield return MetricFamily.Gauge("millrace_checkpoint_duration_seconds", "Time that the newest checkpoint took.", Sample(status.Checkpoint.Took.TotalSeconds));
        yield return MetricFamily.Gauge("millrace_checkpoint_bytes", "Bytes of the newest checkpoint.", Sample(status.Checkpoint.Bytes));
        yield return MetricFamily.Gauge(
            "millrace_checkpoint_balanced", "1 while good + quarantined + waiting = in held at the newest checkpoint.", Sample(status.Checkpoint.Balanced ? 1 : 0));
        if (status.Checkpoint.At is { } at)
        {
            yield return MetricFamily.Gauge(
                "millrace_checkpoint_age_seconds", "Time since the newest checkpoint.", Sample(Math.Max(0, (time.GetUtcNow() - at).TotalSeconds)));
        }
        yield return new MetricFamily(
            "millrace_latency_seconds", MetricKind.Summary, "From a record's Kafka timestamp to when the live state showed it, over the last seconds.",
            [
                Quantile(job, "0.5", status.Latency.P50), Quantile(job, "0.95", status.Latency.P95), Quantile(job, "0.99", status.Latency.P99),
                Quantile(job, "1", status.Latency.Max),
            ]);
    }

    private static MetricSample Quantile(string job, string quantile, double millis) =>
        MetricSample.Of(millis / 1000, ("job", job), ("quantile", quantile));

    private IEnumerable<MetricFamily> Groups()
    {
        foreach (var group in services.Topics.Groups())
        {
            yield return MetricFamily.Gauge(
                "millrace_group_members", "Members of a consumer group.", MetricSample.Of(group.Members, ("group", group.Id)));
            yield return MetricFamily.Gauge(
                "millrace_group_lag_records", "Records that a consumer group has not committed.",
                [.. group.Partitions.Select(p => MetricSample.Of(
                    p.Lag, ("group", group.Id), ("topic", p.Topic), ("partition", p.Partition.ToString())))]);
        }
    }

    private IEnumerable<MetricFamily> Events()
    {
        yield return MetricFamily.Gauge("millrace_event_connections", "Open event streams.", MetricSample.Of(hub.Connections));
        yield return MetricFamily.Counter("millrace_event_frames_total", "Frames queued for event streams.", MetricSample.Of(hub.FramesSent));
        yield return MetricFamily.Counter(
            "millrace_event_dropped_total", "Event streams ended because the client was too slow.", MetricSample.Of(hub.DroppedConnections));
    }
}
