using System.Text;
using Millrace.Columnar;
using Millrace.DuckDb;

namespace Millrace.Tests.DuckDb;

public sealed class DuckDbQueryTests : IDisposable
{
    private readonly DuckDbDatabase _database = DuckDbDatabase.Open();
    private readonly DuckDbConnection _connection;

    public DuckDbQueryTests() => _connection = _database.Connect();

    public void Dispose()
    {
        _connection.Dispose();
        _database.Dispose();
    }

    [Fact]
    public void The_library_is_the_one_the_product_is_built_on() => Assert.StartsWith("v1.5", DuckDbDatabase.Version, StringComparison.Ordinal);

    [Theory]
    [InlineData("true", "BOOLEAN")]
    [InlineData("1::TINYINT", "TINYINT")]
    [InlineData("1::UTINYINT", "UTINYINT")]
    [InlineData("1::SMALLINT", "SMALLINT")]
    [InlineData("1::USMALLINT", "USMALLINT")]
    [InlineData("1::INTEGER", "INTEGER")]
    [InlineData("1::UINTEGER", "UINTEGER")]
    [InlineData("1::BIGINT", "BIGINT")]
    [InlineData("1::UBIGINT", "UBIGINT")]
    [InlineData("1::HUGEINT", "DECIMAL(38,0)")]
    [InlineData("1.5::FLOAT", "FLOAT")]
    [InlineData("1.5::DOUBLE", "DOUBLE")]
    [InlineData("1.25::DECIMAL(4,2)", "DECIMAL(4,2)")]
    [InlineData("1.25::DECIMAL(9,2)", "DECIMAL(9,2)")]
    [InlineData("1.25::DECIMAL(18,2)", "DECIMAL(18,2)")]
    [InlineData("1.25::DECIMAL(38,2)", "DECIMAL(38,2)")]
    [InlineData("DATE '2024-02-29'", "DATE")]
    [InlineData("TIME '12:34:56.789'", "TIME")]
    [InlineData("TIMESTAMP '2024-02-29 01:02:03.000004'", "TIMESTAMP")]
    [InlineData("TIMESTAMP_S '2024-02-29 01:02:03'", "TIMESTAMP")]
    [InlineData("TIMESTAMP_MS '1924-02-29 01:02:03.001'", "TIMESTAMP")]
    [InlineData("TIMESTAMP_NS '1924-02-29 01:02:03.000004'", "TIMESTAMP")]
    [InlineData("TIMESTAMPTZ '2024-02-29 01:02:03+01'", "TIMESTAMPTZ")]
    [InlineData("INTERVAL '14 months 3 days 4.5 seconds'", "INTERVAL")]
    [InlineData("'a text longer than twelve bytes'", "VARCHAR")]
    [InlineData("'short'", "VARCHAR")]
    [InlineData("'\\xAA\\x00'::BLOB", "BLOB")]
    [InlineData("uuid '00112233-4455-6677-8899-aabbccddeeff'", "VARCHAR")]
    [InlineData("'b'::ENUM('a', 'b')", "VARCHAR")]
    [InlineData("[1, NULL, 3]", "INTEGER[]")]
    [InlineData("[['a'], [], NULL, ['a text longer than twelve bytes']]", "VARCHAR[][]")]
    [InlineData("{'x': 1, 'y': 'two'}", "STRUCT(\"x\" INTEGER, \"y\" VARCHAR)")]
    [InlineData("MAP {'k': 1.5::DOUBLE, 'l': NULL}", "MAP(VARCHAR, DOUBLE)")]
    [InlineData("[{'x': [1, 2], 'm': MAP {1: {'d': DATE '2020-01-01'}}}]", null)]
    public void Every_type_comes_out_and_goes_back_in_unchanged(string expression, string? type)
    {
        // Rows of the value, of null, and of a value again: nulls and offsets matter.
        var sql = $"SELECT i, CASE WHEN i % 3 = 1 THEN NULL ELSE {expression} END AS v FROM range(5000) t(i)";
        using var result = _connection.Query(sql);
        if (type is not null)
            Assert.Equal(type, result.Schema[1].Type.ToString());
        var batches = new List<ColumnBatch>();
        while (result.Next() is { } batch)
            batches.Add(batch);
        Assert.Equal(5000, batches.Sum(b => b.RowCount));
        Assert.Equal(1667, batches.Sum(b => b[1].NullCount));

        using var table = _connection.RegisterBatches("back", result.Schema, batches);
        foreach (var batch in batches)
            batch.Dispose();
        var compared = _connection.Query(
            $"SELECT count(*)::BIGINT, count(*) FILTER (a.v::VARCHAR IS DISTINCT FROM b.v::VARCHAR)::BIGINT FROM ({sql}) a JOIN back b USING (i)");
        using var row = compared.ReadAll();
        Assert.Equal(5000, row[0].Values<long>()[0]);
        Assert.Equal(0, row[1].Values<long>()[0]);
    }

    [Fact]
    public void An_array_of_fixed_size_comes_as_a_list()
    {
        using var result = _connection.Query("SELECT [i, i + 1]::INTEGER[2] AS v FROM range(3) t(i)");
        using var rows = result.ReadAll();
        Assert.Equal("INTEGER[]", rows[0].Type.ToString());
        Assert.Equal([0, 2, 4, 6], rows[0].Offsets.ToArray());
        Assert.Equal([0, 1, 1, 2, 2, 3], rows[0].Children[0].Values<int>().ToArray());
    }

    [Fact]
    public void Parameters_of_every_kind_arrive()
    {
        using var result = _connection.Query(
            "SELECT $1::BOOLEAN, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14 IS NULL",
            true, (short)-2, 3, -4L, 5.5f, 6.25, -7.125m, "acht \u00e9", new byte[] { 9, 0 }, new DateOnly(2024, 2, 29), new TimeOnly(1, 2, 3),
            new DateTime(2024, 2, 29, 1, 2, 3), new DateTimeOffset(2024, 2, 29, 1, 2, 3, TimeSpan.FromHours(1)), null);
        using var row = result.ReadAll();
        Assert.True(row[0].GetBoolean(0));
        Assert.Equal(-2, row[1].Values<short>()[0]);
        Assert.Equal(3, row[2].Values<int>()[0]);
        Assert.Equal(-4, row[3].Values<long>()[0]);
        Assert.Equal(5.5f, row[4].Values<float>()[0]);
        Assert.Equal(6.25, row[5].Values<double>()[0]);
        Assert.Equal(3, row[6].Type.Scale);
        Assert.Equal(-7125, (long)row[6].Values<Int128>()[0]);
        Assert.Equal("acht \u00e9", Encoding.UTF8.GetString(row[7].GetBytes(0)));
        Assert.Equal([9, 0], row[8].GetBytes(0).ToArray());
        Assert.Equal(19782, row[9].Values<int>()[0]);
        Assert.Equal(3_723_000_000, row[10].Values<long>()[0]);
        Assert.Equal(TypeKind.Timestamp, row[11].Type.Kind);
        Assert.Equal(1_709_168_523_000_000, row[11].Values<long>()[0]);
        Assert.Equal(TypeKind.TimestampTz, row[12].Type.Kind);
        Assert.Equal(1_709_164_923_000_000, row[12].Values<long>()[0]);
        Assert.True(row[13].GetBoolean(0));
    }

    [Fact]
    public void Several_statements_run_and_the_last_one_answers()
    {
        using var result = _connection.Query("CREATE TABLE t(a INTEGER); INSERT INTO t VALUES (1), (2); SELECT a, a FROM t ORDER BY a");
        Assert.Equal(["a", "a"], result.ColumnNames);
        Assert.Equal("a_1", result.Schema[1].Name);
        using var rows = result.ReadAll();
        Assert.Equal([1, 2], rows[1].Values<int>().ToArray());
        Assert.Equal(2, _connection.Execute("UPDATE t SET a = a + 1"));
    }

    [Fact]
    public void A_statement_runs_again_with_other_parameters_and_other_types()
    {
        using var statement = _connection.Prepare("SELECT $1 AS a");
        statement.Bind(1, 5);
        using (var first = statement.Execute())
        using (var row = first.ReadAll())
            Assert.Equal(5, row[0].Values<int>()[0]);
        statement.Bind(1, "five");
        using var second = statement.Execute();
        using var text = second.ReadAll();
        Assert.Equal("five"u8.ToArray(), text[0].GetBytes(0).ToArray());
    }

    [Fact]
    public void Columns_are_described_before_the_run()
    {
        using var statement = _connection.Prepare("SELECT 1::BIGINT AS id, $1::VARCHAR AS name, 1.5::DECIMAL(9,2) AS d");
        var schema = statement.DescribeColumns();
        Assert.Equal("id BIGINT, name VARCHAR, d DECIMAL(9,2)", schema?.ToString());
        Assert.Equal(1, statement.ParameterCount);
        Assert.Equal(DuckDbType.Varchar, statement.ParameterType(1));
    }

    [Theory]
    [InlineData("SELEC 1", DuckDbErrorType.Parser, 0)]
    [InlineData("SELECT 1\nFROM nowhere", DuckDbErrorType.Catalog, 14)]
    [InlineData("SELECT 'ä', nope FROM range(3) t(i)", DuckDbErrorType.Binder, 12)]
    [InlineData("SELECT upper(1, 2, 3)", DuckDbErrorType.Binder, 7)]
    public void A_refused_statement_says_what_and_where(string sql, DuckDbErrorType type, int position)
    {
        var error = Assert.Throws<DuckDbException>(() => _connection.Query(sql));
        Assert.Equal(type, error.ErrorType);
        Assert.Equal(position, error.Position);
        Assert.DoesNotContain("{", error.Message, StringComparison.Ordinal);
        Assert.EndsWith("^", error.Caret, StringComparison.Ordinal);
    }

    [Fact]
    public void A_failure_among_streamed_rows_is_told()
    {
        using var result = _connection.Query("SELECT CASE WHEN i = 900000 THEN error('row ' || i) ELSE i END FROM range(1000000) t(i)");
        var error = Assert.Throws<DuckDbException>(() =>
        {
            while (result.Next() is { } batch)
                batch.Dispose();
        });
        Assert.Contains("row 900000", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_interrupted_statement_ends_with_that_error()
    {
        var running = Task.Run(() => _connection.Execute("SELECT count(*) FROM range(100000000) a, range(100000) b WHERE a.range + b.range = -1"));
        while (!running.IsCompleted)
        {
            _connection.Interrupt();
            await Task.Yield();
        }
        var error = await Assert.ThrowsAsync<DuckDbException>(() => running);
        Assert.Equal(DuckDbErrorType.Interrupt, error.ErrorType);
        Assert.Equal(0, _connection.Execute("SELECT 1"));
    }

    [Fact]
    public void Files_are_out_of_reach_unless_allowed()
    {
        var error = Assert.Throws<DuckDbException>(() => _connection.Execute("SELECT * FROM read_csv('/etc/passwd')"));
        Assert.Equal(DuckDbErrorType.Permission, error.ErrorType);
        Assert.Throws<DuckDbException>(() => _connection.Execute("INSTALL httpfs"));
    }

    [Fact]
    public void Memory_is_bounded()
    {
        using var small = DuckDbDatabase.Open(null, new DuckDbOptions { MemoryLimit = 20 << 20, Threads = 1 });
        using var connection = small.Connect();
        var error = Assert.Throws<DuckDbException>(() => connection.Execute("SELECT list(i) FROM range(10000000) t(i)"));
        Assert.Equal(DuckDbErrorType.OutOfMemory, error.ErrorType);
    }

    [Fact]
    public void Disposing_in_any_order_is_safe()
    {
        var database = DuckDbDatabase.Open();
        var connection = database.Connect();
        var statement = connection.Prepare("SELECT i, 'a text longer than twelve bytes ' || i FROM range(100000) t(i)");
        var result = statement.Execute(streaming: true);
        database.Dispose();
        connection.Dispose();
        statement.Dispose();
        var batch = result.Next()!;
        result.Dispose();
        Assert.Equal("a text longer than twelve bytes 7"u8.ToArray(), batch[1].GetBytes(7).ToArray());
        batch.Dispose();
        Assert.Throws<ObjectDisposedException>(() => result.Next());
    }

    [Theory]
    [InlineData("'10:11:12+02'::TIMETZ", "TIME")]
    [InlineData("'10101'::BIT", "BLOB")]
    [InlineData("1::UHUGEINT", "DECIMAL(38,0)")]
    [InlineData("NULL", "INTEGER")]
    [InlineData("{'a': NULL}", null)]
    [InlineData("123456789012345678901234567890123456789012345::BIGNUM", null)]
    [InlineData("'[1]'::JSON", "VARCHAR")]
    public void Rare_types_come_as_something_or_are_refused_by_name(string expression, string? type)
    {
        try
        {
            using var result = _connection.Query($"SELECT {expression} AS v");
            using var row = result.ReadAll();
            Assert.Equal(1, row.RowCount);
            if (type is not null)
                Assert.Equal(type, row[0].Type.ToString());
        }
        catch (NotSupportedException error) when (type is null)
        {
            Assert.Contains("column 'v'", error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_union_is_refused_with_what_to_do()
    {
        var error = Assert.Throws<NotSupportedException>(() => _connection.Query("SELECT union_value(a := 1) AS v"));
        Assert.Contains("column 'v'", error.Message, StringComparison.Ordinal);
        Assert.Contains("cast", error.Message, StringComparison.Ordinal);
    }
}
