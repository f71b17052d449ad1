using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Millrace.Structures.Filters;

/// <summary>
/// A blocked Bloom filter (F. Putze et al., 2007) of a set that only grows: 16 bits an item in one cache line, about 1 false yes in 500,
/// never a false no. It can be written down and read back.
/// </summary>
/// <remarks>Not thread-safe while items are added.</remarks>
public sealed class BloomFilter
{
    private const int WordsPerBlock = 8;
    private const int BitsPerItem = 16;
    private const int Probes = 7;

    private readonly ulong[] _bits;
    private readonly ulong _blocks;

    /// <param name="expectedItems">Items that it is to hold.</param>
    public BloomFilter(long expectedItems)
        : this(new ulong[(Math.Max(0, expectedItems) * BitsPerItem / (WordsPerBlock * 64) + 1) * WordsPerBlock])
    {
    }

    private BloomFilter(ulong[] bits)
    {
        _bits = bits;
        _blocks = (ulong)(bits.Length / WordsPerBlock);
    }

    public long Bytes => _bits.LongLength * sizeof(ulong);

    /// <summary>Reads what <see cref="ToBytes"/> wrote.</summary>
    /// <exception cref="InvalidDataException">The length is not that of a filter.</exception>
    public static BloomFilter FromBytes(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty || bytes.Length % (WordsPerBlock * sizeof(ulong)) != 0)
            throw new InvalidDataException($"a Bloom filter of {bytes.Length} bytes");
        var bits = new ulong[bytes.Length / sizeof(ulong)];
        for (var i = 0; i < bits.Length; i++)
            bits[i] = BinaryPrimitives.ReadUInt64LittleEndian(bytes[(i * sizeof(ulong))..]);
        return new BloomFilter(bits);
    }

    /// <summary>Little-endian words.</summary>
    public byte[] ToBytes()
    {
        var bytes = new byte[_bits.Length * sizeof(ulong)];
        for (var i = 0; i < _bits.Length; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(i * sizeof(ulong)), _bits[i]);
        return bytes;
    }

    /// <param name="hash">64 well-mixed bits of the item that choose its cache line.</param>
    /// <param name="probes">64 more that choose the bits in it.</param>
    public void Add(ulong hash, ulong probes)
    {
        var block = Block(hash);
        for (var i = 0; i < Probes; i++, probes >>= 9)
            _bits[block + (int)((probes >> 6) & 7)] |= 1UL << (int)(probes & 63);
    }

    /// <summary>False only when the item is certainly absent.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool MayContain(ulong hash, ulong probes)
    {
        var block = Block(hash);
        for (var i = 0; i < Probes; i++, probes >>= 9)
        {
            if ((_bits[block + (int)((probes >> 6) & 7)] & (1UL << (int)(probes & 63))) == 0)
                return false;
        }
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int Block(ulong hash) => (int)Math.BigMul(hash, _blocks, out _) * WordsPerBlock;
}
