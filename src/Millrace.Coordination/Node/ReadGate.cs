using Millrace.Coordination.Store;

namespace Millrace.Coordination.Node;

/// <summary>Reads that began at about the same time and share one question to the group.</summary>
internal sealed class ReadBatch
{
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes when the state here is at least as new as when the batch was asked.</summary>
    public Task Ready => _ready.Task;

    public bool ByQuorum { get; init; }

    public void Release() => _ready.TrySetResult();

    public void Fail(StoreException error) => _ready.TrySetException(error);
}

/// <summary>Hands out the batch that a read may join: the newest that was not asked yet.</summary>
internal sealed class ReadGate(Action<ReadBatch> post)
{
    private readonly Lock _lock = new();
    private ReadBatch? _byIndex;
    private ReadBatch? _byQuorum;

    public Task WaitAsync(bool byQuorum)
    {
        ReadBatch batch;
        lock (_lock)
        {
            ref var open = ref byQuorum ? ref _byQuorum : ref _byIndex;
            if (open is not null)
                return open.Ready;
            open = batch = new ReadBatch { ByQuorum = byQuorum };
        }
        post(batch);
        return batch.Ready;
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
}
