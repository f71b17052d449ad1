using System.Buffers.Binary;
using System.Text;

namespace Millrace.Coordination.Snapshots;

/// <summary>Names and keys in etcd's database (etcd-io/etcd, server/storage/schema and server/storage/mvcc/revision.go). Numbers are big-endian.</summary>
internal static class EtcdSchema
{
    public const string Alarms = "alarm";
    public const string Auth = "auth";
    public const string Roles = "authRoles";
    public const string Users = "authUsers";
    public const string Cluster = "cluster";
    public const string Keys = "key";
    public const string Leases = "lease";
    public const string Members = "members";
    public const string RemovedMembers = "members_removed";
    public const string Meta = "meta";

    public const string AuthEnabled = "authEnabled";
    public const string AuthRevision = "authRevision";
    public const string ConfState = "confState";
    public const string ConsistentIndex = "consistent_index";
    public const string FinishedCompaction = "finishedCompactRev";
    public const string ScheduledCompaction = "scheduledCompactRev";
    public const string StorageVersion = "storageVersion";
    public const string Term = "term";

    /// <summary>
    /// What we write is etcd 3.6's schema, whose database every later etcd takes over by itself; 3.4 and 3.5 do not look at the version. No version of the
    /// cluster is written, since each etcd refuses one later than its own, and finds its own without.
    /// </summary>
    public const string WrittenVersion = "3.6.0";

    /// <summary>Revision u64, '_', number of the change in it u64; a deletion has a 't' after that.</summary>
    public const int RevisionBytes = 17;
    private const byte Tombstone = (byte)'t';

    public static int WriteRevision(Span<byte> key, long main, long sub, bool isTombstone)
    {
        BinaryPrimitives.WriteInt64BigEndian(key, main);
        key[8] = (byte)'_';
        BinaryPrimitives.WriteInt64BigEndian(key[9..], sub);
        if (!isTombstone)
            return RevisionBytes;
        key[RevisionBytes] = Tombstone;
        return RevisionBytes + 1;
    }

    /// <summary>False when this is no revision.</summary>
    public static bool TryReadRevision(ReadOnlySpan<byte> key, out long main, out bool isTombstone)
    {
        main = 0;
        isTombstone = key.Length == RevisionBytes + 1 && key[RevisionBytes] == Tombstone;
        if ((key.Length != RevisionBytes && !isTombstone) || key[8] != '_')
            return false;
        main = BinaryPrimitives.ReadInt64BigEndian(key);
        return main > 0;
    }

    public static byte[] Number(long value)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteInt64BigEndian(bytes, value);
        return bytes;
    }

    public static byte[] Name(string text) => Encoding.UTF8.GetBytes(text);
}
