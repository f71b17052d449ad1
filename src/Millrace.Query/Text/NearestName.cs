namespace Millrace.Query.Text;

/// <summary>Finds what a mistyped name was meant to be.</summary>
internal static class NearestName
{
    private const int MaxLength = 64;

    /// <summary>At most <paramref name="most"/> candidates within a third of the name's length in edits, nearest first.</summary>
    public static List<string> Among(string name, IEnumerable<string> candidates, int most = 3)
    {
        var limit = Math.Max(1, name.Length / 3);
        var near = new List<(int Distance, string Name)>();
        foreach (var candidate in candidates)
        {
            var distance = Distance(name.ToLowerInvariant(), candidate.ToLowerInvariant());
            if (distance <= limit)
                near.Add((distance, candidate));
        }
        near.Sort((a, b) => a.Distance != b.Distance ? a.Distance.CompareTo(b.Distance) : string.CompareOrdinal(a.Name, b.Name));
        return near.Take(most).Select(n => n.Name).ToList();
    }

    /// <summary>Edits between two texts, neighbours exchanged counting as one (Damerau, optimal string alignment).</summary>
    private static int Distance(string a, string b)
    {
        if (a.Length > MaxLength || b.Length > MaxLength)
            return int.MaxValue;
        Span<int> two = stackalloc int[MaxLength + 1];
        Span<int> one = stackalloc int[MaxLength + 1];
        Span<int> row = stackalloc int[MaxLength + 1];
        for (var j = 0; j <= b.Length; j++)
            one[j] = j;
        for (var i = 1; i <= a.Length; i++)
        {
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var cost = a[i - 1] == b[j - 1] ? 0 : 1;
                row[j] = Math.Min(Math.Min(row[j - 1] + 1, one[j] + 1), one[j - 1] + cost);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                    row[j] = Math.Min(row[j], two[j - 2] + 1);
            }
            one.CopyTo(two);
            row.CopyTo(one);
        }
        return one[b.Length];
    }
}
