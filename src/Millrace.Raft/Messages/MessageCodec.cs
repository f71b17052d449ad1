using System.Buffers;
using System.Buffers.Binary;
using Millrace.Raft.Consensus;

namespace Millrace.Raft.Messages;

/// <summary>
/// Messages as bytes: kind (1), from (8), to (8), term (8), then the kind's own numbers, eight bytes each, little-endian; entries and
/// pieces of snapshots carry their length before them. Kinds and layouts never change; a new layout is a new kind.
/// </summary>
public static class MessageCodec
{
    private const int HeaderBytes = 25;

    public static void Write(Message message, IBufferWriter<byte> target)
    {
        ArgumentNullException.ThrowIfNull(message);
        switch (message)
        {
            case VoteRequest m:
                Numbers(target, 1, m, m.LastIndex, m.LastTerm, (m.IsPreVote ? 1 : 0) | (m.IsTransfer ? 2 : 0));
                break;
            case VoteResponse m:
                Numbers(target, 2, m, (m.IsPreVote ? 1 : 0) | (m.IsGranted ? 2 : 0));
                break;
            case AppendRequest m:
                Numbers(target, 3, m, m.PreviousIndex, m.PreviousTerm, m.Commit, m.Entries.Count);
                foreach (var entry in m.Entries)
                    WriteEntry(target, entry);
                break;
            case AppendResponse m:
                Numbers(target, 4, m, m.Match, m.RefusedIndex, m.HintIndex, m.HintTerm);
                break;
            case Heartbeat m:
                Numbers(target, 5, m, m.Commit, m.Round, m.SentAt, m.PromiseMicros);
                break;
            case HeartbeatResponse { Incarnation: not 0 } m:
                Numbers(target, 16, m, m.Round, m.SentAt, m.PromiseMicros, m.Incarnation, m.FurthestVote);
                break;
            case HeartbeatResponse m:
                Numbers(target, 6, m, m.Round, m.SentAt, m.PromiseMicros);
                break;
            case SnapshotChunk m:
                Numbers(target, 7, m, m.Snapshot.Index, m.Snapshot.Term, m.Snapshot.Bytes, m.Snapshot.Checksum, m.Offset, m.Data.Length);
                var configuration = m.Snapshot.Configuration;
                target.Advance(configuration.Encode(target.GetSpan(configuration.EncodedLength)));
                target.Write(m.Data.Span);
                break;
            case SnapshotResponse m:
                Numbers(target, 8, m, m.SnapshotIndex, m.NextOffset);
                break;
            case TimeoutNow m:
                Numbers(target, 9, m);
                break;
            case ReadRequest m:
                Numbers(target, 10, m, m.ReadId);
                break;
            case ReadResponse m:
                Numbers(target, 11, m, m.ReadId, m.Index);
                break;
            case QuorumReadRequest m:
                Numbers(target, 12, m, m.ReadId);
                break;
            case QuorumReadResponse m:
                Numbers(target, 13, m, m.ReadId, m.DurableIndex, m.ConfigurationIndex);
                break;
            case Prepare m:
                Numbers(target, 14, m, m.Commit, (m.IsPreVote ? 1 : 0) | (m.IsTransfer ? 2 : 0));
                break;
            case Promise m:
                Numbers(target, m.Votes.Count == 0 ? (byte)15 : (byte)20, m, m.Accepted.Count == 0 ? 0 : m.Accepted[0].Index, m.Accepted.Count);
                foreach (var entry in m.Accepted)
                    WriteEntry(target, entry);
                if (m.Votes.Count > 0)
                    WriteVotes(target, m.Votes);
                break;
            case FastPropose m:
                Numbers(target, 17, m);
                WriteVotes(target, m.Values);
                break;
            case FastVotes m:
                Numbers(target, 18, m, m.Closed);
                WriteVotes(target, m.Votes);
                break;
            case FastWindow m:
                Numbers(target, 19, m, m.Sequence, m.Incarnation, m.FirstSlot);
                break;
            case Chosen m:
                Numbers(target, 21, m, m.Index, m.IndexTerm, m.Entries.Count == 0 ? 0 : m.Entries[0].Index, m.Entries.Count);
                foreach (var entry in m.Entries)
                    WriteEntry(target, entry);
                break;
            default:
                throw new ArgumentException($"{message.GetType().Name} has no wire form", nameof(message));
        }
    }

    /// <param name="source">One whole message; its data are kept by the result, so the memory must not be reused.</param>
    /// <exception cref="InvalidDataException">It is none.</exception>
    public static Message Read(ReadOnlyMemory<byte> source)
    {
        var reader = new Reader(source);
        var kind = reader.Byte();
        var from = new MemberId((ulong)reader.Number());
        var to = new MemberId((ulong)reader.Number());
        var term = reader.Number();
        Message message;
        switch (kind)
        {
            case 1:
                var (index, lastTerm, flags) = (reader.Number(), reader.Number(), reader.Number());
                message = new VoteRequest(from, to, term, index, lastTerm, (flags & 1) != 0, (flags & 2) != 0);
                break;
            case 2:
                flags = reader.Number();
                message = new VoteResponse(from, to, term, (flags & 1) != 0, (flags & 2) != 0);
                break;
            case 3:
                message = ReadAppend(ref reader, from, to, term);
                break;
            case 4:
                message = new AppendResponse(from, to, term, reader.Number(), reader.Number(), reader.Number(), reader.Number());
                break;
            case 5:
                message = new Heartbeat(from, to, term, reader.Number(), reader.Number(), reader.Number(), reader.Number());
                break;
            case 6:
                message = new HeartbeatResponse(from, to, term, reader.Number(), reader.Number(), reader.Number());
                break;
            case 7:
                message = ReadChunk(ref reader, from, to, term);
                break;
            case 8:
                message = new SnapshotResponse(from, to, term, reader.Number(), reader.Number());
                break;
            case 9:
                message = new TimeoutNow(from, to, term);
                break;
            case 10:
                message = new ReadRequest(from, to, term, reader.Number());
                break;
            case 11:
                message = new ReadResponse(from, to, term, reader.Number(), reader.Number());
                break;
            case 12:
                message = new QuorumReadRequest(from, to, term, reader.Number());
                break;
            case 13:
                message = new QuorumReadResponse(from, to, term, reader.Number(), reader.Number(), reader.Number());
                break;
            case 14:
                message = new Prepare(
                    from, to, term, reader.Number(), ((flags = reader.Number()) & 1) != 0, (flags & 2) != 0);
                break;
            case 15:
                var first = reader.Number();
                message = new Promise(from, to, term, ReadEntries(ref reader, first, reader.Number()));
                break;
            case 16:
                message = new HeartbeatResponse(
                    from, to, term, reader.Number(), reader.Number(), reader.Number(), reader.Number(), reader.Number());
                break;
            case 17:
                message = new FastPropose(from, to, term, ReadVotes(ref reader));
                break;
            case 18:
                var closed = reader.Number();
                message = new FastVotes(from, to, term, ReadVotes(ref reader), closed);
                break;
            case 19:
                message = new FastWindow(from, to, term, reader.Number(), reader.Number(), reader.Number());
                break;
            case 20:
                first = reader.Number();
                message = new Promise(from, to, term, ReadEntries(ref reader, first, reader.Number())) { Votes = ReadVotes(ref reader) };
                break;
            case 21:
                message = ReadChosen(ref reader, from, to, term);
                break;
            default:
                throw new InvalidDataException($"message kind {kind} is unknown");
        }
        if (!reader.IsAtEnd)
            throw new InvalidDataException($"a message of kind {kind} is longer than it says");
        return message;
    }

    private static Chosen ReadChosen(ref Reader reader, MemberId from, MemberId to, long term)
    {
        var (index, indexTerm, first) = (reader.Number(), reader.Number(), reader.Number());
        return new Chosen(from, to, term, index, indexTerm, ReadEntries(ref reader, first, reader.Number()));
    }

    private static void Numbers(IBufferWriter<byte> target, byte kind, Message message, params ReadOnlySpan<long> numbers)
    {
        var span = target.GetSpan(HeaderBytes + (8 * numbers.Length));
        span[0] = kind;
        BinaryPrimitives.WriteUInt64LittleEndian(span[1..], message.From.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(span[9..], message.To.Value);
        BinaryPrimitives.WriteInt64LittleEndian(span[17..], message.Term);
        for (var i = 0; i < numbers.Length; i++)
            BinaryPrimitives.WriteInt64LittleEndian(span[(HeaderBytes + (8 * i))..], numbers[i]);
        target.Advance(HeaderBytes + (8 * numbers.Length));
    }

    /// <summary>Indexes follow one another, so only the term, kind and data are sent.</summary>
    private static void WriteEntry(IBufferWriter<byte> target, in Entry entry)
    {
        var span = target.GetSpan(13 + entry.Data.Length);
        BinaryPrimitives.WriteInt64LittleEndian(span, entry.Term);
        span[8] = (byte)entry.Kind;
        BinaryPrimitives.WriteInt32LittleEndian(span[9..], entry.Data.Length);
        entry.Data.Span.CopyTo(span[13..]);
        target.Advance(13 + entry.Data.Length);
    }

    /// <summary>Their number, then each: proposer, number, slot, and the entry.</summary>
    private static void WriteVotes(IBufferWriter<byte> target, IReadOnlyList<FastVote> votes)
    {
        BinaryPrimitives.WriteInt64LittleEndian(target.GetSpan(8), votes.Count);
        target.Advance(8);
        foreach (var vote in votes)
        {
            var span = target.GetSpan(24);
            BinaryPrimitives.WriteUInt64LittleEndian(span, vote.Proposer.Value);
            BinaryPrimitives.WriteInt64LittleEndian(span[8..], vote.Number);
            BinaryPrimitives.WriteInt64LittleEndian(span[16..], vote.Slot);
            target.Advance(24);
            WriteEntry(target, vote.Entry);
        }
    }

    private static FastVote[] ReadVotes(ref Reader reader)
    {
        var count = reader.Number();
        if (count < 0 || count > reader.Left / 37)
            throw new InvalidDataException($"a message says it has {count} votes");
        var votes = new FastVote[count];
        for (var i = 0; i < votes.Length; i++)
        {
            var proposer = new MemberId((ulong)reader.Number());
            var number = reader.Number();
            votes[i] = new FastVote(proposer, number, ReadEntries(ref reader, reader.Number(), 1)[0]);
        }
        return votes;
    }

    private static AppendRequest ReadAppend(ref Reader reader, MemberId from, MemberId to, long term)
    {
        var previous = reader.Number();
        var previousTerm = reader.Number();
        var commit = reader.Number();
        var count = reader.Number();
        return new AppendRequest(from, to, term, previous, previousTerm, commit, ReadEntries(ref reader, previous + 1, count));
    }

    private static Entry[] ReadEntries(ref Reader reader, long first, long count)
    {
        if (count < 0 || count > reader.Left / 13)
            throw new InvalidDataException($"a message says it has {count} entries");
        var entries = new Entry[count];
        for (var i = 0; i < entries.Length; i++)
        {
            var entryTerm = reader.Number();
            var kind = (EntryKind)reader.Byte();
            entries[i] = new Entry(entryTerm, first + i, kind, reader.Bytes(reader.Int()));
        }
        return entries;
    }

    private static SnapshotChunk ReadChunk(ref Reader reader, MemberId from, MemberId to, long term)
    {
        var index = reader.Number();
        var lastTerm = reader.Number();
        var bytes = reader.Number();
        var checksum = (uint)reader.Number();
        var offset = reader.Number();
        var length = reader.Number();
        var configuration = Configuration.Decode(reader.Rest.Span, out var used);
        reader.Bytes(used);
        var snapshot = new SnapshotInfo(index, lastTerm, configuration, bytes, checksum);
        return new SnapshotChunk(from, to, term, snapshot, offset, reader.Bytes(checked((int)length)));
    }

    private ref struct Reader(ReadOnlyMemory<byte> source)
    {
        private int _at;

        public readonly bool IsAtEnd => _at == source.Length;

        public readonly int Left => source.Length - _at;

        public readonly ReadOnlyMemory<byte> Rest => source[_at..];

        public byte Byte() => Bytes(1).Span[0];

        public int Int() => BinaryPrimitives.ReadInt32LittleEndian(Bytes(4).Span);

        public long Number() => BinaryPrimitives.ReadInt64LittleEndian(Bytes(8).Span);

        public ReadOnlyMemory<byte> Bytes(int count)
        {
            if (count < 0 || count > Left)
                throw new InvalidDataException("a message is cut short");
            var bytes = source.Slice(_at, count);
            _at += count;
            return bytes;
        }
    }
}
