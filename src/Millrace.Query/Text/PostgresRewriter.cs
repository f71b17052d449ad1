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
/// Turns what PostgreSQL's clients write and DuckDB does not read into what it does: names in <c>pg_catalog</c> and
/// <c>information_schema</c>, <c>OPERATOR(pg_catalog.~)</c>, <c>COLLATE pg_catalog.default</c>, object identifier types, array literals.
/// Works on tokens, so that text in strings and comments is left alone.
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

    private readonly string _sql;
    private readonly List<SqlToken> _tokens;
    private readonly ICatalogNames _names;
    private readonly SqlEdits _edits;

    private PostgresRewriter(string sql, List<SqlToken> tokens, ICatalogNames names)
    {
        _sql = sql;
        _tokens = tokens;
        _names = names;
        _edits = new SqlEdits(sql);
    }

    /// <summary>The statement with the replacements made, which remembers where each character came from.</summary>
    /// <param name="sql">One statement.</param>
    /// <param name="names">The catalog.</param>
    /// <param name="casts">SQL types for parameters by number, put around them as casts; null entries are left alone.</param>
    public static RewrittenSql Rewrite(string sql, ICatalogNames names, IReadOnlyList<string?>? casts = null)
    {
        var rewriter = new PostgresRewriter(sql, SqlTokenizer.Tokenize(sql), names);
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
            case SqlTokenKind.Punctuation when token.Is(_sql, "::"):
                return RewriteCast(i);
            case SqlTokenKind.Word when token.Is(_sql, "OPERATOR") && Is(i + 1, "("):
                return RewriteOperator(i);
            case SqlTokenKind.Word when token.Is(_sql, "COLLATE"):
                return RewriteCollate(i);
            case SqlTokenKind.Word or SqlTokenKind.QuotedName when Is(i + 1, ".") && !(i > 0 && Is(i - 1, ".")):
                return RewriteQualified(i);
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
        var name = _tokens[i].NameIn(_sql);
        if (name.Equals("pg_catalog", StringComparison.OrdinalIgnoreCase) && IsName(i + 2))
        {
            var isFunction = Is(i + 3, "(");
            if (isFunction && !_names.DefinesFunction(_tokens[i + 2].NameIn(_sql).ToLowerInvariant()))
                Replace(i, i + 1, "");
            else if (i > 0 && Is(i - 1, "AS") && !isFunction)
                Replace(i, i + 2, TypeName(i + 2));
            else
                Replace(i, i, CatalogSchema);
            return i + 3;
        }
        if (name.Equals("information_schema", StringComparison.OrdinalIgnoreCase))
        {
            Replace(i, i, InformationSchema);
            return i + 3;
        }
        // database.schema.table
        if (name.Equals(_names.Database, StringComparison.OrdinalIgnoreCase) && IsName(i + 2) && Is(i + 3, ".") && IsName(i + 4))
        {
            Replace(i, i + 1, "");
            return i + 2;
        }
        return i + 3;
    }

    private int RewriteOperator(int i)
    {
        // OPERATOR ( pg_catalog . ~ )
        var at = i + 2;
        if (IsName(at) && Is(at + 1, "."))
            at += 2;
        if (at + 1 >= _tokens.Count || _tokens[at].Kind != SqlTokenKind.Operator || !Is(at + 1, ")"))
            return i + 1;
        Replace(i, at + 1, _tokens[at].In(_sql).ToString());
        return at + 2;
    }

    private int RewriteCollate(int i)
    {
        var at = i + 1;
        if (IsName(at) && Is(at + 1, "."))
            at += 2;
        if (!IsName(at) || !_tokens[at].NameIn(_sql).Equals("default", StringComparison.OrdinalIgnoreCase))
            return i + 1;
        Replace(i, at, "");
        return at + 1;
    }

    private int RewriteCast(int i)
    {
        var at = i + 1;
        if (IsName(at) && Is(at + 1, ".") && _tokens[at].NameIn(_sql).Equals("pg_catalog", StringComparison.OrdinalIgnoreCase))
            at += 2;
        if (!IsName(at))
            return i + 1;
        var type = _tokens[at].In(_sql).ToString().ToLowerInvariant();
        if (ObjectTypes.Contains(type))
        {
            RewriteObjectCast(i, at, type);
            return at + 1;
        }
        if (at > i + 1 || Types.ContainsKey(type))
            Replace(i + 1, at, TypeName(at));
        if (i > 0 && _tokens[i - 1].Kind == SqlTokenKind.String && Is(at + 1, "[") && Is(at + 2, "]"))
        {
            var literal = SqlSettingReader.Literal(_tokens[i - 1].In(_sql).ToString());
            if (literal.StartsWith('{'))
                Replace(i - 1, i - 1, $"'{ArrayText.ToDuckDb(literal).Replace("'", "''", StringComparison.Ordinal)}'");
        }
        return at + 1;
    }

    /// <summary>A literal becomes its number, or an error when there is no such object; an expression becomes the object's name.</summary>
    private void RewriteObjectCast(int cast, int type, string kind)
    {
        var before = _tokens[cast - 1];
        if (before.Kind == SqlTokenKind.String)
        {
            var text = SqlSettingReader.Literal(before.In(_sql).ToString());
            var number = long.TryParse(text, CultureInfo.InvariantCulture, out var oid) ? oid : text == "-" ? 0 : _names.Resolve(kind, text);
            if (number is null)
            {
                throw new SqlException(
                    kind == "regclass" ? $"relation \"{text}\" does not exist" : $"{kind[3..]} \"{text}\" does not exist",
                    kind == "regclass" ? SqlStates.UndefinedTable : SqlStates.UndefinedObject, SqlScript.CharactersBefore(_sql, before.Start) + 1);
            }
            Replace(cast - 1, type, number.Value.ToString(CultureInfo.InvariantCulture));
            return;
        }
        var start = OperandStart(cast - 1);
        var function = before.Kind == SqlTokenKind.Parameter ? $"{kind}_oid" : $"{kind}_text";
        _edits.Replace(_tokens[start].Start, 0, $"{CatalogSchema}.{function}(");
        Replace(cast, type, ")");
    }

    /// <summary>The first token of the primary expression that ends at token <paramref name="end"/>.</summary>
    private int OperandStart(int end)
    {
        var at = end;
        while (true)
        {
            if (Is(at, ")") || Is(at, "]"))
            {
                var depth = 0;
                do
                {
                    if (Is(at, ")") || Is(at, "]"))
                        depth++;
                    else if (Is(at, "(") || Is(at, "["))
                        depth--;
                    at--;
                }
                while (at >= 0 && depth > 0);
                // The name of a called function belongs to it.
                if (at >= 0 && IsName(at) && !IsKeyword(at))
                    continue;
                return at + 1;
            }
            if (at >= 2 && Is(at - 1, ".") || at >= 2 && Is(at - 1, "::"))
            {
                at -= 2;
                continue;
            }
            return Math.Max(at, 0);
        }
    }

    private string TypeName(int token)
    {
        var name = _tokens[token].In(_sql).ToString();
        return Types.GetValueOrDefault(name.ToLowerInvariant(), name);
    }

    private bool IsKeyword(int token) => _tokens[token].Kind == SqlTokenKind.Word && _tokens[token].NameIn(_sql).ToUpperInvariant()
        is "SELECT" or "WHERE" or "AND" or "OR" or "NOT" or "ON" or "IN" or "ANY" or "ALL" or "THEN" or "ELSE" or "WHEN" or "CASE" or "AS" or "BY"
        or "FROM" or "JOIN" or "HAVING" or "EXISTS" or "LIKE" or "IS" or "RETURNING" or "LIMIT" or "USING";

    private bool Is(int token, string text) => token >= 0 && token < _tokens.Count
        && _tokens[token].Kind is not (SqlTokenKind.String or SqlTokenKind.QuotedName) && _tokens[token].Is(_sql, text);

    private bool IsName(int token) => token >= 0 && token < _tokens.Count && _tokens[token].Kind is SqlTokenKind.Word or SqlTokenKind.QuotedName;

    private void Replace(int first, int last, string text) =>
        _edits.Replace(_tokens[first].Start, _tokens[last].End - _tokens[first].Start, text);
}
