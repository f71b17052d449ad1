using System.Security.Cryptography;
using Millrace.Coordination.Machine;
using Millrace.Raft;
using Millrace.Raft.Consensus;
using Millrace.Raft.Log;
using Millrace.Storage.Files;

namespace Millrace.Coordination.Node;

/// <summary>What a restored folder holds.</summary>
public sealed record RestoredState(ulong ClusterId, ulong MemberId, long Revision, long Keys);

/// <summary>
/// Makes the data folder of a member of a new group from a saved state. Every member is restored from the same file with the same list
/// of members; none of them can be mistaken for a member of the old group, since cluster and member ids are derived from the file too.
/// </summary>
public static class GroupRestore
{
    /// <summary>The folder appears whole or not at all.</summary>
    /// <param name="snapshotFile">As written by <c>snapshot save</c>: the state, then its SHA-256.</param>
    /// <param name="options">Folder, name and members of the new group.</param>
    /// <exception cref="InvalidDataException">The file is damaged or no snapshot of a Millrace store.</exception>
    /// <exception cref="IOException">The folder holds something, or the disk failed.</exception>
    public static RestoredState Restore(string snapshotFile, CoordinationOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        var files = DiskFileSystem.Instance;
        if (Directory.Exists(options.DataFolder) && Directory.EnumerateFileSystemEntries(options.DataFolder).Any())
            throw new IOException($"{options.DataFolder} is not empty; a restored member begins in a folder of its own");
        var hash = Verify(snapshotFile);
        var building = Path.TrimEndingDirectorySeparator(Path.GetFullPath(options.DataFolder)) + ".restoring";
        if (Directory.Exists(building))
            Directory.Delete(building, recursive: true);
        files.CreateFolder(building);
        var grouped = options with { DataFolder = building, GroupToken = $"{options.GroupToken} restored {hash}" };
        var identity = NodeIdentity.Found(files, grouped);
        var configuration = Configuration.Of(identity.FirstMembers.Select(static m => new MemberId(m.ID)));
        var machine = Load(snapshotFile);
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
        return new RestoredState(identity.ClusterId, identity.MemberId, machine.Store.Revision, machine.Store.KeyCount);
    }

    private static string Verify(string snapshotFile)
    {
        using var stream = File.OpenRead(snapshotFile);
        if (stream.Length < 512 + SHA256.HashSizeInBytes || stream.Length % 512 != SHA256.HashSizeInBytes)
            throw new InvalidDataException($"{snapshotFile} is no snapshot: its length is not that of whole sectors and a hash");
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[1 << 16];
        for (var left = stream.Length - SHA256.HashSizeInBytes; left > 0;)
        {
            var read = stream.Read(buffer, 0, (int)Math.Min(left, buffer.Length));
            hash.AppendData(buffer, 0, read);
            left -= read;
        }
        var stored = new byte[SHA256.HashSizeInBytes];
        stream.ReadExactly(stored);
        var computed = hash.GetHashAndReset();
        return computed.AsSpan().SequenceEqual(stored)
            ? Convert.ToHexStringLower(computed)
            : throw new InvalidDataException($"{snapshotFile} is damaged: it does not match its hash");
    }

    private static CoordinationMachine Load(string snapshotFile)
    {
        var machine = new CoordinationMachine();
        using var stream = new BufferedStream(File.OpenRead(snapshotFile), 1 << 16);
        try
        {
            machine.Load(1, 1, stream);
        }
        catch (Exception error) when (error is Google.Protobuf.InvalidProtocolBufferException or InvalidDataException)
        {
            throw new InvalidDataException(
                $"{snapshotFile} is whole, but no state of a Millrace store; etcd's own snapshots are restored by etcdutl", error);
        }
        return machine;
    }
}
