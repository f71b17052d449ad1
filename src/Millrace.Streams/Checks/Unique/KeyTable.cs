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
