using System.Numerics;
using System.Runtime.CompilerServices;

namespace Millrace.Columnar.Kernels;

/// <summary>Bitmaps as Arrow has them: least significant bit first.</summary>
public static unsafe class Bitmaps
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Get(byte* bits, int index) => (bits[index >> 3] & (1 << (index & 7))) != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Set(byte* bits, int index) => bits[index >> 3] |= (byte)(1 << (index & 7));

    /// <summary>Up to 64 bits that start at any bit; bits at or after <paramref name="end"/> are 0. Reads no byte behind the last needed.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Word(byte* bits, long start, long end)
    {
        var count = (int)Math.Min(64, end - start);
        var first = bits + (start >> 3);
        var shift = (int)(start & 7);
        var bytes = (count + shift + 7) >> 3;
        ulong word;
        if (bytes >= 8)
        {
            word = Unsafe.ReadUnaligned<ulong>(first) >> shift;
            if (bytes == 9)
                word |= (ulong)first[8] << (64 - shift);
        }
        else
        {
            word = 0;
            for (var i = 0; i < bytes; i++)
                word |= (ulong)first[i] << (i * 8);
            word >>= shift;
        }
        return count == 64 ? word : word & ((1UL << count) - 1);
    }

    /// <summary>Set bits among <paramref name="length"/> from <paramref name="offset"/>.</summary>
    public static int CountSet(byte* bits, int offset, int length)
    {
        var count = 0;
        long end = (long)offset + length;
        for (long at = offset; at < end; at += 64)
            count += BitOperations.PopCount(Word(bits, at, end));
        return count;
    }

    /// <summary>Copies bits so that they start at bit 0 of <paramref name="target"/>, which has room for whole 64-bit words.</summary>
    public static void Copy(byte* bits, int offset, int length, ulong* target)
    {
        long end = (long)offset + length;
        for (long at = offset; at < end; at += 64)
            *target++ = Word(bits, at, end);
    }
}
