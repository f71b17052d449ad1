using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Millrace.Coordination.Store;

/// <summary>The changes of each revision since the last compaction, for watches that look back.</summary>
/// <remarks>
/// Four bytes a revision: the id of its change, which most have alone, or one with the highest bit set, of a block with their number and ids.
/// </remarks>
internal sealed class RevisionHistory(Slabs slabs)
{
    private const int PageSize = 4096;
    private const uint Several = 1u << 31;
    private readonly List<uint[]> _pages = [];
    private long _first = 2;
    private int _skipped;
    private int _count;

    /// <summary>The first revision to be added is the one after this.</summary>
    public void Begin(long revision) => _first = revision + 1;

    public void Add(ReadOnlySpan<BlockId> changes)
    {
        var at = _skipped + _count++;
        if (at == _pages.Count * PageSize)
            _pages.Add(new uint[PageSize]);
        _pages[at / PageSize][at % PageSize] = changes.Length switch
        {
            0 => 0,
            1 => changes[0].Value,
            _ => Keep(changes),
        };
    }

    /// <summary>Adds the changes of a revision to a list.</summary>
    public void Get(long revision, List<BlockId> into)
    {
        var at = revision - _first;
        if (at < 0 || at >= _count)
            return;
        var only = At((int)at);
        if ((only & Several) != 0)
        {
            var block = MemoryMarshal.Cast<byte, uint>(slabs[new BlockId(only & ~Several)]);
            for (var i = 1; i <= block[0]; i++)
                into.Add(new BlockId(block[i]));
        }
        else if (only != 0)
        {
            into.Add(new BlockId(only));
        }
    }

    /// <summary>A change lies elsewhere from now on.</summary>
    public void Replace(long revision, BlockId old, BlockId by)
    {
        var at = revision - _first;
        if (at < 0 || at >= _count)
            return;
        at += _skipped;
        ref var entry = ref _pages[(int)(at / PageSize)][at % PageSize];
        if ((entry & Several) == 0)
        {
            entry = entry == old.Value ? by.Value : entry;
            return;
        }
        var block = MemoryMarshal.Cast<byte, uint>(slabs[new BlockId(entry & ~Several)]);
        block.Slice(1, (int)block[0]).Replace(old.Value, by.Value);
    }

    public void DropBefore(long revision)
    {
        var count = (int)Math.Clamp(revision - _first, 0, _count);
        for (var i = 0; i < count; i++)
        {
            if (At(i) is var only && (only & Several) != 0)
                slabs.Free(new BlockId(only & ~Several));
        }
        _first += count;
        _count -= count;
        _skipped += count;
        var pages = _skipped / PageSize;
        _pages.RemoveRange(0, pages);
        _skipped -= pages * PageSize;
    }

    private uint At(int place) => _pages[(_skipped + place) / PageSize][(_skipped + place) % PageSize];

    private uint Keep(ReadOnlySpan<BlockId> changes)
    {
        var id = slabs.Allocate((changes.Length + 1) * Unsafe.SizeOf<BlockId>());
        var block = MemoryMarshal.Cast<byte, uint>(slabs[id]);
        block[0] = (uint)changes.Length;
        MemoryMarshal.Cast<BlockId, uint>(changes).CopyTo(block[1..]);
        return id.Value | Several;
    }
}
