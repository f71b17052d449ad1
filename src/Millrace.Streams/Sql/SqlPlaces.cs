using System.Text;
using System.Text.Json.Nodes;

namespace Millrace.Streams.Sql;

/// <summary>Turns DuckDB's places in a statement into spans of UTF-16 characters, as long as the token there.</summary>
internal sealed class SqlPlaces(string sql)
{
    private readonly IReadOnlyList<Token> _tokens = Tokens.Of(sql, []);

    /// <summary>Syntax trees count UTF-8 bytes.</summary>
    public Span OfBytes(int bytes)
    {
        var characters = 0;
        foreach (var rune in sql.EnumerateRunes())
        {
            if (bytes <= 0)
                break;
            bytes -= rune.Utf8SequenceLength;
            characters += rune.Utf16SequenceLength;
        }
        return OfCharacter(characters);
    }

    /// <summary>Syntax errors count code points.</summary>
    public Span OfCodePoints(int points)
    {
        var characters = 0;
        foreach (var rune in sql.EnumerateRunes())
        {
            if (points-- <= 0)
                break;
            characters += rune.Utf16SequenceLength;
        }
        return OfCharacter(characters);
    }

    public Span OfCharacter(int at)
    {
        foreach (var token in _tokens)
        {
            if (token.Kind != TokenKind.End && token.Offset <= at && at < token.End)
                return new Span(token.Offset, token.Length);
        }
        at = Math.Clamp(at, 0, sql.Length);
        return new Span(at, 1);
    }

    /// <summary>The node's place; else that of the whole statement.</summary>
    public Span Of(JsonNode? node) => SyntaxTree.LocationOf(node) is { } bytes ? OfBytes(bytes) : Whole;

    /// <summary>The first (or last) word of that spelling; else the node's place.</summary>
    public Span OfWord(string word, bool last, JsonNode? otherwise)
    {
        var found = last ? _tokens.LastOrDefault(t => t.Is(word)) : _tokens.FirstOrDefault(t => t.Is(word));
        return found.Length > 0 ? new Span(found.Offset, found.Length) : Of(otherwise);
    }

    public Span Whole => new(0, Math.Max(1, sql.TrimEnd().Length));
}
