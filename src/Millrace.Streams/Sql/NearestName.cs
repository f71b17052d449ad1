namespace Millrace.Streams.Sql;

/// <summary>Finds the valid name that a misspelt one was meant to be.</summary>
public static class NearestName
{
    /// <summary>The closest candidate, or null when none is close: at most a third of the letters (at least one, two from four letters on) differ.</summary>
    public static string? Find(string written, IEnumerable<string> candidates)
    {
        var bound = written.Length < 4 ? 1 : Math.Max(2, written.Length / 3);
        string? best = null;
        var bestDistance = bound + 1;
        foreach (var candidate in candidates)
        {
            var distance = Distance(written.ToLowerInvariant(), candidate.ToLowerInvariant());
            if (distance < bestDistance)
            {
                best = candidate;
                bestDistance = distance;
            }
        }
        return best;
    }

    /// <summary>"did you mean 'x'?", or the list of what is valid, or null when there is nothing valid.</summary>
    public static string? Hint(string written, IReadOnlyCollection<string> candidates, string what)
    {
        if (Find(written, candidates) is { } nearest)
            return $"did you mean '{nearest}'?";
        if (candidates.Count == 0)
            return null;
        var shown = string.Join(", ", candidates.Take(12));
        return $"{what}: {shown}{(candidates.Count > 12 ? $" and {candidates.Count - 12} more" : "")}";
    }

    /// <summary>
    /// Optimal string alignment distance: Damerau, "A technique for computer detection and correction of spelling errors", 1964;
    /// insertions, deletions, substitutions and swaps of neighbours cost 1 each.
    /// </summary>
    internal static int Distance(string a, string b)
    {
        var rows = new int[3][];
        for (var i = 0; i < 3; i++)
            rows[i] = new int[b.Length + 1];
        for (var j = 0; j <= b.Length; j++)
            rows[0][j] = j;
        for (var i = 1; i <= a.Length; i++)
        {
            var (row, above, twoAbove) = (rows[i % 3], rows[(i - 1) % 3], rows[(i + 1) % 3]);
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var cost = a[i - 1] == b[j - 1] ? 0 : 1;
                row[j] = Math.Min(Math.Min(row[j - 1] + 1, above[j] + 1), above[j - 1] + cost);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                    row[j] = Math.Min(row[j], twoAbove[j - 2] + 1);
            }
        }
        return rows[a.Length % 3][b.Length];
    }
}
