using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Millrace.Coordination.Store;

/// <summary>Keys in bytewise order: sorted leaves of a few hundred ids each, in slabs, under one sorted list of leaves. Not thread-safe.</summary>
/// <remarks>A point look-up is two binary searches; a range is a walk through arrays. Moving the list of leaves at a split costs
/// 8 bytes for every few hundred keys, so a million keys cost 30 KB now and then.</remarks>
internal sealed class OrderedKeys
{
    private const int LeafSize = 512;
    private readonly List<Leaf> _leaves = [];
    private readonly Slabs _slabs;
    private readonly KeyVersions _keys;

    public OrderedKeys(Slabs slabs, KeyVersions keys)
    {
        _slabs = slabs;
        _keys = keys;
        _leaves.Add(NewLeaf());
    }

    public int Count { get; private set; }

    /// <summary>None when it is not there.</summary>
    public BlockId Find(ReadOnlySpan<byte> key)
    {
        var leaf = _leaves[LeafOf(key)];
        var at = IndexOf(leaf, key);
        return at >= 0 ? IdsOf(leaf)[at] : default;
    }

    /// <summary>Adds a key, which must be new.</summary>
    public void Add(BlockId id)
    {
        Count++;
        var key = _keys.KeyOf(id);
        var leaves = CollectionsMarshal.AsSpan(_leaves);
        ref var last = ref leaves[^1];
        if (last.Count == 0 || _keys.KeyOf(IdsOf(last)[last.Count - 1]).SequenceCompareTo(key) < 0)
        {
            // In order, as keys often come: leaves are filled.
            if (last.Count == LeafSize)
            {
                _leaves.Add(NewLeaf());
                last = ref CollectionsMarshal.AsSpan(_leaves)[^1];
            }
            IdsOf(last)[last.Count++] = id;
            return;
        }
        var number = LeafOf(key);
        if (_leaves[number].Count == LeafSize)
        {
            Split(number);
            number = LeafOf(key);
        }
        ref var leaf = ref CollectionsMarshal.AsSpan(_leaves)[number];
        var at = ~IndexOf(leaf, key);
        var ids = IdsOf(leaf);
        ids[at..leaf.Count].CopyTo(ids[(at + 1)..]);
        ids[at] = id;
        leaf.Count++;
    }

    public bool Remove(ReadOnlySpan<byte> key)
    {
        var number = LeafOf(key);
        ref var leaf = ref CollectionsMarshal.AsSpan(_leaves)[number];
        var at = IndexOf(leaf, key);
        if (at < 0)
            return false;
        Count--;
        var ids = IdsOf(leaf);
        ids[(at + 1)..leaf.Count].CopyTo(ids[at..]);
        leaf.Count--;
        if (leaf.Count == 0 && _leaves.Count > 1)
        {
            _slabs.Free(leaf.Ids);
            _leaves.RemoveAt(number);
        }
        return true;
    }

    /// <summary>Stands before the first key at or after this one. A change of the map ends all cursors.</summary>
    public Cursor Seek(ReadOnlySpan<byte> key)
    {
        var number = LeafOf(key);
        var at = IndexOf(_leaves[number], key);
        return new Cursor(this, number, (at >= 0 ? at : ~at) - 1);
    }

    private int LeafOf(ReadOnlySpan<byte> key)
    {
        var leaves = CollectionsMarshal.AsSpan(_leaves);
        var low = 0;
        var high = leaves.Length - 1;
        while (low < high)
        {
            var middle = (low + high + 1) / 2;
            if (_keys.KeyOf(IdsOf(leaves[middle])[0]).SequenceCompareTo(key) <= 0)
                low = middle;
            else
                high = middle - 1;
        }
        return low;
    }

    /// <summary>Where the key is, or the complement of where it belongs.</summary>
    private int IndexOf(Leaf leaf, ReadOnlySpan<byte> key)
    {
        var ids = IdsOf(leaf);
        var low = 0;
        var high = leaf.Count - 1;
        while (low <= high)
        {
            var middle = (low + high) / 2;
            var order = _keys.KeyOf(ids[middle]).SequenceCompareTo(key);
            if (order == 0)
                return middle;
            if (order < 0)
                low = middle + 1;
            else
                high = middle - 1;
        }
        return ~low;
    }

    private Span<BlockId> IdsOf(Leaf leaf) => MemoryMarshal.Cast<byte, BlockId>(_slabs[leaf.Ids]);

    private Leaf NewLeaf() => new() { Ids = _slabs.Allocate(LeafSize * Unsafe.SizeOf<BlockId>()) };

    private void Split(int number)
    {
        var right = NewLeaf();
        ref var left = ref CollectionsMarshal.AsSpan(_leaves)[number];
        // Keys often arrive in order, so the left half stays fuller.
        var keep = LeafSize * 3 / 4;
        right.Count = left.Count - keep;
        IdsOf(left)[keep..left.Count].CopyTo(IdsOf(right));
        left.Count = keep;
        _leaves.Insert(number + 1, right);
    }

    public struct Cursor(OrderedKeys map, int leaf, int at)
    {
        private int _leaf = leaf;
        private int _at = at;

        public readonly BlockId Key => map.IdsOf(map._leaves[_leaf])[_at];

        /// <summary>The same key has another id from now on.</summary>
        public readonly void Replace(BlockId id) => map.IdsOf(map._leaves[_leaf])[_at] = id;

        public bool MoveNext()
        {
            _at++;
            while (_at >= map._leaves[_leaf].Count)
            {
                if (_leaf + 1 >= map._leaves.Count)
                    return false;
                _leaf++;
                _at = 0;
            }
            return true;
        }
    }

    private struct Leaf
    {
        public BlockId Ids;
        public int Count;
    }
}
