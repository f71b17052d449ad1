using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Millrace.Storage.Files;

/// <summary>The real disk. Stateless and thread-safe.</summary>
public sealed class DiskFileSystem : IFileSystem
{
    public static readonly DiskFileSystem Instance = new();

    private DiskFileSystem()
    {
    }

    public IFile Open(string path, bool create = false) => new DiskFile(path, create);

    public bool FileExists(string path) => File.Exists(path);

    public void CreateFolder(string path) => Directory.CreateDirectory(path);

    public bool FolderExists(string path) => Directory.Exists(path);

    public IReadOnlyList<string> ListFiles(string folder) => Names(Directory.EnumerateFiles(folder));

    public IReadOnlyList<string> ListFolders(string folder) => Names(Directory.EnumerateDirectories(folder));

    public void Rename(string from, string to)
    {
        if (Directory.Exists(from))
            Directory.Move(from, to);
        else
            File.Move(from, to, overwrite: true);
    }

    public void DeleteFile(string path) => File.Delete(path);

    public void DeleteFolder(string path) => Directory.Delete(path, recursive: true);

    public void FlushFolder(string path)
    {
        // .NET opens no folders, so this one call goes to libc.
        var descriptor = Libc.Open(path, Libc.ReadOnlyDirectory);
        if (descriptor < 0)
            throw new IOException($"cannot open folder {path} to flush it (errno {Marshal.GetLastPInvokeError()})");
        try
        {
            if (Libc.Fsync(descriptor) != 0)
                throw new IOException($"fsync of folder {path} failed (errno {Marshal.GetLastPInvokeError()})");
        }
        finally
        {
            _ = Libc.Close(descriptor);
        }
    }

    private static string[] Names(IEnumerable<string> paths) =>
        paths.Select(p => Path.GetFileName(p)).Order(StringComparer.Ordinal).ToArray();

    private sealed class DiskFile : IFile, IMappableFile
    {
        private readonly SafeFileHandle _handle;

        public DiskFile(string path, bool create)
        {
            Path = path;
            _handle = File.OpenHandle(
                path, create ? FileMode.OpenOrCreate : FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        }

        public string Path { get; }

        public long Length => RandomAccess.GetLength(_handle);

        public int Read(long offset, Span<byte> buffer)
        {
            var total = 0;
            while (total < buffer.Length)
            {
                var read = RandomAccess.Read(_handle, buffer[total..], offset + total);
                if (read == 0)
                    break;
                total += read;
            }
            return total;
        }

        public void Write(long offset, ReadOnlySpan<byte> data) => RandomAccess.Write(_handle, data, offset);

        public void Write(long offset, IReadOnlyList<ReadOnlyMemory<byte>> parts) => RandomAccess.Write(_handle, parts, offset);

        public void Flush()
        {
            // RandomAccess.FlushToDisk swallows some errors of fsync; durability must not.
            var added = false;
            _handle.DangerousAddRef(ref added);
            try
            {
                if (Libc.Fdatasync((int)_handle.DangerousGetHandle()) != 0)
                    throw new IOException($"fsync of {Path} failed (errno {Marshal.GetLastPInvokeError()})");
            }
            finally
            {
                if (added)
                    _handle.DangerousRelease();
            }
        }

        public void WriteBack(long offset, long length, bool wait)
        {
            var added = false;
            _handle.DangerousAddRef(ref added);
            try
            {
                var flags = wait ? Libc.WaitBefore | Libc.StartWrite | Libc.WaitAfter : Libc.StartWrite;
                if (Libc.SyncFileRange((int)_handle.DangerousGetHandle(), offset, length, flags) == 0)
                    return;
                // Where the system cannot do this, nothing has happened. An error of the disk is told only once, so it must not get lost here.
                var errno = Marshal.GetLastPInvokeError();
                if (errno is Libc.InputOutputError or Libc.NoSpace or Libc.OverQuota)
                    throw new IOException($"writing {Path} to the disk failed (errno {errno})");
            }
            finally
            {
                if (added)
                    _handle.DangerousRelease();
            }
        }

        public void SetLength(long length) => RandomAccess.SetLength(_handle, length);

        public void Preallocate(long length)
        {
            const int keepSize = 1;
            var added = false;
            _handle.DangerousAddRef(ref added);
            try
            {
                // A hint: file systems without fallocate simply go on without it.
                _ = Libc.Fallocate((int)_handle.DangerousGetHandle(), keepSize, 0, length);
            }
            finally
            {
                if (added)
                    _handle.DangerousRelease();
            }
        }

        public FileView Map() => new MappedView(_handle, Length);

        public void Dispose() => _handle.Dispose();
    }

    private static class Libc
    {
        public const int ReadOnlyDirectory = 0x10000 | 0x80000; // O_DIRECTORY | O_CLOEXEC on x86-64; see Open for arm64.

        public const uint WaitBefore = 1;
        public const uint StartWrite = 2;
        public const uint WaitAfter = 4;
        public const int InputOutputError = 5;
        public const int NoSpace = 28;
        public const int OverQuota = 122;

        public static int Open(string path, int flags)
        {
            if (RuntimeInformation.ProcessArchitecture == Architecture.Arm64)
                flags = 0x4000 | 0x80000;
            return OpenNative(path, flags);
        }

        [DllImport("libc", EntryPoint = "open", SetLastError = true)]
        private static extern int OpenNative([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

        [DllImport("libc", EntryPoint = "close", SetLastError = true)]
        public static extern int Close(int descriptor);

        [DllImport("libc", EntryPoint = "fsync", SetLastError = true)]
        public static extern int Fsync(int descriptor);

        [DllImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
        public static extern int Fdatasync(int descriptor);

        [DllImport("libc", EntryPoint = "sync_file_range", SetLastError = true)]
        public static extern int SyncFileRange(int descriptor, long offset, long length, uint flags);

        [DllImport("libc", EntryPoint = "fallocate", SetLastError = true)]
        public static extern int Fallocate(int descriptor, int mode, long offset, long length);
    }
}
