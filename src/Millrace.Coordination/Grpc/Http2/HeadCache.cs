namespace Millrace.Coordination.Grpc.Http2;

/// <summary>
/// The last heads of a connection. A client's calls of one method are the same few bytes again and again once its table has all names, so
/// most heads are found here by comparing a dozen bytes.
/// </summary>
internal sealed class HeadCache
{
    private const int MaxBlockBytes = 64;
    private readonly (byte[] Block, RequestHead Head)[] _slots = new (byte[], RequestHead)[4];
    private int _count;
    private int _next;
    private int _generation = -1;

    public RequestHead? Find(ReadOnlySpan<byte> block, int generation)
    {
        if (generation != _generation)
            return null;
        for (var i = 0; i < _count; i++)
        {
            if (block.SequenceEqual(_slots[i].Block))
                return _slots[i].Head;
        }
        return null;
    }

    /// <summary>A block that did not change the table of this generation.</summary>
    public void Add(ReadOnlySpan<byte> block, int generation, RequestHead head)
    {
        if (block.Length > MaxBlockBytes)
            return;
        if (generation != _generation)
            (_count, _next, _generation) = (0, 0, generation);
        _slots[_next] = (block.ToArray(), head);
        _next = (_next + 1) % _slots.Length;
        _count = Math.Max(_count, _next == 0 ? _slots.Length : _next);
    }
}
