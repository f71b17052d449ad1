using Millrace.Query;

namespace Millrace.Tests.Query;

public sealed class SqlSessionTests
{
    private const string Endless = "SELECT count(*) FROM range(1000000000000) t(i) WHERE hash(i) % 7 = 3";

    [Fact]
    public async Task A_statement_sees_a_commit_and_a_transaction_does_not()
    {
        await using var house = QueryHouse.WithTables();
        await using var pinned = house.Engine.OpenSession();
        await using var other = house.Engine.OpenSession();
        await RunAsync(pinned, "BEGIN");
        Assert.Equal("6", await ScalarAsync(pinned, "SELECT count(*)::VARCHAR FROM sales.orders"));
        house.Add("sales.orders", "SELECT 7::BIGINT AS id, 'DE' AS country, 1::DECIMAL(9,2) AS amount, NULL::TIMESTAMPTZ AS placed, true AS paid");
        Assert.Equal("7", await ScalarAsync(other, "SELECT count(*)::VARCHAR FROM orders"));
        Assert.Equal("6", await ScalarAsync(pinned, "SELECT count(*)::VARCHAR FROM orders"));
        await RunAsync(pinned, "COMMIT");
        Assert.Equal("7", await ScalarAsync(pinned, "SELECT count(*)::VARCHAR FROM orders"));
    }

    [Fact]
    public async Task A_result_is_read_at_the_snapshot_that_it_began_with()
    {
        await using var house = QueryHouse.WithTables();
        house.Add("big.numbers", "SELECT i FROM range(100000) t(i)");
        await using var session = house.Engine.OpenSession();
        await using var result = await session.ExecuteAsync("SELECT i FROM big.numbers");
        (await result.NextAsync())!.Dispose();
        house.Add("big.numbers", "SELECT i FROM range(100000) t(i)");
        while (await result.NextAsync() is { } batch)
            batch.Dispose();
        Assert.Equal(100000, result.RowCount);
        Assert.Equal("200000", await ScalarAsync(session, "SELECT count(*)::VARCHAR FROM big.numbers"));
    }

    [Fact]
    public async Task A_prepared_statement_follows_a_table_whose_columns_change()
    {
        await using var house = QueryHouse.WithTables();
        house.Live.Set("moving", "SELECT 1::BIGINT AS a");
        await using var session = house.Engine.OpenSession();
        await using var statement = await session.PrepareAsync("SELECT * FROM live.moving");
        Assert.Equal(["a"], statement.Columns!.Select(c => c.Name));
        house.Live.Set("moving", "SELECT 1::BIGINT AS a, 'x' AS b");
        await using var result = await session.ExecuteAsync(statement, []);
        Assert.Equal(["a", "b"], result.Columns.Select(c => c.Name));
    }

    [Fact]
    public async Task Live_rows_are_those_of_the_moment()
    {
        await using var house = QueryHouse.WithTables();
        await using var session = house.Engine.OpenSession();
        Assert.Equal("2", await ScalarAsync(session, "SELECT count(*)::VARCHAR FROM live.by_country"));
        house.Live.Set("by_country", "SELECT 'X' AS country, 1.0::DOUBLE AS revenue, 1::BIGINT AS orders FROM range(5)");
        Assert.Equal("5", await ScalarAsync(session, "SELECT count(*)::VARCHAR FROM live.by_country"));
        house.Live.Remove("by_country");
        Assert.Equal(SqlStates.UndefinedTable, (await FailsAsync(session, "SELECT * FROM live.by_country")).SqlState);
    }

    [Fact]
    public async Task A_statement_that_works_too_long_is_stopped_and_the_session_goes_on()
    {
        await using var house = QueryHouse.WithTables(new QueryOptions { StatementTimeout = TimeSpan.FromMilliseconds(200) });
        await using var session = house.Engine.OpenSession();
        var error = await FailsAsync(session, Endless);
        Assert.Equal(SqlStates.QueryCanceled, error.SqlState);
        Assert.Contains("statement timeout", error.Message, StringComparison.Ordinal);
        await RunAsync(session, "SET statement_timeout = '1h'");
        Assert.Equal(SqlStates.QueryCanceled, (await FailsAsync(session, Endless)).SqlState);
        Assert.Equal("1", await ScalarAsync(session, "SELECT '1'"));
    }

    [Fact]
    public async Task Cancelling_by_session_or_token_stops_a_statement()
    {
        await using var house = QueryHouse.WithTables();
        await using var session = house.Engine.OpenSession();
        var running = FailsAsync(session, Endless);
        while (!running.IsCompleted)
        {
            session.Cancel();
            await Task.Yield();
        }
        Assert.Equal("canceling statement due to user request", (await running).Message);
        using var stop = new CancellationTokenSource();
        running = FailsAsync(session, Endless, stop.Token);
        await stop.CancelAsync();
        Assert.Equal(SqlStates.QueryCanceled, (await running).SqlState);
    }

    [Fact]
    public async Task A_statement_that_needs_too_much_memory_fails_alone()
    {
        await using var house = QueryHouse.WithTables(new QueryOptions { MemoryLimit = 64 << 20, MaxTempBytes = 1 << 20, Threads = 1 });
        await using var session = house.Engine.OpenSession();
        var error = await FailsAsync(session, "SELECT len(list(i)) FROM range(50000000) t(i)");
        Assert.True(error.SqlState is SqlStates.OutOfMemory or SqlStates.DiskFull, error.ToString());
        Assert.Equal("1", await ScalarAsync(session, "SELECT '1'"));
    }

    [Fact]
    public async Task A_result_with_too_many_rows_is_stopped()
    {
        await using var house = QueryHouse.WithTables();
        await using var session = house.Engine.OpenSession(new SqlSessionOptions { MaxResultRows = 3000 });
        await using var result = await session.ExecuteAsync("SELECT * FROM range(10000)");
        var error = await Assert.ThrowsAsync<SqlException>(async () =>
        {
            while (await result.NextAsync() is { } batch)
                batch.Dispose();
        });
        Assert.Equal(SqlStates.LimitExceeded, error.SqlState);
        Assert.Contains("MaxResultRows", error.Hint, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_unread_result_survives_the_next_statement_within_its_bound()
    {
        await using var house = QueryHouse.WithTables(new QueryOptions { MaxBufferedBytes = 1 << 20 });
        await using var session = house.Engine.OpenSession();
        await using var small = await session.ExecuteAsync("SELECT i FROM range(50000) t(i)");
        Assert.Equal("x", await ScalarAsync(session, "SELECT 'x'"));
        while (await small.NextAsync() is { } batch)
            batch.Dispose();
        Assert.Equal(50000, small.RowCount);
        await using var large = await session.ExecuteAsync("SELECT i FROM range(5000000) t(i)");
        Assert.Equal("x", await ScalarAsync(session, "SELECT 'x'"));
        var error = await Assert.ThrowsAsync<SqlException>(async () =>
        {
            while (await large.NextAsync() is { } batch)
                batch.Dispose();
        });
        Assert.Contains("MaxBufferedBytes", error.Hint, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Sessions_are_counted_and_bounded()
    {
        await using var house = QueryHouse.WithTables(new QueryOptions { MaxSessions = 2 });
        var first = house.Engine.OpenSession();
        await using var second = house.Engine.OpenSession();
        Assert.Equal(SqlStates.TooManyConnections, Assert.Throws<SqlException>(() => house.Engine.OpenSession()).SqlState);
        await first.DisposeAsync();
        await using var third = house.Engine.OpenSession();
        Assert.Equal(2, house.Engine.SessionCount);
    }

    [Fact]
    public async Task Sessions_work_side_by_side_on_different_snapshots()
    {
        await using var house = QueryHouse.WithTables(new QueryOptions { MaxConcurrent = 2 });
        house.Add("c.t", "SELECT 1::BIGINT AS n");
        await Task.WhenAll(Enumerable.Range(0, 8).Select(async worker =>
        {
            await using var session = house.Engine.OpenSession();
            var last = 0L;
            for (var i = 0; i < 15; i++)
            {
                if (worker == 0)
                    house.Add("c.t", "SELECT 1::BIGINT AS n");
                var count = long.Parse(await ScalarAsync(session, "SELECT count(*)::VARCHAR FROM c.t, (SELECT count(*) FROM pg_class)"), System.Globalization.CultureInfo.InvariantCulture);
                Assert.True(count >= last);
                last = count;
            }
        }));
    }

    [Fact]
    public async Task The_history_tells_what_was_run()
    {
        await using var house = QueryHouse.WithTables(new QueryOptions { HistoryLength = 3 });
        await using var session = house.Engine.OpenSession(new SqlSessionOptions { User = "ann", Application = "test" });
        await ScalarAsync(session, "SELECT 'one'");
        await FailsAsync(session, "SELECT CAST(country AS INTEGER) FROM sales.orders");
        var newest = house.Engine.History.Newest();
        Assert.Equal(2, newest.Count);
        Assert.Equal(QueryState.Failed, newest[0].State);
        Assert.Contains("Could not convert", newest[0].Error, StringComparison.Ordinal);
        Assert.Equal(("ann", "test", "SELECT 'one'", 1L, QueryState.Done), (newest[1].User, newest[1].Application, newest[1].Sql, newest[1].Rows, newest[1].State));
        for (var i = 0; i < 5; i++)
            await ScalarAsync(session, "SELECT 'more'");
        Assert.Equal(3, house.Engine.History.Newest().Count);
        Assert.Equal(7, house.Engine.History.Count);
    }

    [Fact]
    public async Task Parameters_are_bound_by_their_dotnet_types()
    {
        await using var house = QueryHouse.WithTables();
        await using var session = house.Engine.OpenSession();
        Assert.Equal(
            "3",
            await ScalarAsync(
                session, "SELECT count(*)::VARCHAR FROM sales.orders WHERE placed >= $1 AND amount < $2 AND country IN ($3, $4) AND paid IS NOT DISTINCT FROM coalesce($5, paid)",
                new DateTimeOffset(2024, 3, 1, 0, 0, 0, TimeSpan.Zero), 500m, "DE", "FR", null));
        Assert.Equal(SqlStates.UndefinedParameter, (await FailsAsync(session, "SELECT $1, $2")).SqlState);
    }

    [Fact]
    public async Task A_table_that_is_damaged_is_told_by_name()
    {
        await using var house = QueryHouse.WithTables();
        foreach (var file in Directory.GetFiles(Path.Combine(house.Catalog.Warehouse, "web", "visits", "data"), "*.parquet", SearchOption.AllDirectories))
            File.Delete(file);
        await using var session = house.Engine.OpenSession();
        var error = await FailsAsync(session, "SELECT * FROM web.visits");
        Assert.Equal(SqlStates.IoError, error.SqlState);
        Assert.Equal("6", await ScalarAsync(session, "SELECT count(*)::VARCHAR FROM sales.orders"));
    }

    private static async Task RunAsync(SqlSession session, string sql)
    {
        await using var result = await session.ExecuteAsync(sql);
        Assert.False(result.ReturnsRows);
    }

    private static async Task<string> ScalarAsync(SqlSession session, string sql, params object?[] parameters)
    {
        await using var result = await session.ExecuteAsync(sql, parameters);
        string? value = null;
        while (await result.NextAsync() is { } batch)
        {
            using (batch)
                value ??= System.Text.Encoding.UTF8.GetString(batch[0].GetBytes(0));
        }
        return value!;
    }

    private static Task<SqlException> FailsAsync(SqlSession session, string sql, CancellationToken cancellation = default) =>
        Assert.ThrowsAsync<SqlException>(async () =>
        {
            await using var result = await session.ExecuteAsync(sql, null, cancellation);
            while (await result.NextAsync(cancellation) is { } batch)
                batch.Dispose();
        });
}
