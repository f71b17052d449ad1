namespace Millrace.Raft.Log;

/// <summary>Where each entry of the log is: 8 bytes an entry.</summary>
internal sealed class LogPositions
{
    private readonly List<long> _places = [];
    private int _dropped;
    private long _base;

    public (long Sequence, int Offset) this[long index]
    {
        get
        {
            var place = _places[Slot(index)];
            return (place >> 31, (int)(place & int.MaxValue));
        }
    }

    public void Add(long index, long sequence, int offset)
    {
        if (Slot(index) != _places.Count)
            throw new Consensus.RaftInvariantException($"entry {index} gets a place out of order");
        _places.Add((sequence << 31) | (uint)offset);
    }

    public void Replace(long index, long sequence, int offset) => _places[Slot(index)] = (sequence << 31) | (uint)offset;

    public void TruncateFrom(long index)
    {
        var keep = Slot(index);
        _places.RemoveRange(keep, _places.Count - keep);
    }

    public void ResetTo(long index)
    {
        _places.Clear();
        _dropped = 0;
        _base = index;
    }

    public void DropTo(long index)
    {
        _dropped += (int)(index - _base);
        _base = index;
        if (_dropped * 2 < _places.Count)
            return;
        _places.RemoveRange(0, _dropped);
        _dropped = 0;
    }

    private int Slot(long index) => _dropped + (int)(index - _base - 1);
}
