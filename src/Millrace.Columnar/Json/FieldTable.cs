using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Text;

namespace Millrace.Columnar.Json;

/// <summary>Columns by name, in UTF-8. The guess of which comes next costs one vector comparison.</summary>
internal sealed unsafe class FieldTable : IDisposable
{
    // A name and its closing quote that fit one vector are compared at once; others are looked up.
    private const int Width = 32;

    private readonly byte[][] _names;
    private readonly int[] _slots;
    private Guess* _guesses;

    public FieldTable(Schema schema)
    {
        _names = new byte[schema.Count][];
        _guesses = (Guess*)NativeMemory.AllocZeroed((nuint)Math.Max(1, schema.Count), (nuint)sizeof(Guess));
        _slots = new int[(int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Max(4, schema.Count * 4))];
        _slots.AsSpan().Fill(-1);
        for (var i = 0; i < _names.Length; i++)
        {
            var name = _names[i] = Encoding.UTF8.GetBytes(schema[i].Name);
            _guesses[i].Length = name.Length + 1;
            Prepare(name, new Span<byte>(_guesses[i].Pattern, Width), new Span<byte>(_guesses[i].Mask, Width));
            var slot = Slot(name);
            while (_slots[slot] >= 0)
                slot = (slot + 1) & (_slots.Length - 1);
            _slots[slot] = i;
        }
    }

    ~FieldTable() => Dispose();

    /// <summary>Bytes of the column's name and closing quote when they stand at <paramref name="p"/>; 0 when not, or when a look-up must tell.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Match(int column, byte* p)
    {
        var guess = _guesses + column;
        return (Vector256.Load(p) & Vector256.Load(guess->Mask)) == Vector256.Load(guess->Pattern) ? guess->Length : 0;
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
        NativeMemory.Free(_guesses);
        _guesses = null;
        GC.SuppressFinalize(this);
    }

    private static void Prepare(ReadOnlySpan<byte> name, Span<byte> pattern, Span<byte> mask)
    {
        // Names with quotes, backslashes and control characters are written escaped. A pattern outside its mask never matches.
        if (name.Length >= Width || name.ContainsAny((byte)'"', (byte)'\\') || name.ContainsAnyInRange((byte)0, (byte)0x1F))
        {
            pattern.Fill(0xFF);
            return;
        }
        name.CopyTo(pattern);
        pattern[name.Length] = (byte)'"';
        mask[..(name.Length + 1)].Fill(0xFF);
    }

    private int Slot(ReadOnlySpan<byte> name)
    {
        var hash = (uint)name.Length;
        foreach (var b in name)
            hash = (hash ^ b) * 0x01000193;
        return (int)((hash ^ (hash >> 15)) & (uint)(_slots.Length - 1));
    }

    private struct Guess
    {
        public fixed byte Pattern[Width];
        public fixed byte Mask[Width];
        public int Length;
    }
}
