namespace Millrace.WebConsole.Events;

internal enum FrameKind
{
    Overview,
    Output,
}

/// <summary>
/// When which kind of frame may go out: each kind at most once an interval, the two kinds half an interval apart, and only when
/// something wants it. Under steady change the kinds alternate, so that an effect shows within half an interval; after silence the
/// first change goes out at once. Pure: times come in as arguments.
/// </summary>
internal sealed class FramePacer(TimeSpan interval)
{
    private readonly TimeSpan?[] _sent = new TimeSpan?[2];
    private readonly bool[] _wanted = new bool[2];

    public void Want(FrameKind kind) => _wanted[(int)kind] = true;

    /// <summary>The kind that is to go out next and when; null when nothing is wanted.</summary>
    public (FrameKind Kind, TimeSpan Due)? Next(TimeSpan now)
    {
        (FrameKind, TimeSpan Due)? first = null;
        for (var kind = 0; kind < _wanted.Length; kind++)
        {
            if (!_wanted[kind])
                continue;
            var due = Max(now, _sent[kind] + interval, _sent[1 - kind] + (interval / 2));
            // On a tie the kind that waited longer goes first; a kind that never went waited longest.
            if (first is null || due < first.Value.Due
                || (due == first.Value.Due && (_sent[kind] ?? TimeSpan.MinValue) < (_sent[1 - kind] ?? TimeSpan.MinValue)))
                first = ((FrameKind)kind, due);
        }
        return first;
    }

    /// <summary>The kind is about to be built: changes from here on want the next one.</summary>
    public void Take(FrameKind kind) => _wanted[(int)kind] = false;

    /// <summary>A frame of the kind went out; one that turned out to say nothing new costs no time and is not told here.</summary>
    public void Sent(FrameKind kind, TimeSpan at) => _sent[(int)kind] = at;

    private static TimeSpan Max(TimeSpan now, TimeSpan? a, TimeSpan? b)
    {
        var most = now;
        if (a > most)
            most = a.Value;
        if (b > most)
            most = b.Value;
        return most;
    }
}
