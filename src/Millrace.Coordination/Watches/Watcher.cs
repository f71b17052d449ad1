using Google.Protobuf;
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

    /// <summary>What the stream is about to send together; its own loop's alone.</summary>
    public List<WatchItem> Batch { get; } = [];

    public bool Wants(VersionView change) => change.Version > 0 ? !noPut : !noDelete;
}

/// <summary>Changes of one revision, shared by all watches that want just these.</summary>
internal sealed class WatchEvents(params Event[] events)
{
    private const byte EventsField = (11 << 3) | 2;
    private byte[]? _encoded;

    public Event[] Events => events;

    /// <summary>The events as they stand in a WatchResponse, put into bytes once for all watches. Thread-safe: twice gives the same.</summary>
    public byte[] Encoded
    {
        get
        {
            if (Volatile.Read(ref _encoded) is { } done)
                return done;
            var size = events.Sum(static e => 1 + CodedOutputStream.ComputeMessageSize(e));
            var bytes = new byte[size];
            using var output = new CodedOutputStream(bytes);
            foreach (var change in events)
            {
                output.WriteRawTag(EventsField);
                output.WriteMessage(change);
            }
            output.Flush();
            Volatile.Write(ref _encoded, bytes);
            return bytes;
        }
    }
}

/// <summary>Changes of one revision for one watch.</summary>
internal readonly record struct WatchItem(Watcher Watcher, long Revision, WatchEvents Changes);
