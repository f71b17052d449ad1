using System.Diagnostics;
using System.Globalization;
using System.Text;
using Millrace.Coordination.Grpc;
using Millrace.Coordination.Node;
using Millrace.Coordination.Store;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Etcd;

/// <summary>
/// What etcd answers on its client port to plain HTTP: health checks, its version, and metrics under etcd's names as far as there is the same thing
/// here (etcd-io/etcd, server/etcdserver/api/etcdhttp). Like there, they ask nobody for a name.
/// </summary>
internal sealed class StatusPages(Replica replica)
{
    private const string Text = "text/plain; charset=utf-8";
    private const string Metrics = "text/plain; version=0.0.4; charset=utf-8";

    public async ValueTask<HttpPage> AnswerAsync(string method, string target)
    {
        var question = target.IndexOf('?', StringComparison.Ordinal);
        var path = question < 0 ? target : target[..question];
        var query = question < 0 ? "" : target[(question + 1)..];
        if (path is not ("/health" or "/livez" or "/readyz" or "/version" or "/metrics"))
            return new HttpPage(404, Text, "404 page not found\n");
        if (method is not ("GET" or "HEAD"))
            return new HttpPage(405, Text, "Method Not Allowed\n");
        return path switch
        {
            "/health" => await HealthAsync(query.Contains("serializable=true", StringComparison.Ordinal)).ConfigureAwait(false),
            "/livez" => Checked([("serializable_read", SerializableRead())], query),
            "/readyz" => Checked(
                [
                    ("non_learner", IsLearner() ? "the member is a learner" : null), ("data_corruption", HasAlarm(AlarmType.Corrupt) ? "alarm activated: CORRUPT" : null),
                    ("serializable_read", SerializableRead()), ("linearizable_read", await LinearizableReadAsync().ConfigureAwait(false)),
                ],
                query),
            "/version" => new HttpPage(
                200, "application/json",
                $"{{\"etcdserver\":\"{MaintenanceService.ApiVersion}\",\"etcdcluster\":\"{MaintenanceService.ApiVersion}\",\"storage\":\"{MaintenanceService.ApiVersion}\"}}"),
            _ => new HttpPage(200, Metrics, MetricsText()),
        };
    }

    private async ValueTask<HttpPage> HealthAsync(bool isSerializable)
    {
        var reason = HasAlarm(AlarmType.Nospace) ? "ALARM NOSPACE"
            : HasAlarm(AlarmType.Corrupt) ? "ALARM CORRUPT"
            : isSerializable ? SerializableRead()
            : replica.Status.Leader.IsNone ? "RAFT NO LEADER"
            : await LinearizableReadAsync().ConfigureAwait(false) is { } failed ? "RANGE ERROR:" + failed : null;
        return new HttpPage(reason is null ? 200 : 503, Text, $"{{\"health\":\"{(reason is null ? "true" : "false")}\",\"reason\":\"{reason}\"}}");
    }

    private static HttpPage Checked((string Name, string? Failure)[] checks, string query)
    {
        var failed = Array.Exists(checks, static c => c.Failure is not null);
        var text = new StringBuilder();
        if (failed || query.Contains("verbose", StringComparison.Ordinal))
        {
            foreach (var (name, failure) in checks)
                text.Append(failure is null ? "[+]" : "[-]").Append(name).Append(failure is null ? " ok" : " failed: " + failure).Append('\n');
        }
        return new HttpPage(failed ? 503 : 200, Text, text.Append(failed ? "" : "ok\n").ToString());
    }

    private bool HasAlarm(AlarmType alarm) => replica.Read(machine => machine.Alarms.Any(a => a.Alarm == alarm));

    private bool IsLearner() => replica.Read(machine => machine.FindMember(replica.Id)?.IsLearner ?? false);

    private string? SerializableRead() => replica.Completion.IsFaulted ? "the member has stopped" : null;

    private async ValueTask<string?> LinearizableReadAsync()
    {
        try
        {
            await replica.WaitForReadAsync().ConfigureAwait(false);
            return null;
        }
        catch (StoreException error)
        {
            return error.Message;
        }
    }

    private string MetricsText()
    {
        var status = replica.Status;
        var (revision, compacted, keys, bytes) = replica.Read(static m => (m.Store.Revision, m.Store.CompactedRevision, m.Store.KeyCount, m.Store.Bytes));
        using var process = Process.GetCurrentProcess();
        var text = new StringBuilder();
        void Add(string name, string kind, string help, double value, string labels = "") => text
            .Append("# HELP ").Append(name).Append(' ').Append(help).Append("\n# TYPE ").Append(name).Append(' ').Append(kind).Append('\n')
            .Append(name).Append(labels).Append(' ').Append(value.ToString("R", CultureInfo.InvariantCulture)).Append('\n');

        Add("etcd_cluster_version", "gauge", "Which version is running.", 1, "{cluster_version=\"3.7\"}");
        Add("etcd_debugging_mvcc_compact_revision", "gauge", "The revision of the last compaction in store.", compacted == 0 ? -1 : compacted);
        Add("etcd_debugging_mvcc_current_revision", "gauge", "The current revision of store.", revision);
        Add("etcd_debugging_mvcc_keys_total", "gauge", "Total number of keys.", keys);
        Add("etcd_mvcc_db_total_size_in_bytes", "gauge", "Total size of the store in bytes.", bytes);
        Add("etcd_mvcc_db_total_size_in_use_in_bytes", "gauge", "Total size of the store in use in bytes.", bytes);
        Add("etcd_server_has_leader", "gauge", "Whether or not a leader exists.", status.Leader.IsNone ? 0 : 1);
        Add("etcd_server_id", "gauge", "Server or member ID in hexadecimal format.", 1, $"{{server_id=\"{replica.Id:x}\"}}");
        Add("etcd_server_is_leader", "gauge", "Whether or not this member is a leader.", status.Role == Raft.Consensus.Role.Leader ? 1 : 0);
        Add("etcd_server_is_learner", "gauge", "Whether or not this member is a learner.", IsLearner() ? 1 : 0);
        Add("etcd_server_leader_changes_seen_total", "counter", "The number of leader changes seen.", replica.Elections.Count);
        Add("etcd_server_proposals_applied_total", "gauge", "The total number of consensus proposals applied.", replica.AppliedIndex);
        Add("etcd_server_proposals_committed_total", "gauge", "The total number of consensus proposals committed.", status.Commit);
        Add("etcd_server_quota_backend_bytes", "gauge", "Current storage quota size in bytes.", replica.Options.QuotaBytes);
        Add("etcd_server_version", "gauge", "Which version is running.", 1, $"{{server_version=\"{MaintenanceService.ApiVersion}\"}}");
        Add("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", process.TotalProcessorTime.TotalSeconds);
        if (Directory.Exists("/proc/self/fd"))
            Add("process_open_fds", "gauge", "Number of open file descriptors.", Directory.EnumerateFileSystemEntries("/proc/self/fd").Count());
        Add("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", process.WorkingSet64);
        Add(
            "process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.",
            new DateTimeOffset(process.StartTime).ToUnixTimeMilliseconds() / 1e3);
        Add("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", process.VirtualMemorySize64);
        return text.ToString();
    }
}
