using Millrace.Columnar;
using Millrace.Streams.Plans;
using Millrace.Streams.Sql;

namespace Millrace.Tests.Sql;

public class SqlAnalyzerTests
{
    private static readonly SqlInput Orders = new(
        "orders",
        new Schema(
            new Field("country", DataType.Utf8, Nullable: false), new Field("amount", DataType.Float64), new Field("q", DataType.Int64),
            new Field("ts", DataType.TimestampTz, Nullable: false)),
        "ts");

    [Theory]
    [InlineData("SELECT country, contry FROM orders", "contry", "unknown-column", "did you mean 'country'?")]
    [InlineData("SELECT 'é', amont FROM orders", "amont", "unknown-column", "did you mean 'amount'?")]
    [InlineData("SELECT countr, amont FROM orders", "countr", "unknown-column", "did you mean 'country'?")]
    [InlineData("SELECT fooo(amount) AS x FROM orders", "fooo", "unknown-function", null)]
    [InlineData("SELECT sum(country) AS x, window_start FROM tumble(orders, 1m) GROUP BY window_start", "sum", "type", null)]
    [InlineData("SELECT country FROM", "", "sql", null)]
    [InlineData("SELECT 'é', 1 + , q FROM orders", ",", "sql", null)]
    [InlineData("SELECT country, FROM WHERE orders", "WHERE", "sql", null)]
    [InlineData("SELECT count(*) AS n FROM orders", "count", "no-window", "FROM tumble(orders, 1m) ... GROUP BY ..., window_start")]
    [InlineData("SELECT country, count(*) AS n FROM tumble(orders, 1m) GROUP BY country", "GROUP", "no-window", "GROUP BY country, window_start")]
    [InlineData("SELECT count(*) AS n FROM tumble(orders, 1m)", "tumble(orders, 1m)", "no-window", "GROUP BY window_start")]
    [InlineData("SELECT country, window_start FROM orders", "window_start", "unknown-column", "windows have it: FROM tumble(orders, 1m)")]
    [InlineData("SELECT * FROM tumble(orders, 1x)", "1x", "bad-duration", DurationText.Hint)]
    [InlineData("SELECT * FROM tumble(orders)", "tumble(orders)", "bad-window", null)]
    [InlineData("SELECT * FROM tumble(orders, 1m", "tumble(orders, 1m", "bad-window", null)]
    [InlineData("SELECT * FROM hop(orders, 1m, 10s)", "hop", "unsupported-sql", "tumbling windows are: FROM tumble(orders, 1m)")]
    [InlineData("SELECT * FROM orders JOIN users USING (id)", "JOIN", "unsupported-sql", null)]
    [InlineData("SELECT * FROM orders, users", "users", "unsupported-sql", null)]
    [InlineData("SELECT * FROM orders ORDER BY country", "ORDER", "unsupported-sql", null)]
    [InlineData("SELECT * FROM orders LIMIT 5", "LIMIT", "unsupported-sql", null)]
    [InlineData("SELECT DISTINCT country FROM orders", "DISTINCT", "unsupported-sql", null)]
    [InlineData("SELECT * FROM (SELECT 1)", "FROM", "unsupported-sql", null)]
    [InlineData("WITH a AS (SELECT 1) SELECT * FROM a", "WITH", "unsupported-sql", null)]
    [InlineData("SELECT 1 FROM orders UNION ALL SELECT 2 FROM orders", "UNION", "unsupported-sql", null)]
    [InlineData("SELECT (SELECT max(q) FROM orders) AS m FROM orders", "(", "unsupported-sql", null)]
    [InlineData("SELECT row_number() OVER () AS n FROM orders", "row_number", "unsupported-sql", null)]
    [InlineData("SELECT now() AS n FROM orders", "now", "unsupported-sql", "use the event's own columns")]
    [InlineData("SELECT current_timestamp AS n FROM orders", "current_timestamp", "unsupported-sql", "use the event's own columns")]
    [InlineData("SELECT random() AS n FROM orders", "random", "unsupported-sql", null)]
    [InlineData("SELECT median(q) AS m, window_start FROM tumble(orders, 1m) GROUP BY window_start", "median", "unsupported-sql", null)]
    [InlineData("SELECT count(DISTINCT q) AS m, window_start FROM tumble(orders, 1m) GROUP BY window_start", "count", "unsupported-sql", null)]
    [InlineData("SELECT avg(ts) AS m, window_start FROM tumble(orders, 1m) GROUP BY window_start", "avg", "unsupported-sql", null)]
    [InlineData("SELECT country, window_start, count(*) AS n FROM tumble(orders, 1m) GROUP BY CUBE (country, window_start)", "GROUP", "unsupported-sql", null)]
    [InlineData("CREATE TABLE x (i INT)", "CREATE TABLE x (i INT)", "unsupported-sql", null)]
    [InlineData("SELECT 1; SELECT 2", "2", "unsupported-sql", null)]
    [InlineData("SELECT * FROM read_csv('/etc/passwd')", "read_csv", "unsupported-sql", null)]
    [InlineData("SELECT country, country FROM orders", "country", "duplicate-name", "give one another name with AS")]
    [InlineData("SELECT 1", "SELECT 1", "no-input", null)]
    public void A_fault_has_its_place_its_code_and_a_hint(string sql, string marked, string code, string? hint)
    {
        var faults = new List<TextFault>();
        using var analyzer = new SqlAnalyzer();
        if (analyzer.Parse(sql, faults) is { } step)
            Assert.Null(analyzer.Analyze("result", step, Orders, faults));
        Assert.NotEmpty(faults);
        var fault = faults[0];
        var text = sql.Substring(Math.Min(fault.Offset, sql.Length), Math.Min(fault.Length, sql.Length - Math.Min(fault.Offset, sql.Length)));
        Assert.Equal((marked, code), (text, fault.Code));
        if (hint is not null)
            Assert.Equal(hint, fault.Hint);
    }

    [Fact]
    public void All_unknown_columns_are_told_at_once()
    {
        var faults = new List<TextFault>();
        using var analyzer = new SqlAnalyzer();
        analyzer.Analyze("x", analyzer.Parse("SELECT countr, amont FROM orders WHERE qq > 1", faults)!, Orders, faults);
        Assert.Equal(["there is no column 'countr'", "there is no column 'amont'", "there is no column 'qq'"], faults.Select(f => f.Message));
    }

    [Theory]
    [InlineData("SELECT * FROM orders WHERE amount > 1", "country VARCHAR NOT NULL, amount DOUBLE, q BIGINT, ts TIMESTAMPTZ NOT NULL", "ts")]
    [InlineData("SELECT upper(country) AS c, ts AS at, q * 2 AS d FROM orders", "c VARCHAR, at TIMESTAMPTZ NOT NULL, d BIGINT", "at")]
    [InlineData("SELECT amount, CAST(q AS HUGEINT) AS h FROM orders", "amount DOUBLE, h DECIMAL(38,0)", null)]
    [InlineData("SELECT country, window_start FROM tumble(orders, 1m)", "country VARCHAR NOT NULL, window_start TIMESTAMPTZ NOT NULL", "window_start")]
    [InlineData("SELECT {'a': q, 'b': [country]} AS s FROM orders", "s STRUCT(\"a\" BIGINT, \"b\" VARCHAR[])", null)]
    [InlineData("SELECT coalesce(q, 0) AS q, 'x' AS c, CAST(country AS BLOB) AS b, coalesce(q, amount) AS n FROM orders", "q BIGINT NOT NULL, c VARCHAR NOT NULL, b BLOB NOT NULL, n DOUBLE", null)]
    [InlineData("FROM orders", "country VARCHAR NOT NULL, amount DOUBLE, q BIGINT, ts TIMESTAMPTZ NOT NULL", "ts")]
    public void A_stateless_step_has_its_columns_and_passes_event_time_on(string sql, string columns, string? time)
    {
        var faults = new List<TextFault>();
        using var analyzer = new SqlAnalyzer();
        var analysis = analyzer.Analyze("result", analyzer.Parse(sql, faults)!, Orders, faults);
        Assert.Empty(faults);
        var plan = Assert.IsType<StatelessQueryPlan>(analysis!.Plan);
        Assert.Equal(columns, plan.Output.ToString());
        Assert.Equal(time, analysis.TimeColumn);
        Assert.Contains("batch", plan.BatchSql, StringComparison.Ordinal);
    }

    [Fact]
    public void A_window_over_a_step_that_drops_event_time_is_refused()
    {
        var faults = new List<TextFault>();
        using var analyzer = new SqlAnalyzer();
        var first = analyzer.Analyze("a", analyzer.Parse("SELECT country FROM orders", faults)!, Orders, faults)!;
        Assert.Null(analyzer.Analyze("b", analyzer.Parse("SELECT count(*) AS n, window_start FROM tumble(a, 1m) GROUP BY window_start", faults)!, first.AsInput, faults));
        Assert.Equal("no-time", Assert.Single(faults).Code);
    }

    [Theory]
    [InlineData("amount < 100", null)]
    [InlineData("amount < 100 AND country = 'DE'", null)]
    [InlineData("amoun < 100", "amoun")]
    [InlineData("amount", "amount")]
    [InlineData("amount <", "<")]
    [InlineData("sum(amount) < 100", "sum")]
    [InlineData("amount < 100, q > 1", "amount < 100, q > 1")]
    [InlineData("amount < 100 AS low", "amount < 100 AS low")]
    [InlineData("(SELECT true)", "(")]
    [InlineData("amount < 100) OR (true", ")")]
    public void A_condition_is_a_boolean_over_one_row(string condition, string? marked)
    {
        var faults = new List<TextFault>();
        using var analyzer = new SqlAnalyzer();
        Assert.Equal(marked is null, analyzer.CheckCondition(condition, Orders.Columns, faults));
        if (marked is not null)
            Assert.StartsWith(marked, condition.Substring(faults[0].Offset, Math.Min(faults[0].Length, condition.Length - faults[0].Offset)), StringComparison.Ordinal);
    }
}
