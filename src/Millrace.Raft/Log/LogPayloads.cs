using System.Buffers.Binary;
using Millrace.Raft.Consensus;

namespace Millrace.Raft.Log;

/// <summary>The payloads of the log's records.</summary>
internal static class LogPayloads
{
    public const int EntryHeaderBytes = 17;
    public const int HardStateBytes = 16;
    public const int VoteHeaderBytes = 16;
    public const int FormatVersion = 1;

    public static int SizeOf(SnapshotInfo position) => 16 + position.Configuration.EncodedLength;

    public static int StartSizeOf(SnapshotInfo position) => 16 + HardStateBytes + SizeOf(position);

    public static void WriteEntry(Span<byte> target, in Entry entry)
    {
        BinaryPrimitives.WriteInt64LittleEndian(target, entry.Term);
        BinaryPrimitives.WriteInt64LittleEndian(target[8..], entry.Index);
        target[16] = (byte)entry.Kind;
        entry.Data.Span.CopyTo(target[EntryHeaderBytes..]);
    }

    /// <param name="source">The payload; the entry's data is copied out of it.</param>
    public static Entry ReadEntry(ReadOnlySpan<byte> source) => new(
        BinaryPrimitives.ReadInt64LittleEndian(source), BinaryPrimitives.ReadInt64LittleEndian(source[8..]), (EntryKind)source[16],
        source[EntryHeaderBytes..].ToArray());

    /// <summary>Proposer and number, then the entry.</summary>
    public static void WriteVote(Span<byte> target, in FastVote vote)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(target, vote.Proposer.Value);
        BinaryPrimitives.WriteInt64LittleEndian(target[8..], vote.Number);
        WriteEntry(target[VoteHeaderBytes..], vote.Entry);
    }

    public static FastVote ReadVote(ReadOnlySpan<byte> source) => new(
        new MemberId(BinaryPrimitives.ReadUInt64LittleEndian(source)), BinaryPrimitives.ReadInt64LittleEndian(source[8..]),
        ReadEntry(source[VoteHeaderBytes..]));

    public static void WriteHardState(Span<byte> target, HardState state)
    {
        BinaryPrimitives.WriteInt64LittleEndian(target, state.Term);
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], state.Vote.Value);
    }

    public static HardState ReadHardState(ReadOnlySpan<byte> source) => new(
        BinaryPrimitives.ReadInt64LittleEndian(source), new MemberId(BinaryPrimitives.ReadUInt64LittleEndian(source[8..])));

    public static void WritePosition(Span<byte> target, SnapshotInfo position)
    {
        BinaryPrimitives.WriteInt64LittleEndian(target, position.Index);
        BinaryPrimitives.WriteInt64LittleEndian(target[8..], position.Term);
        position.Configuration.Encode(target[16..]);
    }

    public static SnapshotInfo ReadPosition(ReadOnlySpan<byte> source) => new(
        BinaryPrimitives.ReadInt64LittleEndian(source), BinaryPrimitives.ReadInt64LittleEndian(source[8..]),
        Configuration.Decode(source[16..], out _), 0, 0);

    /// <param name="previousBytes">Length of the segment before this one, all of it durable.</param>
    public static void WriteStart(Span<byte> target, long previousBytes, HardState state, SnapshotInfo position)
    {
        BinaryPrimitives.WriteInt64LittleEndian(target, FormatVersion);
        BinaryPrimitives.WriteInt64LittleEndian(target[8..], previousBytes);
        WriteHardState(target[16..], state);
        WritePosition(target[32..], position);
    }

    public static (long PreviousBytes, HardState State, SnapshotInfo Position) ReadStart(ReadOnlySpan<byte> source)
    {
        var version = BinaryPrimitives.ReadInt64LittleEndian(source);
        if (version != FormatVersion)
            throw new InvalidDataException($"the log has format {version}; this program reads {FormatVersion}");
        return (BinaryPrimitives.ReadInt64LittleEndian(source[8..]), ReadHardState(source[16..]), ReadPosition(source[32..]));
    }
}
