using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Millrace.Streams.Checks.Unique;

/// <summary>
/// Keys and their event times by open addressing, 24 bytes a slot and at most three in four taken. Cut into parts that grow one after
/// another: each at another fill between a half and three quarters, so that no batch meets many that grow.
/// </summary>
internal sealed class KeyTable
{
    public const int Parts = 64;

    private const int FirstSlots = 16;

    private readonly Entry[][] _parts = new Entry[Parts][];
    private readonly int[] _counts = new int[Parts];

    public long Count { get; private set; }

    /// <summary>Bytes held.</summary>
    public long Bytes { get; private set; }

    /// <summary>A table of entries as <see cref="Generation"/> logs them; of a key that stands there twice the later time counts.</summary>
    // Called once a start with millions of entries, long before the compiler would come back to it: compiled whole at once
    // (4.9 M keys took 3 s of processor time in first-tier code, bench restart).
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static KeyTable Of(ReadOnlySpan<byte> entries)
    {
        var table = new KeyTable();
        var counts = new int[Parts];
        for (var at = 0; at < entries.Length; at += Generation.EntryBytes)
            counts[entries[at] >> 2]++;
        for (var part = 0; part < Parts; part++)
        {
            var slots = FirstSlots;
            while (counts[part] * (4L * Parts) > slots * (2L * Parts + part))
                slots *= 2;
            if (counts[part] > 0)
                table._parts[part] = table.Allocate(slots);
        }
        for (var at = 0; at < entries.Length; at += Generation.EntryBytes)
        {
            var first = BinaryPrimitives.ReadUInt64BigEndian(entries[at..]);
            var second = BinaryPrimitives.ReadUInt64BigEndian(entries[(at + 8)..]);
            var part = (int)(first >> 58);
            var slots = table._parts[part];
            var mask = slots.Length - 1;
            var slot = (int)second & mask;
            while (slots[slot].Key.First != first || slots[slot].Key.Second != second)
            {
                if (slots[slot].Key.First == 0 && slots[slot].Key.Second == 0)
                {
                    slots[slot].Key = new RowKey(first, second);
                    table._counts[part]++;
                    table.Count++;
                    break;
                }
                slot = (slot + 1) & mask;
            }
            slots[slot].Micros = BinaryPrimitives.ReadInt64BigEndian(entries[(at + RowKey.Bytes)..]);
        }
        return table;
    }

    public bool TryGet(in RowKey key, out long micros)
    {
        micros = 0;
        if (_parts[PartOf(key)] is not { } slots)
            return false;
        ref var entry = ref Find(slots, key);
        micros = entry.Micros;
        return entry.Key != default;
    }

    /// <summary>Adds a key, or gives it another time.</summary>
    public void Set(in RowKey key, long micros)
    {
        var part = PartOf(key);
        var slots = _parts[part] ??= Allocate(FirstSlots);
        ref var entry = ref Find(slots, key);
        if (entry.Key == default)
        {
            if ((_counts[part] + 1) * (4L * Parts) > slots.Length * (2L * Parts + part))
            {
                slots = Grow(part);
                entry = ref Find(slots, key);
            }
            entry.Key = key;
            _counts[part]++;
            Count++;
        }
        entry.Micros = micros;
    }

    /// <summary>The slots of one part; free ones have a key of zeros.</summary>
    public ReadOnlySpan<Entry> Part(int part) => _parts[part];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int PartOf(in RowKey key) => (int)(key.First >> 58);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ref Entry Find(Entry[] slots, in RowKey key)
    {
        var mask = slots.Length - 1;
        for (var slot = (int)key.Second & mask; ; slot = (slot + 1) & mask)
        {
            ref var entry = ref slots[slot];
            if (entry.Key == key || entry.Key == default)
                return ref entry;
        }
    }

    private Entry[] Allocate(int slots)
    {
        Bytes += slots * 24L;
        return new Entry[slots];
    }

    private Entry[] Grow(int part)
    {
        var old = _parts[part];
        var grown = Allocate(old.Length * 2);
        foreach (ref readonly var entry in old.AsSpan())
        {
            if (entry.Key != default)
                Find(grown, entry.Key) = entry;
        }
        Bytes -= old.Length * 24L;
        return _parts[part] = grown;
    }

    internal struct Entry
    {
        public RowKey Key;
        public long Micros;
    }
}
