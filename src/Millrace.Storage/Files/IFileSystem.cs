namespace Millrace.Storage.Files;

/// <summary>
/// The disk as Millrace's logs see it: positional reads and writes, explicit flushes of files and folders. The product runs on
/// <see cref="DiskFileSystem"/>; simulators run the same code on one that crashes, tears and fills up.
/// </summary>
/// <remarks>
/// What was written but not flushed may be lost, or kept in part and in any order, by a crash. A created, renamed or deleted name
/// is durable only after <see cref="FlushFolder"/> of its folder.
/// </remarks>
public interface IFileSystem
{
    /// <summary>Opens for reading and writing, creating when absent and <paramref name="create"/>.</summary>
    /// <exception cref="FileNotFoundException">Absent, and not to be created.</exception>
    IFile Open(string path, bool create = false);

    bool FileExists(string path);

    /// <summary>Creates the folder and its parents.</summary>
    void CreateFolder(string path);

    bool FolderExists(string path);

    /// <summary>Names (not paths) of the files in a folder, in ordinal order.</summary>
    IReadOnlyList<string> ListFiles(string folder);

    /// <summary>Names (not paths) of the folders in a folder, in ordinal order.</summary>
    IReadOnlyList<string> ListFolders(string folder);

    /// <summary>Renames a file or folder, replacing a file of that name.</summary>
    void Rename(string from, string to);

    void DeleteFile(string path);

    /// <summary>Deletes the folder with all in it.</summary>
    void DeleteFolder(string path);

    /// <summary>Makes the names in a folder durable.</summary>
    void FlushFolder(string path);
}

/// <summary>An open file. Reads may run beside each other and beside one writer that only touches other bytes.</summary>
public interface IFile : IDisposable
{
    string Path { get; }

    long Length { get; }

    /// <summary>Reads at an offset until the buffer is full or the file ends; returns the bytes read.</summary>
    int Read(long offset, Span<byte> buffer);

    /// <summary>Writes all bytes at an offset.</summary>
    /// <exception cref="IOException">The disk is full or failing; a part may have been written.</exception>
    void Write(long offset, ReadOnlySpan<byte> data);

    /// <summary>Writes the parts one after another from an offset, in one system call where possible.</summary>
    void Write(long offset, IReadOnlyList<ReadOnlyMemory<byte>> parts);

    /// <summary>fsync: returns when all written bytes and the length are durable.</summary>
    /// <exception cref="IOException">It failed. The pages may be lost: never call it again and go on (style 12).</exception>
    void Flush();

    /// <summary>
    /// Sends written bytes of a range on to the disk, so that a later <see cref="Flush"/> has less to do. Promises nothing about durability.
    /// </summary>
    /// <param name="offset">Where the range begins.</param>
    /// <param name="length">Its bytes.</param>
    /// <param name="wait">Returns when the disk has taken them; else as soon as they are on their way.</param>
    /// <exception cref="IOException">They could not be written: as a failed <see cref="Flush"/>.</exception>
    void WriteBack(long offset, long length, bool wait);

    void SetLength(long length);

    /// <summary>Reserves room without changing <see cref="Length"/> where the file system can; a hint.</summary>
    void Preallocate(long length);
}
