using Google.Protobuf;
using Millrace.Coordination.Store;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Machine;

/// <summary>
/// A state at one entry, written while later entries are applied: what is small was copied, and the versions of keys stay where they are
/// until the hold on the store is released, so that they can be read a few at a time under the readers' lock.
/// </summary>
internal sealed class MachineSnapshot(long index, long term, StateHeader header)
{
    private const int KeysAtOnce = 2000;
    private const int RevisionsAtOnce = 2000;

    public long Index => index;

    public long Term => term;

    public void Write(KeyValueStore store, Stream stream, ReaderWriterLockSlim gate)
    {
        header.WriteDelimitedTo(stream);
        var versions = new List<KeyValue>();
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
            if (versions.Count == 0)
                continue;
            var piece = new StateBase();
            piece.Versions.AddRange(versions);
            piece.WriteDelimitedTo(stream);
        }
        new StateBase().WriteDelimitedTo(stream);
        for (var revision = Math.Max(2, header.CompactedRevision + 1); revision <= header.Revision; revision += RevisionsAtOnce)
        {
            var piece = new StateRevisions();
            gate.EnterReadLock();
            try
            {
                for (var r = revision; r <= Math.Min(header.Revision, revision + RevisionsAtOnce - 1); r++)
                {
                    var changes = new StateRevision();
                    changes.Changes.AddRange(store.ChangesOf(r));
                    piece.Revisions.Add(changes);
                }
            }
            finally
            {
                gate.ExitReadLock();
            }
            piece.WriteDelimitedTo(stream);
        }
        new StateRevisions().WriteDelimitedTo(stream);
    }

    public static KeyValueStore ReadStore(StateHeader header, Stream stream)
    {
        var store = new KeyValueStore();
        var pieces = new List<KeyValue>();
        while (true)
        {
            var piece = StateBase.Parser.ParseDelimitedFrom(stream);
            if (piece.Versions.Count == 0)
                break;
            pieces.AddRange(piece.Versions);
        }
        store.RestoreBase(header.CompactedRevision, pieces);
        foreach (var lease in header.Leases)
            store.Leases.Grant(lease.Id, lease.TtlSeconds);
        while (true)
        {
            var piece = StateRevisions.Parser.ParseDelimitedFrom(stream);
            if (piece.Revisions.Count == 0)
                break;
            foreach (var revision in piece.Revisions)
                store.RestoreRevision(revision.Changes);
        }
        store.RestoreAttachments();
        if (store.Revision != header.Revision)
            throw new InvalidDataException($"the snapshot ends at revision {store.Revision} instead of {header.Revision}");
        return store;
    }
}
