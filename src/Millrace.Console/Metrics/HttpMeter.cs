using System.Collections.Concurrent;

namespace Millrace.WebConsole.Metrics;

/// <summary>Counts the console's own requests by route and status, and how long they took. Event streams are not timed.</summary>
internal sealed class HttpMeter
{
    private static readonly double[] Bounds = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10];

    private readonly ConcurrentDictionary<(string Route, int Status), Count> _requests = new();
    private readonly ConcurrentDictionary<string, Durations> _durations = new();

    public void Record(string route, int status, TimeSpan took, bool timed)
    {
        Interlocked.Increment(ref _requests.GetOrAdd((route, status), static _ => new Count()).Value);
        if (timed)
            _durations.GetOrAdd(route, static _ => new Durations()).Add(took.TotalSeconds);
    }

    public IEnumerable<MetricFamily> Families()
    {
        yield return new MetricFamily(
            "millrace_http_requests_total", MetricKind.Counter, "HTTP requests by route and status.",
            [.. _requests.OrderBy(p => p.Key.Route, StringComparer.Ordinal).ThenBy(p => p.Key.Status).Select(p => MetricSample.Of(
                Interlocked.Read(ref p.Value.Value), ("route", p.Key.Route), ("status", p.Key.Status.ToString())))]);
        yield return new MetricFamily(
            "millrace_http_request_duration_seconds", MetricKind.Histogram, "Time to answer HTTP requests.",
            [.. _durations.OrderBy(p => p.Key, StringComparer.Ordinal).SelectMany(p => p.Value.Samples(p.Key))]);
    }

    private sealed class Count
    {
        public long Value;
    }

    private sealed class Durations
    {
        private readonly Lock _gate = new();
        private readonly long[] _buckets = new long[Bounds.Length];
        private long _count;
        private double _sum;

        public void Add(double seconds)
        {
            lock (_gate)
            {
                _count++;
                _sum += seconds;
                for (var i = 0; i < Bounds.Length; i++)
                {
                    if (seconds <= Bounds[i])
                        _buckets[i]++;
                }
            }
        }

        public IReadOnlyList<MetricSample> Samples(string route)
        {
            var samples = new List<MetricSample>();
            lock (_gate)
            {
                for (var i = 0; i < Bounds.Length; i++)
                    samples.Add(MetricSample.Of(_buckets[i], ("route", route), ("le", PrometheusWriter.Number(Bounds[i]))) with { Suffix = "_bucket" });
                samples.Add(MetricSample.Of(_count, ("route", route), ("le", "+Inf")) with { Suffix = "_bucket" });
                samples.Add(MetricSample.Of(_sum, ("route", route)) with { Suffix = "_sum" });
                samples.Add(MetricSample.Of(_count, ("route", route)) with { Suffix = "_count" });
            }
            return samples;
        }
    }
}
