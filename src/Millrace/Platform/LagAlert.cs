using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Millrace.Host.Settings;
using Millrace.Streams.Alerts;

namespace Millrace.Host.Platform;

/// <summary>
/// Tells when a consumer group of the embedded log has been too far behind for too long, and when that is over. A receiver that does not answer
/// is told at the next look.
/// </summary>
internal sealed partial class LagAlert : IAsyncDisposable
{
    public static readonly TimeSpan Every = TimeSpan.FromSeconds(5);
    private readonly LagAlertSettings _settings;
    private readonly Func<IReadOnlyDictionary<string, long>> _lags;
    private readonly Uri? _target;
    private readonly IAlertSender _sender;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly Dictionary<string, Watched> _groups = new(StringComparer.Ordinal);
    private readonly CancellationTokenSource _stop = new();
    private Task _running = Task.CompletedTask;

    private sealed class Watched
    {
        public DateTimeOffset? BehindSince { get; set; }

        public DateTimeOffset FiringSince { get; set; }

        public bool IsFiring { get; set; }

        public bool IsTold { get; set; }
    }

    /// <param name="settings">When and whom.</param>
    /// <param name="lags">Records that each group is behind, over all its partitions.</param>
    /// <param name="target">The receiver's address; null for the process's own log alone.</param>
    /// <param name="sender">Carries messages there.</param>
    /// <param name="time">The clock.</param>
    /// <param name="log">Told in any case.</param>
    public LagAlert(
        LagAlertSettings settings, Func<IReadOnlyDictionary<string, long>> lags, Uri? target, IAlertSender sender, TimeProvider time, ILogger log)
    {
        (_settings, _lags, _target, _sender, _time, _log) = (settings, lags, target, sender, time, log);
    }

    /// <summary>Looks again and again until disposed of.</summary>
    public void Start() => _running = Task.Run(RunAsync);

    /// <summary>One look at all groups.</summary>
    public async Task LookAsync(CancellationToken cancellation)
    {
        var now = _time.GetUtcNow();
        var lags = _lags();
        foreach (var group in lags.Keys.Union(_groups.Keys).ToArray())
        {
            var lag = lags.GetValueOrDefault(group);
            if (!_groups.TryGetValue(group, out var watched))
                _groups[group] = watched = new Watched();
            watched.BehindSince = lag > _settings.Over ? watched.BehindSince ?? now : null;
            var fires = watched.BehindSince is { } since && now - since >= _settings.For;
            if (fires && !watched.IsFiring)
                watched.FiringSince = watched.BehindSince!.Value;
            if (fires != watched.IsFiring)
            {
                watched.IsFiring = fires;
                LogLag(group, lag, fires ? "is too far behind" : "has caught up");
            }
            if (watched.IsFiring != watched.IsTold)
                await TellAsync(group, lag, watched, now, cancellation);
            if (watched is { IsFiring: false, IsTold: false, BehindSince: null } && !lags.ContainsKey(group))
                _groups.Remove(group);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        using var timer = new PeriodicTimer(Every, _time);
        while (await timer.WaitForNextTickAsync(_stop.Token))
            await LookAsync(_stop.Token);
    }

    private async Task TellAsync(string group, long lag, Watched watched, DateTimeOffset now, CancellationToken cancellation)
    {
        if (_target is null)
        {
            watched.IsTold = watched.IsFiring;
            return;
        }
        var body = AlertBody.Of(
            "log", _settings.To, "lag", new JsonObject { ["group"] = group }.ToJsonString(), watched.IsFiring, watched.FiringSince, now,
            $"group {group} is {lag} records behind; {_settings.Over} are allowed");
        try
        {
            var kind = watched.IsFiring ? "firing" : "resolved";
            await _sender.PostAsync(_target, body, $"log:lag:{group}:{watched.FiringSince.ToUnixTimeMilliseconds()}:{kind}", cancellation);
            watched.IsTold = watched.IsFiring;
        }
        catch (AlertRefusedException refused)
        {
            LogRefused(_settings.To, refused.Message);
            if (!refused.Retry)
                watched.IsTold = watched.IsFiring;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Consumer group {Group} {What}: {Lag} records")]
    private partial void LogLag(string group, long lag, string what);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The lag alert was not taken by {Target}: {Reason}")]
    private partial void LogRefused(string target, string reason);
}
