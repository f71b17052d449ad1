using System.Numerics;
using System.Runtime.CompilerServices;

namespace Millrace.Structures.Filters;

/// <summary>
/// A Bloom filter from which items can be taken again (L. Fan et al., Summary Cache, 2000): it may say yes to what was never added, and
/// never says no to what was added and not removed. All counters of an item lie in one cache line (F. Putze et al., Cache-, Hash- and
/// Space-Efficient Bloom Filters, 2007), so a look-up costs one miss.
/// </summary>
/// <remarks>
/// 4-bit counters. One that reaches 15 stays there, because it has lost count: the filter then says yes more often, never no wrongly.
/// Remove only what was added. At the expected number of items about 1 in 100 strangers is let pass. Not thread-safe.
/// </remarks>
public sealed class CountingBloomFilter
{
    // 8 words of 16 counters: a cache line.
    private const int WordsPerBlock = 8;
    private const int CountersPerItem = 12;
    private const int Probes = 6;

    private readonly ulong[] _counters;
    private readonly ulong _blocks;

    /// <param name="expectedItems">Items that it is to hold at once; 6 bytes each.</param>
    public CountingBloomFilter(long expectedItems)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(expectedItems);
        ExpectedItems = expectedItems;
        _blocks = (ulong)Math.Max(1, expectedItems * CountersPerItem / (WordsPerBlock * 16) + 1);
        _counters = GC.AllocateArray<ulong>((int)(_blocks * WordsPerBlock), pinned: false);
    }

    public long ExpectedItems { get; }

    /// <summary>Items added and not removed.</summary>
    public long Count { get; private set; }

    public long Bytes => _counters.LongLength * sizeof(ulong);

    /// <param name="hash">64 well-mixed bits of the item that choose its cache line.</param>
    /// <param name="probes">64 more that choose the counters in it.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(ulong hash, ulong probes)
    {
        var block = Block(hash);
        for (var i = 0; i < Probes; i++, probes >>= 7)
        {
            ref var word = ref _counters[block + (int)((probes >> 4) & 7)];
            var shift = (int)(probes & 15) * 4;
            if (((word >> shift) & 15) != 15)
                word += 1UL << shift;
        }
        Count++;
    }

    /// <summary>Takes back one <see cref="Add"/> of the same bits.</summary>
    public void Remove(ulong hash, ulong probes)
    {
        var block = Block(hash);
        for (var i = 0; i < Probes; i++, probes >>= 7)
        {
            ref var word = ref _counters[block + (int)((probes >> 4) & 7)];
            var shift = (int)(probes & 15) * 4;
            if (((word >> shift) & 15) is not (0 or 15))
                word -= 1UL << shift;
        }
        Count--;
    }

    /// <summary>False only when the item is certainly absent.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool MayContain(ulong hash, ulong probes)
    {
        var block = Block(hash);
        for (var i = 0; i < Probes; i++, probes >>= 7)
        {
            if (((_counters[block + (int)((probes >> 4) & 7)] >> ((int)(probes & 15) * 4)) & 15) == 0)
                return false;
        }
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int Block(ulong hash) => (int)Math.BigMul(hash, _blocks, out _) * WordsPerBlock;
}
