using System.Globalization;
using System.Text;
using Millrace.Columnar;
using Millrace.DuckDb;
using Millrace.Streams.Plans;
using Millrace.Streams.Sql;

namespace Millrace.Tests.Sql;

/// <summary>Windowed steps against their twin: the statement over all rows at once, in DuckDB, with windows cut by another formula.</summary>
public class WindowSplitTests(Xunit.Abstractions.ITestOutputHelper output)
{
    private static readonly Schema Orders = new(
        new Field("country", DataType.Utf8), new Field("amount", DataType.Float64), new Field("q", DataType.Int64), new Field("i", DataType.Int32),
        new Field("d", new DataType(TypeKind.Decimal128, 10, 2)), new Field("f", new DataType(TypeKind.Float32)), new Field("b", DataType.Boolean),
        new Field("ts", DataType.TimestampTz), new Field("day", DataType.Date32));

    // Keys and aggregates from which random statements are made.
    private static readonly string[] Keys =
        ["country", "upper(country) AS c2", "i % 3 AS i3", "b", "day", "f", "amount > 4 AS big", "i::HUGEINT AS wide", "window_end", "d"];

    private static readonly string[] Values =
    [
        "count(*) AS n", "count(amount) AS n1", "sum(amount) AS s1", "sum(q) AS s2", "sum(i) AS s3", "sum(d) AS s4", "sum(f) AS s5",
        "avg(q) AS a1", "avg(d) AS a2", "avg(amount) AS a3", "mean(i) AS a4", "avg(f) AS a5", "avg(b::INTEGER) AS a6",
        "min(country) AS m1", "max(country) AS m2", "min(amount) AS m3", "max(f) AS m4", "min(ts) AS m5", "max(day) AS m6", "min(b) AS m7", "max(b) AS m8",
        "max(q::HUGEINT) AS m9", "min(d) AS m10", "bool_and(b) AS l1", "bool_or(b) AS l2", "count_if(b) AS l3", "count_if(amount > 3) AS l4",
        "sum(amount) FILTER (WHERE b) AS f1", "count(*) FILTER (WHERE country = 'DE') AS f2", "avg(d) FILTER (WHERE i > 2) AS f3",
        "sum(CASE WHEN country = 'DE' THEN amount ELSE 0 END) AS c1", "coalesce(sum(q) FILTER (WHERE b), 0) AS c2_",
        "round(sum(d) / nullif(count(d), 0), 2) AS c3", "sum(i) * 2 + count(*) AS c4", "CASE WHEN count(*) > 3 THEN 'many' ELSE 'few' END AS c5",
        "sum(list_sum(list_transform([i, 1], x -> x * 2))) AS c6", "sum(q) / count(*) AS c7", "epoch_us(window_start) AS c8", "sum(amount * 2 - i) AS c9",
        "max(country || '!') AS c10", "min(DISTINCT i) AS c11",
    ];

    public static TheoryData<string> Statements => new()
    {
        "SELECT country, window_start, sum(amount) AS revenue, count(*) AS orders FROM tumble(orders, 10s) GROUP BY country, window_start",
        "SELECT window_start, window_end, avg(q) AS a, avg(d) AS c FROM tumble(orders, 10s) GROUP BY window_start, window_end",
        "SELECT country, window_start, count(*) AS n FROM tumble(orders, 10s) GROUP BY ALL",
        "SELECT country AS land, window_start AS at, count(*) AS n FROM tumble(orders, '10 seconds') GROUP BY 1, 2",
        "SELECT upper(country) AS land, window_start, max(amount) AS m FROM tumble(orders, INTERVAL '10 seconds') GROUP BY land, window_start",
        "SELECT country, window_start, sum(amount) AS r, r / count(*) AS each FROM tumble(orders, 10s) GROUP BY country, window_start",
        "SELECT country, window_start, sum(amount) AS r FROM tumble(orders, 10s) GROUP BY country, window_start HAVING r > 10 AND count(*) > 2",
        "SELECT country, window_start, sum(amount) AS amount FROM tumble(orders, 10s) GROUP BY country, window_start HAVING sum(amount) > 10",
        "SELECT o.country, o.window_start, count(o.q) AS n FROM tumble(orders, 10s) AS o WHERE o.amount > 1 GROUP BY o.country, window_start",
        "SELECT country, window_start FROM tumble(orders, 10s) GROUP BY country, window_start",
        "SELECT window_start, count(*) AS n FROM tumble(orders, 10s) WHERE window_start >= TIMESTAMPTZ '1970-01-01 00:00:00Z' GROUP BY window_start",
        "SELECT Country, window_start, SUM(AMOUNT) AS Revenue FROM tumble(orders, 10s) GROUP BY COUNTRY, WINDOW_START",
        "SELECT f, window_start, count(*) AS n FROM tumble(orders, 10s) GROUP BY f, window_start",
        "SELECT -amount AS minus, window_start, count(*) AS n FROM tumble(orders, 10s) GROUP BY minus, window_start",
        "SELECT window_start, sum(q) AS \"the sum\" FROM /* all of */ tumble(orders, 10s) -- by time\n GROUP BY window_start",
        "SELECT window_start, 7 AS seven, count(*) AS n FROM tumble(orders, 10s) GROUP BY window_start HAVING max(country) <> 'x'",
        "SELECT country || '-' || b AS both, country, b, window_start, sum(i) AS n FROM tumble(orders, 10s) GROUP BY country, b, window_start",
    };

    [Theory]
    [MemberData(nameof(Statements))]
    public void Finished_partials_are_what_one_pass_gives(string sql) => Compare(sql, seed: 1);

    [Fact]
    public void Finished_partials_of_random_statements_are_what_one_pass_gives()
    {
        var seed = Seeds.Next(output);
        var random = new Random(seed);
        for (var run = 0; run < 30; run++)
        {
            var keys = Keys.OrderBy(_ => random.Next()).Take(random.Next(4)).Append("window_start").ToArray();
            var values = Values.OrderBy(_ => random.Next()).Take(random.Next(1, 7)).ToArray();
            var groups = keys.Select(k => k.Split(" AS ")[0].Contains('(', StringComparison.Ordinal) || k.Contains(" AS ", StringComparison.Ordinal) ? k.Split(" AS ")[1] : k);
            var where = random.Next(2) == 0 ? "" : "WHERE q % 5 <> 1 ";
            var having = random.Next(3) == 0 ? " HAVING count(*) > 1" : "";
            var sql = $"SELECT {string.Join(", ", keys.Concat(values))} FROM tumble(orders, 10s) {where}GROUP BY {string.Join(", ", groups)}{having}";
            Compare(sql, random.Next());
        }
    }

    private void Compare(string sql, int seed)
    {
        output.WriteLine(sql);
        using var analyzer = new SqlAnalyzer();
        var faults = new List<TextFault>();
        var step = analyzer.Parse(sql, faults);
        var analysis = step is null ? null : analyzer.Analyze("result", step, new SqlInput("orders", Orders, "ts"), faults);
        Assert.True(analysis is not null, $"{sql}\n{string.Join('\n', faults)}");
        var plan = Assert.IsType<WindowedQueryPlan>(analysis.Plan);
        using var database = DuckDbDatabase.Open(null, new DuckDbOptions { Threads = 1 });
        using var connection = database.Connect();
        Fill(connection, seed);
        // The twin: the same statement over a view whose windows come from time_bucket.
        connection.Execute("""
            CREATE VIEW orders AS SELECT * EXCLUDE (part), time_bucket(INTERVAL 10 SECONDS, ts, TIMESTAMPTZ '1970-01-01 00:00:00Z') AS window_start,
            window_start + INTERVAL 10 SECONDS AS window_end FROM base
            """);
        var whole = Rows(connection, TumbleCall.Cut(sql, TumbleCall.Find(sql, [])), plan.Output);
        MergePieces(connection, plan);
        var merged = Rows(connection, plan.FinalSql, plan.Output);
        Assert.Equal(whole.Count, merged.Count);
        for (var i = 0; i < whole.Count; i++)
            AssertSame(whole[i], merged[i], $"{sql}\n{plan.PartialSql}\n{plan.FinalSql}");
    }

    private static void Fill(DuckDbConnection connection, int seed)
    {
        // Doubles are eighths, so that their sums are exact in any order; times lie on both sides of 1970.
        connection.Execute($"""
            CREATE TABLE base AS SELECT
                CASE hash(x, {seed}, 1) % 5 WHEN 0 THEN NULL WHEN 1 THEN 'DE' WHEN 2 THEN 'FR' WHEN 3 THEN 'ÆØ' ELSE '' END AS country,
                CASE hash(x, {seed}, 2) % 9 WHEN 0 THEN NULL ELSE (hash(x, {seed}, 3) % 100)::DOUBLE / 8 - 3 END AS amount,
                CASE hash(x, {seed}, 4) % 7 WHEN 0 THEN NULL ELSE (hash(x, {seed}, 5) % 1000000)::BIGINT - 500000 END AS q,
                (hash(x, {seed}, 6) % 10)::INTEGER AS i,
                CASE hash(x, {seed}, 7) % 6 WHEN 0 THEN NULL ELSE ((hash(x, {seed}, 8) % 100000)::BIGINT - 50000)::DECIMAL(10,2) / 100 END::DECIMAL(10,2) AS d,
                CASE hash(x, {seed}, 9) % 4 WHEN 0 THEN NULL WHEN 1 THEN -0.0 WHEN 2 THEN 0.0 ELSE 1.5 END::FLOAT AS f,
                CASE hash(x, {seed}, 10) % 3 WHEN 0 THEN NULL ELSE hash(x, {seed}, 11) % 2 = 0 END AS b,
                make_timestamptz((hash(x, {seed}, 12) % 60000000)::BIGINT - 30000000) AS ts,
                DATE '2026-01-01' + (hash(x, {seed}, 13) % 3)::INTEGER AS day,
                (hash(x, {seed}, 14) % 7)::INTEGER AS part
            FROM range(300) r(x)
            """);
    }

    // What the stream does in memory: partials of every batch, merged by key.
    private static void MergePieces(DuckDbConnection connection, WindowedQueryPlan plan)
    {
        connection.Execute("CREATE TEMP TABLE batch AS SELECT * EXCLUDE (part) FROM base LIMIT 0");
        connection.Execute($"CREATE TEMP TABLE pieces AS {plan.PartialSql}");
        for (var part = 0; part < 7; part++)
        {
            connection.Execute($"DELETE FROM batch; INSERT INTO batch SELECT * EXCLUDE (part) FROM base WHERE part = {part}");
            connection.Execute($"INSERT INTO pieces {plan.PartialSql}");
        }
        var columns = plan.Partial.Select(p => p.Merge switch
        {
            Merge.Key => p.Field.Name,
            Merge.Sum => $"CAST(sum({p.Field.Name}) AS {p.Field.Type.SqlName}) AS {p.Field.Name}",
            Merge.Min => $"min({p.Field.Name}) AS {p.Field.Name}",
            Merge.Max => $"max({p.Field.Name}) AS {p.Field.Name}",
            Merge.And => $"bool_and({p.Field.Name}) AS {p.Field.Name}",
            _ => $"bool_or({p.Field.Name}) AS {p.Field.Name}",
        });
        var keys = plan.Partial.Where(p => p.Merge == Merge.Key).Select(p => p.Field.Name);
        connection.Execute($"CREATE TEMP TABLE partials AS SELECT {string.Join(", ", columns)} FROM pieces GROUP BY {string.Join(", ", keys)}");
        // The stream gives rows of exactly these types.
        using var statement = connection.Prepare("SELECT * FROM partials");
        Assert.Equal(plan.Partial.Select(p => p.Field.Type), statement.DescribeColumns()!.Fields.Select(f => f.Type));
    }

    private static List<string?[]> Rows(DuckDbConnection connection, string sql, Schema schema)
    {
        using (var statement = connection.Prepare(sql))
            Assert.Equal(schema.Fields.Select(f => f.Type), statement.DescribeColumns()!.Fields.Select(f => f.Type));
        var text = schema.Fields.Select(f => f.Type.Kind is TypeKind.Float32 or TypeKind.Float64
            // -0.0 and 0.0 are equal to SQL; which of the two a group shows is not said.
            ? $"CAST({DuckDbSql.Identifier(f.Name)} + 0 AS VARCHAR)"
            : $"CAST({DuckDbSql.Identifier(f.Name)} AS VARCHAR)");
        using var result = connection.Query($"SELECT {string.Join(", ", text)} FROM ({sql})");
        using var batch = result.ReadAll();
        var rows = new List<string?[]>();
        for (var row = 0; row < batch.RowCount; row++)
            rows.Add(batch.Columns.Select(c => c.IsNull(row) ? null : Encoding.UTF8.GetString(c.GetBytes(row))).ToArray());
        // Averages may differ in the last digit, so they do not decide the order.
        return rows.OrderBy(r => string.Join('|', r.Select(v => v?.Contains('.', StringComparison.Ordinal) == true ? "#" : v ?? "~")), StringComparer.Ordinal)
            .ThenBy(r => string.Join('|', r.Select(v => v ?? "~")), StringComparer.Ordinal).ToList();
    }

    private static void AssertSame(string?[] expected, string?[] actual, string what)
    {
        for (var i = 0; i < expected.Length; i++)
        {
            if (expected[i] == actual[i])
                continue;
            var close = double.TryParse(expected[i], CultureInfo.InvariantCulture, out var x) && double.TryParse(actual[i], CultureInfo.InvariantCulture, out var y)
                && Math.Abs(x - y) <= 1e-14 * Math.Abs(x);
            Assert.True(close, $"column {i}: {expected[i]} at once, {actual[i]} from partials\n{what}");
        }
    }
}
