using System.Threading.Tasks.Sources;
using Millrace.Coordination.Store;

namespace Millrace.Coordination.Node;

/// <summary>A read that waits until the state here is new enough; awaited once.</summary>
internal sealed class WaitingRead : IValueTaskSource
{
    private ManualResetValueTaskSourceCore<bool> _core;

    /// <param name="isLight">What follows is quick and may run where the read is released.</param>
    public WaitingRead(bool isLight) => _core.RunContinuationsAsynchronously = !isLight;

    public ValueTask Task => new(this, _core.Version);

    public void Release() => _core.SetResult(true);

    public void Fail(StoreException error) => _core.SetException(error);

    void IValueTaskSource.GetResult(short token) => _core.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _core.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _core.OnCompleted(continuation, state, token, flags);
}

/// <summary>Reads that began at about the same time and share one question to the group.</summary>
/// <remarks>
/// Each has a completion of its own: of many that await one task, all but one are handed to the thread pool, where each switch of threads and each
/// answer sent alone costs more than the read.
/// </remarks>
internal sealed class ReadBatch
{
    private List<WaitingRead>? _reads = [];

    public bool IsCompleted => Volatile.Read(ref _reads) is null;

    public required bool ByQuorum { get; init; }

    /// <summary>By the time provider's timestamps.</summary>
    public required long BeganAt { get; init; }

    /// <summary>Only while the gate hands it out.</summary>
    public void Add(WaitingRead read) => _reads!.Add(read);

    /// <summary>The state here is at least as new as when the batch was asked.</summary>
    public void Release()
    {
        foreach (var read in Interlocked.Exchange(ref _reads, null) ?? [])
            read.Release();
    }

    public void Fail(StoreException error)
    {
        foreach (var read in Interlocked.Exchange(ref _reads, null) ?? [])
            read.Fail(error);
    }
}

/// <summary>Hands out the batch that a read may join: the newest that was not asked yet.</summary>
internal sealed class ReadGate(TimeProvider time, Action<ReadBatch> post)
{
    private readonly Lock _lock = new();
    private readonly Queue<ReadBatch> _waiting = new();
    private ReadBatch? _byIndex;
    private ReadBatch? _byQuorum;

    public bool IsEmpty
    {
        get
        {
            lock (_lock)
                return _waiting.Count == 0;
        }
    }

    public ValueTask WaitAsync(bool byQuorum, bool isLight)
    {
        var read = new WaitingRead(isLight);
        // The task first: the batch may be released, on this thread, before this returns.
        var task = read.Task;
        ReadBatch batch;
        lock (_lock)
        {
            ref var open = ref byQuorum ? ref _byQuorum : ref _byIndex;
            if (open is not null)
            {
                open.Add(read);
                return task;
            }
            open = batch = new ReadBatch { ByQuorum = byQuorum, BeganAt = time.GetTimestamp() };
            batch.Add(read);
            while (_waiting.TryPeek(out var oldest) && oldest.IsCompleted)
                _waiting.Dequeue();
            _waiting.Enqueue(batch);
        }
        post(batch);
        return task;
    }

    /// <summary>From now on reads begin a new batch; called before the batch is asked.</summary>
    public void Close(ReadBatch batch)
    {
        lock (_lock)
            CloseHeld(batch);
    }

    /// <summary>Gives up those that began before a time.</summary>
    public void FailOlderThan(long timestamp, StoreException error)
    {
        while (true)
        {
            ReadBatch oldest;
            lock (_lock)
            {
                if (!_waiting.TryPeek(out oldest!) || (!oldest.IsCompleted && oldest.BeganAt >= timestamp))
                    return;
                _waiting.Dequeue();
                // Nobody may join it any more, or it would wait for ever.
                CloseHeld(oldest);
            }
            oldest.Fail(error);
        }
    }

    private void CloseHeld(ReadBatch batch)
    {
        if (_byIndex == batch)
            _byIndex = null;
        if (_byQuorum == batch)
            _byQuorum = null;
    }
}
