namespace Millrace.Streams.Sources;

/// <summary>What a source counts since the pipeline's first start. For the stream's thread.</summary>
internal sealed class SourceCounters(int maxReasons)
{
    private const string Other = "other";

    private readonly Dictionary<string, long> _reasons = new(StringComparer.Ordinal);

    /// <summary>Records taken in.</summary>
    public long In { get; set; }

    /// <summary>Rows that went on.</summary>
    public long Good { get; set; }

    /// <summary>Records that went to quarantine.</summary>
    public long Quarantined { get; set; }

    /// <summary>Attempts with records that had failed before.</summary>
    public long Retried { get; set; }

    /// <summary>Good rows that came too late for a window.</summary>
    public long Late { get; set; }

    public IReadOnlyDictionary<string, long> Reasons => _reasons;

    public void Count(string rule, long by = 1)
    {
        if (!_reasons.ContainsKey(rule) && _reasons.Count >= maxReasons)
            rule = Other;
        _reasons[rule] = _reasons.GetValueOrDefault(rule) + by;
    }
}
