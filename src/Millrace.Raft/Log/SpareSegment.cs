using Millrace.Storage.Files;

namespace Millrace.Raft.Log;

/// <summary>
/// The file that becomes the next segment, written with zeros before it is needed. Room that is only reserved makes every flush into it
/// wait for the file system's journal, which notes what of it is now written: 0.29 ms where 0.15 ms do (three members on one disk, ext4).
/// </summary>
internal sealed class SpareSegment(IFileSystem files, string folder, int bytes) : IDisposable
{
    private const string Name = "next.zeros";

    /// <summary>What is written at once: flushes of the log find the disk's queue short.</summary>
    private const int PieceBytes = 256 << 10;

    private readonly Lock _lock = new();
    private readonly string _path = Path.Combine(folder, Name);
    private IFile? _file;
    private int _written;
    private bool _isReady;
    private bool _hasFailed;

    public bool IsReady
    {
        get
        {
            lock (_lock)
                return _isReady;
        }
    }

    /// <summary>Writes the next piece; returns whether there are more. One caller at a time.</summary>
    public bool PrepareSome()
    {
        if (IsReady || _hasFailed)
            return false;
        try
        {
            if (_file is null)
            {
                _file = files.Open(_path, create: true);
                // One that an earlier life left may have anything in it.
                _file.SetLength(0);
                _written = 0;
            }
            if (_written < bytes)
            {
                var piece = new byte[Math.Min(PieceBytes, bytes - _written)];
                _file.Write(_written, piece);
                _file.WriteBack(_written, piece.Length, wait: true);
                _written += piece.Length;
                return true;
            }
            _file.Flush();
            _file.Dispose();
            lock (_lock)
                _isReady = true;
        }
        catch (IOException)
        {
            // Nothing is lost: segments are made without, and where the disk is full or fails the log finds out by itself.
            _hasFailed = true;
            _file?.Dispose();
        }
        return false;
    }

    /// <summary>Makes it the segment of this path, durable with its first record but for its name; false when there is none.</summary>
    public bool TryTake(string path, ReadOnlySpan<byte> record)
    {
        lock (_lock)
        {
            if (!_isReady)
                return false;
            using (var file = files.Open(_path))
            {
                file.Write(0, record);
                file.Flush();
            }
            files.Rename(_path, path);
            _file = null;
            _isReady = false;
            return true;
        }
    }

    public void Dispose() => _file?.Dispose();
}
