namespace Millrace.Log.Storage;

/// <summary>
/// Holds back a checkpoint's writing between pieces, so that the journal's flushes, which clients wait for, find the disk's queue
/// short. 64 MB sent at once held up flushes by 3 to 13 ms for 70 ms; a piece that is waited for holds up one by the time it takes itself: the slowest
/// flush of a hundred took 1.2 ms with pieces of 1 MiB, and 0.5 ms with these (docs/design/log.md).
/// </summary>
internal sealed class FlushPace : IDisposable
{
    /// <summary>Most that is sent to the disk at once.</summary>
    public const long PieceBytes = 256 << 10;

    /// <summary>After so much it rests: more would not keep up with producers at full speed.</summary>
    private const long RestEveryBytes = 2 * PieceBytes;

    /// <summary>What a flush costs others, as bytes: it makes the disk write out all that it has taken, whatever the file.</summary>
    private const long FlushBytes = RestEveryBytes;

    /// <summary>What a file costs at least, as bytes.</summary>
    private const long FileBytes = RestEveryBytes / 4;

    private static readonly TimeSpan RestOfPiece = TimeSpan.FromMilliseconds(1);
    private readonly ManualResetEventSlim _hurry = new(initialState: false, spinCount: 0);
    private long _passed;

    public bool IsHurried => _hurry.IsSet;

    /// <summary>No rests from now on: something waits for the checkpoint, or the writers are faster than it.</summary>
    public void Hurry() => _hurry.Set();

    /// <summary>Rests again.</summary>
    public void Relax() => _hurry.Reset();

    /// <summary>Bytes have gone to the disk. The checkpoint's thread.</summary>
    public void Passed(long bytes)
    {
        _passed += bytes;
        if (_passed < RestEveryBytes)
            return;
        _passed = 0;
        _hurry.Wait(RestOfPiece);
    }

    /// <summary>The disk is left to others for so long, unless there is a hurry.</summary>
    public void Rest(TimeSpan time) => _hurry.Wait(time);

    /// <summary>A file's bytes have gone to the disk.</summary>
    public void FilePassed() => Passed(FileBytes);

    /// <summary>A file has been flushed.</summary>
    public void Flushed() => Passed(FlushBytes);

    public void Dispose() => _hurry.Dispose();
}
