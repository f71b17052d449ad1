using Millrace.Coordination.Store;

namespace Millrace.Coordination.Node;

/// <summary>Reads that began at about the same time and share one question to the group.</summary>
internal sealed class ReadBatch
{
    // Continuations run where the batch is released: a switch of threads for each read would cost more than the read.
    private readonly TaskCompletionSource _ready = new();

    /// <summary>Completes when the state here is at least as new as when the batch was asked.</summary>
    public Task Ready => _ready.Task;

    public required bool ByQuorum { get; init; }

    /// <summary>By the time provider's timestamps.</summary>
    public required long BeganAt { get; init; }

    public void Release() => _ready.TrySetResult();

    public void Fail(StoreException error) => _ready.TrySetException(error);
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

    public Task WaitAsync(bool byQuorum)
    {
        ReadBatch batch;
        lock (_lock)
        {
            ref var open = ref byQuorum ? ref _byQuorum : ref _byIndex;
            if (open is not null)
                return open.Ready;
            open = batch = new ReadBatch { ByQuorum = byQuorum, BeganAt = time.GetTimestamp() };
            while (_waiting.TryPeek(out var oldest) && oldest.Ready.IsCompleted)
                _waiting.Dequeue();
            _waiting.Enqueue(batch);
        }
        // The task first: the batch may be released, on this thread, before this returns.
        var ready = batch.Ready;
        post(batch);
        return ready;
    }

    /// <summary>From now on reads begin a new batch; called before the batch is asked.</summary>
    public void Close(ReadBatch batch)
    {
        lock (_lock)
        {
            if (_byIndex == batch)
                _byIndex = null;
            if (_byQuorum == batch)
                _byQuorum = null;
        }
    }

    /// <summary>Gives up those that began before a time.</summary>
    public void FailOlderThan(long timestamp, StoreException error)
    {
        while (true)
        {
            ReadBatch oldest;
            lock (_lock)
            {
                if (!_waiting.TryPeek(out oldest!) || (!oldest.Ready.IsCompleted && oldest.BeganAt >= timestamp))
                    return;
                _waiting.Dequeue();
            }
            oldest.Fail(error);
        }
    }
}
