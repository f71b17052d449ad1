using System.Diagnostics;

namespace Millrace.Storage.Files;

/// <summary>
/// Writes zeros over a range of a file before it is needed, so that later flushes into it have only their bytes to write: room that is merely
/// reserved, or a file that grows, makes each wait for the file system's journal, which takes twice as long (three members on one disk, ext4).
/// </summary>
/// <remarks>
/// One small piece at a time goes to the disk and is waited for, then its user rests for several times as long as that took: so it takes a quarter of the
/// disk at most, however slow that is, and flushes that somebody waits for find the queue short. For one thread.
/// </remarks>
public sealed class ZeroFill
{
    /// <summary>Most that is sent to the disk at once.</summary>
    private const int MaxPieceBytes = 64 << 10;

    private const int MinPieceBytes = 512;
    private const int RestsForWork = 3;
    private static readonly TimeSpan LeastRest = TimeSpan.FromMilliseconds(1);
    private readonly IFile _file;
    private readonly byte[] _zeros;
    private readonly long _to;
    private long _at;

    /// <param name="file">Written by nobody else meanwhile.</param>
    /// <param name="from">First byte.</param>
    /// <param name="to">End of the range.</param>
    public ZeroFill(IFile file, long from, long to)
    {
        _file = file;
        _at = from;
        _to = to;
        // A small file in several pieces too, as the simulators have them.
        _zeros = new byte[Math.Clamp((to - from + 7) / 8, MinPieceBytes, MaxPieceBytes)];
    }

    /// <summary>How long to leave the disk to others before the next piece.</summary>
    public TimeSpan Rest { get; private set; } = LeastRest;

    /// <summary>Writes the next piece, or makes all durable once there is none; returns whether there is more to do.</summary>
    /// <exception cref="IOException">The disk is full or failing: the file is good for nothing then.</exception>
    public bool WriteNext()
    {
        if (_at >= _to)
        {
            _file.Flush();
            return false;
        }
        var began = Stopwatch.GetTimestamp();
        var count = (int)Math.Min(_zeros.Length, _to - _at);
        _file.Write(_at, _zeros.AsSpan(0, count));
        _file.WriteBack(_at, count, wait: true);
        _at += count;
        var rest = Stopwatch.GetElapsedTime(began) * RestsForWork;
        Rest = rest > LeastRest ? rest : LeastRest;
        return true;
    }
}
