namespace Millrace.Query.Text;

/// <summary>Walks the tokens of one statement.</summary>
internal sealed class SqlCursor(string sql)
{
    private readonly List<SqlToken> _tokens = SqlTokenizer.Tokenize(sql);
    private int _at;

    public string Sql { get; } = sql;

    public IReadOnlyList<SqlToken> Tokens => _tokens;

    public bool AtEnd => _at >= _tokens.Count;

    /// <summary>Where the next token begins, or the text's end.</summary>
    public int Position => AtEnd ? Sql.Length : _tokens[_at].Start;

    public SqlToken Current => _tokens[_at];

    /// <summary>True when the token <paramref name="ahead"/> places on is that word or sign.</summary>
    public bool Sees(string word, int ahead = 0) =>
        _at + ahead < _tokens.Count && _tokens[_at + ahead].Kind is not (SqlTokenKind.QuotedName or SqlTokenKind.String)
        && _tokens[_at + ahead].Is(Sql, word);

    public bool SeesAny(params ReadOnlySpan<string> words)
    {
        foreach (var word in words)
        {
            if (Sees(word))
                return true;
        }
        return false;
    }

    public bool Take(string word)
    {
        if (!Sees(word))
            return false;
        _at++;
        return true;
    }

    public bool Take(string first, string second)
    {
        if (!Sees(first) || !Sees(second, 1))
            return false;
        _at += 2;
        return true;
    }

    public void Expect(string word)
    {
        if (!Take(word))
            throw Unexpected();
    }

    /// <summary>A name; words without quotes are folded to lower case, as PostgreSQL does.</summary>
    public string Name()
    {
        if (AtEnd || Current.Kind is not (SqlTokenKind.Word or SqlTokenKind.QuotedName))
            throw Unexpected();
        var token = _tokens[_at++];
        var name = token.NameIn(Sql);
        return token.Kind == SqlTokenKind.Word ? name.ToLowerInvariant() : name;
    }

    public SqlToken Next() => AtEnd ? throw Unexpected() : _tokens[_at++];

    /// <summary>The text from here to the end.</summary>
    public string Rest() => Sql[Position..];

    /// <summary>From behind an opening parenthesis to its twin, which is passed over.</summary>
    public string Parenthesised(out int start)
    {
        Expect("(");
        start = Position;
        var depth = 1;
        while (!AtEnd)
        {
            var token = _tokens[_at++];
            if (token.Kind != SqlTokenKind.Punctuation)
                continue;
            if (token.Is(Sql, "("))
                depth++;
            else if (token.Is(Sql, ")") && --depth == 0)
                return Sql[start..token.Start].TrimEnd();
        }
        throw Unexpected();
    }

    public void ExpectEnd()
    {
        if (!AtEnd)
            throw Unexpected();
    }

    /// <summary>A syntax error at the next token, as PostgreSQL words it.</summary>
    public SqlException Unexpected() => AtEnd
        ? new SqlException("syntax error at end of input", SqlStates.SyntaxError, SqlScript.CharactersBefore(Sql, Sql.Length) + 1)
        : new SqlException(
            $"syntax error at or near \"{Current.In(Sql)}\"", SqlStates.SyntaxError, SqlScript.CharactersBefore(Sql, Position) + 1);
}
