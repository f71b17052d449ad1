using System.Buffers.Binary;
using Millrace.Storage.Checksums;

namespace Millrace.Raft.Transport;

/// <summary>length of what follows the checksum (4), CRC-32C of it (4), channel (1), content. Channel 0 carries the algorithm's messages.</summary>
internal static class Frame
{
    public const int HeaderBytes = 8;
    public const byte RaftChannel = 0;

    /// <summary>Fills the header before a body that begins with its channel.</summary>
    public static void Seal(Span<byte> frame)
    {
        BinaryPrimitives.WriteInt32LittleEndian(frame, frame.Length - HeaderBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(frame[4..], Crc32C.Compute(frame[HeaderBytes..]));
    }

    public static int LengthOf(ReadOnlySpan<byte> header) => BinaryPrimitives.ReadInt32LittleEndian(header);

    public static bool Verify(ReadOnlySpan<byte> header, ReadOnlySpan<byte> body) =>
        BinaryPrimitives.ReadUInt32LittleEndian(header[4..]) == Crc32C.Compute(body);
}

/// <summary>The first words on a connection: magic (4), version (4), group (8), from (8), to (8); the answer is one byte, 1 for welcome.</summary>
internal readonly record struct Hello(ulong Group, MemberId From, MemberId To)
{
    public const int Bytes = 32;
    private const uint Magic = 0x5446524D; // "MRFT"
    private const int Version = 1;

    public void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(target, Magic);
        BinaryPrimitives.WriteInt32LittleEndian(target[4..], Version);
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], Group);
        BinaryPrimitives.WriteUInt64LittleEndian(target[16..], From.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(target[24..], To.Value);
    }

    public static bool TryRead(ReadOnlySpan<byte> source, out Hello hello)
    {
        hello = new Hello(
            BinaryPrimitives.ReadUInt64LittleEndian(source[8..]), new MemberId(BinaryPrimitives.ReadUInt64LittleEndian(source[16..])),
            new MemberId(BinaryPrimitives.ReadUInt64LittleEndian(source[24..])));
        return BinaryPrimitives.ReadUInt32LittleEndian(source) == Magic && BinaryPrimitives.ReadInt32LittleEndian(source[4..]) == Version;
    }
}
