using Millrace.Raft.Consensus;
using Millrace.Raft.Snapshots;
using Millrace.Storage.Files;

namespace Millrace.Raft.Log;

/// <summary>Log and snapshots of a member, brought in step with each other.</summary>
public sealed class MemberStorage : IDisposable
{
    private MemberStorage(RaftLog log, SnapshotStore snapshots)
    {
        Log = log;
        Snapshots = snapshots;
    }

    public RaftLog Log { get; }

    public SnapshotStore Snapshots { get; }

    /// <summary>The index that the newest snapshot holds, where the state machine begins to apply.</summary>
    public long SnapshotIndex => Snapshots.Newest?.Index ?? 0;

    /// <summary>Opens what a folder holds, or begins there.</summary>
    /// <param name="files">The disk.</param>
    /// <param name="folder">Of this member alone.</param>
    /// <param name="members">First members, for a new group; <see cref="Configuration.Empty"/> for a member that joins one.</param>
    /// <param name="options">Bounds of the log.</param>
    /// <exception cref="LogCorruptException">What was durable is damaged or missing.</exception>
    public static MemberStorage Open(IFileSystem files, string folder, Configuration members, RaftLogOptions? options = null)
    {
        var snapshots = SnapshotStore.Open(files, Path.Combine(folder, "snapshots"));
        var log = RaftLog.Open(files, Path.Combine(folder, "log"), members, options);
        try
        {
            Reconcile(log, snapshots, folder);
        }
        catch
        {
            log.Dispose();
            throw;
        }
        return new MemberStorage(log, snapshots);
    }

    /// <summary>What the core starts from when the state machine was loaded from the newest snapshot.</summary>
    public RecoveredState State() => Log.State(SnapshotIndex);

    public void Dispose() => Log.Dispose();

    /// <summary>
    /// The folder and the names in it are durable from now on. Also when it was there already: whoever made them may have died before
    /// flushing, and what a process sees need not survive the machine.
    /// </summary>
    internal static void MakeFolderDurable(IFileSystem files, string folder)
    {
        var isNew = !files.FolderExists(folder);
        if (isNew)
            files.CreateFolder(folder);
        files.FlushFolder(folder);
        // Above the member's own folders, names are somebody else's and may not even be readable.
        var levels = isNew ? int.MaxValue : 2;
        for (var path = Path.GetDirectoryName(folder); path is not null && levels-- > 0; path = Path.GetDirectoryName(path))
            files.FlushFolder(path);
    }

    private static void Reconcile(RaftLog log, SnapshotStore snapshots, string folder)
    {
        var newest = snapshots.Newest;
        if ((newest?.Index ?? 0) < log.Base.Index)
        {
            throw new LogCorruptException(
                folder, 0, $"the log begins after entry {log.Base.Index}, but the newest snapshot has entries up to {newest?.Index ?? 0}");
        }
        if (newest is null || log.TermAt(newest.Index) == newest.Term)
            return;
        if (!log.IsRestart)
            throw new LogCorruptException(folder, 0, "there is a snapshot and no log, so votes given may be forgotten");
        // The machine stopped between storing a leader's snapshot and beginning the log anew after it.
        log.Append([new LogWrite(0, null, newest, [], [])]);
    }
}
