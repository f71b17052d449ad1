namespace Millrace.Coordination.Node;

/// <summary>
/// Work that takes seconds and that nobody waits for is done in short stretches with rests between them, so that threads which answer find a
/// processor and a disk. A low priority alone does not do that: Linux lets whoever runs end its slice of some 3 ms before a thread that wakes gets
/// the processor, and a request needs a dozen such wakes.
/// </summary>
internal sealed class Breaks(TimeProvider time) : IDisposable
{
    private const int RestsForWork = 2;
    private static readonly TimeSpan Stretch = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan LongestRest = TimeSpan.FromMilliseconds(50);
    private readonly ManualResetEventSlim _hurry = new(initialState: false, spinCount: 0);
    private long _since = time.GetTimestamp();

    /// <summary>Work begins.</summary>
    public void Begin() => _since = time.GetTimestamp();

    /// <summary>Rests when the work since the last rest was long enough. The working thread, wherever it holds nothing that others wait for.</summary>
    public void Take()
    {
        var worked = time.GetElapsedTime(_since);
        if (worked < Stretch)
            return;
        var rest = worked * RestsForWork;
        _hurry.Wait(rest < LongestRest ? rest : LongestRest);
        _since = time.GetTimestamp();
    }

    /// <summary>No rests until <see cref="Relax"/>: something waits for the work. Any thread.</summary>
    public void Hurry() => _hurry.Set();

    public void Relax() => _hurry.Reset();

    public void Dispose() => _hurry.Dispose();
}
