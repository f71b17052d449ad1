using Millrace.Coordination.Store;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Watches;

/// <summary>One watch of a stream.</summary>
internal sealed class Watcher(long id, KeyRange range, WatchStream stream, bool noPut, bool noDelete, bool withPrevious, bool mayFragment)
{
    public long Id => id;

    public KeyRange Range => range;

    public WatchStream Stream => stream;

    public bool WithPrevious => withPrevious;

    public bool MayFragment => mayFragment;

    public bool WantsProgress { get; init; }

    /// <summary>The first revision that was not given to the stream yet, while the watch is read from history.</summary>
    public long Next { get; set; }

    public bool IsCanceled { get; set; }

    /// <summary>Something was sent since the last look for silence.</summary>
    public bool WasHeard { get; set; }

    public bool Wants(KeyValue change) => change.Version > 0 ? !noPut : !noDelete;
}

/// <summary>Changes of one revision for one watch.</summary>
internal readonly record struct WatchItem(Watcher Watcher, long Revision, Event[] Events);
