using Millrace.WebConsole.Metrics;
using Millrace.WebConsole.Wire;

namespace Millrace.WebConsole.Seams;

/// <summary>The coordination store as its member in this process sees it.</summary>
public interface ICluster
{
    Task<ClusterInfo> LookAsync(CancellationToken cancellation);

    IEnumerable<MetricFamily> Metrics();
}
