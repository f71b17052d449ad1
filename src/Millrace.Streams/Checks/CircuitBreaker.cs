using Millrace.Streams.Plans;

namespace Millrace.Streams.Checks;

public enum CircuitState
{
    /// <summary>Rows flow.</summary>
    Closed,

    /// <summary>Too many were bad: nothing flows.</summary>
    Open,

    /// <summary>A few rows flow, to see whether it is over.</summary>
    HalfOpen,
}

/// <param name="LeastRows">Fewer rows than this in the span are not judged.</param>
/// <param name="OpenFor">How long it stays open before it tries.</param>
/// <param name="ProbeRows">Rows that are let through, and judged, when it tries.</param>
public sealed record CircuitBreakerOptions(int LeastRows, TimeSpan OpenFor, int ProbeRows)
{
    public CircuitBreakerOptions()
        : this(100, TimeSpan.FromSeconds(30), 100)
    {
    }
}

/// <summary>
/// Opens when more than the plan's share of rows fail over its span, tries again after a while with a few rows, and closes when they are
/// good enough (M. Nygard, Release It!, 2007). Pure: time comes in as monotonic milliseconds. Not thread-safe.
/// </summary>
public sealed class CircuitBreaker(BreakerPlan plan, CircuitBreakerOptions? options = null)
{
    // The span is counted in slots, so that what leaves it leaves in tenths.
    private const int Slots = 10;

    private readonly CircuitBreakerOptions _options = options ?? new CircuitBreakerOptions();
    private readonly long[] _rows = new long[Slots];
    private readonly long[] _failed = new long[Slots];
    private readonly long _slotMillis = Math.Max(1, (long)plan.Over.TotalMilliseconds / Slots);
    private long _slot = long.MinValue;
    private long _openedAt;
    private long _probed;
    private long _probedFailed;

    public CircuitState State { get; private set; }

    /// <summary>Moves on with time alone: an open breaker becomes half-open when it has waited.</summary>
    public CircuitState Tick(long nowMillis)
    {
        if (State == CircuitState.Open && nowMillis - _openedAt >= _options.OpenFor.TotalMilliseconds)
        {
            State = CircuitState.HalfOpen;
            _probed = _probedFailed = 0;
        }
        return State;
    }

    /// <summary>Rows that may be let through now: all, none, or what the trial still lacks.</summary>
    public long Allowed(long nowMillis) => Tick(nowMillis) switch
    {
        CircuitState.Closed => long.MaxValue,
        CircuitState.Open => 0,
        _ => Math.Max(1, _options.ProbeRows - _probed),
    };

    /// <summary>Counts rows that were let through, and gives the state after them.</summary>
    public CircuitState Add(long rows, long failed, long nowMillis)
    {
        switch (Tick(nowMillis))
        {
            case CircuitState.Closed:
                Count(rows, failed, nowMillis);
                var (total, bad) = Totals();
                if (total >= _options.LeastRows && bad > total * plan.Share)
                    Open(nowMillis);
                break;
            case CircuitState.HalfOpen:
                _probed += rows;
                _probedFailed += failed;
                if (_probed < _options.ProbeRows)
                    break;
                if (_probedFailed > _probed * plan.Share)
                    Open(nowMillis);
                else
                    Close();
                break;
        }
        return State;
    }

    /// <summary>Rows and failures that the span holds.</summary>
    public (long Rows, long Failed) Totals()
    {
        long rows = 0, failed = 0;
        for (var i = 0; i < Slots; i++)
        {
            rows += _rows[i];
            failed += _failed[i];
        }
        return (rows, failed);
    }

    private void Open(long nowMillis)
    {
        State = CircuitState.Open;
        _openedAt = nowMillis;
    }

    private void Close()
    {
        State = CircuitState.Closed;
        // What opened it is not held against it again.
        Array.Clear(_rows);
        Array.Clear(_failed);
    }

    private void Count(long rows, long failed, long nowMillis)
    {
        var slot = nowMillis / _slotMillis;
        if (_slot == long.MinValue || slot - _slot >= Slots)
        {
            Array.Clear(_rows);
            Array.Clear(_failed);
            _slot = slot;
        }
        for (; _slot < slot; _slot++)
        {
            _rows[(_slot + 1) % Slots] = 0;
            _failed[(_slot + 1) % Slots] = 0;
        }
        // Time that went backwards (it should not) counts into the newest slot.
        _rows[_slot % Slots] += rows;
        _failed[_slot % Slots] += failed;
    }
}
