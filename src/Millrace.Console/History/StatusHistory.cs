using Millrace.Streams.Running;
using Millrace.WebConsole.Seams;
using Millrace.WebConsole.Wire;

namespace Millrace.WebConsole.History;

/// <summary>
/// A sample a second of each job and the process, so that a page that opens shows the last minutes at once. Memory only: Prometheus
/// keeps what must last.
/// </summary>
internal sealed class StatusHistory : IDisposable
{
    private readonly ConsoleServices _services;
    private readonly TimeProvider _time;
    private readonly int _keep;
    private readonly Lock _gate = new();
    private readonly Queue<Sample> _samples = new();
    private readonly Dictionary<string, long> _quarantined = new(StringComparer.Ordinal);
    private readonly ITimer _timer;
    private readonly TimeSpan _every;
    private long _lastAt;

    public StatusHistory(ConsoleServices services, ConsoleOptions options, TimeProvider time)
    {
        _services = services;
        _time = time;
        _every = options.HistoryEvery;
        _keep = options.HistorySamples;
        _lastAt = time.GetTimestamp();
        _timer = time.CreateTimer(static history => ((StatusHistory)history!).Take(), this, _every, _every);
    }

    /// <summary>Takes one sample; the timer's work.</summary>
    public void Take()
    {
        lock (_gate)
        {
            var now = _time.GetTimestamp();
            var seconds = _time.GetElapsedTime(_lastAt, now).TotalSeconds;
            // Late timers ring in a bunch; a rate over a moment is none.
            if (_samples.Count > 0 && seconds < _every.TotalSeconds / 2)
                return;
            _lastAt = now;
            var jobs = new Dictionary<string, JobSample>(StringComparer.Ordinal);
            foreach (var job in _services.Jobs.List())
            {
                if (job.Running?.Status is { State: PipelineState.Running or PipelineState.Paused } status)
                    jobs[job.Name] = Look(job.Name, status, seconds);
            }
            var process = _services.Process.Look();
            _samples.Enqueue(new Sample(_time.GetUtcNow().ToUnixTimeMilliseconds(), process.Cores, process.ResidentBytes, jobs));
            while (_samples.Count > _keep)
                _samples.Dequeue();
        }
    }

    public HistoryInfo Read()
    {
        Sample[] samples;
        lock (_gate)
            samples = [.. _samples];
        var names = samples.SelectMany(s => s.Jobs.Keys).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal);
        return new HistoryInfo(
            (int)_every.TotalMilliseconds, [.. samples.Select(s => s.At)], [.. samples.Select(s => s.Cores)],
            [.. samples.Select(s => s.Resident)],
            [.. names.Select(name => new JobHistory(
                name, Column(name, j => j.PerSecond), Column(name, j => j.Quarantined), Column(name, j => j.P50), Column(name, j => j.P95),
                Column(name, j => j.P99), Column(name, j => j.Lag)))]);

        double?[] Column(string job, Func<JobSample, double> pick) =>
            [.. samples.Select(s => s.Jobs.TryGetValue(job, out var sample) ? Math.Round(pick(sample), 2) : (double?)null)];
    }

    public void Dispose() => _timer.Dispose();

    private JobSample Look(string name, PipelineStatus status, double seconds)
    {
        long quarantined = 0;
        double perSecond = 0, lag = 0;
        foreach (var source in status.Sources)
        {
            quarantined += source.Quarantined;
            perSecond += source.InPerSecond;
            lag += source.Lag;
        }
        var bad = _quarantined.TryGetValue(name, out var before) && seconds > 0 ? Math.Max(0, quarantined - before) / seconds : 0;
        _quarantined[name] = quarantined;
        return new JobSample(perSecond, bad, status.Latency.P50, status.Latency.P95, status.Latency.P99, lag);
    }

    private sealed record Sample(long At, double Cores, long Resident, Dictionary<string, JobSample> Jobs);

    private readonly record struct JobSample(double PerSecond, double Quarantined, double P50, double P95, double P99, double Lag);
}
