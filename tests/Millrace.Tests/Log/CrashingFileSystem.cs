using Millrace.Storage.Files;

namespace Millrace.Tests.Log;

/// <summary>The power goes off: nothing after it reaches the disk.</summary>
internal sealed class PowerOff : Exception;

/// <summary>Passes everything on until a counted change, which throws and is not done, as is all that follows.</summary>
internal sealed class CrashingFileSystem(IFileSystem disk, int crashAt = int.MaxValue) : IFileSystem
{
    /// <summary>Changes so far: writes, flushes, cuts, names.</summary>
    public int Changes { get; private set; }

    /// <summary>Called before each flush of a file: a slow disk lets time pass.</summary>
    public Action? Flushing { get; init; }

    public IFile Open(string path, bool create = false)
    {
        if (create && !disk.FileExists(path))
            Count();
        else
            RefuseAfter();
        return new CrashingFile(this, disk.Open(path, create));
    }

    public bool FileExists(string path) => disk.FileExists(path);

    public void CreateFolder(string path)
    {
        if (!disk.FolderExists(path))
            Count();
        disk.CreateFolder(path);
    }

    public bool FolderExists(string path) => disk.FolderExists(path);

    public IReadOnlyList<string> ListFiles(string folder) => disk.ListFiles(folder);

    public IReadOnlyList<string> ListFolders(string folder) => disk.ListFolders(folder);

    public void Rename(string from, string to)
    {
        Count();
        disk.Rename(from, to);
    }

    public void DeleteFile(string path)
    {
        Count();
        disk.DeleteFile(path);
    }

    public void DeleteFolder(string path)
    {
        Count();
        disk.DeleteFolder(path);
    }

    public void FlushFolder(string path)
    {
        Count();
        disk.FlushFolder(path);
    }

    private void Count()
    {
        RefuseAfter();
        if (++Changes >= crashAt)
            throw new PowerOff();
    }

    private void RefuseAfter()
    {
        if (Changes >= crashAt)
            throw new PowerOff();
    }

    private sealed class CrashingFile(CrashingFileSystem owner, IFile file) : IFile
    {
        public string Path => file.Path;

        public long Length => file.Length;

        public int Read(long offset, Span<byte> buffer)
        {
            owner.RefuseAfter();
            return file.Read(offset, buffer);
        }

        public void Write(long offset, ReadOnlySpan<byte> data)
        {
            owner.Count();
            file.Write(offset, data);
        }

        public void Write(long offset, IReadOnlyList<ReadOnlyMemory<byte>> parts)
        {
            owner.Count();
            file.Write(offset, parts);
        }

        public void Flush()
        {
            owner.Flushing?.Invoke();
            owner.Count();
            file.Flush();
        }

        public void SetLength(long length)
        {
            owner.Count();
            file.SetLength(length);
        }

        public void WriteBack(long offset, long length, bool wait) => file.WriteBack(offset, length, wait);

        public void Preallocate(long length) => file.Preallocate(length);

        public void Dispose() => file.Dispose();
    }
}
