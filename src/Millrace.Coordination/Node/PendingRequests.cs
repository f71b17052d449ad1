using System.Collections.Concurrent;
using Millrace.Coordination.Machine;
using Millrace.Coordination.Store;

namespace Millrace.Coordination.Node;

/// <summary>A proposal of this member that is not applied yet.</summary>
/// <param name="isLight">What waits for it is quick and may run on the thread that applied it.</param>
internal sealed class PendingRequest(ulong id, ReadOnlyMemory<byte> data, long deadline, bool isLight)
{
    private readonly TaskCompletionSource<ApplyResult> _done =
        new(isLight ? TaskCreationOptions.None : TaskCreationOptions.RunContinuationsAsynchronously);

    public ulong Id => id;

    public ReadOnlyMemory<byte> Data => data;

    /// <summary>By the time provider's timestamps.</summary>
    public long Deadline => deadline;

    public Task<ApplyResult> Done => _done.Task;

    /// <summary>
    /// The term of the leader that has it; 0 while it has not been handed to any. Once an entry of a later term is applied here, it
    /// can never be applied any more: entries of older terms come before, and leaders take forwarded requests only for their own term.
    /// </summary>
    public long Term { get; set; }

    public void Complete(ApplyResult result) => _done.TrySetResult(result);

    public void Fail(StoreException error) => _done.TrySetException(error);
}

/// <summary>All of them, by their number.</summary>
internal sealed class PendingRequests(int most)
{
    private readonly ConcurrentDictionary<ulong, PendingRequest> _requests = new();

    public bool IsEmpty => _requests.IsEmpty;

    /// <exception cref="StoreException">Too many wait already.</exception>
    public void Add(PendingRequest request)
    {
        if (_requests.Count >= most)
            throw StoreErrors.TooManyRequests;
        _requests[request.Id] = request;
    }

    public void Remove(ulong id) => _requests.TryRemove(id, out _);

    public bool Contains(ulong id) => _requests.ContainsKey(id);

    public void Complete(ulong id, ApplyResult result)
    {
        if (_requests.TryRemove(id, out var request))
            request.Complete(result);
    }

    /// <summary>Those whose leader's term is over.</summary>
    public PendingRequest[] LostBefore(long term) =>
        _requests.Values.Where(r => r.Term > 0 && r.Term < term).OrderBy(r => r.Id).ToArray();

    /// <summary>Those that some leader may have.</summary>
    public void FailHandedOut(StoreException error)
    {
        foreach (var (id, request) in _requests)
        {
            if (request.Term > 0 && _requests.TryRemove(id, out _))
                request.Fail(error);
        }
    }

    public void FailOlderThan(long now, StoreException error)
    {
        foreach (var (id, request) in _requests)
        {
            if (request.Deadline <= now && _requests.TryRemove(id, out _))
                request.Fail(error);
        }
    }

    public void FailAll(StoreException error)
    {
        foreach (var id in _requests.Keys)
        {
            if (_requests.TryRemove(id, out var request))
                request.Fail(error);
        }
    }
}
