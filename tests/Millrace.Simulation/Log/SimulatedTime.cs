namespace Millrace.Simulation.Log;

/// <summary>A clock that somebody sets, one that only goes on, and timers that run when the simulator lets time pass.</summary>
internal sealed class SimulatedTime : TimeProvider
{
    private readonly List<SimulatedTimer> _timers = [];
    private long _steady;

    /// <summary>What the machine's clock shows, in milliseconds of Unix time.</summary>
    public long Wall { get; private set; } = 1_000_000_000;

    /// <summary>The latest that it has ever shown.</summary>
    public long Latest { get; private set; } = 1_000_000_000;

    public override long TimestampFrequency => 1000;

    public override DateTimeOffset GetUtcNow() => DateTimeOffset.FromUnixTimeMilliseconds(Wall);

    public override long GetTimestamp() => _steady;

    /// <summary>Somebody sets the machine's clock.</summary>
    public void Jump(long millis)
    {
        Wall = Math.Max(1, Wall + millis);
        Latest = Math.Max(Latest, Wall);
    }

    /// <summary>Time passes; what is due runs, now or the next time.</summary>
    public void Pass(long millis, bool runs = true)
    {
        _steady += millis;
        Jump(millis);
        if (!runs)
            return;
        foreach (var timer in _timers.Where(t => t.Due <= _steady).ToList())
            timer.Fire();
    }

    /// <summary>The process is gone, and its timers.</summary>
    public void Forget() => _timers.Clear();

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new SimulatedTimer(this, callback, state);
        timer.Change(dueTime, period);
        _timers.Add(timer);
        return timer;
    }

    private sealed class SimulatedTimer(SimulatedTime time, TimerCallback callback, object? state) : ITimer
    {
        public long Due { get; private set; } = long.MaxValue;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            Due = dueTime == Timeout.InfiniteTimeSpan ? long.MaxValue : time._steady + (long)dueTime.TotalMilliseconds;
            return true;
        }

        public void Fire()
        {
            Due = long.MaxValue;
            callback(state);
        }

        public void Dispose() => time._timers.Remove(this);

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
