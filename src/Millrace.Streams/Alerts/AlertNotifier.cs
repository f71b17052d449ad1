using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Millrace.Streams.Checkpoints;
using Millrace.Streams.Plans;
using Millrace.Streams.Sinks;

namespace Millrace.Streams.Alerts;

/// <summary>
/// Tells notices that a durable checkpoint holds to the alert's targets, in order, each until it is taken or refused for good. A crash
/// between telling and the next checkpoint tells once more, under the same idempotency key.
/// </summary>
internal sealed class AlertNotifier : IAsyncDisposable
{
    private readonly string _pipeline;
    private readonly IReadOnlyDictionary<string, AlertPlan> _plans;
    private readonly IAlertSender _sender;
    private readonly TimeProvider _time;
    private readonly DeliveryOptions _options;
    private readonly ILogger _log;
    private readonly string _incarnation;
    private readonly Channel<AlertNotice> _queue = Channel.CreateUnbounded<AlertNotice>(new UnboundedChannelOptions { SingleReader = true });
    private readonly HashSet<(string Alert, long Sequence)> _told = [];
    private readonly HashSet<(string Alert, long Sequence)> _known = [];
    private readonly Lock _lock = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _loop;

    public AlertNotifier(
        string pipeline, string incarnation, IReadOnlyList<AlertPlan> plans, IAlertSender sender, TimeProvider time, DeliveryOptions options, ILogger log)
    {
        (_pipeline, _incarnation, _sender, _time, _options, _log) = (pipeline, incarnation, sender, time, options, log);
        _plans = plans.ToDictionary(p => p.Name, StringComparer.Ordinal);
        _loop = Task.Run(RunAsync);
    }

    /// <summary>Something was told that the next checkpoint may forget.</summary>
    public bool HasNews
    {
        get
        {
            lock (_lock)
                return _told.Count > 0;
        }
    }

    /// <summary>A checkpoint that holds the notice is durable. What was queued before is not queued again.</summary>
    public void EnqueueOnce(AlertNotice notice)
    {
        lock (_lock)
        {
            if (!_known.Add((notice.Alert, notice.Sequence)))
                return;
        }
        _queue.Writer.TryWrite(notice);
    }

    /// <summary>True once when the notice was told: the next checkpoint need not hold it.</summary>
    public bool TakeTold(AlertNotice notice)
    {
        lock (_lock)
        {
            if (!_told.Remove((notice.Alert, notice.Sequence)))
                return false;
            _known.Remove((notice.Alert, notice.Sequence));
            return true;
        }
    }

    public async Task DrainAsync(CancellationToken cancellation)
    {
        _queue.Writer.TryComplete();
        await _loop.WaitAsync(cancellation);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _queue.Writer.TryComplete();
        await _loop.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        try
        {
            await foreach (var notice in _queue.Reader.ReadAllAsync(_stop.Token))
            {
                // An alert that left the plan has nobody to tell.
                foreach (var target in _plans.GetValueOrDefault(notice.Alert)?.Targets ?? [])
                    await TellAsync(notice, target);
                lock (_lock)
                    _told.Add((notice.Alert, notice.Sequence));
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
        }
    }

    private async Task TellAsync(AlertNotice notice, AlertTarget target)
    {
        if (target is not AlertTarget.Webhook webhook)
        {
            AlertLog.Told(_log, notice.Firing ? LogLevel.Warning : LogLevel.Information, _pipeline, AlertMessage.Sentence(notice));
            return;
        }
        var body = AlertMessage.Body(_pipeline, webhook.Name, notice);
        var key = $"{_pipeline}:{_incarnation}:{notice.Alert}:{notice.Sequence}";
        var backoff = _options.MinBackoff;
        while (true)
        {
            try
            {
                await _sender.PostAsync(webhook.Address, body, key, _stop.Token);
                return;
            }
            catch (AlertRefusedException refused)
            {
                AlertLog.Refused(_log, notice.Alert, webhook.Name, refused.Message);
                if (!refused.Retry)
                    return;
            }
            await Task.Delay(backoff, _time, _stop.Token);
            backoff = TimeSpan.FromTicks(Math.Min(backoff.Ticks * 2, _options.MaxBackoff.Ticks));
        }
    }
}

internal static partial class AlertLog
{
    [LoggerMessage(Message = "Alert of {Pipeline}: {Text}")]
    public static partial void Told(ILogger log, LogLevel level, string pipeline, string text);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Alert {Alert} could not be told to {Target}: {Reason}")]
    public static partial void Refused(ILogger log, string alert, string target, string reason);
}
