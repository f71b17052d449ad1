using System.Globalization;
using System.Text;

namespace Millrace.WebConsole.Metrics;

/// <summary>Prometheus' text exposition format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).</summary>
internal static class PrometheusWriter
{
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    /// <summary>Families of one name are written together, as the format demands.</summary>
    public static string Write(IEnumerable<MetricFamily> families)
    {
        var text = new StringBuilder(16 << 10);
        foreach (var group in families.GroupBy(f => f.Name, StringComparer.Ordinal))
        {
            var first = group.First();
            text.Append("# HELP ").Append(first.Name).Append(' ').Append(Escape(first.Help, quotes: false)).Append('\n');
            text.Append("# TYPE ").Append(first.Name).Append(' ').Append(first.Kind.ToString().ToLowerInvariant()).Append('\n');
            foreach (var sample in group.SelectMany(f => f.Samples))
                Append(text, first.Name, sample);
        }
        return text.ToString();
    }

    private static void Append(StringBuilder text, string name, MetricSample sample)
    {
        text.Append(name).Append(sample.Suffix);
        if (sample.Labels.Count > 0)
        {
            var separator = '{';
            foreach (var (label, value) in sample.Labels)
            {
                text.Append(separator).Append(label).Append("=\"").Append(Escape(value, quotes: true)).Append('"');
                separator = ',';
            }
            text.Append('}');
        }
        text.Append(' ').Append(Number(sample.Value)).Append('\n');
    }

    public static string Number(double value) => value switch
    {
        double.PositiveInfinity => "+Inf",
        double.NegativeInfinity => "-Inf",
        double.NaN => "NaN",
        _ => value.ToString("R", CultureInfo.InvariantCulture),
    };

    private static string Escape(string value, bool quotes)
    {
        value = value.Replace("\\", "\\\\").Replace("\n", "\\n");
        return quotes ? value.Replace("\"", "\\\"") : value;
    }
}
