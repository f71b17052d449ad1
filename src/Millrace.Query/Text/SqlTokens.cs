namespace Millrace.Query.Text;

/// <summary>The tokens of one statement, with what can be told of its structure without a parser.</summary>
internal sealed class SqlTokens(string sql)
{
    private readonly List<SqlToken> _tokens = SqlTokenizer.Tokenize(sql);

    public int Count => _tokens.Count;

    public SqlToken this[int index] => _tokens[index];

    /// <summary>The token is that word or sign, and no quoted name or string.</summary>
    public bool Is(int token, string text) => token >= 0 && token < _tokens.Count
        && _tokens[token].Kind is not (SqlTokenKind.String or SqlTokenKind.QuotedName) && _tokens[token].Is(sql, text);

    public bool IsName(int token) => token >= 0 && token < _tokens.Count && _tokens[token].Kind is SqlTokenKind.Word or SqlTokenKind.QuotedName;

    public bool IsString(int token) => token >= 0 && token < _tokens.Count && _tokens[token].Kind == SqlTokenKind.String;

    public string Text(int token) => _tokens[token].In(sql).ToString();

    /// <summary>The name that the token stands for.</summary>
    public string Name(int token) => _tokens[token].NameIn(sql);

    public bool NameIs(int token, string name) => IsName(token) && Name(token).Equals(name, StringComparison.OrdinalIgnoreCase);

    /// <summary>True for words that cannot be the end of an expression.</summary>
    public bool IsKeyword(int token) => _tokens[token].Kind == SqlTokenKind.Word && Name(token).ToUpperInvariant()
        is "SELECT" or "DISTINCT" or "WHERE" or "AND" or "OR" or "NOT" or "ON" or "IN" or "ANY" or "ALL" or "SOME" or "THEN" or "ELSE" or "WHEN" or "CASE"
        or "AS" or "BY" or "FROM" or "JOIN" or "HAVING" or "QUALIFY" or "EXISTS" or "LIKE" or "ILIKE" or "IS" or "LIMIT" or "OFFSET" or "USING"
        or "BETWEEN" or "VALUES" or "UNION" or "EXCEPT" or "INTERSECT" or "LATERAL" or "RETURNING" or "FILTER" or "OVER";

    /// <summary>True when an expression can end with the token, so that an operator behind it has two sides.</summary>
    public bool EndsOperand(int token) => token >= 0 && _tokens[token].Kind switch
    {
        SqlTokenKind.String or SqlTokenKind.Number or SqlTokenKind.Parameter or SqlTokenKind.QuotedName => true,
        SqlTokenKind.Word => !IsKeyword(token),
        _ => Is(token, ")") || Is(token, "]"),
    };

    /// <summary>The first token of the primary expression that ends at token <paramref name="end"/>.</summary>
    public int OperandStart(int end)
    {
        var at = end;
        while (at > 0)
        {
            if (Is(at, ")") || Is(at, "]"))
            {
                at = Opening(at);
                // The name of a called function, or the array of a subscript, belongs to it.
                if (at > 0 && EndsOperand(at - 1))
                {
                    at--;
                    continue;
                }
                return at;
            }
            if (at >= 2 && (Is(at - 1, ".") || Is(at - 1, "::")))
            {
                at -= 2;
                continue;
            }
            return at;
        }
        return at;
    }

    /// <summary>The last token of the primary expression that begins at token <paramref name="start"/>, with its casts; -1 when there is none.</summary>
    public int OperandEnd(int start)
    {
        if (start >= _tokens.Count)
            return -1;
        var at = start;
        if (Is(at, "("))
            at = Closing(at);
        else if (IsName(at) && !IsKeyword(at) || Is(at, "ANY") || Is(at, "ALL"))
        {
            while (Is(at + 1, ".") && IsName(at + 2))
                at += 2;
            if (Is(at + 1, "("))
                at = Closing(at + 1);
        }
        else if (_tokens[at].Kind is not (SqlTokenKind.String or SqlTokenKind.Number or SqlTokenKind.Parameter))
            return -1;
        while (true)
        {
            if (Is(at + 1, "["))
                at = Closing(at + 1);
            else if (Is(at + 1, "::") && IsName(at + 2))
                at = Is(at + 3, ".") && IsName(at + 4) ? at + 4 : at + 2;
            else
                return Math.Min(at, _tokens.Count - 1);
        }
    }

    /// <summary>The twin of an opening bracket, or the last token when it is missing.</summary>
    public int Closing(int open)
    {
        var depth = 0;
        for (var i = open; i < _tokens.Count; i++)
        {
            if (Is(i, "(") || Is(i, "["))
                depth++;
            else if ((Is(i, ")") || Is(i, "]")) && --depth == 0)
                return i;
        }
        return _tokens.Count - 1;
    }

    /// <summary>True when a comma at that token separates tables: going back at its level, FROM comes first.</summary>
    public bool SeparatesTables(int comma)
    {
        for (var i = comma - 1; i >= 0; i--)
        {
            if (Is(i, ")") || Is(i, "]"))
                i = Opening(i);
            else if (Is(i, "(") || Is(i, "[") || Is(i, "SELECT") || Is(i, "BY") || Is(i, "WHERE") || Is(i, "VALUES"))
                return false;
            else if (Is(i, "FROM"))
                return true;
        }
        return false;
    }

    private int Opening(int close)
    {
        var depth = 0;
        for (var i = close; i >= 0; i--)
        {
            if (Is(i, ")") || Is(i, "]"))
                depth++;
            else if ((Is(i, "(") || Is(i, "[")) && --depth == 0)
                return i;
        }
        return 0;
    }
}
