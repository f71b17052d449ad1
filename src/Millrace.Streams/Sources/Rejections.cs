namespace Millrace.Streams.Sources;

/// <summary>Why records of one micro-batch are refused: every reason of each, found by the record's index. Reused from batch to batch.</summary>
internal sealed class Rejections
{
    private readonly List<(int Record, string Rule, string Reason)> _reasons = [];

    /// <summary>Refused records.</summary>
    public int Records { get; private set; }

    public IReadOnlyList<(int Record, string Rule, string Reason)> Reasons => _reasons;

    /// <param name="record">The record's index in the poll.</param>
    /// <param name="rule">What is counted: the rule as written, or the kind of a decoding fault.</param>
    /// <param name="reason">The sentence that goes with the record.</param>
    public void Add(int record, string rule, string reason) => _reasons.Add((record, rule, reason));

    /// <summary>Brings the reasons into the records' order; those of one record keep theirs.</summary>
    public void Sort()
    {
        // List.Sort is not stable: the insertion index breaks ties.
        var order = new int[_reasons.Count];
        for (var i = 0; i < order.Length; i++)
            order[i] = i;
        Array.Sort(order, (a, b) => _reasons[a].Record != _reasons[b].Record ? _reasons[a].Record.CompareTo(_reasons[b].Record) : a.CompareTo(b));
        var sorted = Array.ConvertAll(order, i => _reasons[i]);
        _reasons.Clear();
        _reasons.AddRange(sorted);
        Records = 0;
        for (var i = 0; i < sorted.Length; i++)
            Records += i == 0 || sorted[i].Record != sorted[i - 1].Record ? 1 : 0;
    }

    public void Clear()
    {
        _reasons.Clear();
        Records = 0;
    }
}
