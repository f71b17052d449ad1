using System.Data;
using Millrace.Query;
using Millrace.Query.Wire;
using Millrace.Tests;
using Npgsql;
using NpgsqlTypes;

namespace Millrace.Interop.Query;

/// <summary>Npgsql, which loads the server's types first, prepares, and speaks the binary format.</summary>
public sealed class NpgsqlTests : IClassFixture<ListeningHouse>, IAsyncDisposable
{
    private readonly QueryHouse _house;
    private readonly NpgsqlDataSource _source;

    public NpgsqlTests(ListeningHouse listening)
    {
        _house = listening.House;
        _source = NpgsqlDataSource.Create($"Host=127.0.0.1;Port={listening.Port};Username=tester;Database=millrace;Include Error Detail=true");
    }

    public ValueTask DisposeAsync() => _source.DisposeAsync();

    [Fact]
    public async Task It_reads_an_Iceberg_table_with_its_types()
    {
        await using var command = _source.CreateCommand("SELECT id, country, amount, placed, paid FROM sales.orders ORDER BY id");
        await using var reader = await command.ExecuteReaderAsync();
        Assert.Equal(["bigint", "text", "numeric(9, 2)", "timestamp with time zone", "boolean"], Enumerable.Range(0, 5).Select(reader.GetDataTypeName));
        Assert.True(await reader.ReadAsync());
        Assert.Equal(1L, reader.GetInt64(0));
        Assert.Equal("DE", reader.GetString(1));
        Assert.Equal(10.50m, reader.GetDecimal(2));
        Assert.Equal(new DateTime(2024, 3, 1, 10, 0, 0, DateTimeKind.Utc), reader.GetDateTime(3));
        Assert.True(reader.GetBoolean(4));
        var rows = 1;
        while (await reader.ReadAsync())
            rows++;
        Assert.Equal(6, rows);
    }

    public static TheoryData<string, object> Values() => new()
    {
        { "SELECT true", true },
        { "SELECT (-7)::SMALLINT", (short)-7 },
        { "SELECT 2147483647", int.MaxValue },
        { "SELECT (-9223372036854775807)::BIGINT", -9223372036854775807L },
        { "SELECT 1.25::FLOAT", 1.25f },
        { "SELECT -2.5e-300::DOUBLE", -2.5e-300 },
        { "SELECT 'nan'::DOUBLE", double.NaN },
        { "SELECT 12345.678::DECIMAL(12,4)", 12345.6780m },
        { "SELECT -0.0001::DECIMAL(5,4)", -0.0001m },
        { "SELECT 100000000::DECIMAL(38,0)", 100000000m },
        { "SELECT 18446744073709551615::UBIGINT", 18446744073709551615m },
        { "SELECT 'grüße 😀'", "grüße 😀" },
        { "SELECT ''", "" },
        { "SELECT '\\x00\\xFF'::BLOB", new byte[] { 0, 255 } },
        { "SELECT DATE '1999-12-31'", new DateTime(1999, 12, 31) },
        { "SELECT TIMESTAMP '2024-02-29 23:59:59.123456'", new DateTime(2024, 2, 29, 23, 59, 59).AddTicks(1234560) },
        { "SELECT TIMESTAMPTZ '2024-02-29 23:59:59.5+02'", new DateTime(2024, 2, 29, 21, 59, 59, 500, DateTimeKind.Utc) },
        { "SELECT TIME '13:14:15.000001'", new TimeSpan(0, 13, 14, 15).Add(TimeSpan.FromMicroseconds(1)) },
        { "SELECT INTERVAL '3 days 4 hours'", new TimeSpan(3, 4, 0, 0) },
        { "SELECT '123e4567-e89b-12d3-a456-426614174000'::UUID", Guid.Parse("123e4567-e89b-12d3-a456-426614174000") },
        { "SELECT [1, 2, 3]", new[] { 1, 2, 3 } },
        { "SELECT ['a b', 'c']", new[] { "a b", "c" } },
        { "SELECT [1.5::DOUBLE]", new[] { 1.5 } },
        { "SELECT {'a': 1, 'b': [true, NULL]}", """{"a":1,"b":[true,null]}""" },
        { "SELECT MAP {'k': DATE '2024-01-01'}", """{"k":"2024-01-01"}""" },
        { "SELECT '{\"x\": 1}'::JSON", "{\"x\": 1}" },
    };

    [Theory]
    [MemberData(nameof(Values))]
    public async Task It_reads_values_in_the_binary_format(string sql, object expected)
    {
        await using var command = _source.CreateCommand(sql);
        Assert.Equal(expected, await command.ExecuteScalarAsync());
    }

    [Fact]
    public async Task It_reads_nulls_and_arrays_with_nulls()
    {
        await using var command = _source.CreateCommand("SELECT NULL::INTEGER, [1, NULL, 3], []::INTEGER[], NULL");
        await using var reader = await command.ExecuteReaderAsync();
        Assert.True(await reader.ReadAsync());
        Assert.True(reader.IsDBNull(0));
        Assert.Equal(new int?[] { 1, null, 3 }, reader.GetFieldValue<int?[]>(1));
        Assert.Empty(reader.GetFieldValue<int[]>(2));
        Assert.True(reader.IsDBNull(3));
    }

    public static TheoryData<NpgsqlDbType, object> Parameters() => new()
    {
        { NpgsqlDbType.Boolean, true },
        { NpgsqlDbType.Smallint, (short)5 },
        { NpgsqlDbType.Integer, -5 },
        { NpgsqlDbType.Bigint, long.MaxValue },
        { NpgsqlDbType.Real, 0.5f },
        { NpgsqlDbType.Double, 1e100 },
        { NpgsqlDbType.Numeric, 1234567.890123m },
        { NpgsqlDbType.Text, "it's \"quoted\" \\ and ü" },
        { NpgsqlDbType.Bytea, new byte[] { 1, 2, 255 } },
        { NpgsqlDbType.Date, new DateTime(2024, 2, 29) },
        { NpgsqlDbType.Timestamp, new DateTime(1969, 12, 31, 23, 59, 59, 999) },
        { NpgsqlDbType.TimestampTz, new DateTime(2024, 7, 1, 12, 0, 0, DateTimeKind.Utc) },
        { NpgsqlDbType.Time, new TimeSpan(1, 2, 3) },
        { NpgsqlDbType.Interval, new TimeSpan(5, 1, 2, 3) },
        { NpgsqlDbType.Uuid, Guid.Parse("00112233-4455-6677-8899-aabbccddeeff") },
        { NpgsqlDbType.Array | NpgsqlDbType.Integer, new[] { 3, 2, 1 } },
        { NpgsqlDbType.Array | NpgsqlDbType.Text, new[] { "x,y", "", "NULL", "\"" } },
    };

    [Theory]
    [MemberData(nameof(Parameters))]
    public async Task A_parameter_of_each_type_comes_back_as_it_was(NpgsqlDbType type, object value)
    {
        await using var connection = await _source.OpenConnectionAsync();
        foreach (var prepare in new[] { false, true })
        {
            await using var command = new NpgsqlCommand("SELECT $1", connection);
            command.Parameters.Add(new NpgsqlParameter { NpgsqlDbType = type, Value = value });
            if (prepare)
                await command.PrepareAsync();
            Assert.Equal(value, await command.ExecuteScalarAsync());
        }
    }

    [Fact]
    public async Task Parameters_filter_rows_and_may_be_null()
    {
        await using var command = _source.CreateCommand("SELECT count(*) FROM sales.orders WHERE country = $1 AND amount > $2 AND placed < $3 AND ($4 IS NULL OR id = $4)");
        command.Parameters.AddWithValue("FR");
        command.Parameters.AddWithValue(15m);
        command.Parameters.AddWithValue(new DateTime(2024, 3, 2, 0, 0, 0, DateTimeKind.Utc));
        command.Parameters.Add(new NpgsqlParameter { NpgsqlDbType = NpgsqlDbType.Bigint, Value = DBNull.Value });
        Assert.Equal(1L, await command.ExecuteScalarAsync());
    }

    [Fact]
    public async Task A_prepared_statement_runs_again_and_sees_new_snapshots()
    {
        await using var connection = await _source.OpenConnectionAsync();
        _house.Add("growing.prepared", "SELECT 1::INTEGER AS hits");
        await using var command = new NpgsqlCommand("SELECT count(*) FROM growing.prepared WHERE hits > $1", connection);
        command.Parameters.Add(new NpgsqlParameter { NpgsqlDbType = NpgsqlDbType.Integer, Value = 0 });
        await command.PrepareAsync();
        Assert.Equal(1L, await command.ExecuteScalarAsync());
        _house.Add("growing.prepared", "SELECT 2::INTEGER AS hits");
        Assert.Equal(2L, await command.ExecuteScalarAsync());
    }

    [Fact]
    public async Task A_transaction_reads_one_snapshot()
    {
        _house.Add("growing.pinned", "SELECT 1::INTEGER AS hits");
        await using var connection = await _source.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        await using var count = new NpgsqlCommand("SELECT count(*) FROM growing.pinned", connection, transaction);
        Assert.Equal(1L, await count.ExecuteScalarAsync());
        _house.Add("growing.pinned", "SELECT 2::INTEGER AS hits");
        Assert.Equal(1L, await count.ExecuteScalarAsync());
        await transaction.CommitAsync();
        await using var after = new NpgsqlCommand("SELECT count(*) FROM growing.pinned", connection);
        Assert.Equal(2L, await after.ExecuteScalarAsync());
    }

    [Fact]
    public async Task An_error_has_its_state_and_position_and_leaves_the_connection_usable()
    {
        await using var connection = await _source.OpenConnectionAsync();
        await using var wrong = new NpgsqlCommand("SELECT countri FROM sales.orders", connection);
        var error = await Assert.ThrowsAsync<PostgresException>(() => wrong.ExecuteScalarAsync());
        Assert.Equal("42703", error.SqlState);
        Assert.Equal(8, error.Position);
        Assert.Contains("country", error.Hint, StringComparison.Ordinal);
        await using var right = new NpgsqlCommand("SELECT 1", connection);
        Assert.Equal(1, await right.ExecuteScalarAsync());
    }

    [Fact]
    public async Task A_batch_runs_in_order_and_an_error_stops_it()
    {
        await using var connection = await _source.OpenConnectionAsync();
        await using var batch = new NpgsqlBatch(connection) { BatchCommands = { new("SELECT 1"), new("SELECT nope"), new("SELECT 3") } };
        var error = await Assert.ThrowsAsync<PostgresException>(async () =>
        {
            await using var reader = await batch.ExecuteReaderAsync();
            while (await reader.NextResultAsync())
            {
            }
        });
        Assert.Equal("42703", error.SqlState);
        await using var good = new NpgsqlBatch(connection) { BatchCommands = { new("SELECT 1"), new("SELECT 'two'") } };
        await using var results = await good.ExecuteReaderAsync();
        Assert.True(await results.ReadAsync());
        Assert.Equal(1, results.GetInt32(0));
        Assert.True(await results.NextResultAsync());
        Assert.True(await results.ReadAsync());
        Assert.Equal("two", results.GetString(0));
    }

    [Fact]
    public async Task Cancelling_stops_the_statement()
    {
        await using var connection = await _source.OpenConnectionAsync();
        await using var command = new NpgsqlCommand("SELECT count(*) FROM range(1000000000000) t(i) WHERE hash(i) % 7 = 3", connection);
        var running = command.ExecuteScalarAsync();
        while (_house.Engine.History.Newest(1) is not [{ State: QueryState.Running }])
            await Task.Yield();
        await Task.Run(command.Cancel);
        var error = await Assert.ThrowsAsync<OperationCanceledException>(() => running);
        Assert.Equal("57014", Assert.IsType<PostgresException>(error.InnerException).SqlState);
        await using var next = new NpgsqlCommand("SELECT 2", connection);
        Assert.Equal(2, await next.ExecuteScalarAsync());
    }

    [Fact]
    public async Task Its_schema_collections_list_tables_and_columns()
    {
        await using var connection = await _source.OpenConnectionAsync();
        var tables = await connection.GetSchemaAsync("Tables");
        Assert.Contains(tables.Rows.Cast<DataRow>(), r => (string)r["table_schema"] == "sales" && (string)r["table_name"] == "orders");
        var columns = await connection.GetSchemaAsync("Columns", ["millrace", "sales", "orders"]);
        Assert.Equal(["id", "country", "amount", "placed", "paid"], columns.Rows.Cast<DataRow>().OrderBy(r => Convert.ToInt32(r["ordinal_position"])).Select(r => (string)r["column_name"]));
    }

    [Fact]
    public async Task Reset_and_reuse_of_a_pooled_connection_forget_the_session()
    {
        await using (var connection = await _source.OpenConnectionAsync())
        {
            await using var set = new NpgsqlCommand("SET TimeZone = 'Asia/Tokyo'", connection);
            await set.ExecuteNonQueryAsync();
        }
        await using var again = await _source.OpenConnectionAsync();
        await using var show = new NpgsqlCommand("SHOW TimeZone", again);
        Assert.Equal("UTC", await show.ExecuteScalarAsync());
    }

    [Fact]
    public async Task A_password_is_asked_for_by_SCRAM()
    {
        await using var server = await _house.ListenAsync(new PostgresOptions { User = "reader", Password = "pâss w0rd" });
        var address = $"Host=127.0.0.1;Port={server.EndPoint.Port};Database=millrace;Pooling=false";
        await using (var source = NpgsqlDataSource.Create($"{address};Username=reader;Password=pâss w0rd"))
        {
            await using var command = source.CreateCommand("SELECT current_user");
            Assert.Equal("reader", await command.ExecuteScalarAsync());
        }
        foreach (var (user, password) in new[] { ("reader", "wrong"), ("other", "pâss w0rd") })
        {
            await using var source = NpgsqlDataSource.Create($"{address};Username={user};Password={password}");
            var error = await Assert.ThrowsAsync<PostgresException>(async () => await source.OpenConnectionAsync());
            Assert.Equal("28P01", error.SqlState);
        }
    }

    [Fact]
    public async Task Rows_are_copied_out_in_text()
    {
        await using var connection = await _source.OpenConnectionAsync();
        using var reader = await connection.BeginTextExportAsync("COPY (SELECT id, country FROM sales.orders ORDER BY id) TO STDOUT");
        Assert.Equal("1\tDE\n2\tFR\n3\tDE\n4\tIT\n5\t\\N\n6\tFR\n", await reader.ReadToEndAsync());
    }
}
