using System.Runtime.CompilerServices;
using Millrace.Storage.Files;

namespace Millrace.Iceberg.Catalogs;

/// <summary>
/// Excludes other committers of one table: in this process by a monitor, in others by a lock on a file that the kernel drops when its
/// holder dies. On a simulated disk, which no other process sees, the monitor alone.
/// </summary>
internal sealed class TableLock : IDisposable
{
    private static readonly ConditionalWeakTable<IFileSystem, Dictionary<string, SemaphoreSlim>> InProcess = [];

    private readonly SemaphoreSlim _mine;
    private readonly FolderLock? _others;

    private TableLock(SemaphoreSlim mine, FolderLock? others)
    {
        _mine = mine;
        _others = others;
    }

    /// <exception cref="TimeoutException">Somebody held it for longer than the option LockTimeout.</exception>
    public static TableLock Take(IFileSystem files, string folder, FolderCatalogOptions options, TimeProvider time)
    {
        var began = time.GetTimestamp();
        var mine = Of(files, folder);
        if (!mine.Wait(options.LockTimeout))
            throw new TimeoutException($"another commit of this process holds {folder} for more than {options.LockTimeout} (option LockTimeout)");
        try
        {
            return new TableLock(mine, files is DiskFileSystem ? TakeFile(folder, options, time, began) : null);
        }
        catch
        {
            mine.Release();
            throw;
        }
    }

    public void Dispose()
    {
        _others?.Dispose();
        _mine.Release();
    }

    private static FolderLock TakeFile(string folder, FolderCatalogOptions options, TimeProvider time, long began)
    {
        using var never = new ManualResetEventSlim();
        while (true)
        {
            try
            {
                return FolderLock.Take(folder, "commit.lock");
            }
            catch (FolderLockedException error)
            {
                if (time.GetElapsedTime(began) > options.LockTimeout)
                    throw new TimeoutException($"{error.Message}; waited {options.LockTimeout} (option LockTimeout)", error);
            }
            never.Wait(options.LockPoll);
        }
    }

    private static SemaphoreSlim Of(IFileSystem files, string folder)
    {
        var locks = InProcess.GetOrCreateValue(files);
        lock (locks)
        {
            if (!locks.TryGetValue(folder, out var mine))
                locks[folder] = mine = new SemaphoreSlim(1, 1);
            return mine;
        }
    }
}
