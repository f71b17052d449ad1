using System.Text;

namespace Millrace.Query.Text;

/// <summary>PostgreSQL's text form of arrays (<c>{1,"a b",NULL}</c>) as DuckDB's (<c>[1, "a b", NULL]</c>).</summary>
internal static class ArrayText
{
    /// <exception cref="SqlException">The text is not an array.</exception>
    public static string ToDuckDb(string text)
    {
        var result = new StringBuilder(text.Length + 8);
        var at = 0;
        SkipSpace(text, ref at);
        Array(text, ref at, result, depth: 0);
        SkipSpace(text, ref at);
        return at == text.Length ? result.ToString() : throw Malformed(text);
    }

    private static void Array(string text, ref int at, StringBuilder result, int depth)
    {
        const int MaxDimensions = 6; // PostgreSQL's MAXDIM
        if (at >= text.Length || text[at] != '{' || depth == MaxDimensions)
            throw Malformed(text);
        at++;
        result.Append('[');
        SkipSpace(text, ref at);
        for (var first = true; at < text.Length && text[at] != '}'; first = false)
        {
            if (!first)
            {
                if (text[at] != ',')
                    throw Malformed(text);
                at++;
                result.Append(", ");
                SkipSpace(text, ref at);
            }
            if (at < text.Length && text[at] == '{')
                Array(text, ref at, result, depth + 1);
            else
                Element(text, ref at, result);
            SkipSpace(text, ref at);
        }
        if (at >= text.Length)
            throw Malformed(text);
        at++;
        result.Append(']');
    }

    private static void Element(string text, ref int at, StringBuilder result)
    {
        var value = new StringBuilder();
        var quoted = at < text.Length && text[at] == '"';
        if (quoted)
            at++;
        while (true)
        {
            if (at >= text.Length)
                throw Malformed(text);
            var c = text[at];
            if (quoted ? c == '"' : c is ',' or '}')
                break;
            if (c == '\\' && ++at >= text.Length)
                throw Malformed(text);
            value.Append(text[at++]);
        }
        if (quoted)
            at++;
        var plain = quoted ? value.ToString() : value.ToString().Trim();
        if (!quoted && plain.Equals("NULL", StringComparison.OrdinalIgnoreCase))
        {
            result.Append("NULL");
            return;
        }
        if (!quoted && plain.Length == 0)
            throw Malformed(text);
        result.Append('"').Append(plain.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)).Append('"');
    }

    private static void SkipSpace(string text, ref int at)
    {
        while (at < text.Length && char.IsWhiteSpace(text[at]))
            at++;
    }

    private static SqlException Malformed(string text) => new(
        $"malformed array literal: \"{(text.Length > 80 ? text[..80] + "..." : text)}\"", SqlStates.InvalidTextRepresentation);
}
