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
    }

    private static string Hex(ulong id) => id.ToString("x");
}
