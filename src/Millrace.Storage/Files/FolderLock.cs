using System.Globalization;
using System.Runtime.InteropServices;

namespace Millrace.Storage.Files;

/// <summary>
/// Holds a folder for one process, by an advisory lock that the kernel drops when the process dies. The lock file names its
/// holder, so that who comes second can say who was first.
/// </summary>
public sealed class FolderLock : IDisposable
{
    private readonly FileStream _stream;

    private FolderLock(FileStream stream) => _stream = stream;

    /// <summary>Takes the lock or tells who has it.</summary>
    /// <param name="folder">Created when absent.</param>
    /// <param name="name">The lock file's name, e.g. <c>LOCK</c>.</param>
    /// <exception cref="FolderLockedException">Another process (or another holder in this one) has it.</exception>
    public static FolderLock Take(string folder, string name = "LOCK")
    {
        try
        {
            Directory.CreateDirectory(folder);
        }
        catch (IOException error)
        {
            throw new IOException($"{folder} cannot be used as a folder: {error.Message} Choose another, e.g. with --data", error);
        }
        var path = Path.Combine(folder, name);
        FileStream stream;
        try
        {
            stream = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
        }
        catch (IOException error) when (File.Exists(path) && error is not FileNotFoundException)
        {
            throw new FolderLockedException(folder, HolderOf(path), error);
        }
        stream.SetLength(0);
        stream.Write(System.Text.Encoding.UTF8.GetBytes(
            Environment.ProcessId.ToString(CultureInfo.InvariantCulture) + " " + Environment.CommandLine.ReplaceLineEndings(" ") + "\n"));
        stream.Flush();
        return new FolderLock(stream);
    }

    public void Dispose() => _stream.Dispose();

    private static string HolderOf(string path)
    {
        // FileStream asks for the very lock that is held; a plain open does not.
        var descriptor = Open(path, flags: 0);
        if (descriptor < 0)
            return "unknown";
        try
        {
            var bytes = new byte[4096];
            var read = (int)Read(descriptor, bytes, bytes.Length);
            var text = read <= 0 ? "" : System.Text.Encoding.UTF8.GetString(bytes, 0, read).TrimEnd('\n');
            return text.Length == 0 ? "unknown" : text;
        }
        finally
        {
            _ = Close(descriptor);
        }
    }

    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    private static extern int Open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

    [DllImport("libc", EntryPoint = "read", SetLastError = true)]
    private static extern nint Read(int descriptor, byte[] buffer, nint count);

    [DllImport("libc", EntryPoint = "close", SetLastError = true)]
    private static extern int Close(int descriptor);
}

/// <summary>A folder is held by another process.</summary>
public sealed class FolderLockedException(string folder, string holder, Exception inner)
    : IOException($"{folder} is in use by process {holder}; stop that process or choose another folder with --data", inner)
{
    public string Folder { get; } = folder;

    /// <summary>Process id and command line of the holder, where it could be read.</summary>
    public string Holder { get; } = holder;
}
