using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Text;

namespace Millrace.Columnar.Avro;

/// <summary>Writes Avro's binary encoding into memory that grows and is used again after <see cref="Clear"/>. Not thread-safe.</summary>
public sealed class AvroWriter(int capacity = 4096)
{
    private byte[] _buffer = new byte[Math.Max(64, capacity)];
    private int _length;

    public int Length => _length;

    /// <summary>What was written; valid until the next write.</summary>
    public ReadOnlySpan<byte> Written => _buffer.AsSpan(0, _length);

    public ReadOnlyMemory<byte> WrittenMemory => _buffer.AsMemory(0, _length);

    public void Clear() => _length = 0;

    public void WriteBoolean(bool value) => Reserve(1)[0] = value ? (byte)1 : (byte)0;

    public void WriteInt(int value) => WriteLong(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void WriteLong(long value)
    {
        var zigzag = (ulong)(value << 1) ^ (ulong)(value >> 63);
        Grow(10);
        while (zigzag >= 0x80)
        {
            _buffer[_length++] = (byte)(zigzag | 0x80);
            zigzag >>= 7;
        }
        _buffer[_length++] = (byte)zigzag;
    }

    public void WriteFloat(float value) => BinaryPrimitives.WriteSingleLittleEndian(Reserve(4), value);

    public void WriteDouble(double value) => BinaryPrimitives.WriteDoubleLittleEndian(Reserve(8), value);

    public void WriteBytes(ReadOnlySpan<byte> value)
    {
        WriteLong(value.Length);
        value.CopyTo(Reserve(value.Length));
    }

    public void WriteFixed(ReadOnlySpan<byte> value) => value.CopyTo(Reserve(value.Length));

    public void WriteString(string value)
    {
        var length = Encoding.UTF8.GetByteCount(value);
        WriteLong(length);
        Encoding.UTF8.GetBytes(value, Reserve(length));
    }

    /// <summary>The branch of a union of null and one other, null first.</summary>
    public void WriteOptional(bool present) => WriteLong(present ? 1 : 0);

    private Span<byte> Reserve(int count)
    {
        Grow(count);
        var span = _buffer.AsSpan(_length, count);
        _length += count;
        return span;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Grow(int count)
    {
        if (_length + count > _buffer.Length)
            Array.Resize(ref _buffer, checked((int)Math.Max((uint)_buffer.Length * 2u, (uint)(_length + count))));
    }
}
