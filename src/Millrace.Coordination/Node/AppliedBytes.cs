namespace Millrace.Coordination.Node;

/// <summary>How many bytes of entries lie between two that were applied, to a <see cref="StepBytes"/>.</summary>
internal sealed class AppliedBytes
{
    public const int StepBytes = 1 << 20;
    private readonly Queue<(long Index, long Bytes)> _steps = new();
    private long _bytes;
    private long _noted;

    public void Add(long index, long bytes)
    {
        _bytes += bytes;
        if (_bytes - _noted < StepBytes)
            return;
        _noted = _bytes;
        _steps.Enqueue((index, _bytes));
    }

    /// <summary>The last entry before which at least so many bytes lie up to another, 0 when there is none; what is before it is forgotten.</summary>
    /// <param name="index">Of the other entry, no smaller from call to call.</param>
    /// <param name="bytes">At and before it.</param>
    public long IndexBefore(long index, long bytes)
    {
        var end = 0L;
        foreach (var step in _steps)
        {
            if (step.Index > index)
                break;
            end = step.Bytes;
        }
        var before = 0L;
        while (_steps.TryPeek(out var step) && step.Index <= index && end - step.Bytes >= bytes)
        {
            before = step.Index;
            _steps.Dequeue();
        }
        return before;
    }
}
