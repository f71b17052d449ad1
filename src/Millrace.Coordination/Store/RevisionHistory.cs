using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Store;

/// <summary>The changes of each revision since the last compaction, for watches that look back.</summary>
internal sealed class RevisionHistory
{
    // A KeyValue, which most revisions are, or an array of them: an array for each would be one more object to keep for every write.
    private readonly List<object?> _revisions = [];
    private long _first = 2;
    private int _dropped;

    public IReadOnlyList<KeyValue> this[long revision]
    {
        get
        {
            var at = _dropped + (revision - _first);
            return at < _dropped || at >= _revisions.Count ? [] : _revisions[(int)at] switch
            {
                KeyValue only => [only],
                KeyValue[] several => several,
                _ => [],
            };
        }
    }

    /// <summary>The first revision to be added is the one after this.</summary>
    public void Begin(long revision) => _first = revision + 1;

    public void Add(IReadOnlyList<KeyValue> changes) => _revisions.Add(changes.Count == 1 ? changes[0] : changes.ToArray());

    public void DropBefore(long revision)
    {
        var count = (int)Math.Clamp(revision - _first, 0, _revisions.Count - _dropped);
        for (var i = 0; i < count; i++)
            _revisions[_dropped + i] = null;
        _dropped += count;
        _first += count;
        if (_dropped < 1024 || _dropped * 2 < _revisions.Count)
            return;
        _revisions.RemoveRange(0, _dropped);
        _dropped = 0;
    }
}
