namespace Millrace.WebConsole.Metrics;

public enum MetricKind
{
    Counter,
    Gauge,
    Histogram,
    Summary,
}

/// <summary>One metric with its samples, as Prometheus' text format 0.0.4 groups them.</summary>
/// <param name="Name">Letters, digits, underscores; base units (seconds, bytes); counters end in <c>_total</c>.</param>
public sealed record MetricFamily(string Name, MetricKind Kind, string Help, IReadOnlyList<MetricSample> Samples)
{
    public static MetricFamily Counter(string name, string help, params IReadOnlyList<MetricSample> samples) =>
        new(name, MetricKind.Counter, help, samples);

    public static MetricFamily Gauge(string name, string help, params IReadOnlyList<MetricSample> samples) =>
        new(name, MetricKind.Gauge, help, samples);
}

/// <param name="Suffix">E.g. <c>_bucket</c> of a histogram; empty for plain samples.</param>
public readonly record struct MetricSample(double Value, IReadOnlyList<KeyValuePair<string, string>> Labels, string Suffix = "")
{
    public static MetricSample Of(double value, params ReadOnlySpan<(string Name, string Value)> labels)
    {
        var pairs = new KeyValuePair<string, string>[labels.Length];
        for (var i = 0; i < pairs.Length; i++)
            pairs[i] = new KeyValuePair<string, string>(labels[i].Name, labels[i].Value);
        return new MetricSample(value, pairs);
    }
}
