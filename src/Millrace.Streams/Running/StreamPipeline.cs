using Microsoft.Extensions.Logging;
using Millrace.Columnar;
using Millrace.DuckDb;
using Millrace.Schemas;
using Millrace.Storage.Files;
using Millrace.Storage.RocksDb;
using Millrace.Streams.Plans;
using Millrace.Streams.Sources;

namespace Millrace.Streams.Running;

/// <summary>
/// A plan at work. Runs sessions one after another: a session that a failing disk ended is followed by one from the newest durable
/// checkpoint, as after a crash; other failures end the pipeline.
/// </summary>
public sealed class StreamPipeline : IRunningPipeline
{
    private readonly PipelinePlan _plan;
    private readonly StreamEnvironment _environment;
    private readonly FolderLock _folder;
    private readonly ILogger _log;
    private readonly StatusBoard _board;
    private readonly CancellationTokenSource _stopping = new();
    private readonly CancellationTokenSource _abandon = new();
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Dictionary<(string Source, int Partition), long> _stopBefore = [];
    private PipelineSession? _session;
    private string? _stopReason;

    private StreamPipeline(PipelinePlan plan, StreamEnvironment environment, FolderLock folder)
    {
        _plan = plan;
        _environment = environment;
        _folder = folder;
        _log = environment.Logs.CreateLogger("Millrace.Streams");
        _board = new StatusBoard(plan, environment.Time, environment.Options, () => Changed?.Invoke(this));
    }

    public string Name => _plan.Name;

    public PipelineStatus Status => _board.Status;

    public Task Completion => _completion.Task;

    public event Action<IRunningPipeline>? Changed;

    /// <summary>Opens the pipeline's state and begins to run. Brokers need not be there yet.</summary>
    /// <exception cref="FolderLockedException">The pipeline runs already; the message names the process.</exception>
    /// <exception cref="IncompatiblePlanException">The state belongs to another plan of that name.</exception>
    /// <exception cref="InvalidDataException">The state is damaged, or does not fit the tables.</exception>
    /// <exception cref="RocksException">The state store is damaged or the disk fails.</exception>
    /// <exception cref="DuckDbException">SQL of the plan is refused.</exception>
    public static async Task<StreamPipeline> StartAsync(PipelinePlan plan, StreamEnvironment environment, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var folder = FolderLock.Take(environment.StateFolder);
        var pipeline = new StreamPipeline(plan, environment, folder);
        try
        {
            pipeline._session = await pipeline.OpenAsync();
        }
        catch
        {
            folder.Dispose();
            throw;
        }
        new Thread(pipeline.Supervise) { IsBackground = true, Name = $"pipeline {plan.Name}" }.Start();
        return pipeline;
    }

    public ColumnBatch? LiveRows(string output)
    {
        var node = _session?.Outputs.Find(o => o.Name == output);
        try
        {
            return node?.LiveRows();
        }
        catch (ObjectDisposedException)
        {
            // A session ended meanwhile.
            return null;
        }
    }

    public IReadOnlyList<QuarantinedRow> NewestQuarantined(int most) => _board.NewestQuarantined(most);

    public async Task StopAsync(CancellationToken cancellation)
    {
        await _stopping.CancelAsync();
        await _completion.Task.WaitAsync(cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        cancellation.ThrowIfCancellationRequested();
    }

    /// <summary>Leaves at once, without a last checkpoint: what came after the newest one comes again at the next start.</summary>
    public async ValueTask DisposeAsync()
    {
        await _abandon.CancelAsync();
        await _stopping.CancelAsync();
        await _completion.Task.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private Task<PipelineSession> OpenAsync() => PipelineSession.OpenAsync(_plan, _environment, _stopBefore, _board.Quarantined);

    private void Supervise()
    {
        Exception? failure = null;
        var pause = _environment.Options.MinRetryPause;
        while (true)
        {
            try
            {
                _session ??= OpenAsync().GetAwaiter().GetResult();
                var began = _session.CheckpointId;
                try
                {
                    new SessionLoop(_session, _board).Run(_stopping.Token, _abandon.Token);
                }
                finally
                {
                    if (_board.Status.Checkpoint.Id > began)
                        pause = _environment.Options.MinRetryPause;
                    CloseSession();
                }
                if (_stopReason is not null)
                    failure = new PipelineFailedException(_stopReason);
                break;
            }
            catch (OperationCanceledException) when (_abandon.IsCancellationRequested)
            {
                break;
            }
            catch (StopAtRecordException stop)
            {
                // From the newest checkpoint again, up to the record and not over it: its batch has mixed with the state already.
                _stopReason = stop.Message;
                _stopBefore[(stop.SourceName, stop.Partition)] = stop.Offset;
            }
            catch (Exception error) when (PassingTrouble(error) is { } reason)
            {
                _board.Set(PipelineState.Paused, reason);
                SessionLog.Paused(_log, Name, reason);
                if (!Wait(pause))
                    break;
                pause = TimeSpan.FromTicks(Math.Min(pause.Ticks * 2, _environment.Options.MaxRetryPause.Ticks));
            }
            catch (Exception error)
            {
                failure = error is SessionPartException { InnerException: { } inner } ? inner : error;
                break;
            }
        }
        End(failure);
    }

    private void CloseSession()
    {
        var session = _session;
        _session = null;
        session?.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }

    private bool Wait(TimeSpan pause)
    {
        var wait = Task.Delay(pause, _environment.Time, _stopping.Token);
        ((IAsyncResult)wait).AsyncWaitHandle.WaitOne();
        return !_stopping.IsCancellationRequested;
    }

    private void End(Exception? failure)
    {
        _folder.Dispose();
        if (failure is null)
        {
            _board.Set(PipelineState.Stopped, null);
            _completion.TrySetResult();
            return;
        }
        SessionLog.Failed(_log, Name, failure.Message, failure);
        _board.Set(PipelineState.Failed, failure.Message);
        _completion.TrySetException(failure);
        // Nobody may be waiting; the status says it too.
        _ = _completion.Task.Exception;
    }

    /// <summary>Says why, when the failure is one of the disk or of a registry that may pass.</summary>
    private static string? PassingTrouble(Exception error)
    {
        for (var at = error; at is not null; at = at.InnerException)
        {
            if (at is RegistryUnreachableException registry)
                return $"{registry.Message}; the pipeline goes on by itself when it does";
            if (at is RocksException { Kind: RocksFailure.DiskFull or RocksFailure.Disk } rocks)
                return rocks.Message;
            if (at is DuckDbException duck && duck.Message.Contains("No space left", StringComparison.OrdinalIgnoreCase))
                return $"the disk is full: {duck.Message}; make room, the pipeline goes on by itself";
            const int noSpace = 28;
            if (at is IOException io && ((io.HResult & 0xFFFF) == noSpace || io.Message.Contains("No space left", StringComparison.OrdinalIgnoreCase)))
                return $"the disk is full: {io.Message}; make room, the pipeline goes on by itself";
        }
        return null;
    }
}

/// <summary>The pipeline ended by its own rules.</summary>
public sealed class PipelineFailedException(string message) : PipelineRefusedException(message);
