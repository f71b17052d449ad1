using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Millrace.Columnar;

/// <summary>
/// Grows one flat column row by row in native memory. Reusable: <see cref="Build"/> hands the buffers over and starts anew with
/// room for as much again. Not thread-safe.
/// </summary>
public sealed unsafe class ColumnBuilder : IDisposable
{
    private readonly int _width;
    private ColumnBuffer _values;
    private ColumnBuffer? _offsets;
    private ColumnBuffer _validity;
    private int _capacity;
    private int _length;
    private int _nullCount;
    private int _bytes;
    private long _byteCapacity;

    /// <exception cref="NotSupportedException">The type is nested.</exception>
    public ColumnBuilder(DataType type, int capacity = 1024)
    {
        if (type.Kind is TypeKind.List or TypeKind.Struct or TypeKind.Map or TypeKind.Null)
            throw new NotSupportedException($"a builder cannot hold {type}");
        Type = type;
        _width = type.Width;
        _capacity = Math.Max(64, capacity);
        _byteCapacity = _capacity * 16L;
        (_values, _offsets, _validity) = Allocate();
    }

    public DataType Type { get; }

    /// <summary>Rows appended since the last <see cref="Build"/>.</summary>
    public int Length => _length;

    /// <summary>Bytes of variable-length values appended since the last <see cref="Build"/>.</summary>
    public int ByteLength => _bytes;

    /// <summary>Appends a fixed-width value; <typeparamref name="T"/> must have the type's width.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Append<T>(T value)
        where T : unmanaged
    {
        if (sizeof(T) != _width)
            ThrowWidth(sizeof(T));
        if (_length == _capacity)
            Grow();
        ((T*)_values.Pointer)[_length] = value;
        _validity.Pointer[_length >> 3] |= (byte)(1 << (_length & 7));
        _length++;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void AppendBoolean(bool value)
    {
        if (_length == _capacity)
            Grow();
        if (value)
            _values.Pointer[_length >> 3] |= (byte)(1 << (_length & 7));
        _validity.Pointer[_length >> 3] |= (byte)(1 << (_length & 7));
        _length++;
    }

    /// <summary>Appends UTF-8 or binary bytes, copied.</summary>
    public void AppendBytes(ReadOnlySpan<byte> value)
    {
        value.CopyTo(ReserveBytes(value.Length));
        CommitBytes(value.Length);
    }

    /// <summary>Room for a variable-length value of at most <paramref name="most"/> bytes; follow with <see cref="CommitBytes"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Span<byte> ReserveBytes(int most)
    {
        if ((long)_bytes + most > _values.Length)
            GrowBytes(most);
        return new Span<byte>(_values.Pointer + _bytes, most);
    }

    /// <summary>Ends the value begun by <see cref="ReserveBytes"/> with its true length.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void CommitBytes(int length)
    {
        if (_length == _capacity)
            Grow();
        _bytes += length;
        ((int*)_offsets!.Pointer)[_length + 1] = _bytes;
        _validity.Pointer[_length >> 3] |= (byte)(1 << (_length & 7));
        _length++;
    }

    public void AppendNull()
    {
        if (_length == _capacity)
            Grow();
        if (_offsets is not null)
            ((int*)_offsets.Pointer)[_length + 1] = _bytes;
        else if (_width > 0)
            NativeMemory.Clear(_values.Pointer + ((long)_length * _width), (nuint)_width);
        _length++;
        _nullCount++;
    }

    /// <summary>Takes back the newest rows, so that <paramref name="length"/> rows remain: a record that failed half way leaves nothing.</summary>
    public void Truncate(int length)
    {
        if (length > _length)
            throw new ArgumentOutOfRangeException(nameof(length));
        for (var row = length; row < _length; row++)
        {
            ref var validity = ref _validity.Pointer[row >> 3];
            var mask = (byte)(1 << (row & 7));
            if ((validity & mask) == 0)
                _nullCount--;
            validity &= (byte)~mask;
            if (Type.Kind == TypeKind.Boolean)
                _values.Pointer[row >> 3] &= (byte)~mask;
        }
        _length = length;
        if (_offsets is not null)
            _bytes = ((int*)_offsets.Pointer)[length];
    }

    /// <summary>The appended rows as a column that the caller owns; the builder is empty afterwards.</summary>
    public Column Build()
    {
        var column = new Column(Type, _length, _nullCount, _validity, _offsets, _values);
        // The next batch is probably like this one; after a large one the room shrinks again by halves.
        _capacity = Math.Max(Math.Max(64, _capacity / 2), (int)Math.Min(int.MaxValue / 2, _length * 5L / 4));
        _byteCapacity = Math.Max(Math.Max(_capacity, _byteCapacity / 2), Math.Min(int.MaxValue, _bytes * 5L / 4));
        _length = _nullCount = _bytes = 0;
        (_values, _offsets, _validity) = Allocate();
        return column;
    }

    public void Dispose()
    {
        _values.Dispose();
        _offsets?.Dispose();
        _validity.Dispose();
    }

    private (ColumnBuffer Values, ColumnBuffer? Offsets, ColumnBuffer Validity) Allocate()
    {
        var values = Type.Kind == TypeKind.Boolean
            ? ColumnBuffer.Allocate(_capacity / 8 + 1, zeroed: true)
            : ColumnBuffer.Allocate(Type.IsVariable ? _byteCapacity : (long)_capacity * _width);
        ColumnBuffer? offsets = null;
        if (Type.IsVariable)
        {
            offsets = ColumnBuffer.Allocate((_capacity + 1L) * sizeof(int));
            *(int*)offsets.Pointer = 0;
        }
        return (values, offsets, ColumnBuffer.Allocate(_capacity / 8 + 1, zeroed: true));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Grow()
    {
        var old = _capacity;
        _capacity = checked(_capacity * 2);
        _validity = Enlarge(_validity, old / 8 + 1, _capacity / 8 + 1, zeroed: true);
        if (_offsets is not null)
            _offsets = Enlarge(_offsets, (old + 1L) * sizeof(int), (_capacity + 1L) * sizeof(int));
        else if (Type.Kind == TypeKind.Boolean)
            _values = Enlarge(_values, old / 8 + 1, _capacity / 8 + 1, zeroed: true);
        else
            _values = Enlarge(_values, (long)old * _width, (long)_capacity * _width);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void GrowBytes(int most)
    {
        var needed = (long)_bytes + most;
        if (needed > int.MaxValue)
            throw new InvalidOperationException($"a column's values passed 2 GiB ({Type}); make batches smaller");
        var size = Math.Min(int.MaxValue, Math.Max((long)BitOperations.RoundUpToPowerOf2((ulong)needed), _values.Length * 2));
        _values = Enlarge(_values, _bytes, size);
    }

    private static ColumnBuffer Enlarge(ColumnBuffer buffer, long used, long size, bool zeroed = false)
    {
        var larger = ColumnBuffer.Allocate(size, zeroed);
        Buffer.MemoryCopy(buffer.Pointer, larger.Pointer, larger.Length, used);
        buffer.Dispose();
        return larger;
    }

    private void ThrowWidth(int width) => throw new InvalidOperationException($"a value of {width} bytes for a column of {Type} ({_width})");
}
