using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Millrace.Streams.Windows;

/// <summary>
/// The groups of one window: an open-addressing hash table from encoded key to a row of accumulators. Entries are never removed;
/// the window goes as a whole. Remembers which entries changed since the last checkpoint. Not thread-safe.
/// </summary>
internal sealed class GroupTable
{
    private readonly int _rowWidth;
    private readonly int _variableCount;
    private int[] _buckets = new int[64];
    private Entry[] _entries = new Entry[32];
    private byte[] _keys = new byte[1024];
    private byte[] _rows;
    private byte[]?[] _variables;
    private int _keyBytes;
    private int[] _changed = new int[32];

    public GroupTable(PartialLayout layout)
    {
        _rowWidth = layout.RowWidth;
        _variableCount = layout.VariableCount;
        _rows = new byte[_entries.Length * _rowWidth];
        _variables = new byte[]?[_entries.Length * _variableCount];
    }

    /// <summary>Groups.</summary>
    public int Count { get; private set; }

    /// <summary>Entries that changed since <see cref="ClearChanged"/>.</summary>
    public ReadOnlySpan<int> Changed => _changed.AsSpan(0, ChangedCount);

    public int ChangedCount { get; private set; }

    /// <summary>Some entry has been handed to a checkpoint: the store may hold rows of this window.</summary>
    public bool Persisted { get; set; }

    /// <summary>Bytes that the table holds, without variable values.</summary>
    public long ByteLength => _keys.Length + _rows.Length + (_buckets.Length * 4L) + (_entries.Length * (long)Marshal.SizeOf<Entry>());

    /// <summary>The entry of a key, made with an empty row when new.</summary>
    public int FindOrAdd(ReadOnlySpan<byte> key)
    {
        var hash = HashOf(key);
        var mask = _buckets.Length - 1;
        var bucket = (int)hash & mask;
        while (_buckets[bucket] != 0)
        {
            var candidate = _buckets[bucket] - 1;
            ref readonly var entry = ref _entries[candidate];
            if (entry.Hash == hash && _keys.AsSpan(entry.KeyOffset, entry.KeyLength).SequenceEqual(key))
                return candidate;
            bucket = (bucket + 1) & mask;
        }
        return Add(key, hash);
    }

    /// <summary>Marks an entry as changed since the last checkpoint.</summary>
    public void MarkChanged(int entry)
    {
        if (_entries[entry].Changed)
            return;
        _entries[entry].Changed = true;
        if (ChangedCount == _changed.Length)
            Array.Resize(ref _changed, _changed.Length * 2);
        _changed[ChangedCount++] = entry;
    }

    public void ClearChanged()
    {
        foreach (var entry in Changed)
            _entries[entry].Changed = false;
        ChangedCount = 0;
    }

    public ReadOnlySpan<byte> KeyOf(int entry) => _keys.AsSpan(_entries[entry].KeyOffset, _entries[entry].KeyLength);

    /// <summary>The fixed part of an entry's row. Valid until the next <see cref="FindOrAdd"/>.</summary>
    public Span<byte> RowOf(int entry) => _rows.AsSpan(entry * _rowWidth, _rowWidth);

    /// <summary>An entry's variable value, or null when absent.</summary>
    public ref byte[]? VariableOf(int entry, int variable) => ref _variables[(entry * _variableCount) + variable];

    /// <summary>Bytes of an entry as <see cref="EncodeRow"/> writes it.</summary>
    public int EncodedLength(int entry)
    {
        var length = _rowWidth;
        for (var i = 0; i < _variableCount; i++)
            length += 4 + (VariableOf(entry, i)?.Length ?? 0);
        return length;
    }

    /// <summary>The row as it goes into the store: the fixed part, then each variable value behind its length (-1: absent).</summary>
    public void EncodeRow(int entry, Span<byte> destination)
    {
        RowOf(entry).CopyTo(destination);
        var at = _rowWidth;
        for (var i = 0; i < _variableCount; i++)
        {
            var value = VariableOf(entry, i);
            BinaryPrimitives.WriteInt32LittleEndian(destination[at..], value?.Length ?? -1);
            at += 4;
            value?.CopyTo(destination[at..]);
            at += value?.Length ?? 0;
        }
    }

    /// <summary>Puts back a row from the store.</summary>
    /// <exception cref="InvalidDataException">The bytes are not a row of this layout.</exception>
    public void Restore(ReadOnlySpan<byte> key, ReadOnlySpan<byte> encoded)
    {
        if (encoded.Length < _rowWidth)
            throw new InvalidDataException($"a window row has {encoded.Length} bytes, its layout {_rowWidth}");
        var entry = FindOrAdd(key);
        encoded[.._rowWidth].CopyTo(RowOf(entry));
        encoded = encoded[_rowWidth..];
        for (var i = 0; i < _variableCount; i++)
        {
            var length = encoded.Length >= 4 ? BinaryPrimitives.ReadInt32LittleEndian(encoded) : int.MaxValue;
            if (length < -1 || length > encoded.Length - 4)
                throw new InvalidDataException("a window row ends inside a value");
            VariableOf(entry, i) = length < 0 ? null : encoded.Slice(4, length).ToArray();
            encoded = encoded[(4 + Math.Max(0, length))..];
        }
        if (encoded.Length != 0)
            throw new InvalidDataException($"a window row has {encoded.Length} bytes too many");
        Persisted = true;
    }

    private static uint HashOf(ReadOnlySpan<byte> key)
    {
        var hash = default(HashCode);
        hash.AddBytes(key);
        return (uint)hash.ToHashCode();
    }

    private int Add(ReadOnlySpan<byte> key, uint hash)
    {
        if (Count == _entries.Length)
            Grow();
        if (_keyBytes + key.Length > _keys.Length)
            Array.Resize(ref _keys, checked((int)Math.Min(Array.MaxLength, Math.Max(_keys.Length * 2L, _keyBytes + (long)key.Length))));
        key.CopyTo(_keys.AsSpan(_keyBytes));
        var index = Count++;
        _entries[index] = new Entry { Hash = hash, KeyOffset = _keyBytes, KeyLength = key.Length };
        _keyBytes += key.Length;
        Insert(index, hash);
        return index;
    }

    private void Grow()
    {
        var size = _entries.Length * 2;
        Array.Resize(ref _entries, size);
        Array.Resize(ref _rows, checked(size * _rowWidth));
        Array.Resize(ref _variables, size * _variableCount);
        // Load stays at or under one half.
        _buckets = new int[size * 2];
        for (var i = 0; i < Count; i++)
            Insert(i, _entries[i].Hash);
    }

    private void Insert(int index, uint hash)
    {
        var mask = _buckets.Length - 1;
        var bucket = (int)hash & mask;
        while (_buckets[bucket] != 0)
            bucket = (bucket + 1) & mask;
        _buckets[bucket] = index + 1;
    }

    private struct Entry
    {
        public uint Hash;
        public int KeyOffset;
        public int KeyLength;
        public bool Changed;
    }
}
