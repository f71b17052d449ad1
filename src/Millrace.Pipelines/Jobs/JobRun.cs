using Microsoft.Extensions.Logging;
using Millrace.DuckDb;
using Millrace.Storage.RocksDb;
using Millrace.Streams.Plans;
using Millrace.Streams.Running;

namespace Millrace.Pipelines.Jobs;

/// <summary>Starts a pipeline from its plan.</summary>
public delegate Task<IRunningPipeline> PipelineStarter(PipelinePlan plan, CancellationToken cancellation);

/// <summary>
/// Keeps one pipeline running: starts it, and starts it again after a failure of the world's with growing waits, until it is stopped or
/// the failure is one that a restart cannot mend.
/// </summary>
internal sealed partial class JobRun
{
    private readonly PipelinePlan _plan;
    private readonly PipelineStarter _start;
    private readonly JobServiceOptions _options;
    private readonly Action<JobState, IRunningPipeline?, string?> _tell;
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource _firstOutcome = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task _loop;
    private string? _failure;

    /// <param name="tell">Hears of every change: the state, the pipeline while it runs, the last failure.</param>
    public JobRun(PipelinePlan plan, PipelineStarter start, JobServiceOptions options, Action<JobState, IRunningPipeline?, string?> tell)
    {
        (_plan, _start, _options, _tell) = (plan, start, options, tell);
        tell(JobState.Starting, null, null);
        _loop = Task.Run(LoopAsync);
    }

    /// <summary>Ends when the pipeline runs for the first time, or has failed to.</summary>
    public Task FirstOutcome => _firstOutcome.Task;

    /// <summary>Stops the pipeline after a last checkpoint, or ends the wait for a restart.</summary>
    public async Task StopAsync()
    {
        await _stop.CancelAsync();
        await _loop;
        _stop.Dispose();
    }

    private async Task LoopAsync()
    {
        var failures = 0;
        while (!_stop.IsCancellationRequested)
        {
            var began = _options.Time.GetTimestamp();
            if (failures > 0)
                _tell(JobState.Starting, null, _failure);
            var failure = await RunOnceAsync();
            if (failure is null)
                break;
            _failure = failure.Message;
            failures = _options.Time.GetElapsedTime(began) >= _options.RecoveredAfter ? 1 : failures + 1;
            if (!MayPass(failure) || failures > _options.MostRestarts)
            {
                LogGivenUp(_options.Log, failure, _plan.Name);
                var reason = failures > _options.MostRestarts ? $"{failure.Message} (given up after {failures} failures in a row: MostRestarts)" : failure.Message;
                _tell(JobState.Failed, null, reason);
                _firstOutcome.TrySetResult();
                return;
            }
            var wait = Backoff(failures);
            LogRestart(_options.Log, failure, _plan.Name, wait);
            _tell(JobState.Waiting, null, _failure);
            _firstOutcome.TrySetResult();
            await Task.Delay(wait, _options.Time, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        _tell(JobState.Stopped, null, _failure);
        _firstOutcome.TrySetResult();
    }

    /// <summary>Runs the pipeline until it ends; the failure, or null when it was stopped.</summary>
    private async Task<Exception?> RunOnceAsync()
    {
        IRunningPipeline? running = null;
        Exception? failure = null;
        try
        {
            running = await _start(_plan, _stop.Token);
            _tell(JobState.Running, running, null);
            _failure = null;
            _firstOutcome.TrySetResult();
            await running.Completion.WaitAsync(_stop.Token);
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Stopped from outside; what is left is done below.
        }
        catch (Exception error)
        {
            // The pipeline's failure, whatever it is, is this loop's input: it is told, and decides what comes next.
            failure = error;
        }
        if (running is null)
            return failure;
        try
        {
            await using (running)
            {
                if (failure is null && !running.Completion.IsCompleted)
                {
                    _tell(JobState.Stopping, running, null);
                    using var limit = new CancellationTokenSource(_options.StopWithin, _options.Time);
                    await running.StopAsync(limit.Token);
                }
            }
        }
        catch (Exception error)
        {
            // Nothing is lost: the next start goes on from the last checkpoint.
            LogStopFailed(_options.Log, error, _plan.Name);
            _failure = $"it did not stop cleanly: {error.Message}";
        }
        return failure;
    }

    /// <summary>Whether the same start could end otherwise: not when the plan, its state, a row's values or an installation are the reason.</summary>
    private static bool MayPass(Exception failure) => failure switch
    {
        PipelineRefusedException or InvalidDataException or DllNotFoundException or RocksException { Kind: RocksFailure.Corruption } => false,
        DuckDbException duck => duck.ErrorType is not (DuckDbErrorType.Conversion or DuckDbErrorType.OutOfRange or DuckDbErrorType.MismatchType
            or DuckDbErrorType.InvalidInput or DuckDbErrorType.Binder or DuckDbErrorType.Catalog or DuckDbErrorType.Parser or DuckDbErrorType.DivideByZero),
        _ => true,
    };

    private TimeSpan Backoff(int failures)
    {
        var wait = _options.FirstBackoff * Math.Pow(2, Math.Min(failures - 1, 30));
        return wait < _options.LongestBackoff ? wait : _options.LongestBackoff;
    }

    [LoggerMessage(1, LogLevel.Warning, "pipeline {Name} failed and starts again in {Wait}")]
    private static partial void LogRestart(ILogger log, Exception error, string name, TimeSpan wait);

    [LoggerMessage(2, LogLevel.Error, "pipeline {Name} failed and is not started again")]
    private static partial void LogGivenUp(ILogger log, Exception error, string name);

    [LoggerMessage(3, LogLevel.Warning, "pipeline {Name} did not stop cleanly; it goes on from its last checkpoint")]
    private static partial void LogStopFailed(ILogger log, Exception error, string name);
}
