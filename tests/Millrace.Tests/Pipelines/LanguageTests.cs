using Millrace.Pipelines.Files;
using Millrace.Pipelines.Language;
using Millrace.Pipelines.Linting;
using Millrace.Streams.Plans;
using Millrace.Streams.Sql;

namespace Millrace.Tests.Pipelines;

public class LanguageTests(Xunit.Abstractions.ITestOutputHelper output)
{
    [Theory]
    [InlineData("500ms", 0.5)]
    [InlineData("5s", 5)]
    [InlineData("1m", 60)]
    [InlineData("1h30m", 5400)]
    [InlineData("2d", 172800)]
    public void Durations_are_numbers_with_units(string text, double seconds)
    {
        Assert.True(DurationText.TryParse(text, out var duration, out _));
        Assert.Equal(seconds, duration.TotalSeconds);
        Assert.True(DurationText.TryParse(DurationText.Write(duration), out var again, out _));
        Assert.Equal(duration, again);
    }

    [Theory]
    [InlineData("")]
    [InlineData("5")]
    [InlineData("s")]
    [InlineData("5 s")]
    [InlineData("-5s")]
    [InlineData("0s")]
    [InlineData("5sec")]
    [InlineData("99999999999999999999d")]
    [InlineData("9999d")]
    public void Other_durations_are_refused_with_a_reason(string text)
    {
        Assert.False(DurationText.TryParse(text, out _, out var problem));
        Assert.NotEmpty(problem);
    }

    [Theory]
    [InlineData("1024", 1024)]
    [InlineData("512KiB", 524288)]
    [InlineData("1 MB", 1000000)]
    [InlineData("1gib", 1073741824)]
    public void Sizes_are_numbers_with_units(string text, long bytes)
    {
        Assert.True(ByteSizeText.TryParse(text, out var parsed));
        Assert.Equal(bytes, parsed);
    }

    [Theory]
    [InlineData("0")]
    [InlineData("-1MB")]
    [InlineData("MB")]
    [InlineData("9999999999GiB")]
    public void Other_sizes_are_refused(string text) => Assert.False(ByteSizeText.TryParse(text, out _));

    [Theory]
    [InlineData("bigint", "BIGINT")]
    [InlineData("Decimal(10, 2)", "DECIMAL(10,2)")]
    [InlineData("timestamp with time zone", "TIMESTAMPTZ")]
    [InlineData("varchar[]", "VARCHAR[]")]
    [InlineData("struct(a int, b decimal(5,1)[])", "STRUCT(\"a\" INTEGER, \"b\" DECIMAL(5,1)[])")]
    [InlineData("STRUCT(\"a b\" INTEGER)", "STRUCT(\"a b\" INTEGER)")]
    [InlineData("struct(\"a\"\"b\" int)", "STRUCT(\"a\"\"b\" INTEGER)")]
    [InlineData("map(varchar, struct(x double))", "MAP(VARCHAR, STRUCT(\"x\" DOUBLE))")]
    public void Type_names_make_types_and_back(string text, string sql)
    {
        Assert.True(TypeNames.TryParse(text, out var type));
        Assert.Equal(sql, type.SqlName);
        Assert.True(TypeNames.TryParse(sql, out var again));
        Assert.Equal(type, again);
    }

    [Theory]
    [InlineData("decimal(99,2)")]
    [InlineData("decimal(5,9)")]
    [InlineData("struct(\"a int)")]
    [InlineData("struct(a)")]
    [InlineData("map(int)")]
    [InlineData("duble")]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("decimal()")]
    public void Other_type_names_are_refused(string text) => Assert.False(TypeNames.TryParse(text, out _));

    [Fact]
    public void Every_form_of_check_makes_its_rule()
    {
        Assert.Equal(["a", "b c"], Parse<NotNullCheck>("not_null(a, \"b c\")").Columns);
        var between = Parse<BetweenCheck>("a between -1.5 and 1e3");
        Assert.Equal((new Literal.Number(-1.5, "-1.5"), new Literal.Number(1000, "1e3")), (between.Lower, between.Upper));
        Assert.Equal((ComparisonOperator.NotEqual, new Literal.Text("it's")), (Parse<ComparisonCheck>("a <> 'it''s'").Operator, Parse<ComparisonCheck>("a <> 'it''s'").Value));
        Assert.Equal(ComparisonOperator.GreaterOrEqual, Parse<ComparisonCheck>("a>=-5").Operator);
        Assert.Equal(new Literal.Integer(-5), Parse<ComparisonCheck>("a>=-5").Value);
        Assert.Equal(new Literal.Boolean(true), Parse<ComparisonCheck>("a = TRUE").Value);
        Assert.True(Parse<OneOfCheck>("a NOT IN (1, 2)").Negated);
        Assert.Equal("^[A-Z]{2}$", Parse<MatchesCheck>("a matches '^[A-Z]{2}$'").Pattern);
        Assert.True(Parse<MatchesCheck>("a not matches 'x'").Negated);
        Assert.Equal((1, 9), (Parse<LengthCheck>("length(a) between 1 and 9").Least, Parse<LengthCheck>("length(a) between 1 and 9").Most));
        Assert.Equal((0, 4), (Parse<LengthCheck>("length(a) < 5").Least, Parse<LengthCheck>("length(a) < 5").Most));
        Assert.Equal(TimeSpan.FromHours(1), Parse<UniqueCheck>("unique(a, b) within 1h").Within);
        Assert.Equal("unique(a) within 1h", Parse<UniqueCheck>("unique(a) within 1h").Text);
    }

    [Fact]
    public void No_text_breaks_the_parsers()
    {
        var seed = Seeds.Next(output);
        var random = new Random(seed);
        string[] parts = ["a", "not_null", "(", ")", ",", "between", "and", "'x'", "'", "\"", "in", "not", "5", "1h", "within", "unique", "length", "matches", "=", "<", "%", " ", ":", "?", "&", "é", "\n", "for", "#", "-", "/*", "--"];
        for (var run = 0; run < Seeds.Rounds(5000, 1_000_000); run++)
        {
            var text = string.Concat(Enumerable.Range(0, random.Next(10)).Select(_ => parts[random.Next(parts.Length)]));
            foreach (var parse in (Func<string, List<TextFault>, object?>[])[CheckParser.Parse, Endpoint.Parse, AlertText.Parse])
            {
                var faults = new List<TextFault>();
                var parsed = parse(text, faults);
                Assert.True(parsed is not null || faults.Count > 0, $"nothing said of '{text}' (MILLRACE_SEED={seed})");
                Assert.All(faults, f => Assert.True(f.Offset >= 0 && f.Length > 0 && f.Offset <= text.Length, $"'{text}': {f} (MILLRACE_SEED={seed})"));
            }
        }
    }

    [Theory]
    [InlineData("{'': bigint, amount: double}", "bad-name")]
    [InlineData("{amount: double, Amount: double}", "duplicate-name")]
    [InlineData("{amount: 'struct(a int, A int)'}", "duplicate-name")]
    [InlineData("{amount: 'struct(\"\" int)[]'}", "bad-name")]
    [InlineData("{\"a\\0b\": int}", "bad-name")]
    public void Columns_that_SQL_could_not_name_are_refused(string schema, string code)
    {
        var yaml = $$"""
            pipeline: names
            sources:
              orders: {from: kafka:orders, schema: {{schema}}}
            sql:
              all_orders: SELECT * FROM orders
            """;
        Assert.Equal(code, Assert.Single(Linter.Lint(yaml, "x.yaml", new LintContext()).Diagnostics, d => d.Severity == Severity.Error).Code);
        Assert.False(TypeNames.TryParse("int" + string.Concat(Enumerable.Repeat("[]", 100_000)), out _));
    }

    [Fact]
    public void No_file_breaks_the_linter()
    {
        var seed = Seeds.Next(output);
        var random = new Random(seed);
        var folder = Path.Combine(Repository.Root, "tests", "Millrace.Tests", "Pipelines", "golden");
        var files = Directory.EnumerateFiles(folder, "*.yaml").Order(StringComparer.Ordinal).Select(File.ReadAllText).ToArray();
        for (var run = 0; run < Seeds.Rounds(60, 6_000); run++)
        {
            var text = new System.Text.StringBuilder(files[random.Next(files.Length)]);
            for (var edit = random.Next(1, 6); edit > 0 && text.Length > 0; edit--)
            {
                var at = random.Next(text.Length);
                if (random.Next(2) == 0)
                    text.Remove(at, Math.Min(random.Next(1, 8), text.Length - at));
                else
                    text.Insert(at, "{}[]:,'\"|>&*!%?- \n\té😀"[random.Next(21)]);
            }
            var yaml = text.ToString();
            try
            {
                var result = Linter.Lint(yaml, "x.yaml", new LintContext());
                Assert.True(result.Plan is not null || result.Diagnostics.Count > 0);
                DiagnosticText.Render(result.Diagnostics, yaml);
            }
            catch (Exception error) when (error is not Xunit.Sdk.XunitException)
            {
                Assert.Fail($"MILLRACE_SEED={seed}\n{error}\n{yaml}");
            }
        }
    }

    [Fact]
    public void Deep_nesting_aliases_and_long_files_are_refused()
    {
        foreach (var (yaml, code) in new[] { (new string('[', 100_000), "too-deep"), ("a: &x [1]\nb: *x", "yaml"), (new string(' ', 2 << 20), "too-long") })
            Assert.Equal(code, Assert.Single(Linter.Lint(yaml, "x.yaml", new LintContext()).Diagnostics).Code);
        var deep = $"""
            pipeline: deep
            sources:
              orders: kafka:orders?schema=a:bigint
            sql:
              x: SELECT {string.Concat(Enumerable.Repeat("abs(", 800))}a{new string(')', 800)} AS b FROM orders
              y: SELECT {string.Join(" + ", Enumerable.Repeat("a", 150))} AS b FROM orders
              z: SELECT {string.Concat(Enumerable.Repeat("abs(", 200))}a{new string(')', 200)} AS b FROM orders
            """;
        Assert.Equal(["too-deep"], Linter.Lint(deep, "x.yaml", new LintContext()).Diagnostics.Select(d => d.Code));
    }

    [Theory]
    [InlineData("plain: needle", "needle")]
    [InlineData("a: |\n  one\n  two needle\n", "needle")]
    [InlineData("a: |\n\n    one\n      two needle\n", "needle")]
    [InlineData("a: >\n  one\n  two\n  needle three\n", "needle")]
    [InlineData("a: 'it''s a needle'", "needle")]
    [InlineData("a: \"tab\\t \\u00e9 needle\"", "needle")]
    [InlineData("a: one\n   two\n   needle", "needle")]
    [InlineData("a: \"one\n   two needle\"", "needle")]
    [InlineData("a: {b: [x, needle]}", "needle")]
    [InlineData("é: 😀 needle", "needle")]
    public void A_part_of_a_value_is_found_in_the_file(string yaml, string needle)
    {
        var source = new SourceText("f", yaml);
        var stream = new YamlDotNet.RepresentationModel.YamlStream();
        stream.Load(new StringReader(yaml));
        var scalar = stream.Documents[0].AllNodes.OfType<YamlDotNet.RepresentationModel.YamlScalarNode>().First(n => n.Value!.Contains(needle, StringComparison.Ordinal));
        var text = Text.Of(scalar, source);
        var place = text.At(text.Value.IndexOf(needle, StringComparison.Ordinal), needle.Length);
        Assert.Equal(needle, source.Line(place.Line).Substring(place.Column - 1, place.Length));
    }

    [Theory]
    [InlineData("prority", "priority")]
    [InlineData("contry", "country")]
    [InlineData("ab", "ba")]
    public void The_nearest_name_is_found(string written, string meant) => Assert.Equal(meant, NearestName.Find(written, ["priority", "country", "ba", "x"]));

    [Fact]
    public void A_name_that_is_like_none_has_no_nearest() => Assert.Null(NearestName.Find("pipeline", ["checks", "sql"]));

    private static T Parse<T>(string text)
        where T : CheckPlan
    {
        var faults = new List<TextFault>();
        var check = CheckParser.Parse(text, faults);
        Assert.Empty(faults);
        return Assert.IsType<T>(check!.Plan);
    }
}
