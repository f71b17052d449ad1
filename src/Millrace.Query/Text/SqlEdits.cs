using System.Text;

namespace Millrace.Query.Text;

/// <summary>Replacements in a statement's text that keep track of where each character came from, so that errors point at what was typed.</summary>
internal sealed class SqlEdits(string original)
{
    private readonly List<(int Start, int Length, string Text)> _edits = [];

    public bool IsEmpty => _edits.Count == 0;

    /// <summary>Parameters, by number, that are cast to an array where they stand: their text is PostgreSQL's array form.</summary>
    public HashSet<int> ArrayParameters { get; } = [];

    /// <summary>Edits must not overlap; their order does not matter.</summary>
    public void Replace(int start, int length, string text) => _edits.Add((start, length, text));

    public RewrittenSql Apply()
    {
        if (_edits.Count == 0)
            return new RewrittenSql(original, original, [], ArrayParameters);
        var text = new StringBuilder(original.Length + 64);
        var shifts = new List<(int At, int Original)>();
        var from = 0;
        // Stable, and insertions before what is replaced at the same place.
        foreach (var edit in _edits.OrderBy(e => e.Start).ThenBy(e => e.Length > 0))
        {
            text.Append(original, from, edit.Start - from);
            shifts.Add((text.Length, edit.Start));
            text.Append(edit.Text);
            from = edit.Start + edit.Length;
            shifts.Add((text.Length, from));
        }
        text.Append(original, from, original.Length - from);
        return new RewrittenSql(text.ToString(), original, shifts, ArrayParameters);
    }
}

/// <summary>A statement as it is run, and how its places map back to what was typed.</summary>
internal sealed class RewrittenSql(string text, string original, List<(int At, int Original)> shifts, IReadOnlySet<int> arrayParameters)
{
    public IReadOnlySet<int> ArrayParameters { get; } = arrayParameters;

    public string Text { get; } = text;

    public string Original { get; } = original;

    /// <summary>The place in the original text, in UTF-16 units, of one in <see cref="Text"/>. Inside a replacement: its start.</summary>
    public int ToOriginal(int index)
    {
        for (var i = shifts.Count - 1; i >= 0; i--)
        {
            if (shifts[i].At > index)
                continue;
            var isInside = i % 2 == 0;
            return isInside ? shifts[i].Original : shifts[i].Original + index - shifts[i].At;
        }
        return index;
    }
}
