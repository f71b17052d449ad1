using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Arm = System.Runtime.Intrinsics.Arm;

namespace Millrace.Storage.Checksums;

/// <summary>CRC-32C (Castagnoli polynomial 0x1EDC6F41, reflected), as in RFC 3720 B.4, by the processor's instruction where it has one.</summary>
public static class Crc32C
{
    private static readonly uint[] Table = MakeTable();

    /// <summary>The checksum of <paramref name="data"/>; pass an earlier result as <paramref name="seed"/> to go on with it.</summary>
    public static uint Compute(ReadOnlySpan<byte> data, uint seed = 0)
    {
        var crc = ~seed;
        if (Sse42.X64.IsSupported)
        {
            ulong wide = crc;
            foreach (var word in MemoryMarshal.Cast<byte, ulong>(data))
                wide = Sse42.X64.Crc32(wide, word);
            crc = (uint)wide;
            foreach (var b in data[(data.Length & ~7)..])
                crc = Sse42.Crc32(crc, b);
            return ~crc;
        }
        if (Arm.Crc32.Arm64.IsSupported)
        {
            foreach (var word in MemoryMarshal.Cast<byte, ulong>(data))
                crc = Arm.Crc32.Arm64.ComputeCrc32C(crc, word);
            foreach (var b in data[(data.Length & ~7)..])
                crc = Arm.Crc32.ComputeCrc32C(crc, b);
            return ~crc;
        }
        return ~Scalar(data, crc);
    }

    /// <summary>The same by table, one byte at a time: the twin that tests compare with.</summary>
    internal static uint ComputeScalar(ReadOnlySpan<byte> data, uint seed = 0) => ~Scalar(data, ~seed);

    private static uint Scalar(ReadOnlySpan<byte> data, uint crc)
    {
        foreach (var b in data)
            crc = Table[(byte)(crc ^ b)] ^ (crc >> 8);
        return crc;
    }

    private static uint[] MakeTable()
    {
        var table = new uint[256];
        for (uint i = 0; i < 256; i++)
        {
            var crc = i;
            for (var bit = 0; bit < 8; bit++)
                crc = (crc & 1) != 0 ? 0x82F63B78u ^ (crc >> 1) : crc >> 1;
            table[i] = crc;
        }
        return table;
    }
}
