using System.Globalization;
using Millrace.Coordination.Node;
using Millrace.WebConsole.Metrics;
using Millrace.WebConsole.Seams;
using Millrace.WebConsole.Wire;

namespace Millrace.Host.Platform.Seams;

/// <summary>The coordination store's member for the console.</summary>
internal sealed class ClusterSeam(CoordinationNode node) : ICluster
{
    public async Task<ClusterInfo> LookAsync(CancellationToken cancellation)
    {
        var view = await node.ViewAsync().WaitAsync(cancellation);
        return new ClusterInfo(
            Hex(view.ClusterId), Hex(view.Self), view.Role, view.Term, view.Leader == 0 ? null : Hex(view.Leader), view.Commit, view.Applied,
            view.LastIndex, view.Durable, view.CompactedIndex, view.Revision, view.Keys, view.StateBytes, view.LogBytes, view.Flushes,
            view.ElectionTimeoutMillis, view.IsChangingMembers,
            [.. view.Members.Select(m => new ClusterMember(
                Hex(m.Id), m.Name, m.IsLeader, m.IsSelf, m.IsLearner, m.PeerUrls, m.ClientUrls, m.Match, m.IsActive, m.RoundTripMillis,
                m.DeviationMillis, m.IsReceivingSnapshot))],
            [.. view.Elections.Reverse().Select(e => new ClusterElection(e.At, e.Term, Hex(e.Leader), e.LeaderlessMillis))], view.Healing);
    }

    public IEnumerable<MetricFamily> Metrics()
    {
        var status = node.Status;
        yield return MetricFamily.Gauge("millrace_coordination_term", "Term of the coordination store.", MetricSample.Of(status.Term));
        yield return MetricFamily.Gauge(
            "millrace_coordination_has_leader", "1 while this member knows a leader.", MetricSample.Of(status.Leader.IsNone ? 0 : 1));
        yield return MetricFamily.Counter("millrace_coordination_committed_entries_total", "Commit index.", MetricSample.Of(status.Commit));
        yield return MetricFamily.Counter("millrace_coordination_applied_entries_total", "Applied index.", MetricSample.Of(node.AppliedIndex));
        yield return MetricFamily.Gauge(
            "millrace_coordination_healing", "1 while this member gets what was damaged on its disk again from the others.",
            MetricSample.Of(node.Healing is null ? 0 : 1));
        yield return MetricFamily.Counter(
            "millrace_coordination_heals_total", "Times that this member mended damage on its disk from the others.", MetricSample.Of(node.Heals));
        var (reserved, used) = node.StateMemory;
        yield return MetricFamily.Gauge("millrace_coordination_state_reserved_bytes", "Memory kept for keys and versions.", MetricSample.Of(reserved));
        yield return MetricFamily.Gauge("millrace_coordination_state_used_bytes", "Memory that keys and versions take.", MetricSample.Of(used));
        var sessions = node.SessionStatus;
        yield return MetricFamily.Counter("millrace_sessions_puts_total", "Sessions that clients wrote through this member.", MetricSample.Of(sessions.Puts));
        yield return MetricFamily.Counter("millrace_sessions_gets_total", "Sessions that clients read through this member.", MetricSample.Of(sessions.Gets));
        yield return MetricFamily.Counter("millrace_sessions_repairs_total", "Copies that reads found old and gave the newest.", MetricSample.Of(sessions.Repairs));
        yield return MetricFamily.Counter("millrace_sessions_handoffs_total", "Hints handed over to members that were away.", MetricSample.Of(sessions.Handoffs));
        yield return MetricFamily.Gauge(
            "millrace_sessions_hints_waiting", "Hints that wait here for other members.", MetricSample.Of(sessions.Hints.Sum(static h => (long)h.Count)));
        yield return new MetricFamily(
            "millrace_gc_pause_seconds", MetricKind.Histogram, "Times that the garbage collector made the process stand still.", [.. Pauses()]);
    }

    private static IEnumerable<MetricSample> Pauses()
    {
        var counts = CollectorPauses.Snapshot();
        long upTo = 0;
        for (var i = 0; i < counts.Length; i++)
        {
            upTo += counts[i];
            var bound = i < CollectorPauses.Bounds.Count ? (CollectorPauses.Bounds[i] / 1000).ToString(CultureInfo.InvariantCulture) : "+Inf";
            yield return MetricSample.Of(upTo, ("le", bound)) with { Suffix = "_bucket" };
        }
        yield return MetricSample.Of(GC.GetTotalPauseDuration().TotalSeconds) with { Suffix = "_sum" };
        yield return MetricSample.Of(upTo) with { Suffix = "_count" };
    }

    private static string Hex(ulong id) => id.ToString("x");
}
