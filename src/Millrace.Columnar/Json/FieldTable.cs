using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Text;

namespace Millrace.Columnar.Json;

/// <summary>Columns by name, in UTF-8. The guess of which comes next costs one vector comparison.</summary>
internal sealed unsafe class FieldTable : IDisposable
{
    // A name and its closing quote that fit one vector are compared at once; longer ones byte by byte.
    private const int Width = 32;

    private readonly byte[][] _names;
    private readonly bool[] _plain;
    private readonly int[] _slots;
    private readonly byte* _patterns;

    public FieldTable(Schema schema)
    {
        _names = new byte[schema.Count][];
        _plain = new bool[schema.Count];
        _patterns = (byte*)NativeMemory.AllocZeroed((nuint)Math.Max(1, schema.Count) * Width * 2);
        _slots = new int[(int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Max(4, schema.Count * 4))];
        _slots.AsSpan().Fill(-1);
        for (var i = 0; i < _names.Length; i++)
        {
            var name = _names[i] = Encoding.UTF8.GetBytes(schema[i].Name);
            _plain[i] = !name.AsSpan().ContainsAny((byte)'"', (byte)'\\') && !name.AsSpan().ContainsAnyInRange((byte)0, (byte)0x1F);
            LongestName = Math.Max(LongestName, name.Length);
            if (name.Length < Width)
            {
                var pattern = new Span<byte>(_patterns + (i * Width * 2), Width * 2);
                name.CopyTo(pattern);
                pattern[name.Length] = (byte)'"';
                pattern.Slice(Width, name.Length + 1).Fill(0xFF);
            }
            var slot = Slot(name);
            while (_slots[slot] >= 0)
                slot = (slot + 1) & (_slots.Length - 1);
            _slots[slot] = i;
        }
    }

    ~FieldTable() => Dispose();

    /// <summary>Bytes that <see cref="Matches"/> may read.</summary>
    public int LongestName { get; }

    public int NameLength(int column) => _names[column].Length;

    /// <summary>True when the column's name and a quote stand at <paramref name="p"/>.</summary>
    public bool Matches(int column, byte* p)
    {
        var name = _names[column];
        // Names with quotes or backslashes are written escaped; the look-up finds them.
        if (!_plain[column])
            return false;
        if (name.Length >= Width)
            return new ReadOnlySpan<byte>(p, name.Length).SequenceEqual(name) && p[name.Length] == '"';
        var pattern = _patterns + (column * Width * 2);
        return (Vector256.Load(p) & Vector256.Load(pattern + Width)) == Vector256.Load(pattern);
    }

    /// <summary>The column of that name, or -1.</summary>
    public int Find(ReadOnlySpan<byte> name)
    {
        for (var slot = Slot(name); _slots[slot] >= 0; slot = (slot + 1) & (_slots.Length - 1))
        {
            if (name.SequenceEqual(_names[_slots[slot]]))
                return _slots[slot];
        }
        return -1;
    }

    public void Dispose()
    {
        NativeMemory.Free(_patterns);
        GC.SuppressFinalize(this);
    }

    private int Slot(ReadOnlySpan<byte> name)
    {
        var hash = (uint)name.Length;
        foreach (var b in name)
            hash = (hash ^ b) * 0x01000193;
        return (int)((hash ^ (hash >> 15)) & (uint)(_slots.Length - 1));
    }
}
