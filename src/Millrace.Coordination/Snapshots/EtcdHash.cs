using Millrace.Coordination.Machine;
using Millrace.Coordination.Store;
using Millrace.Coordination.Wire;
using Millrace.Storage.Checksums;

namespace Millrace.Coordination.Snapshots;

/// <summary>
/// What etcd's HashKV says of a state: CRC-32C over the name of the keys' bucket and what that bucket has, in its order, as far as a revision and without what a
/// compaction has let go of (etcd, server/storage/mvcc/hash.go).
/// </summary>
internal static class EtcdHash
{
    /// <param name="state">At one entry.</param>
    /// <param name="store">What the state was captured from, still on hold.</param>
    /// <param name="gate">Held for reading a few keys at a time.</param>
    /// <param name="revision">The last that counts.</param>
    /// <param name="scratch">Gives a file for what does not fit in memory.</param>
    public static uint Of(MachineSnapshot state, KeyValueStore store, ReaderWriterLockSlim gate, long revision, Func<Stream> scratch)
    {
        var compacted = state.Header.CompactedRevision;
        var hash = Crc32C.Compute(EtcdSchema.Name(EtcdSchema.Keys));
        var keepsAny = compacted > 0 && KeepsAny(store, gate, revision);
        Span<byte> key = stackalloc byte[EtcdSchema.RevisionBytes + 1];
        foreach (var (main, sub, version) in EtcdSnapshotWriter.Versions(state, store, gate, scratch))
        {
            if (main > revision)
                break;
            var isTombstone = version.Version == 0;
            // Newer etcds keep a deletion at just the compacted revision and older ones do not: neither counts it.
            if (main == compacted && isTombstone)
                continue;
            if (main <= compacted && keepsAny && InForce(store, gate, version, revision) != main)
                continue;
            hash = Crc32C.Compute(key[..EtcdSchema.WriteRevision(key, main, sub, isTombstone)], hash);
            hash = Crc32C.Compute(EtcdSnapshotWriter.Stored(version), hash);
        }
        return hash;
    }

    /// <summary>Where no key is left at a revision, etcd takes it that nothing is to be left away.</summary>
    private static bool KeepsAny(KeyValueStore store, ReaderWriterLockSlim gate, long revision)
    {
        gate.EnterReadLock();
        try
        {
            return store.HasAny(revision);
        }
        finally
        {
            gate.ExitReadLock();
        }
    }

    private static long InForce(KeyValueStore store, ReaderWriterLockSlim gate, KeyValue version, long revision)
    {
        gate.EnterReadLock();
        try
        {
            return store.ModRevisionAt(version.Key.Span, revision);
        }
        finally
        {
            gate.ExitReadLock();
        }
    }
}
