using Millrace.WebConsole.Metrics;
using Millrace.WebConsole.Seams;
using Millrace.WebConsole.Wire;

namespace Millrace.Tests.WebConsole.Fakes;

/// <summary>Three members, one of them silent, after two elections.</summary>
internal sealed class FakeCluster : ICluster
{
    public Task<ClusterInfo> LookAsync(CancellationToken cancellation) => Task.FromResult(new ClusterInfo(
        "c1", "a1", "leader", 7, "a1", 1200, 1200, 1201, 1201, 400, 900, 12, 64 << 10, 1 << 20, 77, 200, false,
        [
            new ClusterMember("a1", "a", true, true, false, ["http://10.0.0.1:2380"], ["http://10.0.0.1:2379"], 1201, true, null, null, false),
            new ClusterMember("b2", "b", false, false, false, ["http://10.0.0.2:2380"], ["http://10.0.0.2:2379"], 1200, true, 1.5, 0.3, false),
            new ClusterMember("c3", "c", false, false, false, ["http://10.0.0.3:2380"], ["http://10.0.0.3:2379"], 900, false, 2.1, 0.4, false),
        ],
        [
            new ClusterElection(DateTimeOffset.UnixEpoch.AddHours(1), 7, "a1", 312.5), new ClusterElection(DateTimeOffset.UnixEpoch, 2, "b2", 0),
        ]));

    public IEnumerable<MetricFamily> Metrics() =>
        [MetricFamily.Gauge("millrace_coordination_term", "Term of the coordination store.", MetricSample.Of(7))];
}
