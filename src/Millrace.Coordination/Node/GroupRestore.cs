using System.Security.Cryptography;
using System.Text;
using Google.Protobuf;
using Millrace.Coordination.Machine;
using Millrace.Coordination.Snapshots;
using Millrace.Coordination.Store;
using Millrace.Raft;
using Millrace.Raft.Consensus;
using Millrace.Raft.Log;
using Millrace.Storage.Files;

namespace Millrace.Coordination.Node;

/// <summary>What a restored folder holds.</summary>
public sealed record RestoredState(ulong ClusterId, ulong MemberId, long Revision, long Keys);

/// <summary>
/// Makes the data folder of a member of a new group from a snapshot, of Millrace's store or of etcd: they are the same. Every member is restored from
/// the same file with the same list of members; none of them can be mistaken for a member of the old group, since cluster and member ids are derived from the file too.
/// </summary>
public static class GroupRestore
{
    /// <summary>The folder appears whole or not at all.</summary>
    /// <param name="snapshotFile">As written by <c>snapshot save</c>: a database of etcd's, then its SHA-256.</param>
    /// <param name="options">Folder, name and members of the new group.</param>
    /// <param name="skipHashCheck">A database without a hash will do, as it is in the data folder of an etcd that does not run.</param>
    /// <exception cref="InvalidDataException">The file is damaged or no snapshot.</exception>
    /// <exception cref="IOException">The folder holds something, or the disk failed.</exception>
    public static RestoredState Restore(string snapshotFile, CoordinationOptions options, bool skipHashCheck = false)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        var files = DiskFileSystem.Instance;
        if (Directory.Exists(options.DataFolder) && Directory.EnumerateFileSystemEntries(options.DataFolder).Any())
            throw new IOException($"{options.DataFolder} is not empty; a restored member begins in a folder of its own");
        var (hash, bytes) = Verify(snapshotFile, skipHashCheck);
        var building = Path.TrimEndingDirectorySeparator(Path.GetFullPath(options.DataFolder)) + ".restoring";
        if (Directory.Exists(building))
            Directory.Delete(building, recursive: true);
        files.CreateFolder(building);
        var grouped = options with { DataFolder = building, GroupToken = $"{options.GroupToken} restored {Convert.ToHexStringLower(hash)}" };
        var identity = NodeIdentity.Found(files, grouped);
        var configuration = Configuration.Of(identity.FirstMembers.Select(static m => new MemberId(m.ID)));
        // All members need the same key for tokens and meet nowhere before they start: it follows from the file, which holds the passwords' hashes too.
        var tokenKey = HMACSHA256.HashData(hash, Encoding.UTF8.GetBytes($"tokens of {identity.ClusterId:x}"));
        var (header, store) = EtcdSnapshotReader.Read(snapshotFile, bytes, ByteString.CopyFrom(tokenKey));
        var machine = new CoordinationMachine();
        machine.Load(1, 1, header, store);
        machine.Regroup(identity.ClusterId, identity.FirstMembers);
        using (var storage = MemberStorage.Open(files, Path.Combine(building, "raft"), configuration, options.Log))
        {
            var state = machine.Capture();
            using var gate = new ReaderWriterLockSlim();
            using var stream = storage.Snapshots.Create(state.Index, state.Term, configuration);
            state.Write(machine.Store, stream, gate);
            var snapshot = stream.Complete();
            storage.Log.Append([new LogWrite(0, new HardState(state.Term, MemberId.None), snapshot, [], [])]);
        }
        if (Directory.Exists(options.DataFolder))
            Directory.Delete(options.DataFolder);
        Directory.Move(building, options.DataFolder);
        files.FlushFolder(Path.GetDirectoryName(Path.GetFullPath(options.DataFolder))!);
        return new RestoredState(identity.ClusterId, identity.MemberId, machine.Store.Revision, LiveKeys(machine.Store));
    }

    private static long LiveKeys(KeyValueStore store)
    {
        long keys = 0;
        store.Walk(new KeyRange(ByteString.Empty, ByteString.CopyFrom(0)), 0, _ => ++keys > 0);
        return keys;
    }

    /// <summary>The hash of the database in the file, and its length.</summary>
    private static (byte[] Hash, long Bytes) Verify(string snapshotFile, bool skipHashCheck)
    {
        using var stream = File.OpenRead(snapshotFile);
        // As etcd tells them apart: pages are whole sectors.
        var hasHash = stream.Length % 512 == SHA256.HashSizeInBytes;
        if (!hasHash && !skipHashCheck)
            throw new InvalidDataException($"{snapshotFile} has no hash at its end: it is cut, no snapshot, or a database from a data folder (then: --skip-hash-check)");
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[1 << 16];
        var bytes = stream.Length - (hasHash ? SHA256.HashSizeInBytes : 0);
        for (var left = bytes; left > 0;)
        {
            var read = stream.Read(buffer, 0, (int)Math.Min(left, buffer.Length));
            hash.AppendData(buffer, 0, read);
            left -= read;
        }
        var computed = hash.GetHashAndReset();
        if (!hasHash || skipHashCheck)
            return (computed, bytes);
        var stored = new byte[SHA256.HashSizeInBytes];
        stream.ReadExactly(stored);
        return computed.AsSpan().SequenceEqual(stored)
            ? (computed, bytes)
            : throw new InvalidDataException($"{snapshotFile} is damaged: it does not match its hash");
    }
}
