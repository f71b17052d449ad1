using System.Collections.Concurrent;

namespace Millrace.Coordination.Node;

/// <summary>What waits for one thread. Any thread may post; one takes, all at once, and sleeps in between.</summary>
internal sealed class Mailbox<T> : IDisposable
{
    private readonly ConcurrentQueue<T> _items = new();
    private readonly AutoResetEvent _wake = new(false);
    private int _isAsleep;

    public bool IsEmpty => _items.IsEmpty;

    public int Count => _items.Count;

    public void Post(T item)
    {
        _items.Enqueue(item);
        Wake();
    }

    /// <summary>Without waking anyone.</summary>
    public void Enqueue(T item) => _items.Enqueue(item);

    public void Wake()
    {
        // The full fence of Exchange orders the enqueue before the look at the sleeper.
        if (Interlocked.Exchange(ref _isAsleep, 0) == 1)
            _wake.Set();
    }

    public bool TryTake(out T item) => _items.TryDequeue(out item!);

    /// <summary>Returns when something is there, somebody woke it or the time is over.</summary>
    public void Wait(TimeSpan most)
    {
        if (!_items.IsEmpty)
            return;
        Interlocked.Exchange(ref _isAsleep, 1);
        if (_items.IsEmpty && most > TimeSpan.Zero)
            _wake.WaitOne(most);
        Interlocked.Exchange(ref _isAsleep, 0);
    }

    public void Dispose() => _wake.Dispose();
}
