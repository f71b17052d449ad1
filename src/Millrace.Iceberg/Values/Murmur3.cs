using System.Buffers.Binary;
using System.Numerics;

namespace Millrace.Iceberg.Values;

/// <summary>Murmur3 x86 32 bit with seed 0 (Austin Appleby, 2011): the hash of Iceberg's bucket transform.</summary>
public static class Murmur3
{
    private const uint C1 = 0xCC9E2D51;
    private const uint C2 = 0x1B873593;

    public static int Hash(ReadOnlySpan<byte> data)
    {
        uint hash = 0;
        var rest = data;
        while (rest.Length >= 4)
        {
            hash ^= Mix(BinaryPrimitives.ReadUInt32LittleEndian(rest));
            hash = BitOperations.RotateLeft(hash, 13) * 5 + 0xE6546B64;
            rest = rest[4..];
        }
        uint tail = 0;
        for (var i = rest.Length - 1; i >= 0; i--)
            tail = (tail << 8) | rest[i];
        if (rest.Length > 0)
            hash ^= Mix(tail);
        return Finish(hash, data.Length);
    }

    /// <summary>The hash of the number's eight little-endian bytes.</summary>
    public static int Hash(long value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        return Hash(bytes);
    }

    private static uint Mix(uint block) => BitOperations.RotateLeft(block * C1, 15) * C2;

    private static int Finish(uint hash, int length)
    {
        hash ^= (uint)length;
        hash = (hash ^ (hash >> 16)) * 0x85EBCA6B;
        hash = (hash ^ (hash >> 13)) * 0xC2B2AE35;
        return (int)(hash ^ (hash >> 16));
    }
}
