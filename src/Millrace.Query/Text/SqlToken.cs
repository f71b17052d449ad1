namespace Millrace.Query.Text;

internal enum SqlTokenKind : byte
{
    /// <summary>A keyword or a name without quotes.</summary>
    Word,

    /// <summary>A name in double quotes.</summary>
    QuotedName,
    String,
    Number,

    /// <summary><c>$1</c> or <c>$name</c>.</summary>
    Parameter,
    Operator,

    /// <summary>One of <c>( ) [ ] { } , ; . ::</c> and the colon.</summary>
    Punctuation,
}

/// <summary>A run of characters of a statement's text, in UTF-16 units.</summary>
internal readonly record struct SqlToken(SqlTokenKind Kind, int Start, int Length)
{
    public int End => Start + Length;

    public ReadOnlySpan<char> In(string sql) => sql.AsSpan(Start, Length);

    public bool Is(string sql, string word) => Length == word.Length && In(sql).Equals(word, StringComparison.OrdinalIgnoreCase);

    /// <summary>The name that a word or quoted name stands for.</summary>
    public string NameIn(string sql) => Kind == SqlTokenKind.QuotedName
        ? sql.Substring(Start + 1, Length - 2).Replace("\"\"", "\"", StringComparison.Ordinal)
        : sql.Substring(Start, Length);
}

/// <summary>
/// Cuts SQL text into tokens by PostgreSQL's lexical rules, which DuckDB shares (PostgreSQL, 4.1 Lexical Structure): nested
/// comments, dollar quotes, escape strings. It never fails: an open quote runs to the end, and the engine's parser tells.
/// </summary>
internal static class SqlTokenizer
{
    private const string OperatorCharacters = "+-*/<>=~!@#%^&|`?";

    public static List<SqlToken> Tokenize(string sql)
    {
        var tokens = new List<SqlToken>(sql.Length / 5 + 4);
        var at = 0;
        while (at < sql.Length)
        {
            var c = sql[at];
            if (char.IsWhiteSpace(c))
            {
                at++;
                continue;
            }
            if (SkipComment(sql, ref at))
                continue;
            var start = at;
            var kind = Next(sql, ref at);
            tokens.Add(new SqlToken(kind, start, at - start));
        }
        return tokens;
    }

    private static SqlTokenKind Next(string sql, ref int at)
    {
        var c = sql[at];
        switch (c)
        {
            case '\'':
                SkipQuoted(sql, ref at, '\'', escapes: false);
                return SqlTokenKind.String;
            case '"':
                SkipQuoted(sql, ref at, '"', escapes: false);
                return SqlTokenKind.QuotedName;
            case '$':
                return Dollar(sql, ref at);
            case '(' or ')' or '[' or ']' or '{' or '}' or ',' or ';':
                at++;
                return SqlTokenKind.Punctuation;
            case ':':
                at += at + 1 < sql.Length && sql[at + 1] is ':' or '=' ? 2 : 1;
                return SqlTokenKind.Punctuation;
            case '.' when at + 1 >= sql.Length || !char.IsAsciiDigit(sql[at + 1]):
                at++;
                return SqlTokenKind.Punctuation;
        }
        if (char.IsAsciiDigit(c) || c == '.')
        {
            SkipNumber(sql, ref at);
            return SqlTokenKind.Number;
        }
        if (IsNameStart(c))
            return Word(sql, ref at);
        if (!OperatorCharacters.Contains(c))
        {
            at++;
            return SqlTokenKind.Operator;
        }
        while (at < sql.Length && OperatorCharacters.Contains(sql[at]) && !StartsComment(sql, at))
            at++;
        return SqlTokenKind.Operator;
    }

    private static SqlTokenKind Word(string sql, ref int at)
    {
        var start = at;
        while (at < sql.Length && (IsNameStart(sql[at]) || char.IsAsciiDigit(sql[at]) || sql[at] == '$'))
            at++;
        if (at < sql.Length && sql[at] == '\'' && at - start == 1 && sql[start] is 'e' or 'E' or 'x' or 'X' or 'b' or 'B')
        {
            SkipQuoted(sql, ref at, '\'', escapes: sql[start] is 'e' or 'E');
            return SqlTokenKind.String;
        }
        return SqlTokenKind.Word;
    }

    private static SqlTokenKind Dollar(string sql, ref int at)
    {
        var end = at + 1;
        if (end < sql.Length && char.IsAsciiDigit(sql[end]))
        {
            while (end < sql.Length && char.IsAsciiDigit(sql[end]))
                end++;
            at = end;
            return SqlTokenKind.Parameter;
        }
        while (end < sql.Length && (IsNameStart(sql[end]) || char.IsAsciiDigit(sql[end])))
            end++;
        if (end >= sql.Length || sql[end] != '$')
        {
            at = end;
            return SqlTokenKind.Parameter;
        }
        var tag = sql.AsSpan(at, end + 1 - at);
        var close = sql.AsSpan(end + 1).IndexOf(tag, StringComparison.Ordinal);
        at = close < 0 ? sql.Length : end + 1 + close + tag.Length;
        return SqlTokenKind.String;
    }

    private static void SkipQuoted(string sql, ref int at, char quote, bool escapes)
    {
        for (at++; at < sql.Length; at++)
        {
            if (escapes && sql[at] == '\\')
            {
                at++;
                continue;
            }
            if (sql[at] != quote)
                continue;
            at++;
            if (at >= sql.Length || sql[at] != quote)
                return;
        }
        at = sql.Length;
    }

    private static void SkipNumber(string sql, ref int at)
    {
        while (at < sql.Length && (char.IsAsciiLetterOrDigit(sql[at]) || sql[at] is '.' or '_'))
        {
            var isExponent = sql[at] is 'e' or 'E' && at + 1 < sql.Length && sql[at + 1] is '+' or '-';
            at += isExponent ? 2 : 1;
        }
    }

    private static bool StartsComment(string sql, int at) =>
        at + 1 < sql.Length && ((sql[at] == '-' && sql[at + 1] == '-') || (sql[at] == '/' && sql[at + 1] == '*'));

    private static bool SkipComment(string sql, ref int at)
    {
        if (!StartsComment(sql, at))
            return false;
        if (sql[at] == '-')
        {
            while (at < sql.Length && sql[at] is not ('\n' or '\r'))
                at++;
            return true;
        }
        var depth = 0;
        while (at < sql.Length)
        {
            if (sql[at] == '/' && at + 1 < sql.Length && sql[at + 1] == '*')
            {
                depth++;
                at += 2;
            }
            else if (sql[at] == '*' && at + 1 < sql.Length && sql[at + 1] == '/')
            {
                depth--;
                at += 2;
                if (depth == 0)
                    break;
            }
            else
            {
                at++;
            }
        }
        at = Math.Min(at, sql.Length);
        return true;
    }

    private static bool IsNameStart(char c) => char.IsAsciiLetter(c) || c == '_' || c >= '\u0080';
}
