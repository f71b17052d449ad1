using Millrace.Storage.Files;

namespace Millrace.Tests.Iceberg;

internal sealed class PowerFailure : Exception;

/// <summary>Throws at the n-th change from now and at every one after: the process is dead.</summary>
internal sealed class CrashingFileSystem(IFileSystem inner) : IFileSystem
{
    public int StepsLeft { get; set; } = int.MaxValue;

    public IFile Open(string path, bool create = false)
    {
        if (create)
            Step();
        return new CrashingFile(this, inner.Open(path, create));
    }

    public bool FileExists(string path) => inner.FileExists(path);

    public void CreateFolder(string path) => Do(() => inner.CreateFolder(path));

    public bool FolderExists(string path) => inner.FolderExists(path);

    public IReadOnlyList<string> ListFiles(string folder) => inner.ListFiles(folder);

    public IReadOnlyList<string> ListFolders(string folder) => inner.ListFolders(folder);

    public void Rename(string from, string to) => Do(() => inner.Rename(from, to));

    public void DeleteFile(string path) => Do(() => inner.DeleteFile(path));

    public void DeleteFolder(string path) => Do(() => inner.DeleteFolder(path));

    public void FlushFolder(string path) => Do(() => inner.FlushFolder(path));

    private void Do(Action action)
    {
        Step();
        action();
    }

    private void Step()
    {
        if (StepsLeft != int.MaxValue && StepsLeft-- <= 0)
            throw new PowerFailure();
    }

    private sealed class CrashingFile(CrashingFileSystem owner, IFile file) : IFile
    {
        public string Path => file.Path;

        public long Length => file.Length;

        public int Read(long offset, Span<byte> buffer) => file.Read(offset, buffer);

        public void Write(long offset, ReadOnlySpan<byte> data)
        {
            owner.Step();
            file.Write(offset, data);
        }

        public void Write(long offset, IReadOnlyList<ReadOnlyMemory<byte>> parts) => owner.Do(() => file.Write(offset, parts));

        public void Flush() => owner.Do(file.Flush);

        public void SetLength(long length) => owner.Do(() => file.SetLength(length));

        public void WriteBack(long offset, long length, bool wait) => file.WriteBack(offset, length, wait);

        public void Preallocate(long length) => file.Preallocate(length);

        public void Dispose() => file.Dispose();
    }
}
