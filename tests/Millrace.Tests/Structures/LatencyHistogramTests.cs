using Millrace.Structures.Histograms;
using Xunit.Abstractions;

namespace Millrace.Tests.Structures;

public sealed class LatencyHistogramTests(ITestOutputHelper output)
{
    [Fact]
    public void Percentiles_are_within_the_stated_error_of_the_exact_ones()
    {
        var random = new Random(Seeds.Next(output));
        for (var round = 0; round < 50; round++)
        {
            var whole = new LatencyHistogram();
            var half = new LatencyHistogram();
            var values = new List<long>();
            for (var i = 0; i < 2_000; i++)
            {
                var value = random.NextInt64(1L << random.Next(1, 62));
                values.Add(value);
                (i % 2 == 0 ? whole : half).Record(value);
            }
            whole.Merge(half);
            values.Sort();
            Assert.Equal(values.Count, whole.Count);
            Assert.Equal(values[^1], whole.Max);
            foreach (var share in new[] { 0, 0.01, 0.5, 0.9, 0.99, 0.999, 1 })
            {
                var exact = values[Math.Max(1, (int)Math.Ceiling(share * values.Count)) - 1];
                Assert.InRange(whole.Percentile(share), exact, exact + (exact / 128));
            }
        }
    }

    [Fact]
    public void An_empty_one_says_nothing_and_extremes_do_not_break_it()
    {
        var histogram = new LatencyHistogram();
        Assert.Equal(0, histogram.Percentile(0.99));
        Assert.Equal(0, histogram.Mean);
        histogram.Record(long.MaxValue);
        histogram.Record(-5);
        Assert.Equal(1L << 62, histogram.Max);
        Assert.Equal(0, histogram.Percentile(0.5));
        histogram.Clear();
        Assert.Equal(0, histogram.Count);
    }
}
