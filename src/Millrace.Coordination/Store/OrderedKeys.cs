using Google.Protobuf;

namespace Millrace.Coordination.Store;

/// <summary>A map in bytewise order of keys: sorted leaves of a few hundred keys each, under one sorted list of leaves. Not thread-safe.</summary>
/// <remarks>A point look-up is two binary searches; a range is a walk through arrays. Moving the list of leaves at a split costs
/// 8 bytes for every few hundred keys, so a million keys cost 30 KB now and then.</remarks>
internal sealed class OrderedKeys<T>
    where T : class
{
    private const int LeafSize = 512;
    private readonly List<Leaf> _leaves = [new Leaf()];

    public int Count { get; private set; }

    public T? Find(ReadOnlySpan<byte> key)
    {
        var leaf = _leaves[LeafOf(key)];
        var at = leaf.IndexOf(key);
        return at >= 0 ? leaf.Values[at] : null;
    }

    /// <summary>Adds a value; the key must be new.</summary>
    public void Add(ByteString key, T value)
    {
        var number = LeafOf(key.Span);
        var leaf = _leaves[number];
        if (leaf.Count == LeafSize)
        {
            _leaves.Insert(number + 1, leaf.Split());
            number = LeafOf(key.Span);
            leaf = _leaves[number];
        }
        leaf.Insert(~leaf.IndexOf(key.Span), key, value);
        Count++;
    }

    public bool Remove(ReadOnlySpan<byte> key)
    {
        var number = LeafOf(key);
        var leaf = _leaves[number];
        var at = leaf.IndexOf(key);
        if (at < 0)
            return false;
        leaf.RemoveAt(at);
        if (leaf.Count == 0 && _leaves.Count > 1)
            _leaves.RemoveAt(number);
        Count--;
        return true;
    }

    /// <summary>Stands before the first key at or after this one. A change of the map ends all cursors.</summary>
    public Cursor Seek(ReadOnlySpan<byte> key)
    {
        var number = LeafOf(key);
        var at = _leaves[number].IndexOf(key);
        return new Cursor(this, number, (at >= 0 ? at : ~at) - 1);
    }

    private int LeafOf(ReadOnlySpan<byte> key)
    {
        var low = 0;
        var high = _leaves.Count - 1;
        while (low < high)
        {
            var middle = (low + high + 1) / 2;
            if (_leaves[middle].Keys[0].Span.SequenceCompareTo(key) <= 0)
                low = middle;
            else
                high = middle - 1;
        }
        return low;
    }

    public struct Cursor(OrderedKeys<T> map, int leaf, int at)
    {
        private int _leaf = leaf;
        private int _at = at;

        public readonly ByteString Key => map._leaves[_leaf].Keys[_at];

        public readonly T Value => map._leaves[_leaf].Values[_at];

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

    private sealed class Leaf
    {
        public ByteString[] Keys { get; } = new ByteString[LeafSize];

        public T[] Values { get; } = new T[LeafSize];

        public int Count { get; private set; }

        /// <summary>Where the key is, or the complement of where it belongs.</summary>
        public int IndexOf(ReadOnlySpan<byte> key)
        {
            var low = 0;
            var high = Count - 1;
            while (low <= high)
            {
                var middle = (low + high) / 2;
                var order = Keys[middle].Span.SequenceCompareTo(key);
                if (order == 0)
                    return middle;
                if (order < 0)
                    low = middle + 1;
                else
                    high = middle - 1;
            }
            return ~low;
        }

        public void Insert(int at, ByteString key, T value)
        {
            Array.Copy(Keys, at, Keys, at + 1, Count - at);
            Array.Copy(Values, at, Values, at + 1, Count - at);
            Keys[at] = key;
            Values[at] = value;
            Count++;
        }

        public void RemoveAt(int at)
        {
            Count--;
            Array.Copy(Keys, at + 1, Keys, at, Count - at);
            Array.Copy(Values, at + 1, Values, at, Count - at);
            Keys[Count] = null!;
            Values[Count] = null!;
        }

        public Leaf Split()
        {
            var right = new Leaf();
            // Keys often arrive in order, so the left half stays fuller.
            var keep = LeafSize * 3 / 4;
            right.Count = Count - keep;
            Array.Copy(Keys, keep, right.Keys, 0, right.Count);
            Array.Copy(Values, keep, right.Values, 0, right.Count);
            Array.Clear(Keys, keep, right.Count);
            Array.Clear(Values, keep, right.Count);
            Count = keep;
            return right;
        }
    }
}
