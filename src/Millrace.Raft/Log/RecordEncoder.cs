using Millrace.Raft.Consensus;

namespace Millrace.Raft.Log;

/// <summary>Puts records one after another into a buffer that will stand at an offset of a segment.</summary>
internal ref struct RecordEncoder(Span<byte> buffer, long sequence, int start, int durable)
{
    private readonly Span<byte> _buffer = buffer;

    public int Length { get; private set; }

    /// <summary>Where the next record will be in the segment.</summary>
    public readonly int Offset => start + Length;

    public void Add(HardState state)
    {
        LogPayloads.WriteHardState(_buffer[(Length + LogRecord.HeaderBytes)..], state);
        Seal(LogPayloads.HardStateBytes, RecordKind.HardState);
    }

    public void Add(in Entry entry)
    {
        LogPayloads.WriteEntry(_buffer[(Length + LogRecord.HeaderBytes)..], entry);
        Seal(LogPayloads.EntryHeaderBytes + entry.Data.Length, RecordKind.Entry);
    }

    public void Add(in FastVote vote)
    {
        LogPayloads.WriteVote(_buffer[(Length + LogRecord.HeaderBytes)..], vote);
        Seal(LogPayloads.VoteHeaderBytes + LogPayloads.EntryHeaderBytes + vote.Entry.Data.Length, RecordKind.Vote);
    }

    public void Rewind(SnapshotInfo position)
    {
        LogPayloads.WritePosition(_buffer[(Length + LogRecord.HeaderBytes)..], position);
        Seal(LogPayloads.SizeOf(position), RecordKind.Rewind);
    }

    private void Seal(int payload, RecordKind kind)
    {
        LogRecord.Seal(_buffer[Length..], payload, kind, sequence, Offset, durable);
        Length += LogRecord.SizeOf(payload);
    }
}
