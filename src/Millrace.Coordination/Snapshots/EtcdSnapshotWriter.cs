using System.Text.Json;
using Google.Protobuf;
using Millrace.Coordination.Bolt;
using Millrace.Coordination.Machine;
using Millrace.Coordination.Store;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Snapshots;

/// <summary>
/// Writes a state as the database that etcd would have of it, so that etcd's own programs read and restore it: every version that a read can see, leases,
/// members, alarms, users and roles.
/// </summary>
internal static class EtcdSnapshotWriter
{
    /// <summary>Versions that are sorted in memory at a time.</summary>
    private const long SortBytes = 16 << 20;

    /// <param name="state">At one entry; entries after it go on being applied.</param>
    /// <param name="store">What the state was captured from, still on hold.</param>
    /// <param name="gate">Held for reading a few keys at a time.</param>
    /// <param name="target">Empty, and can be sought in.</param>
    /// <param name="scratch">Gives a file for what does not fit in memory.</param>
    public static void Write(MachineSnapshot state, KeyValueStore store, ReaderWriterLockSlim gate, Stream target, Func<Stream> scratch)
    {
        var header = state.Header;
        var bolt = new BoltWriter(target);
        // In bytewise order of their names, as the format wants.
        Write(bolt, EtcdSchema.Alarms, header.Alarms.Select(static a => (a.ToByteArray(), Array.Empty<byte>())));
        var auth = new List<(byte[], byte[])> { (EtcdSchema.Name(EtcdSchema.AuthRevision), EtcdSchema.Number((long)header.Auth.Revision)) };
        if (header.Auth.Enabled)
            auth.Add((EtcdSchema.Name(EtcdSchema.AuthEnabled), [1]));
        Write(bolt, EtcdSchema.Auth, auth);
        Write(bolt, EtcdSchema.Roles, header.Auth.Roles.Select(static r => (EtcdSchema.Name(r.Name), Stored(r).ToByteArray())));
        Write(bolt, EtcdSchema.Users, header.Auth.Users.Select(static u => (EtcdSchema.Name(u.Name), Stored(u).ToByteArray())));
        Write(bolt, EtcdSchema.Cluster, []);
        WriteKeys(bolt, state, store, gate, scratch);
        Write(bolt, EtcdSchema.Leases, header.Leases.Select(static l =>
            (EtcdSchema.Number(l.Id), new StoredLease { Id = l.Id, TtlSeconds = l.TtlSeconds }.ToByteArray())));
        Write(bolt, EtcdSchema.Members, header.Members.Select(static m => (EtcdSchema.Name(m.ID.ToString("x")), Json(m))));
        Write(bolt, EtcdSchema.RemovedMembers, header.RemovedMembers.Select(static id => (EtcdSchema.Name(id.ToString("x")), EtcdSchema.Name("removed"))));
        Write(bolt, EtcdSchema.Meta, Meta(state));
        bolt.Complete();
    }

    private static void WriteKeys(BoltWriter bolt, MachineSnapshot state, KeyValueStore store, ReaderWriterLockSlim gate, Func<Stream> scratch)
    {
        bolt.BeginBucket(EtcdSchema.Name(EtcdSchema.Keys));
        Span<byte> key = stackalloc byte[EtcdSchema.RevisionBytes + 1];
        foreach (var (revision, sub, version) in Versions(state, store, gate, scratch))
            bolt.Add(key[..EtcdSchema.WriteRevision(key, revision, sub, isTombstone: version.Version == 0)], Stored(version));
    }

    /// <summary>Every version that a read can see, by revision and by its place among the changes of that revision.</summary>
    public static IEnumerable<(long Revision, long Sub, KeyValue Version)> Versions(
        MachineSnapshot state, KeyValueStore store, ReaderWriterLockSlim gate, Func<Stream> scratch)
    {
        using (var sorter = new VersionSorter(scratch, SortBytes))
        {
            foreach (var versions in state.Base(store, gate))
            {
                foreach (var id in versions)
                    sorter.Add(store.View(id).ToMessage());
            }
            // Which change of its revision a version was is not kept past a compaction; only the order matters.
            var (revision, sub) = (0L, 0L);
            foreach (var version in sorter.Sorted())
            {
                sub = version.ModRevision == revision ? sub + 1 : 0;
                revision = version.ModRevision;
                yield return (revision, sub, version);
            }
        }
        var main = state.FirstRevision;
        foreach (var (changes, ends) in state.Revisions(store, gate))
        {
            var at = 0;
            foreach (var end in ends)
            {
                for (var sub = 0; at < end; at++, sub++)
                    yield return (main, sub, store.View(changes[at]).ToMessage());
                main++;
            }
        }
    }

    /// <summary>A version as the keys' bucket has it.</summary>
    public static byte[] Stored(KeyValue version) => (version.Version == 0 ? new KeyValue { Key = version.Key } : version).ToByteArray();

    private static List<(byte[], byte[])> Meta(MachineSnapshot state)
    {
        var compacted = new byte[EtcdSchema.RevisionBytes];
        EtcdSchema.WriteRevision(compacted, state.Header.CompactedRevision, 0, isTombstone: false);
        var meta = new List<(byte[], byte[])>
        {
            (EtcdSchema.Name(EtcdSchema.ConsistentIndex), EtcdSchema.Number(state.Index)),
            (EtcdSchema.Name(EtcdSchema.Term), EtcdSchema.Number(state.Term)),
            (EtcdSchema.Name(EtcdSchema.StorageVersion), EtcdSchema.Name(EtcdSchema.WrittenVersion)),
            (EtcdSchema.Name(EtcdSchema.ConfState), ConfState(state.Header)),
        };
        if (state.Header.CompactedRevision > 0)
        {
            meta.Add((EtcdSchema.Name(EtcdSchema.FinishedCompaction), compacted));
            meta.Add((EtcdSchema.Name(EtcdSchema.ScheduledCompaction), compacted));
        }
        return meta;
    }

    private static void Write(BoltWriter bolt, string bucket, IEnumerable<(byte[] Key, byte[] Value)> items)
    {
        bolt.BeginBucket(EtcdSchema.Name(bucket));
        foreach (var (key, value) in items.OrderBy(static item => item.Key, Comparer<byte[]>.Create(static (a, b) => a.AsSpan().SequenceCompareTo(b))))
            bolt.Add(key, value);
    }

    private static StoredUser Stored(AuthUser user)
    {
        var stored = new StoredUser
        {
            Name = ByteString.CopyFromUtf8(user.Name), Password = user.PasswordHash, Options = new UserAddOptions { NoPassword = user.NoPassword },
        };
        stored.Roles.AddRange(user.Roles);
        return stored;
    }

    private static StoredRole Stored(AuthRole role)
    {
        var stored = new StoredRole { Name = ByteString.CopyFromUtf8(role.Name) };
        stored.Permissions.AddRange(role.Permissions);
        return stored;
    }

    private static byte[] Json(Member member) => InJson(json =>
    {
        json.WriteNumber("id", member.ID);
        WriteTexts(json, "peerURLs", member.PeerURLs);
        if (member.IsLearner)
            json.WriteBoolean("isLearner", true);
        if (member.Name.Length > 0)
            json.WriteString("name", member.Name);
        if (member.ClientURLs.Count > 0)
            WriteTexts(json, "clientURLs", member.ClientURLs);
    });

    private static byte[] ConfState(StateHeader header) => InJson(json =>
    {
        WriteIds(json, "voters", header.Members.Where(static m => !m.IsLearner));
        if (header.Members.Any(static m => m.IsLearner))
            WriteIds(json, "learners", header.Members.Where(static m => m.IsLearner));
        json.WriteBoolean("auto_leave", false);
    });

    private static byte[] InJson(Action<Utf8JsonWriter> write)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }
        return stream.ToArray();
    }

    private static void WriteTexts(Utf8JsonWriter json, string name, IEnumerable<string> texts)
    {
        json.WriteStartArray(name);
        foreach (var text in texts)
            json.WriteStringValue(text);
        json.WriteEndArray();
    }

    private static void WriteIds(Utf8JsonWriter json, string name, IEnumerable<Member> members)
    {
        json.WriteStartArray(name);
        foreach (var member in members)
            json.WriteNumberValue(member.ID);
        json.WriteEndArray();
    }
}
