using Millrace.Query;
using Millrace.Query.Text;
using Xunit.Abstractions;

namespace Millrace.Tests.Query;

public sealed class SqlTextTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData("SELECT 1; SELECT 2", new[] { "SELECT 1", "SELECT 2" })]
    [InlineData("  ; ;SELECT ';' ; -- end; \n", new[] { "SELECT ';'" })]
    [InlineData("SELECT \"a;b\", $$x;y$$, $t$;$t$, E'\\';' /* ; /* ; */ ; */ + 1", new[] { "SELECT \"a;b\", $$x;y$$, $t$;$t$, E'\\';' /* ; /* ; */ ; */ + 1" })]
    [InlineData("", new string[0])]
    [InlineData("/* only a comment */", new string[0])]
    [InlineData("SELECT 'open; SELECT 2", new[] { "SELECT 'open; SELECT 2" })]
    public void A_text_is_cut_at_semicolons_that_end_statements(string text, string[] expected) =>
        Assert.Equal(expected, SqlScript.Split(text).Select(p => p.Text));

    [Fact]
    public void Tokens_of_any_text_are_in_order_and_cover_all_but_space_and_comments()
    {
        var random = new Random(Seeds.Next(output));
        const string alphabet = "ab 1'\"$;:.(),[]{}-/*+<>=~!@#%^&|\n\t\\eE_ü😀x?";
        for (var round = 0; round < 2000; round++)
        {
            var text = new string(Enumerable.Range(0, random.Next(40)).Select(_ => alphabet[random.Next(alphabet.Length)]).ToArray());
            var end = 0;
            foreach (var token in SqlTokenizer.Tokenize(text))
            {
                Assert.True(token.Length > 0 && token.Start >= end && token.End <= text.Length, text);
                end = token.End;
            }
            // What is cut is found again where it was.
            foreach (var part in SqlScript.Split(text))
                Assert.Equal(part.Text, text.Substring(part.Start, part.Text.Length));
        }
    }

    [Theory]
    [InlineData("SELECT 'a' ~ pat", "SELECT 'a' ~ ('(?s).*(?:' || (pat) || ').*')")]
    [InlineData("SELECT a.b !~* f(x)[1]::text AND c", "SELECT a.b !~ ('(?is).*(?:' || (f(x)[1]::VARCHAR) || ').*') AND c")]
    [InlineData("SELECT ~5, (~a)", "SELECT ~5, (~a)")]
    [InlineData("SELECT c OPERATOR(pg_catalog.~) '^(x)$' COLLATE pg_catalog.default", "SELECT c ~ ('(?s).*(?:' || ('^(x)$') || ').*') ")]
    [InlineData("SELECT 1 OPERATOR(pg_catalog.=) 1", "SELECT 1 = 1")]
    [InlineData("SELECT pg_catalog.format_type(1, 2), pg_catalog.lower('X')", "SELECT mr_catalog.format_type(1, 2), lower('X')")]
    [InlineData("SELECT * FROM pg_catalog.pg_class", "SELECT * FROM mr_catalog.pg_class")]
    [InlineData("SELECT * FROM information_schema.tables", "SELECT * FROM mr_information.tables")]
    [InlineData("SELECT x::pg_catalog.text, CAST(y AS pg_catalog.int4), z::\"char\"", "SELECT x::VARCHAR, CAST(y AS INTEGER), z::VARCHAR")]
    [InlineData("SELECT 'pg_catalog.x', \"pg_catalog.x\" -- pg_catalog.x", "SELECT 'pg_catalog.x', \"pg_catalog.x\" -- pg_catalog.x")]
    [InlineData("SELECT '77'::regclass, 'int4'::pg_catalog.regtype::oid", "SELECT 77, 23::BIGINT")]
    [InlineData("SELECT a.b::regclass::text", "SELECT mr_catalog.regclass_text(a.b)::VARCHAR")]
    [InlineData("SELECT f(a, (b))::regtype", "SELECT mr_catalog.regtype_text(f(a, (b)))")]
    [InlineData("SELECT $1::regclass", "SELECT mr_catalog.regclass_oid($1)")]
    [InlineData("SELECT '{1,2}'::int[]", "SELECT '[\"1\", \"2\"]'::int[]")]
    [InlineData("SELECT s FROM generate_series(1, 2) s WHERE s = 1", "SELECT s FROM generate_series(1, 2) s(s) WHERE s = 1")]
    [InlineData("SELECT s FROM t, unnest(t.a) AS s, x", "SELECT s FROM t, unnest(t.a) AS s(s), x")]
    [InlineData("SELECT a, unnest(b) s FROM t", "SELECT a, unnest(b) s FROM t")]
    [InlineData("SELECT 1 FROM generate_series(1, 2) s(x) GROUP BY x", "SELECT 1 FROM generate_series(1, 2) s(x) GROUP BY x")]
    [InlineData("SELECT 1 FROM generate_series(1, 2) WHERE true", "SELECT 1 FROM generate_series(1, 2) WHERE true")]
    [InlineData("SELECT db.s.t.c FROM db.s.t", "SELECT s.t.c FROM s.t")]
    public void What_clients_write_becomes_what_DuckDB_reads(string sql, string expected) =>
        Assert.Equal(expected, PostgresRewriter.Rewrite(sql, new Names()).Text);

    [Fact]
    public void Parameters_get_casts_and_places_map_back()
    {
        var sql = PostgresRewriter.Rewrite("SELECT $2, '$1', $1 + nope", new Names(), ["INTEGER", null]);
        Assert.Equal("SELECT $2, '$1', CAST($1 AS INTEGER) + nope", sql.Text);
        Assert.Equal(sql.Original.IndexOf("nope", StringComparison.Ordinal), sql.ToOriginal(sql.Text.IndexOf("nope", StringComparison.Ordinal)));
        Assert.Equal(sql.Original.IndexOf("$1 +", StringComparison.Ordinal), sql.ToOriginal(sql.Text.IndexOf("AS INTEGER", StringComparison.Ordinal)));
    }

    [Fact]
    public void Places_outside_replacements_map_back_whatever_was_replaced()
    {
        var random = new Random(Seeds.Next(output));
        for (var round = 0; round < 500; round++)
        {
            // Upper case is kept, lower case is replaced.
            var original = new string(Enumerable.Range(0, random.Next(1, 40)).Select(i => (char)((random.Next(3) == 0 ? 'a' : 'A') + i % 26)).ToArray());
            var edits = new SqlEdits(original);
            foreach (var i in Enumerable.Range(0, original.Length).Where(i => char.IsLower(original[i])).OrderBy(_ => random.Next()))
                edits.Replace(i, 1, new string('.', random.Next(4)));
            var rewritten = edits.Apply();
            for (var i = 0; i < rewritten.Text.Length; i++)
            {
                if (char.IsUpper(rewritten.Text[i]))
                    Assert.Equal(rewritten.Text[i], original[rewritten.ToOriginal(i)]);
            }
        }
    }

    [Theory]
    [InlineData("{}", "[]")]
    [InlineData(" { 1 , 2 } ", "[\"1\", \"2\"]")]
    [InlineData("{NULL,\"NULL\",\"\",\"a\\\"b\\\\\"}", "[NULL, \"NULL\", \"\", \"a\\\"b\\\\\"]")]
    [InlineData("{{1},{2,3}}", "[[\"1\"], [\"2\", \"3\"]]")]
    public void Arrays_become_lists(string text, string expected) => Assert.Equal(expected, ArrayText.ToDuckDb(text));

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("{1")]
    [InlineData("{1,}")]
    [InlineData("{,1}")]
    [InlineData("{\"a}")]
    [InlineData("{1}x")]
    [InlineData("{{{{{{{1}}}}}}}")]
    public void A_text_that_is_no_array_is_refused(string text) =>
        Assert.Equal(SqlStates.InvalidTextRepresentation, Assert.Throws<SqlException>(() => ArrayText.ToDuckDb(text)).SqlState);

    [Theory]
    [InlineData("ordrs", new[] { "orders" })]
    [InlineData("odrers", new[] { "orders" })]
    [InlineData("zzz", new string[0])]
    public void The_nearest_names_are_found(string name, string[] expected) =>
        Assert.Equal(expected, NearestName.Among(name, ["orders", "customers", "visits"]));

    private sealed class Names : ICatalogNames
    {
        public string Database => "db";

        public bool DefinesFunction(string name) => name == "format_type";

        public long? Resolve(string kind, string text) => kind == "regtype" && text == "int4" ? 23 : null;
    }
}
