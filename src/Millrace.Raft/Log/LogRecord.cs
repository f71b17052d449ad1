using System.Buffers.Binary;
using Millrace.Storage.Checksums;

namespace Millrace.Raft.Log;

internal enum RecordKind : byte
{
    /// <summary>The first of a segment: what the log was when it began.</summary>
    Start = 1,
    Entry = 2,
    HardState = 3,

    /// <summary>The log ends at, or begins anew after, this position; entries follow.</summary>
    Rewind = 4,

    /// <summary>Nothing but the news that what comes before is durable.</summary>
    Mark = 5,

    /// <summary>Fast Paxos: what was accepted for a slot in a fast round, which may be past the log's end.</summary>
    Vote = 6,
}

/// <summary>
/// A record on disk, at a multiple of 8 bytes:
/// length of the payload (4), CRC-32C (4), durable (4), kind (1), zero (3), payload, zeros to a multiple of 8.
/// The checksum covers all after itself and begins with the segment's sequence and the record's offset, so a record at another place
/// is none. <c>durable</c> is how much of the segment was flushed when the record was written: a good record whose durable is past a
/// bad one proves that the bad one was once durable, and so is damage; without such a proof it is a torn tail.
/// </summary>
internal static class LogRecord
{
    public const int HeaderBytes = 16;
    public const int Alignment = 8;

    public static int SizeOf(int payload) => (HeaderBytes + payload + Alignment - 1) & ~(Alignment - 1);

    /// <summary>Fills header and padding around a payload that stands at <c>target[HeaderBytes..]</c>.</summary>
    public static void Seal(Span<byte> target, int payload, RecordKind kind, long sequence, int offset, int durable)
    {
        BinaryPrimitives.WriteInt32LittleEndian(target, payload);
        BinaryPrimitives.WriteInt32LittleEndian(target[8..], durable);
        target[12] = (byte)kind;
        target[13..HeaderBytes].Clear();
        target[(HeaderBytes + payload)..SizeOf(payload)].Clear();
        var crc = Crc32C.Compute(target[8..(HeaderBytes + payload)], Seed(sequence, offset));
        BinaryPrimitives.WriteUInt32LittleEndian(target[4..], crc);
    }

    /// <summary>The record at an offset of a segment's content, or false when there is none that is whole.</summary>
    public static bool TryRead(ReadOnlySpan<byte> segment, long sequence, int offset, int maxPayload, out RecordView record)
    {
        record = default;
        if (offset + HeaderBytes > segment.Length)
            return false;
        var length = BinaryPrimitives.ReadInt32LittleEndian(segment[offset..]);
        if (length < 0 || length > maxPayload || offset + HeaderBytes + length > segment.Length)
            return false;
        var kind = segment[offset + 12];
        if (kind is < (byte)RecordKind.Start or > (byte)RecordKind.Vote)
            return false;
        var crc = BinaryPrimitives.ReadUInt32LittleEndian(segment[(offset + 4)..]);
        if (crc != Crc32C.Compute(segment.Slice(offset + 8, HeaderBytes - 8 + length), Seed(sequence, offset)))
            return false;
        record = new RecordView(
            (RecordKind)kind, BinaryPrimitives.ReadInt32LittleEndian(segment[(offset + 8)..]), offset + HeaderBytes, length);
        return true;
    }

    /// <summary>Whether these bytes are the whole record that stands at an offset of a segment.</summary>
    public static bool Verify(ReadOnlySpan<byte> record, long sequence, int offset) =>
        BinaryPrimitives.ReadUInt32LittleEndian(record[4..]) == Crc32C.Compute(record[8..], Seed(sequence, offset));

    private static uint Seed(long sequence, int offset)
    {
        Span<byte> place = stackalloc byte[16];
        BinaryPrimitives.WriteInt64LittleEndian(place, sequence);
        BinaryPrimitives.WriteInt64LittleEndian(place[8..], offset);
        return Crc32C.Compute(place);
    }
}

/// <param name="Durable">Bytes of the segment that were flushed when this was written.</param>
/// <param name="PayloadAt">Offset of the payload in the segment.</param>
internal readonly record struct RecordView(RecordKind Kind, int Durable, int PayloadAt, int Length)
{
    public int End => PayloadAt - LogRecord.HeaderBytes + LogRecord.SizeOf(Length);
}
