using Millrace.Streams.Plans;
using Millrace.Streams.Sources;

namespace Millrace.Tests.Streams;

public sealed class BreakerWindowTests
{
    private readonly BreakerWindow _breaker = new(new BreakerPlan(0.05, TimeSpan.FromMinutes(1)), leastRows: 100);

    [Fact]
    public void It_opens_when_the_share_is_passed_and_not_at_it()
    {
        Assert.False(_breaker.Add(1000, 50, 0));
        Assert.True(_breaker.Add(0, 1, 1));
    }

    [Fact]
    public void Few_rows_are_not_judged() => Assert.False(_breaker.Add(99, 99, 0));

    [Fact]
    public void Old_rows_fall_out_of_the_span()
    {
        Assert.False(_breaker.Add(10_000, 400, 0));
        Assert.False(_breaker.Add(1000, 50, 120_000));
        Assert.Equal((1000, 50), _breaker.Totals());
        Assert.False(_breaker.Add(0, 0, 179_000));
        Assert.True(_breaker.Add(100, 100, 179_001));
    }
}
