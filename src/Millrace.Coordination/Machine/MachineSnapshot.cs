using System.Buffers;
using Google.Protobuf;
using Millrace.Coordination.Store;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Machine;

/// <summary>
/// A state at one entry, written while later entries are applied: what is small was copied, and the versions of keys stay where they are
/// until the hold on the store is released. So only where they are is looked up under the readers' lock, a few at a time.
/// </summary>
/// <remarks>The format is that of <c>state.proto</c>, written and read without an object for each version.</remarks>
internal sealed class MachineSnapshot(long index, long term, StateHeader header)
{
    private const int KeysAtOnce = 2000;
    private const int RevisionsAtOnce = 2000;
    private const int PieceBytes = 256 << 10;

    /// <summary>Field 1 of a piece, and of a revision in it: both lists are their messages' only field.</summary>
    private const byte ItemTag = (1 << 3) | 2;

    public long Index => index;

    public long Term => term;

    public StateHeader Header => header;

    /// <summary>The first whose changes are kept.</summary>
    public long FirstRevision => Math.Max(2, header.CompactedRevision + 1);

    public void Write(KeyValueStore store, Stream stream, ReaderWriterLockSlim gate)
    {
        header.WriteDelimitedTo(stream);
        var piece = new ArrayBufferWriter<byte>(PieceBytes);
        foreach (var versions in Base(store, gate))
        {
            foreach (var id in versions)
            {
                WriteVersion(piece, store.View(id));
                if (piece.WrittenCount >= PieceBytes)
                    WritePiece(stream, piece);
            }
        }
        WritePiece(stream, piece);
        WriteEnd(stream);
        foreach (var (changes, ends) in Revisions(store, gate))
            WriteRevisions(store, stream, changes, ends, piece);
        WritePiece(stream, piece);
        WriteEnd(stream);
    }

    /// <summary>
    /// What was in force at the compacted revision, and deletions at just that one, in order of keys: some at a time, each list good until the next.
    /// </summary>
    public IEnumerable<IReadOnlyList<BlockId>> Base(KeyValueStore store, ReaderWriterLockSlim gate)
    {
        var versions = new List<BlockId>();
        for (ByteString? from = ByteString.Empty; from is not null;)
        {
            versions.Clear();
            gate.EnterReadLock();
            try
            {
                from = store.BaseFrom(from, header.CompactedRevision, KeysAtOnce, versions);
            }
            finally
            {
                gate.ExitReadLock();
            }
            yield return versions;
        }
    }

    /// <summary>The changes of the revisions from <see cref="FirstRevision"/> on, some revisions at a time, with where each revision's end; good until the next.</summary>
    public IEnumerable<(IReadOnlyList<BlockId> Changes, IReadOnlyList<int> Ends)> Revisions(KeyValueStore store, ReaderWriterLockSlim gate)
    {
        var changes = new List<BlockId>();
        var ends = new List<int>();
        for (var revision = FirstRevision; revision <= header.Revision; revision += RevisionsAtOnce)
        {
            changes.Clear();
            ends.Clear();
            gate.EnterReadLock();
            try
            {
                for (var r = revision; r <= Math.Min(header.Revision, revision + RevisionsAtOnce - 1); r++)
                {
                    store.ChangesUnderHold(r, changes);
                    ends.Add(changes.Count);
                }
            }
            finally
            {
                gate.ExitReadLock();
            }
            yield return (changes, ends);
        }
    }

    public static KeyValueStore ReadStore(StateHeader header, Stream stream)
    {
        var store = new KeyValueStore();
        byte[] buffer = [];
        store.BeginRestore(header.CompactedRevision);
        while (ReadPiece(stream, ref buffer, out var piece))
        {
            for (var items = new WireReader(piece); !items.IsAtEnd;)
            {
                if (items.ReadTag() is not ItemTag)
                    throw new InvalidDataException("the snapshot has a field in its base that nobody knows");
                var version = VersionBytes.Read(items.ReadBytes(), out var key, out var value);
                store.RestoreBase(version, key, value);
            }
        }
        store.EndBase();
        foreach (var lease in header.Leases)
            store.Leases.Grant(lease.Id, lease.TtlSeconds);
        while (ReadPiece(stream, ref buffer, out var piece))
        {
            for (var items = new WireReader(piece); !items.IsAtEnd;)
            {
                if (items.ReadTag() is not ItemTag)
                    throw new InvalidDataException("the snapshot has a field in its revisions that nobody knows");
                for (var changes = new WireReader(items.ReadBytes()); !changes.IsAtEnd;)
                {
                    if (changes.ReadTag() is not ItemTag)
                        throw new InvalidDataException("the snapshot has a field in a revision that nobody knows");
                    var version = VersionBytes.Read(changes.ReadBytes(), out var key, out var value);
                    store.RestoreChange(version, key, value);
                }
                store.Commit();
            }
        }
        store.RestoreAttachments();
        if (store.Revision != header.Revision)
            throw new InvalidDataException($"the snapshot ends at revision {store.Revision} instead of {header.Revision}");
        return store;
    }

    private static void WriteRevisions(
        KeyValueStore store, Stream stream, IReadOnlyList<BlockId> changes, IReadOnlyList<int> ends, ArrayBufferWriter<byte> piece)
    {
        var at = 0;
        foreach (var end in ends)
        {
            var size = 0;
            for (var i = at; i < end; i++)
            {
                var bytes = VersionBytes.SizeOf(store.View(changes[i]));
                size += 1 + VersionBytes.SizeOfVarint((ulong)bytes) + bytes;
            }
            WriteTag(piece, size);
            for (; at < end; at++)
                WriteVersion(piece, store.View(changes[at]));
            if (piece.WrittenCount >= PieceBytes)
                WritePiece(stream, piece);
        }
    }

    private static void WriteVersion(ArrayBufferWriter<byte> piece, VersionView version)
    {
        var size = VersionBytes.SizeOf(version);
        WriteTag(piece, size);
        VersionBytes.Write(version, piece.GetSpan(size));
        piece.Advance(size);
    }

    private static void WriteTag(ArrayBufferWriter<byte> piece, int size)
    {
        var target = piece.GetSpan(11);
        target[0] = ItemTag;
        piece.Advance(VersionBytes.WriteVarint(target, 1, (ulong)size));
    }

    /// <summary>A piece with its length before it, if there is anything in it: an empty one ends a part.</summary>
    private static void WritePiece(Stream stream, ArrayBufferWriter<byte> piece)
    {
        if (piece.WrittenCount == 0)
            return;
        Span<byte> length = stackalloc byte[10];
        stream.Write(length[..VersionBytes.WriteVarint(length, 0, (ulong)piece.WrittenCount)]);
        stream.Write(piece.WrittenSpan);
        piece.ResetWrittenCount();
    }

    private static void WriteEnd(Stream stream) => stream.WriteByte(0);

    private static bool ReadPiece(Stream stream, ref byte[] buffer, out ReadOnlySpan<byte> piece)
    {
        ulong length = 0;
        for (var shift = 0; ; shift += 7)
        {
            var next = stream.ReadByte();
            if (next < 0 || shift > 28)
                throw new InvalidDataException("the snapshot is cut short, or a length in it is none");
            length |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80)
                break;
        }
        if (length > (ulong)Array.MaxLength)
            throw new InvalidDataException("the snapshot has a piece that fits into no memory");
        if ((ulong)buffer.Length < length)
            buffer = new byte[Math.Max((int)length, PieceBytes + (PieceBytes / 2))];
        try
        {
            stream.ReadExactly(buffer, 0, (int)length);
        }
        catch (EndOfStreamException error)
        {
            throw new InvalidDataException("the snapshot is cut short", error);
        }
        piece = buffer.AsSpan(0, (int)length);
        return length > 0;
    }
}
