using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Watches;

/// <summary>What waits for one stream of watches: pushed by the hub, taken by the stream's own loop.</summary>
internal sealed class WatchStream(int maxEvents)
{
    private readonly Lock _lock = new();
    private readonly SemaphoreSlim _wake = new(0, 1);
    private List<WatchItem> _items = [];
    private List<Watcher> _lagging = [];
    private List<WatchResponse> _control = [];
    private List<Watcher> _silent = [];
    private int _events;
    private int _progressRequests;

    /// <summary>False when there is no room, so that the watch must be read from history later.</summary>
    public bool TryPush(WatchItem item)
    {
        lock (_lock)
        {
            if (_events + item.Changes.Events.Length > maxEvents && _events > 0)
                return false;
            _events += item.Changes.Events.Length;
            _items.Add(item);
        }
        Wake();
        return true;
    }

    /// <summary>The watch is behind; its turn comes after all that was pushed before.</summary>
    public void Lag(Watcher watcher)
    {
        lock (_lock)
            _lagging.Add(watcher);
        Wake();
    }

    /// <summary>An answer to the client that does not wait for anything.</summary>
    public void Say(WatchResponse response)
    {
        lock (_lock)
            _control.Add(response);
        Wake();
    }

    public void RequestProgress()
    {
        lock (_lock)
            _progressRequests++;
        Wake();
    }

    /// <summary>A watch that asked for it is to be told where it is.</summary>
    public void TellProgress(Watcher watcher)
    {
        lock (_lock)
            _silent.Add(watcher);
        Wake();
    }

    public Task WaitAsync(CancellationToken cancel) => _wake.WaitAsync(cancel);

    /// <summary>Takes all that waits. Control answers go first: a watch's created answer precedes its changes.</summary>
    public WatchWork Take()
    {
        lock (_lock)
        {
            var taken = new WatchWork(_control, _items, _lagging, _silent, _progressRequests);
            _control = [];
            _items = [];
            _lagging = [];
            _silent = [];
            _events = 0;
            _progressRequests = 0;
            return taken;
        }
    }

    private void Wake()
    {
        try
        {
            if (_wake.CurrentCount == 0)
                _wake.Release();
        }
        catch (SemaphoreFullException)
        {
            // Another thread woke it in the same moment.
        }
    }
}

/// <summary>What a stream's loop takes at once.</summary>
/// <param name="Control">Answers to the client.</param>
/// <param name="Items">Changes for watches that are up to date.</param>
/// <param name="Lagging">Watches that must read history.</param>
/// <param name="Silent">Watches that are to be told where they are.</param>
/// <param name="ProgressRequests">Times that the client asked where all are.</param>
internal readonly record struct WatchWork(
    List<WatchResponse> Control, List<WatchItem> Items, List<Watcher> Lagging, List<Watcher> Silent, int ProgressRequests);
