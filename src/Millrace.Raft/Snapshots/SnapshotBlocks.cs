using System.Buffers.Binary;
using Millrace.Storage.Checksums;

namespace Millrace.Raft.Snapshots;

/// <summary>
/// A snapshot's file is a row of blocks: length (4, the last block's with its highest bit set), CRC-32C of block number and data (4),
/// data. The first block tells what the snapshot is. A file without a last block is not whole.
/// </summary>
internal static class SnapshotBlocks
{
    public const int HeaderBytes = 8;
    public const int DataBytes = 64 << 10;
    private const uint LastFlag = 0x8000_0000;
    private const uint Magic = 0x4E53524D; // "MRSN"
    private const int Version = 1;

    public static void Seal(Span<byte> block, int length, int number, bool isLast)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(block, (uint)length | (isLast ? LastFlag : 0));
        BinaryPrimitives.WriteUInt32LittleEndian(block[4..], Checksum(block.Slice(HeaderBytes, length), number, isLast));
    }

    public static int LengthOf(ReadOnlySpan<byte> header, out bool isLast)
    {
        var word = BinaryPrimitives.ReadUInt32LittleEndian(header);
        isLast = (word & LastFlag) != 0;
        return (int)(word & ~LastFlag);
    }

    public static bool Verify(ReadOnlySpan<byte> header, ReadOnlySpan<byte> data, int number, bool isLast) =>
        BinaryPrimitives.ReadUInt32LittleEndian(header[4..]) == Checksum(data, number, isLast);

    public static byte[] Describe(long index, long term, Configuration configuration)
    {
        var data = new byte[24 + configuration.EncodedLength];
        BinaryPrimitives.WriteUInt32LittleEndian(data, Magic);
        BinaryPrimitives.WriteInt32LittleEndian(data.AsSpan(4), Version);
        BinaryPrimitives.WriteInt64LittleEndian(data.AsSpan(8), index);
        BinaryPrimitives.WriteInt64LittleEndian(data.AsSpan(16), term);
        configuration.Encode(data.AsSpan(24));
        return data;
    }

    /// <exception cref="InvalidDataException">This is no snapshot, or of a newer format.</exception>
    public static (long Index, long Term, Configuration Configuration) ReadDescription(ReadOnlySpan<byte> data)
    {
        if (data.Length < 28 || BinaryPrimitives.ReadUInt32LittleEndian(data) != Magic)
            throw new InvalidDataException("this is no snapshot of a Millrace group");
        var version = BinaryPrimitives.ReadInt32LittleEndian(data[4..]);
        if (version != Version)
            throw new InvalidDataException($"the snapshot has format {version}; this program reads {Version}");
        return (BinaryPrimitives.ReadInt64LittleEndian(data[8..]), BinaryPrimitives.ReadInt64LittleEndian(data[16..]),
            Configuration.Decode(data[24..], out _));
    }

    private static uint Checksum(ReadOnlySpan<byte> data, int number, bool isLast)
    {
        Span<byte> place = stackalloc byte[8];
        BinaryPrimitives.WriteInt32LittleEndian(place, number);
        BinaryPrimitives.WriteInt32LittleEndian(place[4..], isLast ? 1 : 0);
        return Crc32C.Compute(data, Crc32C.Compute(place));
    }
}
