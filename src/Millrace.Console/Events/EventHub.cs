using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Millrace.WebConsole.Seams;
using Millrace.Streams.Running;

namespace Millrace.WebConsole.Events;

/// <summary>
/// Hears of changes, and sends each frame, built once, to every connection that wants it. It sleeps while nothing changes or
/// nobody listens. <see cref="FramePacer"/> says when, <see cref="FrameBuilder"/> says what.
/// </summary>
internal sealed partial class EventHub : IAsyncDisposable
{
    private static readonly byte[] HeartbeatComment = ": still here\n\n"u8.ToArray();

    private readonly ConsoleServices _services;
    private readonly ConsoleOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly FramePacer _pacer;
    private readonly FrameBuilder _builder;
    private readonly Lock _gate = new();
    private readonly List<EventConnection> _connections = [];
    private readonly HashSet<string> _changed = new(StringComparer.Ordinal);
    private readonly Dictionary<string, IRunningPipeline> _listened = new(StringComparer.Ordinal);
    private readonly Channel<bool> _signal = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly CancellationTokenSource _stop = new();
    private readonly long _origin;
    private readonly Task _loop;
    private Task<bool>? _notice;
    private TimeSpan? _restsUntil;
    private bool _restListens;
    private long _notices;
    private long _heard;
    private bool _jobsChanged = true;
    private TimeSpan _lastLook;
    private long _framesSent;
    private long _dropped;

    public EventHub(ConsoleServices services, ConsoleOptions options, TimeProvider time, ILogger log)
    {
        _services = services;
        _options = options;
        _time = time;
        _log = log;
        _origin = time.GetTimestamp();
        _pacer = new FramePacer(options.FrameInterval);
        _builder = new FrameBuilder(services, options, time, log);
        services.Jobs.Changed += OnJobsChanged;
        _loop = Task.Run(RunAsync);
    }

    public int Connections
    {
        get
        {
            lock (_gate)
                return _connections.Count;
        }
    }

    /// <summary>The loop waits for a time to come or for a notice, and neither is there. Lets a test with a clock of its own step safely.</summary>
    internal bool Resting
    {
        get
        {
            lock (_gate)
                return _restsUntil is { } until && until > Now() && (!_restListens || Interlocked.Read(ref _notices) == _heard);
        }
    }

    public long FramesSent => Interlocked.Read(ref _framesSent);

    public long DroppedConnections => Interlocked.Read(ref _dropped);

    /// <summary>No frame comes any more: the loop ended by a fault of ours, which it logged.</summary>
    public bool Broken => _loop.IsFaulted;

    /// <summary>Null when <see cref="ConsoleOptions.MaxEventConnections"/> are open.</summary>
    public EventConnection? TryJoin(bool overview, bool output, string? job, string? lastEventId)
    {
        var connection = new EventConnection(overview, output, job, _options.MaxQueuedFrames);
        lock (_gate)
        {
            if (_connections.Count >= _options.MaxEventConnections || _stop.IsCancellationRequested)
                return null;
            if (lastEventId is not null && lastEventId == _builder.LastId && !_jobsChanged && _changed.Count == 0)
                connection.JoinsOverview = connection.JoinsOutput = false;
            if (!connection.TryQueue("retry: 1000\n\n"u8.ToArray(), Now()))
                throw new InvalidOperationException("a new connection's queue has no room");
            _connections.Add(connection);
        }
        Wake();
        return connection;
    }

    public void Leave(EventConnection connection)
    {
        lock (_gate)
            _connections.Remove(connection);
        connection.Complete();
    }

    public async ValueTask DisposeAsync()
    {
        _services.Jobs.Changed -= OnJobsChanged;
        await _stop.CancelAsync();
        // A broken loop has told so already.
        await _loop.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        lock (_gate)
        {
            foreach (var running in _listened.Values)
                running.Changed -= OnPipelineChanged;
            _listened.Clear();
            foreach (var connection in _connections)
                connection.Complete();
            _connections.Clear();
        }
        _stop.Dispose();
    }

    private TimeSpan Now() => _time.GetElapsedTime(_origin);

    private void Wake()
    {
        Interlocked.Increment(ref _notices);
        _signal.Writer.TryWrite(true);
    }

    private void OnJobsChanged()
    {
        lock (_gate)
            _jobsChanged = true;
        Wake();
    }

    private void OnPipelineChanged(IRunningPipeline pipeline)
    {
        lock (_gate)
        {
            _changed.Add(pipeline.Name);
            if (_connections.Count == 0)
                return;
            _pacer.Want(FrameKind.Overview);
            _pacer.Want(FrameKind.Output);
        }
        Wake();
    }

    private async Task RunAsync()
    {
        try
        {
            while (!_stop.IsCancellationRequested)
            {
                var (wait, listen) = Step();
                if (wait > TimeSpan.Zero)
                    await WaitAsync(wait, listen);
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
        }
        catch (Exception e)
        {
            // Our own bug: the event stream stops and says so; clients see their connection end.
            LogBroken(e);
            lock (_gate)
            {
                foreach (var connection in _connections)
                    connection.Complete();
            }
            throw;
        }
    }

    /// <param name="listen">A frame that is already wanted has its time; only without one does a notice cut the wait short.</param>
    private async Task WaitAsync(TimeSpan wait, bool listen)
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        var until = wait == TimeSpan.MaxValue ? wait : Now() + wait;
        var delay = Task.Delay(wait == TimeSpan.MaxValue ? Timeout.InfiniteTimeSpan : wait, _time, over.Token);
        if (!listen)
        {
            Rest(until, listen);
            await delay;
            return;
        }
        _notice ??= _signal.Reader.ReadAsync(_stop.Token).AsTask();
        Rest(until, listen);
        if (await Task.WhenAny(_notice, delay) != _notice)
            return;
        await over.CancelAsync();
        await _notice;
        _notice = null;
    }

    private void Rest(TimeSpan until, bool listen)
    {
        lock (_gate)
        {
            _restsUntil = until;
            _restListens = listen;
        }
    }

    /// <summary>Does what is due; gives the time until the next thing is, and whether a notice may bring it forward.</summary>
    private (TimeSpan Wait, bool Listen) Step()
    {
        lock (_gate)
        {
            _restsUntil = null;
            _heard = Interlocked.Read(ref _notices);
        }
        var now = Now();
        Reconcile();
        FrameKind kind;
        lock (_gate)
        {
            if (_connections.Count == 0)
                return (TimeSpan.MaxValue, true);
            if (now - _lastLook >= _options.SlowLook)
            {
                _lastLook = now;
                SendHeartbeats(now);
                _pacer.Want(FrameKind.Overview);
            }
            if (_connections.Exists(c => c.JoinsOverview))
                _pacer.Want(FrameKind.Overview);
            if (_connections.Exists(c => c.JoinsOutput))
                _pacer.Want(FrameKind.Output);
            if (_pacer.Next(now) is not { } next)
                return (_lastLook + _options.SlowLook - now, true);
            if (next.Due > now)
                return (next.Due - now, false);
            kind = next.Kind;
            _pacer.Take(kind);
        }
        if (kind == FrameKind.Overview)
            SendOverview(now);
        else
            SendOutputs(now);
        return (TimeSpan.Zero, false);
    }

    /// <summary>Follows the list of jobs: listens to new pipelines and forgets gone ones.</summary>
    private void Reconcile()
    {
        lock (_gate)
        {
            if (!_jobsChanged)
                return;
            _jobsChanged = false;
        }
        var running = new Dictionary<string, IRunningPipeline>(StringComparer.Ordinal);
        foreach (var job in _services.Jobs.List())
        {
            if (job.Running is { } pipeline)
                running[job.Name] = pipeline;
        }
        lock (_gate)
        {
            foreach (var (name, old) in _listened.ToArray())
            {
                if (running.GetValueOrDefault(name) == old)
                    continue;
                old.Changed -= OnPipelineChanged;
                _listened.Remove(name);
                _changed.Add(name);
            }
            foreach (var (name, pipeline) in running)
            {
                if (!_listened.TryAdd(name, pipeline))
                    continue;
                pipeline.Changed += OnPipelineChanged;
                _changed.Add(name);
            }
            _pacer.Want(FrameKind.Overview);
            _pacer.Want(FrameKind.Output);
        }
    }

    private void SendOverview(TimeSpan now)
    {
        List<EventConnection> receivers;
        var joined = false;
        lock (_gate)
            receivers = _connections.FindAll(c => c.Overview);
        foreach (var receiver in receivers)
            joined |= receiver.JoinsOverview;
        if (receivers.Count == 0 || _builder.Overview(evenIfSame: joined) is not { } frame)
            return;
        lock (_gate)
        {
            _pacer.Sent(FrameKind.Overview, now);
            foreach (var receiver in receivers)
            {
                if (_builder.OverviewChanged || receiver.JoinsOverview)
                    Queue(receiver, frame, now);
                receiver.JoinsOverview = false;
            }
        }
    }

    private void SendOutputs(TimeSpan now)
    {
        List<EventConnection> receivers;
        string[] changed;
        lock (_gate)
        {
            receivers = _connections.FindAll(c => c.Output);
            changed = [.. _changed];
            _changed.Clear();
        }
        var built = _builder.Outputs(
            changed, watched: name => receivers.Exists(c => c.Wants(name)), joined: name => receivers.Exists(c => c.JoinsOutput && c.Wants(name)),
            now, out var postponed);
        lock (_gate)
        {
            var sent = false;
            foreach (var receiver in receivers)
            {
                var frame = receiver.JoinsOutput ? built.Everything(receiver.Job) : built.Changes(receiver.Job);
                receiver.JoinsOutput = false;
                if (frame is null)
                    continue;
                Queue(receiver, frame.Value, now);
                sent = true;
            }
            if (postponed.Count > 0)
            {
                _changed.UnionWith(postponed);
                _pacer.Want(FrameKind.Output);
            }
            if (sent || postponed.Count > 0)
                _pacer.Sent(FrameKind.Output, now);
        }
    }

    private void SendHeartbeats(TimeSpan now)
    {
        foreach (var connection in _connections.ToArray())
        {
            if (now - connection.LastQueued >= _options.Heartbeat)
                Queue(connection, HeartbeatComment, now);
        }
    }

    private void Queue(EventConnection connection, ReadOnlyMemory<byte> frame, TimeSpan now)
    {
        // Who left while the frame was being built has disposed of its connection.
        if (!_connections.Contains(connection))
            return;
        if (connection.TryQueue(frame, now))
        {
            Interlocked.Increment(ref _framesSent);
            return;
        }
        _connections.Remove(connection);
        Interlocked.Increment(ref _dropped);
        LogDropped(_options.MaxQueuedFrames);
    }

    [LoggerMessage(1, LogLevel.Warning, "an event client was dropped: {MaxQueuedFrames} frames waited for it (MaxQueuedFrames)")]
    private partial void LogDropped(int maxQueuedFrames);

    [LoggerMessage(2, LogLevel.Critical, "the console's event stream stopped")]
    private partial void LogBroken(Exception exception);
}
