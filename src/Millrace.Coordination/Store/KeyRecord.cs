using Google.Protobuf;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Store;

/// <summary>
/// The versions of one key, oldest first. A version is the wire's own message and never changes once it is here, so that answers
/// share it; one whose Version is 0 says that the key was deleted.
/// </summary>
internal sealed class KeyRecord(ByteString key)
{
    private KeyValue[] _versions = new KeyValue[1];

    public ByteString Key => key;

    public int Count { get; private set; }

    public KeyValue Newest => _versions[Count - 1];

    public bool IsLive => Count > 0 && Newest.Version > 0;

    public KeyValue this[int index] => _versions[index];

    public void Add(KeyValue version)
    {
        if (Count == _versions.Length)
            Array.Resize(ref _versions, Count * 2);
        _versions[Count++] = version;
    }

    /// <summary>Takes back what was added last.</summary>
    public KeyValue RemoveNewest()
    {
        var newest = _versions[--Count];
        _versions[Count] = null!;
        return newest;
    }

    /// <summary>The version in force at a revision; null when the key was not there.</summary>
    public KeyValue? At(long revision)
    {
        var index = IndexAt(revision);
        return index >= 0 && _versions[index].Version > 0 ? _versions[index] : null;
    }

    /// <summary>What the key was just before a revision; null when it was not there, or that is compacted away.</summary>
    public KeyValue? Before(long revision) => At(revision - 1);

    /// <summary>Forgets what no read at or after a revision can see; returns the bytes set free.</summary>
    public long CompactTo(long revision)
    {
        var keep = IndexAt(revision);
        if (keep >= 0 && _versions[keep].Version == 0)
            keep++;
        if (keep <= 0)
            return 0;
        long freed = 0;
        for (var i = 0; i < keep; i++)
            freed += KeyValueStore.BytesOf(_versions[i]);
        Count -= keep;
        Array.Copy(_versions, keep, _versions, 0, Count);
        Array.Clear(_versions, Count, keep);
        if (Count > 0 && _versions.Length > 4 * Count)
            Array.Resize(ref _versions, Count);
        return freed;
    }

    private int IndexAt(long revision)
    {
        // Most reads want the newest.
        var index = Count - 1;
        if (index >= 0 && _versions[index].ModRevision <= revision)
            return index;
        var low = 0;
        var high = index;
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (_versions[middle].ModRevision <= revision)
                low = middle + 1;
            else
                high = middle;
        }
        return low - 1;
    }
}
