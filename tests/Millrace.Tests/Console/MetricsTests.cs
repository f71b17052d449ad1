using System.Globalization;
using System.Text.RegularExpressions;

namespace Millrace.Tests.WebConsole;

public sealed partial class MetricsTests
{
    [Fact]
    public async Task Metrics_follow_the_text_format()
    {
        await using var console = await ConsoleFixture.StartAsync();
        var pipeline = console.Services.Jobs.Start();
        pipeline.Status = pipeline.Reading(300);
        console.Services.Jobs.Start("second");
        await console.GetJsonAsync("/healthz");
        using var response = await console.Client.GetAsync("/metrics");
        Assert.Equal("text/plain; version=0.0.4; charset=utf-8", response.Content.Headers.ContentType?.ToString());
        var samples = Parse(await response.Content.ReadAsStringAsync());

        Assert.Equal(300, samples["millrace_events_in_total{job=\"orders_by_country\",source=\"orders\"}"]);
        Assert.Equal(297, samples["millrace_events_good_total{job=\"orders_by_country\",source=\"orders\"}"]);
        Assert.Equal(3, samples["millrace_events_quarantined_total{job=\"orders_by_country\",source=\"orders\"}"]);
        Assert.Equal(0.04, samples["millrace_latency_seconds{job=\"orders_by_country\",quantile=\"0.99\"}"]);
        Assert.Equal(3, samples["millrace_group_lag_records{group=\"orders_by_country\",topic=\"orders\",partition=\"0\"}"]);
        Assert.Equal(2, samples["millrace_jobs{state=\"running\"}"]);
        Assert.Equal(1, samples["millrace_http_requests_total{route=\"/healthz\",status=\"200\"}"]);
        Assert.Equal(1, samples["millrace_http_request_duration_seconds_bucket{route=\"/healthz\",le=\"+Inf\"}"]);
        Assert.Equal(20_000, samples["millrace_broker_appended_bytes_total{topic=\"a\\\"b\\\\c\\nd\"}"]);
    }

    /// <summary>Reads the format strictly: HELP, then TYPE, then that metric's samples; each metric once, each sample once.</summary>
    private static Dictionary<string, double> Parse(string text)
    {
        Assert.EndsWith("\n", text);
        var samples = new Dictionary<string, double>();
        var seen = new HashSet<string>();
        string? metric = null, kind = null;
        foreach (var line in text[..^1].Split('\n'))
        {
            if (line.StartsWith("# HELP ", StringComparison.Ordinal))
            {
                metric = line.Split(' ')[2];
                kind = null;
                Assert.True(seen.Add(metric), $"{metric} stands twice");
                continue;
            }
            if (line.StartsWith("# TYPE ", StringComparison.Ordinal))
            {
                Assert.Equal(metric, line.Split(' ')[2]);
                kind = line.Split(' ')[3];
                Assert.Contains(kind, (string[])["counter", "gauge", "histogram", "summary"]);
                if (kind == "counter")
                    Assert.EndsWith("_total", metric);
                continue;
            }
            var match = Sample().Match(line);
            Assert.True(match.Success, $"no sample: {line}");
            var name = match.Groups[1].Value;
            Assert.True(name == metric || (kind == "histogram" && name.StartsWith(metric + "_", StringComparison.Ordinal)), $"{name} under {metric}");
            var value = match.Groups[3].Value;
            samples.Add(name + match.Groups[2].Value, value == "+Inf" ? double.PositiveInfinity : double.Parse(value, CultureInfo.InvariantCulture));
        }
        return samples;
    }

    [GeneratedRegex("""^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)+\})? ([^ ]+)$""")]
    private static partial Regex Sample();
}
