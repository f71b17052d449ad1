using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Millrace.Query.Wire;

/// <summary>
/// Builds backend messages in one growing array, so that lengths are patched in place. The owner writes <see cref="Written"/> to
/// the socket and calls <see cref="Clear"/>. Not thread-safe.
/// </summary>
internal sealed class BackendWriter : IBufferWriter<byte>, IDisposable
{
    private readonly int _initial;
    private byte[] _buffer;
    private int _length;
    private int _message = -1;

    public BackendWriter(int initial = 32 * 1024)
    {
        _initial = initial;
        _buffer = ArrayPool<byte>.Shared.Rent(initial);
    }

    public int Length => _length;

    public ReadOnlyMemory<byte> Written => _buffer.AsMemory(0, _length);

    /// <summary>Forgets what was written; gives an outsized array back.</summary>
    public void Clear()
    {
        _length = 0;
        _message = -1;
        if (_buffer.Length <= 16 * _initial)
            return;
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = ArrayPool<byte>.Shared.Rent(_initial);
    }

    /// <summary>Opens a message; <see cref="End"/> writes its length.</summary>
    public void Begin(byte tag)
    {
        WriteByte(tag);
        _message = _length;
        Advance(4);
    }

    public void End()
    {
        BinaryPrimitives.WriteInt32BigEndian(_buffer.AsSpan(_message), _length - _message);
        _message = -1;
    }

    /// <summary>Takes an open message back, so that an error can be told in its stead.</summary>
    public void Abandon()
    {
        if (_message < 0)
            return;
        _length = _message - 1;
        _message = -1;
    }

    /// <summary>Takes back all that was written behind <paramref name="length"/>.</summary>
    public void TrimTo(int length) => _length = Math.Min(_length, length);

    /// <summary>Leaves room for a value's length; pass the result to <see cref="EndValue"/>.</summary>
    public int BeginValue()
    {
        var start = _length;
        Advance(4);
        return start;
    }

    public void EndValue(int start) => BinaryPrimitives.WriteInt32BigEndian(_buffer.AsSpan(start), _length - start - 4);

    public void WriteByte(byte value)
    {
        Reserve(1);
        _buffer[_length++] = value;
    }

    public void WriteInt16(short value)
    {
        BinaryPrimitives.WriteInt16BigEndian(Reserve(2), value);
        _length += 2;
    }

    public void WriteInt32(int value)
    {
        BinaryPrimitives.WriteInt32BigEndian(Reserve(4), value);
        _length += 4;
    }

    public void WriteInt64(long value)
    {
        BinaryPrimitives.WriteInt64BigEndian(Reserve(8), value);
        _length += 8;
    }

    public void WriteBytes(ReadOnlySpan<byte> value)
    {
        value.CopyTo(Reserve(value.Length));
        _length += value.Length;
    }

    public void WriteText(string value) => _length += Encoding.UTF8.GetBytes(value, Reserve(Encoding.UTF8.GetMaxByteCount(value.Length)));

    /// <summary>Text ended by a zero byte; a zero inside would end it early, so it becomes a space.</summary>
    public void WriteCString(string value)
    {
        WriteText(value.Contains('\0') ? value.Replace('\0', ' ') : value);
        WriteByte(0);
    }

    public void WriteFormatted<T>(T value, ReadOnlySpan<char> format = default)
        where T : IUtf8SpanFormattable
    {
        var room = 64;
        int written;
        while (!value.TryFormat(Reserve(room), out written, format, System.Globalization.CultureInfo.InvariantCulture))
            room *= 2;
        _length += written;
    }

    /// <summary>At least <paramref name="count"/> bytes to write to; follow with <see cref="Advance"/>.</summary>
    public Span<byte> Reserve(int count)
    {
        if (_buffer.Length - _length < count)
            Grow(count);
        return _buffer.AsSpan(_length);
    }

    public void Advance(int count)
    {
        if (_buffer.Length - _length < count)
            Grow(count);
        _length += count;
    }

    Span<byte> IBufferWriter<byte>.GetSpan(int sizeHint) => Reserve(Math.Max(sizeHint, 256));

    Memory<byte> IBufferWriter<byte>.GetMemory(int sizeHint)
    {
        Reserve(Math.Max(sizeHint, 256));
        return _buffer.AsMemory(_length);
    }

    public void Dispose()
    {
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
    }

    private void Grow(int count)
    {
        var larger = ArrayPool<byte>.Shared.Rent(Math.Max(checked(_length + count), (int)Math.Min(2L * _buffer.Length, Array.MaxLength)));
        _buffer.AsSpan(0, _length).CopyTo(larger);
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = larger;
    }
}
