using System.Collections.Frozen;
using System.Globalization;

namespace Millrace.Query.Text;

/// <summary>What the rewriter must know of the catalog; answers are cheap.</summary>
internal interface ICatalogNames
{
    /// <summary>The database's name, as clients connect to it.</summary>
    string Database { get; }

    /// <summary>True when Millrace defines that function of <c>pg_catalog</c> itself; else DuckDB's is called.</summary>
    bool DefinesFunction(string name);

    /// <summary>The number behind <c>'text'::kind</c>, where kind is <c>regclass</c>, <c>regtype</c> and so on, or null.</summary>
    long? Resolve(string kind, string text);
}

/// <summary>
/// Turns what PostgreSQL's clients write and DuckDB reads otherwise or not at all into what it does: names in <c>pg_catalog</c> and
/// <c>information_schema</c>, <c>OPERATOR(pg_catalog.~)</c>, matching by <c>~</c>, <c>COLLATE pg_catalog.default</c>, object identifier
/// types, array literals, the column of a function in FROM. Works on tokens, so that text in strings and comments is left alone.
/// </summary>
internal sealed class PostgresRewriter
{
    /// <summary>Where Millrace's own <c>pg_catalog</c> lives: DuckDB keeps that name for itself.</summary>
    public const string CatalogSchema = "mr_catalog";

    public const string InformationSchema = "mr_information";

    private static readonly FrozenDictionary<string, string> Types = new Dictionary<string, string>
    {
        ["name"] = "VARCHAR", ["\"char\""] = "VARCHAR", ["cstring"] = "VARCHAR", ["bpchar"] = "VARCHAR", ["text"] = "VARCHAR", ["varchar"] = "VARCHAR",
        ["oid"] = "BIGINT", ["xid"] = "BIGINT", ["cid"] = "BIGINT", ["tid"] = "VARCHAR", ["int2vector"] = "SMALLINT[]", ["oidvector"] = "BIGINT[]",
        ["pg_node_tree"] = "VARCHAR", ["aclitem"] = "VARCHAR", ["jsonb"] = "JSON", ["inet"] = "VARCHAR", ["cidr"] = "VARCHAR", ["money"] = "DECIMAL(18,2)",
        ["pg_lsn"] = "VARCHAR", ["anyarray"] = "VARCHAR[]", ["unknown"] = "VARCHAR", ["int2"] = "SMALLINT", ["int4"] = "INTEGER", ["int8"] = "BIGINT",
        ["bool"] = "BOOLEAN", ["float4"] = "FLOAT", ["float8"] = "DOUBLE", ["numeric"] = "DECIMAL", ["timestamptz"] = "TIMESTAMPTZ", ["bytea"] = "BLOB",
    }.ToFrozenDictionary();

    private static readonly FrozenSet<string> ObjectTypes = FrozenSet.Create(
        "regclass", "regtype", "regproc", "regprocedure", "regnamespace", "regrole", "regoper", "regoperator", "regconfig", "regdictionary", "regcollation");

    /// <summary>Functions of one column, which PostgreSQL names by the alias of the function.</summary>
    private static readonly FrozenSet<string> OneColumn = FrozenSet.Create(
        StringComparer.OrdinalIgnoreCase, "generate_series", "unnest", "generate_subscripts", "regexp_split_to_table", "range");

    private readonly SqlTokens _tokens;
    private readonly ICatalogNames _names;
    private readonly SqlEdits _edits;
    private readonly string _sql;

    private PostgresRewriter(string sql, ICatalogNames names)
    {
        _sql = sql;
        _tokens = new SqlTokens(sql);
        _names = names;
        _edits = new SqlEdits(sql);
    }

    /// <summary>The statement with the replacements made, which remembers where each character came from.</summary>
    /// <param name="sql">One statement.</param>
    /// <param name="names">The catalog.</param>
    /// <param name="casts">SQL types for parameters by number, put around them as casts; null entries are left alone.</param>
    /// <exception cref="SqlException">An object that a literal names does not exist.</exception>
    public static RewrittenSql Rewrite(string sql, ICatalogNames names, IReadOnlyList<string?>? casts = null)
    {
        var rewriter = new PostgresRewriter(sql, names);
        for (var i = 0; i < rewriter._tokens.Count;)
            i = rewriter.RewriteAt(i, casts);
        return rewriter._edits.Apply();
    }

    /// <summary>Looks at token <paramref name="i"/> and returns the next one to look at.</summary>
    private int RewriteAt(int i, IReadOnlyList<string?>? casts)
    {
        var token = _tokens[i];
        switch (token.Kind)
        {
            case SqlTokenKind.Parameter when casts is not null:
                RewriteParameter(token, casts);
                return i + 1;
            case SqlTokenKind.Punctuation when _tokens.Is(i, "::"):
                return RewriteCast(i);
            case SqlTokenKind.Operator when _tokens.Is(i, "~") || _tokens.Is(i, "!~") || _tokens.Is(i, "~*") || _tokens.Is(i, "!~*"):
                RewriteMatch(i, i, i, i + 1);
                return i + 1;
            case SqlTokenKind.Word when _tokens.Is(i, "OPERATOR") && _tokens.Is(i + 1, "("):
                return RewriteOperator(i);
            case SqlTokenKind.Word when _tokens.Is(i, "COLLATE"):
                return RewriteCollate(i);
            case SqlTokenKind.Word or SqlTokenKind.QuotedName:
                if (_tokens.Is(i + 1, "(") && OneColumn.Contains(_tokens.Name(i)))
                    NameColumn(i);
                return _tokens.Is(i + 1, ".") && !_tokens.Is(i - 1, ".") ? RewriteQualified(i) : i + 1;
        }
        return i + 1;
    }

    private void RewriteParameter(SqlToken token, IReadOnlyList<string?> casts)
    {
        if (int.TryParse(token.In(_sql)[1..], CultureInfo.InvariantCulture, out var number) && number >= 1 && number <= casts.Count
            && casts[number - 1] is { } type)
        {
            _edits.Replace(token.Start, token.Length, $"CAST({token.In(_sql)} AS {type})");
        }
    }

    private int RewriteQualified(int i)
    {
        if (_tokens.NameIs(i, "pg_catalog") && _tokens.IsName(i + 2))
        {
            var isFunction = _tokens.Is(i + 3, "(");
            if (isFunction && !_names.DefinesFunction(_tokens.Name(i + 2).ToLowerInvariant()))
                Replace(i, i + 1, "");
            else if (_tokens.Is(i - 1, "AS") && !isFunction)
                Replace(i, i + 2, TypeName(i + 2));
            else
                Replace(i, i, CatalogSchema);
            return isFunction ? i + 2 : i + 3;
        }
        if (_tokens.NameIs(i, "information_schema"))
        {
            Replace(i, i, InformationSchema);
            return i + 3;
        }
        // database.schema.table
        if (_tokens.NameIs(i, _names.Database) && _tokens.IsName(i + 2) && _tokens.Is(i + 3, ".") && _tokens.IsName(i + 4))
        {
            Replace(i, i + 1, "");
            return i + 2;
        }
        return i + 2;
    }

    /// <summary><c>FROM generate_series(1, 3) s</c> has a column <c>s</c> in PostgreSQL and <c>generate_series</c> in DuckDB.</summary>
    private void NameColumn(int function)
    {
        var before = function - 1;
        if (_tokens.Is(before, ".") && _tokens.NameIs(before - 1, "pg_catalog"))
            before -= 2;
        if (_tokens.Is(before, "LATERAL"))
            before--;
        if (!(_tokens.Is(before, "FROM") || _tokens.Is(before, "JOIN") || (_tokens.Is(before, ",") && _tokens.SeparatesTables(before))))
            return;
        var alias = _tokens.Closing(function + 1) + 1;
        if (_tokens.Is(alias, "AS"))
            alias++;
        if (!_tokens.IsName(alias) || _tokens.Is(alias + 1, "(") || (_tokens[alias].Kind == SqlTokenKind.Word && IsClause(alias)))
            return;
        _edits.Replace(_tokens[alias].End, 0, $"({_tokens.Text(alias)})");
    }

    private bool IsClause(int token) => _tokens.IsKeyword(token) || _tokens.Name(token).ToUpperInvariant()
        is "GROUP" or "ORDER" or "WINDOW" or "LEFT" or "RIGHT" or "FULL" or "INNER" or "CROSS" or "NATURAL" or "WITH" or "TABLESAMPLE" or "FETCH" or "FOR"
        or "ASOF" or "POSITIONAL" or "SEMI" or "ANTI" or "PIVOT" or "UNPIVOT";

    private int RewriteOperator(int i)
    {
        // OPERATOR ( pg_catalog . ~ )
        var at = i + 2;
        if (_tokens.IsName(at) && _tokens.Is(at + 1, "."))
            at += 2;
        if (at + 1 >= _tokens.Count || _tokens[at].Kind != SqlTokenKind.Operator || !_tokens.Is(at + 1, ")"))
            return i + 1;
        if (_tokens.Is(at, "~") || _tokens.Is(at, "!~") || _tokens.Is(at, "~*") || _tokens.Is(at, "!~*"))
            RewriteMatch(at, i, at + 1, at + 2);
        else
            Replace(i, at + 1, _tokens.Text(at));
        return at + 2;
    }

    /// <summary>PostgreSQL's ~ looks for the pattern anywhere; DuckDB's must match the whole text. So the pattern is wrapped.</summary>
    private void RewriteMatch(int sign, int first, int last, int operand)
    {
        var end = _tokens.EndsOperand(first - 1) ? _tokens.OperandEnd(operand) : -1;
        var text = _tokens.Text(sign);
        if (end < 0)
        {
            if (first != last)
                Replace(first, last, text);
            return;
        }
        var flags = text.EndsWith('*') ? "is" : "s";
        Replace(first, last, text.TrimEnd('*'));
        _edits.Replace(_tokens[operand].Start, 0, $"('(?{flags}).*(?:' || (");
        _edits.Replace(_tokens[end].End, 0, ") || ').*')");
    }

    private int RewriteCollate(int i)
    {
        var at = i + 1;
        if (_tokens.IsName(at) && _tokens.Is(at + 1, "."))
            at += 2;
        if (!_tokens.NameIs(at, "default"))
            return i + 1;
        Replace(i, at, "");
        return at + 1;
    }

    private int RewriteCast(int i)
    {
        var at = i + 1;
        if (_tokens.NameIs(at, "pg_catalog") && _tokens.Is(at + 1, "."))
            at += 2;
        if (!_tokens.IsName(at))
            return i + 1;
        var type = _tokens.Text(at).ToLowerInvariant();
        if (ObjectTypes.Contains(type))
        {
            if (i > 0)
                RewriteObjectCast(i, at, type);
            return at + 1;
        }
        if (at > i + 1 || Types.ContainsKey(type))
            Replace(i + 1, at, TypeName(at));
        if (i > 0 && _tokens[i - 1].Kind == SqlTokenKind.Parameter && _tokens.Is(at + 1, "[")
            && int.TryParse(_tokens.Text(i - 1).AsSpan(1), CultureInfo.InvariantCulture, out var parameter))
        {
            _edits.ArrayParameters.Add(parameter);
        }
        if (_tokens.IsString(i - 1) && _tokens.Is(at + 1, "[") && _tokens.Is(at + 2, "]"))
        {
            var literal = SqlSettingReader.Literal(_tokens.Text(i - 1));
            if (literal.StartsWith('{'))
                Replace(i - 1, i - 1, $"'{ArrayText.ToDuckDb(literal).Replace("'", "''", StringComparison.Ordinal)}'");
        }
        return at + 1;
    }

    /// <summary>A literal becomes its number, or an error when there is no such object; an expression becomes the object's name.</summary>
    private void RewriteObjectCast(int cast, int type, string kind)
    {
        if (_tokens.IsString(cast - 1))
        {
            var text = SqlSettingReader.Literal(_tokens.Text(cast - 1));
            var number = long.TryParse(text, CultureInfo.InvariantCulture, out var oid) ? oid : text == "-" ? 0 : _names.Resolve(kind, text);
            Replace(cast - 1, type, (number ?? throw Missing(kind, text, _tokens[cast - 1].Start)).ToString(CultureInfo.InvariantCulture));
            return;
        }
        var start = _tokens.OperandStart(cast - 1);
        // With a further cast to oid the number is meant.
        var toNumber = _tokens[cast - 1].Kind == SqlTokenKind.Parameter || (_tokens.Is(type + 1, "::") && _tokens.NameIs(type + 2, "oid"));
        _edits.Replace(_tokens[start].Start, 0, $"{CatalogSchema}.{kind}_{(toNumber ? "oid" : "text")}(");
        Replace(cast, type, ")");
    }

    private SqlException Missing(string kind, string text, int index) => new(
        kind switch
        {
            "regclass" => $"relation \"{text}\" does not exist",
            "regproc" or "regprocedure" => $"function \"{text}\" does not exist",
            _ => $"{kind[3..]} \"{text}\" does not exist",
        },
        kind switch
        {
            "regclass" => SqlStates.UndefinedTable,
            "regproc" or "regprocedure" => SqlStates.UndefinedFunction,
            _ => SqlStates.UndefinedObject,
        },
        SqlScript.CharactersBefore(_sql, index) + 1);

    private string TypeName(int token)
    {
        var name = _tokens.Text(token);
        return Types.GetValueOrDefault(name.ToLowerInvariant(), name);
    }

    private void Replace(int first, int last, string text) =>
        _edits.Replace(_tokens[first].Start, _tokens[last].End - _tokens[first].Start, text);
}
