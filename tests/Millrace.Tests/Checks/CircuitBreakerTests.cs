using Millrace.Streams.Checks;
using Millrace.Streams.Plans;

namespace Millrace.Tests.Checks;

public sealed class CircuitBreakerTests
{
    private static readonly CircuitBreakerOptions Options = new(LeastRows: 100, OpenFor: TimeSpan.FromSeconds(10), ProbeRows: 50);

    [Fact]
    public void It_opens_over_the_share_and_not_before_enough_rows()
    {
        var breaker = new CircuitBreaker(new BreakerPlan(0.05, TimeSpan.FromMinutes(1)), Options);
        Assert.Equal(CircuitState.Closed, breaker.Add(99, 99, 0));
        Assert.Equal(CircuitState.Open, breaker.Add(1, 0, 1));
        Assert.Equal(0, breaker.Allowed(2));
    }

    [Fact]
    public void Failures_that_left_the_span_are_forgotten()
    {
        var breaker = new CircuitBreaker(new BreakerPlan(0.05, TimeSpan.FromMinutes(1)), Options);
        breaker.Add(1000, 50, 0);
        breaker.Add(1000, 50, 70_000);
        Assert.Equal((1000, 50), breaker.Totals());
        Assert.Equal(CircuitState.Open, breaker.Add(1000, 51, 71_000));
    }

    [Fact]
    public void After_a_while_it_tries_a_few_rows_and_decides_by_them()
    {
        var breaker = new CircuitBreaker(new BreakerPlan(0.1, TimeSpan.FromMinutes(1)), Options);
        breaker.Add(100, 100, 0);
        Assert.Equal(CircuitState.Open, breaker.Tick(9_999));
        Assert.Equal(50, breaker.Allowed(10_000));
        Assert.Equal(CircuitState.HalfOpen, breaker.Add(20, 0, 10_001));
        Assert.Equal(30, breaker.Allowed(10_002));
        Assert.Equal(CircuitState.Open, breaker.Add(30, 6, 10_003));
        Assert.Equal(CircuitState.HalfOpen, breaker.Tick(20_003));
        Assert.Equal(CircuitState.Closed, breaker.Add(50, 5, 20_004));
        Assert.Equal((0, 0), breaker.Totals());
    }
}
