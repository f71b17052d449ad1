namespace Millrace.Log.Storage;

/// <summary>Partitions that have something to flush. Any thread adds to it; the committer takes all that is there, and waits here for more.</summary>
internal sealed class CommitQueue
{
    [ThreadStatic]
    private static CommitQueue? _gathering;
    [ThreadStatic]
    private static List<Partition>? _gathered;

    private readonly object _signal = new();
    private readonly Lock _taking = new();
    private List<Partition> _waiting = [];
    private List<Partition> _taken = [];
    private bool _together;
    private bool _woken;

    public bool IsEmpty
    {
        get
        {
            lock (_signal)
                return _waiting.Count == 0;
        }
    }

    /// <summary>
    /// Queues a partition; its own lock keeps it from being queued twice. False when this thread gathers what it appends to (<see cref="Gather"/>).
    /// </summary>
    public bool Add(Partition partition)
    {
        if (_gathering == this)
        {
            _gathered!.Add(partition);
            return false;
        }
        lock (_signal)
        {
            _waiting.Add(partition);
            if (_waiting.Count == 1)
                Monitor.Pulse(_signal);
        }
        return true;
    }

    /// <summary>
    /// What this thread appends until the result is disposed of is queued then, all at once: a request of a hundred partitions wakes the committer
    /// once, and is not torn over two flushes because the first came too early.
    /// </summary>
    public Gathering Gather()
    {
        _gathered ??= [];
        _gathering = this;
        return new Gathering(this);
    }

    /// <summary>
    /// Appends to several partitions as one: all of it becomes durable in one flush, or none of it. A crash between a prepared transaction and
    /// its markers cannot happen.
    /// </summary>
    /// <param name="appends">Appends and nothing else; must not wait.</param>
    public void Together(Action appends)
    {
        lock (_taking)
        {
            _together = true;
            appends();
        }
    }

    /// <summary>All that is queued, each with what it has to write (<see cref="Partition.Writing"/>). The committer's; good until the next call.</summary>
    /// <param name="together">It stands or falls as one.</param>
    public List<Partition> Take(out bool together)
    {
        lock (_taking)
        {
            _taken.Clear();
            lock (_signal)
                (_waiting, _taken) = (_taken, _waiting);
            together = _together;
            _together = false;
            foreach (var partition in _taken)
                partition.TakePending();
        }
        return _taken;
    }

    /// <summary>The committer has something else to do: its <see cref="Wait"/>, or the next one, returns.</summary>
    public void Wake()
    {
        lock (_signal)
        {
            _woken = true;
            Monitor.Pulse(_signal);
        }
    }

    /// <summary>Returns when something is queued, after a <see cref="Wake"/>, or when the time has passed.</summary>
    public void Wait(int millis)
    {
        lock (_signal)
        {
            if (_waiting.Count == 0 && !_woken)
                Monitor.Wait(_signal, millis);
            _woken = false;
        }
    }

    private void AddGathered()
    {
        _gathering = null;
        var gathered = _gathered!;
        if (gathered.Count == 0)
            return;
        // Nobody may find a partition marked as queued that is not in the queue yet: what belongs together would be parted.
        lock (_taking)
        {
            gathered.RemoveAll(static p => !p.TryQueue());
            lock (_signal)
            {
                _waiting.AddRange(gathered);
                if (_waiting.Count == gathered.Count && gathered.Count > 0)
                    Monitor.Pulse(_signal);
            }
        }
        gathered.Clear();
    }

    internal readonly ref struct Gathering(CommitQueue queue)
    {
        public void Dispose() => queue.AddGathered();
    }
}
