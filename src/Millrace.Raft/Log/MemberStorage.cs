using Millrace.Raft.Consensus;
using Millrace.Raft.Snapshots;
using Millrace.Storage.Files;

namespace Millrace.Raft.Log;

/// <summary>Log and snapshots of a member, brought in step with each other.</summary>
public sealed class MemberStorage : IDisposable
{
    private readonly IFileSystem _files;
    private readonly string _folder;

    private MemberStorage(IFileSystem files, string folder, RaftLog log, SnapshotStore snapshots)
    {
        _files = files;
        _folder = folder;
        Log = log;
        Snapshots = snapshots;
    }

    /// <summary>Not null while the member must not vote, since it lost something.</summary>
    public Healing? Healing { get; private set; }

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
        ArgumentNullException.ThrowIfNull(files);
        if (Healing.Read(files, folder) is { } healing)
            throw new LogCorruptException(folder, 0, $"the member was healing ({healing.Damage}), which it can only with others");
        return Open(files, folder, members, options, isHealing: false);
    }

    /// <summary>
    /// The same for a member of a group that has what this one may have lost. Damage, and all of the log after it, is deleted; what is left is
    /// <see cref="Healing"/> until <see cref="Healed"/>, also over restarts.
    /// </summary>
    /// <exception cref="LogCorruptException">Even term and vote are unknown; nothing was changed.</exception>
    public static MemberStorage OpenOrHeal(IFileSystem files, string folder, Configuration members, RaftLogOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(files);
        var healing = Healing.Read(files, folder);
        MemberStorage storage;
        try
        {
            storage = Open(files, folder, members, options, healing is not null);
        }
        catch (LogCorruptException damage)
        {
            if (new HardStateCopies(files, Path.Combine(folder, "log")).Read() is not { } known)
                throw;
            healing = new Healing(known.Term + 1, $"{damage.Path} is damaged at byte {damage.Offset}: {damage.Reason}");
            healing.Write(files, folder);
            Cut(files, folder, members, options);
            storage = Open(files, folder, members, options, isHealing: true);
        }
        if (healing is not null)
        {
            storage.Healing = healing;
            if (storage.Log.HardState.Term < healing.Term)
                storage.Log.Append([new LogWrite(0, new HardState(healing.Term, MemberId.None), null, [], [])]);
        }
        return storage;
    }

    /// <summary>The member has all again that it may have lost, durably; it may vote from now on.</summary>
    public void Healed()
    {
        if (Healing is null)
            return;
        Healing.Delete(_files, _folder);
        Healing = null;
    }

    private static MemberStorage Open(IFileSystem files, string folder, Configuration members, RaftLogOptions? options, bool isHealing)
    {
        var snapshots = SnapshotStore.Open(files, Path.Combine(folder, "snapshots"));
        var log = RaftLog.Open(files, Path.Combine(folder, "log"), members, options);
        try
        {
            Reconcile(log, snapshots, folder, isHealing);
        }
        catch
        {
            log.Dispose();
            throw;
        }
        return new MemberStorage(files, folder, log, snapshots);
    }

    /// <summary>What the core starts from when the state machine was loaded from the newest snapshot.</summary>
    public RecoveredState State() => Healing is null
        ? Log.State(Snapshots.Newest)
        : Log.State(Snapshots.Newest) with { IsHealing = true, IsRestart = true };

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

    /// <summary>Leaves what is whole from the start on: of the snapshots the newest, of the log what fits to it.</summary>
    private static void Cut(IFileSystem files, string folder, Configuration members, RaftLogOptions? options)
    {
        SnapshotStore? snapshots = null;
        while (snapshots is null)
        {
            try
            {
                snapshots = SnapshotStore.Open(files, Path.Combine(folder, "snapshots"));
            }
            catch (LogCorruptException damage)
            {
                files.DeleteFile(damage.Path);
                files.FlushFolder(Path.Combine(folder, "snapshots"));
            }
        }
        var logFolder = Path.Combine(folder, "log");
        long begins;
        using (var log = RaftLog.Open(files, logFolder, members, options, cutsDamage: true))
            begins = log.Base.Index;
        if ((snapshots.Newest?.Index ?? 0) >= begins)
            return;
        foreach (var name in files.ListFiles(logFolder).Where(static n => LogSegment.TryParseName(n, out _)).Reverse())
            files.DeleteFile(Path.Combine(logFolder, name));
        files.FlushFolder(logFolder);
    }

    private static void Reconcile(RaftLog log, SnapshotStore snapshots, string folder, bool isHealing)
    {
        var newest = snapshots.Newest;
        if ((newest?.Index ?? 0) < log.Base.Index)
        {
            throw new LogCorruptException(
                folder, 0, $"the log begins after entry {log.Base.Index}, but the newest snapshot has entries up to {newest?.Index ?? 0}");
        }
        if (newest is null || log.TermAt(newest.Index) == newest.Term)
            return;
        if (!log.IsRestart && !isHealing)
            throw new LogCorruptException(folder, 0, "there is a snapshot and no log, so votes given may be forgotten");
        // The machine stopped between storing a leader's snapshot and beginning the log anew after it.
        log.Append([new LogWrite(0, null, newest, [], [])]);
    }
}
