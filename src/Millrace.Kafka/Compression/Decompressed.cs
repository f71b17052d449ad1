using System.Buffers;
using System.IO.Compression;
using Millrace.Kafka.Records;

namespace Millrace.Kafka.Compression;

/// <summary>Uncompressed bytes in pooled memory; dispose to give it back. Uncompressed input is not copied but must outlive this.</summary>
public ref struct Decompressed
{
    private byte[]? _rented;

    private Decompressed(ReadOnlySpan<byte> bytes, byte[]? rented)
    {
        Bytes = bytes;
        _rented = rented;
    }

    public ReadOnlySpan<byte> Bytes { get; private set; }

    /// <exception cref="InvalidDataException">The block is broken, of an unknown codec, or larger than <paramref name="maxBytes"/>.</exception>
    public static Decompressed From(CompressionType compression, ReadOnlySpan<byte> block, int maxBytes)
    {
        if (compression == CompressionType.None)
            return new Decompressed(block, null);
        var output = new PooledOutput(maxBytes);
        try
        {
            switch (compression)
            {
                case CompressionType.Gzip:
                    Gunzip(block, ref output);
                    break;
                case CompressionType.Snappy:
                    Snappy.Decompress(block, ref output);
                    break;
                case CompressionType.Lz4:
                    Lz4Frame.Decompress(block, ref output);
                    break;
                case CompressionType.Zstd:
                    Zstandard.Decompress(block, ref output);
                    break;
                default:
                    throw new InvalidDataException($"compression type {(int)compression} is not known");
            }
            return new Decompressed(output.Written, output.Detach());
        }
        finally
        {
            output.Dispose();
        }
    }

    public void Dispose()
    {
        if (_rented is not null)
            ArrayPool<byte>.Shared.Return(_rented);
        _rented = null;
        Bytes = default;
    }

    private static unsafe void Gunzip(ReadOnlySpan<byte> block, ref PooledOutput output)
    {
        if (block.IsEmpty)
            throw new InvalidDataException("an empty gzip block");
        fixed (byte* start = block)
        {
            using var source = new UnmanagedMemoryStream(start, block.Length);
            using var gunzip = new GZipStream(source, CompressionMode.Decompress);
            while (true)
            {
                var room = output.Room(4096);
                var read = gunzip.Read(room);
                if (read == 0)
                    return;
                output.Advance(read);
            }
        }
    }
}

/// <summary>A pooled, growing output with an upper bound.</summary>
internal ref struct PooledOutput(int maxBytes)
{
    private byte[]? _bytes;
    private int _length;

    public readonly ReadOnlySpan<byte> Written => _bytes.AsSpan(0, _length);

    public readonly int Length => _length;

    /// <summary>At least so much room behind what is written.</summary>
    /// <exception cref="InvalidDataException">The bound is reached.</exception>
    public Span<byte> Room(int count)
    {
        if (_bytes is null || _bytes.Length - _length < count)
        {
            // Room is asked for in chunks: only what is really written counts against the bound.
            if (_length > maxBytes)
                throw TooLarge();
            var wanted = Math.Max((long)_length + count, Math.Min((_bytes?.Length ?? 0) * 2L, int.MaxValue / 2));
            if (wanted > int.MaxValue / 2)
                throw TooLarge();
            var larger = ArrayPool<byte>.Shared.Rent((int)wanted);
            _bytes.AsSpan(0, _length).CopyTo(larger);
            if (_bytes is not null)
                ArrayPool<byte>.Shared.Return(_bytes);
            _bytes = larger;
        }
        return _bytes.AsSpan(_length);
    }

    public void Advance(int count)
    {
        _length += count;
        if (_length > maxBytes)
            throw TooLarge();
    }

    /// <summary>Hands the array over; the caller returns it to the pool.</summary>
    public byte[]? Detach()
    {
        var bytes = _bytes;
        _bytes = null;
        return bytes;
    }

    public void Dispose()
    {
        if (_bytes is not null)
            ArrayPool<byte>.Shared.Return(_bytes);
        _bytes = null;
    }

    private readonly InvalidDataException TooLarge() => new($"a compressed batch holds more than {maxBytes} bytes");
}
