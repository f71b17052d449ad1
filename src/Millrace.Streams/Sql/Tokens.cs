namespace Millrace.Streams.Sql;

public enum TokenKind
{
    Word,
    QuotedWord,
    Number,
    String,
    Symbol,
    End,
}

/// <summary>A token of SQL, checks and alerts.</summary>
/// <param name="Value">The word, the number as written, the string's content, or the symbol.</param>
public readonly record struct Token(TokenKind Kind, string Value, int Offset, int Length)
{
    public int End => Offset + Length;

    public bool Is(string word) => Kind == TokenKind.Word && Value.Equals(word, StringComparison.OrdinalIgnoreCase);

    public bool IsSymbol(string symbol) => Kind == TokenKind.Symbol && Value == symbol;

    public string Shown => Kind == TokenKind.End ? "the end" : $"'{(Kind == TokenKind.String ? $"\u2018{Value}\u2019" : Value)}'";
}

/// <summary>
/// Cuts a text into tokens: words, "quoted words", numbers (with unit letters: <c>1h</c>, <c>5%</c>), 'strings', symbols. White space and
/// SQL comments are passed over.
/// </summary>
public static class Tokens
{
    /// <summary>The tokens and one of kind <see cref="TokenKind.End"/>; quotes that are never closed become faults.</summary>
    public static IReadOnlyList<Token> Of(string text, List<TextFault> faults)
    {
        var tokens = new List<Token>();
        var at = 0;
        while (at < text.Length)
        {
            var c = text[at];
            if (char.IsWhiteSpace(c))
            {
                at++;
                continue;
            }
            if (CommentEnd(text, at) is { } end)
            {
                at = end;
                continue;
            }
            var token = Next(text, at, tokens, faults);
            tokens.Add(token);
            at = token.End;
        }
        tokens.Add(new Token(TokenKind.End, "", text.Length, 1));
        return tokens;
    }

    private static Token Next(string text, int at, List<Token> before, List<TextFault> faults)
    {
        var c = text[at];
        if (char.IsLetter(c) || c == '_')
        {
            var end = at + 1;
            while (end < text.Length && (char.IsLetterOrDigit(text[end]) || text[end] is '_' or '$'))
                end++;
            return new Token(TokenKind.Word, text[at..end], at, end - at);
        }
        var signed = c is '-' or '+' && at + 1 < text.Length && (char.IsAsciiDigit(text[at + 1]) || text[at + 1] == '.')
            && (before.Count == 0 || before[^1].Kind is TokenKind.Symbol or TokenKind.Word && !before[^1].IsSymbol(")"));
        if (char.IsAsciiDigit(c) || signed || (c == '.' && at + 1 < text.Length && char.IsAsciiDigit(text[at + 1])))
            return Number(text, at);
        if (c is '\'' or '"')
            return Quoted(text, at, faults);
        foreach (var symbol in (ReadOnlySpan<string>)["<=", ">=", "<>", "!=", "=="])
        {
            if (text.AsSpan(at).StartsWith(symbol))
                return new Token(TokenKind.Symbol, symbol, at, 2);
        }
        return new Token(TokenKind.Symbol, c.ToString(), at, 1);
    }

    private static int? CommentEnd(string text, int at)
    {
        var rest = text.AsSpan(at);
        if (!rest.StartsWith("--") && !rest.StartsWith("/*"))
            return null;
        var end = rest[0] == '-' ? rest.IndexOf('\n') : rest.IndexOf("*/");
        return end < 0 ? text.Length : at + end + (rest[0] == '-' ? 1 : 2);
    }

    private static Token Number(string text, int at)
    {
        var end = at + 1;
        while (end < text.Length)
        {
            var c = text[end];
            var exponentSign = c is '-' or '+' && text[end - 1] is 'e' or 'E' && end + 1 < text.Length && char.IsAsciiDigit(text[end + 1]);
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('.' or '%' or '_') && !exponentSign)
                break;
            end++;
        }
        return new Token(TokenKind.Number, text[at..end], at, end - at);
    }

    private static Token Quoted(string text, int at, List<TextFault> faults)
    {
        var quote = text[at];
        var value = new System.Text.StringBuilder();
        var end = at + 1;
        while (end < text.Length)
        {
            if (text[end] == quote)
            {
                if (end + 1 == text.Length || text[end + 1] != quote)
                    break;
                end++;
            }
            value.Append(text[end++]);
        }
        if (end >= text.Length)
            faults.Add(new TextFault(at, text.Length - at, "bad-string", $"the {quote} is never closed", $"close it with {quote}"));
        end = Math.Min(end + 1, text.Length);
        return new Token(quote == '\'' ? TokenKind.String : TokenKind.QuotedWord, value.ToString(), at, end - at);
    }
}
