namespace Millrace.Query.Text;

/// <summary>One statement of a text, with the place where it begins.</summary>
/// <param name="Text">Without the semicolon.</param>
/// <param name="Start">In UTF-16 units from the text's start.</param>
internal readonly record struct SqlPart(string Text, int Start);

/// <summary>Cuts a text of several statements at its semicolons.</summary>
internal static class SqlScript
{
    /// <summary>The statements that are not empty, in order.</summary>
    public static List<SqlPart> Split(string text)
    {
        var parts = new List<SqlPart>();
        int? first = null;
        var end = 0;
        foreach (var token in SqlTokenizer.Tokenize(text))
        {
            if (token.Kind == SqlTokenKind.Punctuation && text[token.Start] == ';')
            {
                if (first is { } start)
                    parts.Add(new SqlPart(text[start..end], start));
                first = null;
                continue;
            }
            first ??= token.Start;
            end = token.End;
        }
        if (first is { } last)
            parts.Add(new SqlPart(text[last..end], last));
        return parts;
    }

    /// <summary>The number of code points in front of <paramref name="index"/>: PostgreSQL counts characters, .NET UTF-16 units.</summary>
    public static int CharactersBefore(string text, int index)
    {
        var count = 0;
        index = Math.Min(index, text.Length);
        for (var i = 0; i < index; i++)
        {
            if (!char.IsLowSurrogate(text[i]))
                count++;
        }
        return count;
    }
}
