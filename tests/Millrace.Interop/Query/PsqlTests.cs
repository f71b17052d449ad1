using System.Diagnostics;
using Millrace.Query;
using Millrace.Tests;

namespace Millrace.Interop.Query;

/// <summary>PostgreSQL's own client.</summary>
public sealed class PsqlTests(ListeningHouse listening) : IClassFixture<ListeningHouse>
{
    [PsqlFact]
    public async Task It_prints_a_table()
    {
        var printed = await RunAsync("SELECT id, country, amount FROM sales.orders WHERE id <= 2 ORDER BY id");
        Assert.Equal(
            """
             id | country | amount 
            ----+---------+--------
              1 | DE      |  10.50
              2 | FR      |  20.00
            (2 rows)


            """, printed);
    }

    [PsqlFact]
    public async Task It_shows_a_caret_under_the_mistake()
    {
        var printed = await RunAsync("SELECT id,\n  countri FROM sales.orders");
        Assert.Contains("LINE 2:   countri FROM sales.orders\n          ^", printed, StringComparison.Ordinal);
        Assert.Contains("HINT:  Did you mean \"country\"", printed, StringComparison.Ordinal);
        Assert.Contains("LINE 1: SELECT 'ü', * FROM nosuch\n                           ^", await RunAsync("SELECT 'ü', * FROM nosuch"), StringComparison.Ordinal);
    }

    [PsqlFact]
    public async Task Describe_lists_tables_and_live_views()
    {
        var printed = await RunAsync("\\d");
        Assert.Contains(" live   | by_country     | view  | millrace", printed, StringComparison.Ordinal);
        Assert.Contains(" sales  | orders         | table | millrace", printed, StringComparison.Ordinal);
        var tables = await RunAsync("\\dt");
        Assert.Contains(" web    | visits         | table | millrace", tables, StringComparison.Ordinal);
        Assert.DoesNotContain("by_country", tables, StringComparison.Ordinal);
    }

    [PsqlFact]
    public async Task Describe_shows_a_tables_columns()
    {
        Assert.Equal(
            """
                                    Table "sales.orders"
             Column  |           Type           | Collation | Nullable | Default 
            ---------+--------------------------+-----------+----------+---------
             id      | bigint                   |           |          | 
             country | text                     |           |          | 
             amount  | numeric(9,2)             |           |          | 
             placed  | timestamp with time zone |           |          | 
             paid    | boolean                  |           |          | 


            """, await RunAsync("\\d sales.orders"));
    }

    [PsqlTheory]
    [InlineData("\\l")]
    [InlineData("\\l+")]
    [InlineData("\\dn+")]
    [InlineData("\\dt+")]
    [InlineData("\\d+ sales.orders")]
    [InlineData("\\d+ live.by_country")]
    [InlineData("\\d *.*")]
    [InlineData("\\dS")]
    [InlineData("\\dv")]
    [InlineData("\\dm")]
    [InlineData("\\di")]
    [InlineData("\\ds")]
    [InlineData("\\df")]
    [InlineData("\\df+")]
    [InlineData("\\da")]
    [InlineData("\\dT")]
    [InlineData("\\dTS+")]
    [InlineData("\\du")]
    [InlineData("\\du+")]
    [InlineData("\\db+")]
    [InlineData("\\dp")]
    [InlineData("\\ddp")]
    [InlineData("\\dD")]
    [InlineData("\\dc")]
    [InlineData("\\dC")]
    [InlineData("\\dd")]
    [InlineData("\\dE")]
    [InlineData("\\des+")]
    [InlineData("\\det+")]
    [InlineData("\\deu+")]
    [InlineData("\\dew+")]
    [InlineData("\\dF")]
    [InlineData("\\dFd")]
    [InlineData("\\dFp")]
    [InlineData("\\dFt")]
    [InlineData("\\dL")]
    [InlineData("\\do")]
    [InlineData("\\dO")]
    [InlineData("\\dP")]
    [InlineData("\\dRp")]
    [InlineData("\\dRs")]
    [InlineData("\\dx")]
    [InlineData("\\dX")]
    [InlineData("\\dy")]
    [InlineData("\\dA")]
    [InlineData("\\dAc")]
    [InlineData("\\dAf")]
    [InlineData("\\dAo")]
    [InlineData("\\dAp")]
    [InlineData("\\dconfig")]
    [InlineData("\\drds")]
    [InlineData("\\sf nosuch")]
    [InlineData("\\conninfo")]
    [InlineData("\\encoding")]
    public async Task Every_describe_command_runs(string command)
    {
        var printed = await RunAsync(command);
        Assert.DoesNotContain("ERROR:  ", printed.Replace("ERROR:  function \"nosuch\" does not exist", "", StringComparison.Ordinal), StringComparison.Ordinal);
    }

    [PsqlFact]
    public async Task Rows_fetched_by_a_cursor_are_all_there()
    {
        var printed = await RunAsync("SELECT i FROM range(10000) t(i)", "-v", "FETCH_COUNT=999", "-t", "-A");
        Assert.Equal(Enumerable.Range(0, 10000).Select(i => i.ToString(System.Globalization.CultureInfo.InvariantCulture)), printed.Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }

    [PsqlFact]
    public async Task Copy_writes_csv()
    {
        Assert.Equal(
            "page,hits\na,3\nb,5\nü,7\n", await RunAsync("\\copy (SELECT page, hits FROM web.visits ORDER BY hits) TO STDOUT CSV HEADER"));
    }

    [PsqlFact]
    public async Task Several_statements_in_one_text_stop_at_the_first_error()
    {
        var printed = await RunAsync("SELECT 'one'; SELECT nope; SELECT 'three'");
        Assert.Contains("one", printed, StringComparison.Ordinal);
        Assert.Contains("LINE 1: SELECT 'one'; SELECT nope; SELECT 'three'\n                             ^", printed, StringComparison.Ordinal);
        Assert.DoesNotContain("three\n", printed, StringComparison.Ordinal);
    }

    [PsqlFact]
    public async Task An_interrupt_cancels_the_statement()
    {
        using var psql = Start("SELECT count(*) FROM range(1000000000000) t(i) WHERE hash(i) % 7 = 4");
        while (!listening.House.Engine.History.Newest(5).Any(q => q.State == QueryState.Running && q.Sql.Contains("% 7 = 4", StringComparison.Ordinal)))
            await Task.Yield();
        using (var kill = Process.Start("kill", ["-INT", psql.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)]))
            await kill.WaitForExitAsync();
        Assert.Contains("canceling statement due to user request", await psql.StandardError.ReadToEndAsync(), StringComparison.Ordinal);
        await psql.WaitForExitAsync();
    }

    [PsqlTheory]
    [InlineData("SELECT * FROM read_parquet('/etc/passwd')")]
    [InlineData("SELECT * FROM '/etc/passwd'")]
    [InlineData("COPY (SELECT 1) TO '/tmp/x'")]
    [InlineData("COPY (SELECT 1) TO PROGRAM 'cat'")]
    [InlineData("ATTACH '/tmp/x.db'")]
    [InlineData("INSTALL httpfs")]
    [InlineData("LOAD httpfs")]
    [InlineData("PRAGMA database_list")]
    [InlineData("SET memory_limit = '1TB'")]
    [InlineData("INSERT INTO sales.orders SELECT * FROM sales.orders")]
    [InlineData("DROP TABLE sales.orders")]
    public async Task What_is_out_of_reach_is_refused_with_a_reason(string sql) =>
        Assert.StartsWith("ERROR:  ", await RunAsync(sql), StringComparison.Ordinal);

    private async Task<string> RunAsync(string command, params string[] options)
    {
        using var psql = Start(command, options);
        var errors = psql.StandardError.ReadToEndAsync();
        var output = await psql.StandardOutput.ReadToEndAsync();
        await psql.WaitForExitAsync();
        return output + await errors;
    }

    private Process Start(string command, params string[] options)
    {
        var start = new ProcessStartInfo("psql") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in (string[])["-X", "-h", "127.0.0.1", "-p", listening.Port.ToString(System.Globalization.CultureInfo.InvariantCulture), "-U", "tester", "-d", "millrace", .. options, "-c", command])
            start.ArgumentList.Add(argument);
        return Process.Start(start) ?? throw new InvalidOperationException("psql does not start");
    }
}

internal static class Psql
{
    public static string? Missing { get; } =
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(f => File.Exists(Path.Combine(f, "psql"))) ? null : "needs psql (apt install postgresql-client)";
}

internal sealed class PsqlFactAttribute : FactAttribute
{
    public PsqlFactAttribute() => Skip = Psql.Missing;
}

internal sealed class PsqlTheoryAttribute : TheoryAttribute
{
    public PsqlTheoryAttribute() => Skip = Psql.Missing;
}
