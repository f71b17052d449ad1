namespace Millrace.Log.Storage;

/// <summary>
/// Holds back a checkpoint's writing between pieces, so that the journal's flushes, which clients wait for, find the disk's queue
/// short. 64 MB sent at once held up flushes by 3 to 13 ms for 70 ms; pieces of 1 MB with a rest hold up one by 1 ms (bench log).
/// </summary>
internal sealed class FlushPace : IDisposable
{
    public const long PieceBytes = 1 << 20;

    /// <summary>What a flush costs others, as bytes: it makes the disk write out all that it has taken, whatever the file.</summary>
    private const long FlushBytes = PieceBytes;

    /// <summary>What a file costs at least, as bytes.</summary>
    private const long FileBytes = PieceBytes / 4;

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
        if (_passed < PieceBytes)
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
