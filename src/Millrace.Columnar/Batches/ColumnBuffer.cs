using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Millrace.Columnar;

/// <summary>
/// A run of native memory with counted references: what an Arrow buffer points at. Its address never moves, so it crosses the
/// C data interface without a copy. Memory of our own is aligned to 64 bytes and padded to a multiple of 64 (Arrow's advice).
/// </summary>
/// <remarks>Created with one reference. Counting is thread-safe; the bytes are not guarded: write only before sharing.</remarks>
public sealed unsafe class ColumnBuffer : IDisposable
{
    private const int Alignment = 64;

    private readonly IDisposable? _owner;
    private byte* _pointer;
    private int _references = 1;

    private ColumnBuffer(byte* pointer, long length, IDisposable? owner)
    {
        _pointer = pointer;
        Length = length;
        _owner = owner;
    }

    /// <summary>Bytes that may be used.</summary>
    public long Length { get; }

    public byte* Pointer
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => _pointer;
    }

    /// <summary>New memory of our own; contents are undefined unless <paramref name="zeroed"/>.</summary>
    public static ColumnBuffer Allocate(long length, bool zeroed = false)
    {
        var size = (nuint)Math.Max(Alignment, (length + Alignment - 1) & ~(Alignment - 1L));
        var pointer = (byte*)NativeMemory.AlignedAlloc(size, Alignment);
        if (zeroed)
            NativeMemory.Clear(pointer, size);
        GC.AddMemoryPressure((long)size);
        return new ColumnBuffer(pointer, (long)size, null);
    }

    /// <summary>Memory of somebody else, who is disposed of when the last reference goes.</summary>
    public static ColumnBuffer Wrap(void* pointer, long length, IDisposable owner) => new((byte*)pointer, length, owner);

    /// <summary>Adds a reference and returns this buffer; each reference is given back by one <see cref="Dispose"/>.</summary>
    public ColumnBuffer Retain()
    {
        if (Interlocked.Increment(ref _references) <= 1)
            throw new ObjectDisposedException(nameof(ColumnBuffer));
        return this;
    }

    public Span<T> AsSpan<T>(int count)
        where T : unmanaged
    {
        if ((long)count * sizeof(T) > Length)
            throw new ArgumentOutOfRangeException(nameof(count), $"{count} values of {sizeof(T)} bytes do not fit {Length} bytes");
        return new Span<T>(_pointer, count);
    }

    public void Dispose()
    {
        if (Interlocked.Decrement(ref _references) != 0)
            return;
        Free();
        GC.SuppressFinalize(this);
    }

    ~ColumnBuffer() => Free();

    private void Free()
    {
        var pointer = _pointer;
        _pointer = null;
        if (pointer == null)
            return;
        if (_owner is not null)
        {
            _owner.Dispose();
            return;
        }
        NativeMemory.AlignedFree(pointer);
        GC.RemoveMemoryPressure(Length);
    }
}
