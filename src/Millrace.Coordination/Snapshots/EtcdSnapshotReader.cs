using System.Buffers.Binary;
using System.Text;
using Google.Protobuf;
using Millrace.Coordination.Bolt;
using Millrace.Coordination.Store;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Snapshots;

/// <summary>Reads the state out of a database of etcd's, 3.4 to 3.7, or of one that <see cref="EtcdSnapshotWriter"/> wrote.</summary>
internal static class EtcdSnapshotReader
{
    /// <param name="path">The file.</param>
    /// <param name="bytes">How much of it is the database.</param>
    /// <param name="tokenKey">What signs tokens from now on; etcd has nothing of the kind in its database.</param>
    /// <exception cref="InvalidDataException">It is damaged, or no database of etcd's.</exception>
    public static (StateHeader Header, KeyValueStore Store) Read(string path, long bytes, ByteString tokenKey)
    {
        using var bolt = new BoltReader(path, bytes);
        try
        {
            var header = new StateHeader { Auth = ReadAuth(bolt, path, tokenKey) };
            foreach (var (_, value) in bolt.Bucket(EtcdSchema.Leases))
            {
                var lease = StoredLease.Parser.ParseFrom(value.Span);
                header.Leases.Add(new StateLease { Id = lease.Id, TtlSeconds = lease.TtlSeconds });
            }
            var store = ReadStore(bolt, path, header);
            header.Revision = store.Revision;
            header.CompactedRevision = store.CompactedRevision;
            return (header, store);
        }
        catch (InvalidProtocolBufferException error)
        {
            throw new InvalidDataException($"{path} is damaged: what etcd keeps there cannot be read ({error.Message})", error);
        }
        catch (StoreException error)
        {
            throw new InvalidDataException($"{path} is damaged: {error.Message}", error);
        }
    }

    private static KeyValueStore ReadStore(BoltReader bolt, string path, StateHeader header)
    {
        var compacted = CompactedRevision(bolt, path);
        var hasKeys = false;
        var previous = compacted;
        // A hole in the revisions is left by etcdutl's --bump-revision; what was before it can be read at the newest only.
        foreach (var (key, _) in bolt.Bucket(EtcdSchema.Keys))
        {
            var revision = RevisionOf(key.Span, path, out _);
            if (revision > compacted && hasKeys && revision > previous + 1)
                compacted = revision - 1;
            hasKeys = true;
            previous = Math.Max(previous, revision);
        }
        var store = new KeyValueStore();
        var newest = new Dictionary<ByteString, KeyValue>();
        var changes = new List<KeyValue>();
        var isBase = true;
        long under = 0;
        foreach (var (key, value) in bolt.Bucket(EtcdSchema.Keys))
        {
            var revision = RevisionOf(key.Span, path, out var isTombstone);
            var version = KeyValue.Parser.ParseFrom(value.Span);
            if (version.Key.IsEmpty)
                continue; // What --bump-revision leaves.
            if (revision <= compacted)
            {
                if (isTombstone && revision == compacted)
                    newest[version.Key] = new KeyValue { Key = version.Key, ModRevision = revision };
                else if (isTombstone)
                    newest.Remove(version.Key);
                else
                    newest[version.Key] = Checked(version, revision, path);
                continue;
            }
            if (isBase)
                Begin(store, compacted, newest, header);
            isBase = false;
            if (revision != under && changes.Count > 0)
                Restore(store, changes, under, path);
            under = revision;
            changes.Add(isTombstone ? new KeyValue { Key = version.Key, ModRevision = revision } : Checked(version, revision, path));
        }
        if (isBase)
            Begin(store, compacted, newest, header);
        if (changes.Count > 0)
            Restore(store, changes, under, path);
        store.RestoreAttachments();
        return store;
    }

    private static void Begin(KeyValueStore store, long compacted, Dictionary<ByteString, KeyValue> newest, StateHeader header)
    {
        store.BeginRestore(compacted);
        foreach (var version in newest.Values)
            store.RestoreBase(HeadOf(version), version.Key.Span, version.Value.Span);
        store.EndBase();
        newest.Clear();
        foreach (var lease in header.Leases)
            store.Leases.Grant(lease.Id, lease.TtlSeconds);
    }

    private static void Restore(KeyValueStore store, List<KeyValue> changes, long revision, string path)
    {
        foreach (var change in changes)
            store.RestoreChange(HeadOf(change), change.Key.Span, change.Value.Span);
        store.Commit();
        changes.Clear();
        if (store.Revision != revision)
            throw new InvalidDataException($"{path} is damaged: revision {revision} follows {store.Revision - 1}");
    }

    private static VersionHead HeadOf(KeyValue version) => new()
    {
        CreateRevision = version.CreateRevision, ModRevision = version.ModRevision, Version = version.Version, Lease = version.Lease,
    };

    private static KeyValue Checked(KeyValue version, long revision, string path) =>
        version.ModRevision == revision && version.Version > 0 && version.CreateRevision > 0 && version.CreateRevision <= revision
            ? version
            : throw new InvalidDataException($"{path} is damaged: what is kept as revision {revision} says that it is version {version.Version} of revision {version.ModRevision}");

    private static long RevisionOf(ReadOnlySpan<byte> key, string path, out bool isTombstone) => EtcdSchema.TryReadRevision(key, out var main, out isTombstone)
        ? main
        : throw new InvalidDataException($"{path} is damaged: {Convert.ToHexString(key)} is no revision");

    /// <summary>A compaction that was under way has happened as far as any reader could tell.</summary>
    private static long CompactedRevision(BoltReader bolt, string path)
    {
        long compacted = 0;
        var hasMeta = false;
        foreach (var (key, value) in bolt.Bucket(EtcdSchema.Meta))
        {
            hasMeta = true;
            var name = Encoding.ASCII.GetString(key.Span);
            if (name is EtcdSchema.FinishedCompaction or EtcdSchema.ScheduledCompaction)
                compacted = Math.Max(compacted, RevisionOf(value.Span, path, out _));
        }
        return hasMeta ? compacted : throw new InvalidDataException($"{path} is a bbolt database, but not etcd's: it has no \"{EtcdSchema.Meta}\"");
    }

    private static AuthState ReadAuth(BoltReader bolt, string path, ByteString tokenKey)
    {
        var auth = new AuthState { Revision = 1 };
        foreach (var (key, value) in bolt.Bucket(EtcdSchema.Auth))
        {
            switch (Encoding.ASCII.GetString(key.Span))
            {
                case EtcdSchema.AuthEnabled:
                    auth.Enabled = value.Span is [1];
                    break;
                case EtcdSchema.AuthRevision:
                    auth.Revision = value.Length == 8
                        ? BinaryPrimitives.ReadUInt64BigEndian(value.Span)
                        : throw new InvalidDataException($"{path} is damaged: its {EtcdSchema.AuthRevision} has {value.Length} bytes");
                    break;
            }
        }
        auth.TokenKey = auth.Enabled ? tokenKey : ByteString.Empty;
        foreach (var (_, value) in bolt.Bucket(EtcdSchema.Users))
        {
            var stored = StoredUser.Parser.ParseFrom(value.Span);
            var user = new AuthUser { Name = stored.Name.ToStringUtf8(), PasswordHash = stored.Password, NoPassword = stored.Options?.NoPassword ?? false };
            user.Roles.AddRange(stored.Roles);
            auth.Users.Add(user);
        }
        foreach (var (_, value) in bolt.Bucket(EtcdSchema.Roles))
        {
            var stored = StoredRole.Parser.ParseFrom(value.Span);
            var role = new AuthRole { Name = stored.Name.ToStringUtf8() };
            role.Permissions.AddRange(stored.Permissions);
            auth.Roles.Add(role);
        }
        return auth;
    }
}
