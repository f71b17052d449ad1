using Millrace.Coordination.Client;
using Millrace.Host.Settings;
using Millrace.WebConsole.Metrics;
using Millrace.WebConsole.Seams;
using Millrace.WebConsole.Wire;

namespace Millrace.Host.Platform.Seams;

/// <summary>A coordination store elsewhere, an etcd for one, as far as its members tell over etcd's API.</summary>
internal sealed class OuterClusterSeam(CoordinationSettings settings) : ICluster, IDisposable
{
    private readonly ClusterClient _client = new(settings.Endpoints, TimeSpan.FromSeconds(3), tls: settings.Tls);
    private volatile MemberReport? _last;

    public async Task<ClusterInfo> LookAsync(CancellationToken cancellation)
    {
        var members = await _client.MembersAsync(cancellation);
        var reports = await Task.WhenAll(members.Select(async member =>
        {
            if (member.ClientUrls.Count == 0)
                return null;
            try
            {
                return await _client.ReportAsync(new Uri(member.ClientUrls[0]), cancellation);
            }
            catch (CoordinationException)
            {
                return null; // Shown as a member that does not answer.
            }
        }));
        var newest = reports.Where(r => r is not null).MaxBy(r => (r!.Term, r.Index))
            ?? throw new CoordinationException(14, "no member of the store at " + string.Join(", ", settings.Endpoints) + " answers");
        _last = newest;
        return new ClusterInfo(
            newest.ClusterId.ToString("x"), newest.MemberId.ToString("x"), "client", (long)newest.Term, newest.Leader == 0 ? null : newest.Leader.ToString("x"),
            (long)newest.Index, (long)newest.AppliedIndex, (long)newest.Index, (long)newest.Index, 0, newest.Revision, 0, newest.DbBytes, 0, 0, 0, false,
            [.. members.Select((m, i) => new ClusterMember(
                m.Id.ToString("x"), m.Name, m.Id == newest.Leader, false, m.IsLearner, m.PeerUrls, m.ClientUrls, (long?)reports[i]?.AppliedIndex,
                reports[i] is not null, null, null, false))],
            []);
    }

    public IEnumerable<MetricFamily> Metrics() => _last is not { } last
        ? []
        : [MetricFamily.Gauge("millrace_coordination_term", "Term of the coordination store.", MetricSample.Of((long)last.Term))];

    public void Dispose() => _client.Dispose();
}
