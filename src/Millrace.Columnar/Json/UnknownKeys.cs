using System.Numerics;

namespace Millrace.Columnar.Json;

/// <summary>The keys of one record that are no columns, to find those that stand twice. Its room is reused.</summary>
internal sealed unsafe class UnknownKeys
{
    // Few keys are compared one by one; more go through a table of slots.
    private const int FewKeys = 16;

    private Entry[] _entries = new Entry[FewKeys];
    private int[] _slots = [];

    /// <summary>Adds the <paramref name="count"/>-th key of a record (0 begins a record); false when it was there.</summary>
    public bool Add(byte* start, byte* end, int count)
    {
        var name = new ReadOnlySpan<byte>(start, (int)(end - start));
        // Escapes make one name of several spellings.
        byte[]? unescaped = null;
        if (name.Contains((byte)'\\'))
        {
            unescaped = new byte[name.Length];
            fixed (byte* target = unescaped)
                Array.Resize(ref unescaped, JsonScan.Unescape(start, end, target));
            name = unescaped;
        }
        var entry = new Entry { Start = start, Length = name.Length, Unescaped = unescaped, Hash = Hash(name) };
        if (count < FewKeys)
        {
            for (var i = 0; i < count; i++)
            {
                if (_entries[i].Hash == entry.Hash && _entries[i].Name.SequenceEqual(name))
                    return false;
            }
            _entries[count] = entry;
            return true;
        }
        return AddToTable(entry, name, count);
    }

    private bool AddToTable(in Entry entry, ReadOnlySpan<byte> name, int count)
    {
        if (count == _entries.Length)
            Array.Resize(ref _entries, count * 2);
        if (count == FewKeys || count * 2 > _slots.Length)
            Rebuild(count);
        _entries[count] = entry;
        for (var slot = (int)(entry.Hash & (uint)(_slots.Length - 1)); ; slot = (slot + 1) & (_slots.Length - 1))
        {
            if (_slots[slot] == 0)
            {
                _slots[slot] = count + 1;
                return true;
            }
            ref var other = ref _entries[_slots[slot] - 1];
            if (other.Hash == entry.Hash && other.Name.SequenceEqual(name))
                return false;
        }
    }

    private void Rebuild(int count)
    {
        var size = (int)BitOperations.RoundUpToPowerOf2((uint)(count * 4));
        if (_slots.Length < size)
            _slots = new int[size];
        else
            Array.Clear(_slots);
        for (var i = 0; i < count; i++)
        {
            var slot = (int)(_entries[i].Hash & (uint)(_slots.Length - 1));
            while (_slots[slot] != 0)
                slot = (slot + 1) & (_slots.Length - 1);
            _slots[slot] = i + 1;
        }
    }

    // Seeded, so that nobody can prepare keys that all fall into one slot.
    private static uint Hash(ReadOnlySpan<byte> name)
    {
        var hash = default(HashCode);
        hash.AddBytes(name);
        return (uint)hash.ToHashCode();
    }

    private struct Entry
    {
        public byte* Start;
        public int Length;
        public uint Hash;
        public byte[]? Unescaped;

        public readonly ReadOnlySpan<byte> Name => Unescaped ?? new ReadOnlySpan<byte>(Start, Length);
    }
}
