using System.Buffers;
using System.Buffers.Binary;
using System.Numerics;
using Millrace.Structures.Filters;

namespace Millrace.Streams.Checks.Unique;

/// <summary>
/// Moved keys as they lie in the state store: a generation's keys in blocks of some 256, by the first bits of the key, a block one value.
/// </summary>
/// <remarks>
/// A value for each key cost a third of a core at 1 M keys a minute in RocksDB's skip list, flushes and compactions (docs/design/throughput.md).
/// A look-up reads 6 KB, but the filter before it sends only one stranger in 500 here.
/// </remarks>
internal sealed class KeyBlocks
{
    private const int KeysPerBlock = 256;
    private const int PartBits = 6;

    private readonly ArrayBufferWriter<byte> _block = new();
    private KeyTable.Entry[] _sorted = [];

    /// <summary>The first bits of a key that number its block: at least those of a table's part, so that no block spans two.</summary>
    /// <param name="filter">The generation's, which has two bytes for each of its keys.</param>
    public static int BitsOf(BloomFilter filter) =>
        PartBits + BitOperations.Log2((uint)Math.Clamp(filter.Bytes / 2 / KeysPerBlock >> PartBits, 1, 1 << 24));

    public static long NumberOf(in RowKey key, int bits) => (long)(key.First >> (64 - bits));

    /// <summary>A part's entries in the order of their keys. Valid until the next call.</summary>
    public ReadOnlySpan<KeyTable.Entry> Sort(ReadOnlySpan<KeyTable.Entry> part)
    {
        if (_sorted.Length < part.Length)
            _sorted = new KeyTable.Entry[part.Length];
        var count = 0;
        foreach (ref readonly var entry in part)
        {
            if (entry.Key != default)
                _sorted[count++] = entry;
        }
        var sorted = _sorted.AsSpan(0, count);
        sorted.Sort(default(ByKey));
        return sorted;
    }

    /// <summary>The value of one block: all entries from <paramref name="from"/> on that belong in it. Valid until the next call.</summary>
    public ReadOnlySpan<byte> Encode(ReadOnlySpan<KeyTable.Entry> sorted, ref int from, long number, int bits)
    {
        _block.ResetWrittenCount();
        for (; from < sorted.Length && NumberOf(sorted[from].Key, bits) == number; from++)
        {
            var bytes = _block.GetSpan(Generation.EntryBytes);
            sorted[from].Key.Write(bytes);
            BinaryPrimitives.WriteInt64BigEndian(bytes[RowKey.Bytes..], sorted[from].Micros);
            _block.Advance(Generation.EntryBytes);
        }
        return _block.WrittenSpan;
    }

    public static bool TryFind(ReadOnlySpan<byte> block, in RowKey key, out long micros)
    {
        var (low, high) = (0, block.Length / Generation.EntryBytes - 1);
        while (low <= high)
        {
            var middle = (low + high) / 2;
            var entry = block.Slice(middle * Generation.EntryBytes, Generation.EntryBytes);
            var order = ByKey.Compare(RowKey.Read(entry), key);
            if (order == 0)
            {
                micros = BinaryPrimitives.ReadInt64BigEndian(entry[RowKey.Bytes..]);
                return true;
            }
            if (order < 0)
                low = middle + 1;
            else
                high = middle - 1;
        }
        micros = 0;
        return false;
    }

    private readonly struct ByKey : IComparer<KeyTable.Entry>
    {
        public int Compare(KeyTable.Entry x, KeyTable.Entry y) => Compare(x.Key, y.Key);

        public static int Compare(in RowKey x, in RowKey y) =>
            x.First != y.First ? x.First.CompareTo(y.First) : x.Second.CompareTo(y.Second);
    }
}
