using Millrace.Columnar;
using Millrace.DuckDb;

namespace Millrace.Tests.DuckDb;

public sealed class BatchTableTests : IDisposable
{
    private static readonly Schema Orders = new(
        new Field("id", DataType.Utf8), new Field("country", DataType.Utf8), new Field("amount", DataType.Float64), new Field("ts", DataType.TimestampTz));

    private readonly DuckDbDatabase _database = DuckDbDatabase.Open(null, new DuckDbOptions { Threads = 1 });
    private readonly DuckDbConnection _connection;

    public BatchTableTests() => _connection = _database.Connect();

    public void Dispose()
    {
        _connection.Dispose();
        _database.Dispose();
    }

    [Fact]
    public void One_statement_runs_over_batch_after_batch()
    {
        using var table = _connection.RegisterBatches("batch", Orders);
        using var statement = _connection.Prepare("SELECT country, sum(amount) AS revenue, count(*) AS n, min(id) FROM batch GROUP BY country ORDER BY country");
        for (var round = 1; round <= 3; round++)
        {
            using var batch = Make(round * 1000);
            table.Set(batch);
            using var result = statement.Execute();
            using var rows = result.ReadAll();
            Assert.Equal(10, rows.RowCount);
            Assert.Equal(round * 100, rows["n"].Values<long>()[0]);
        }
    }

    [Fact]
    public void Rows_keep_their_order_over_several_batches()
    {
        using var a = Make(5000);
        using var b = Make(3);
        using var table = _connection.RegisterBatches("batch", Orders, [a, b, a]);
        using var result = _connection.Query("SELECT id FROM batch");
        using var rows = result.ReadAll();
        Assert.Equal(10003, rows.RowCount);
        for (var i = 0; i < 5000; i++)
        {
            Assert.True(rows[0].GetBytes(i).SequenceEqual(a[0].GetBytes(i)));
            Assert.True(rows[0].GetBytes(i + 5003).SequenceEqual(a[0].GetBytes(i)));
        }
    }

    [Fact]
    public void Counting_needs_no_column()
    {
        using var a = Make(5000);
        using var table = _connection.RegisterBatches("batch", Orders, [a]);
        using var result = _connection.Query("SELECT count(*) FROM batch");
        using var rows = result.ReadAll();
        Assert.Equal(5000, rows[0].Values<long>()[0]);
    }

    [Fact]
    public void A_batch_of_other_columns_is_refused()
    {
        using var table = _connection.RegisterBatches("batch", new Schema(new Field("a", DataType.Int64)));
        using var batch = Make(1);
        Assert.Throws<ArgumentException>(() => table.Set(batch));
    }

    [Fact]
    public void A_dropped_table_is_an_error_not_a_crash()
    {
        var table = _connection.RegisterBatches("batch", Orders);
        using var statement = _connection.Prepare("SELECT * FROM batch");
        table.Dispose();
        Assert.Throws<DuckDbException>(() => _connection.Execute("SELECT * FROM batch"));
    }

    [Fact]
    public void A_table_that_was_replaced_does_not_drop_its_successor()
    {
        using var a = Make(1);
        var first = _connection.RegisterBatches("batch", Orders, [a]);
        using var second = _connection.RegisterBatches("batch", Orders, [a, a]);
        first.Dispose();
        using var result = _connection.Query("SELECT count(*) FROM batch");
        using var rows = result.ReadAll();
        Assert.Equal(2, rows[0].Values<long>()[0]);
    }

    [Fact]
    public async Task Connections_of_one_database_work_beside_each_other()
    {
        await Task.WhenAll(Enumerable.Range(1, 4).Select(worker => Task.Run(() =>
        {
            using var connection = _database.Connect();
            using var table = connection.RegisterBatches("batch", Orders);
            using var statement = connection.Prepare("SELECT count(*) AS n, max(id) AS m FROM batch");
            for (var round = 0; round < 50; round++)
            {
                using var batch = Make(worker * 100);
                table.Set(batch);
                using var result = statement.Execute(streaming: true);
                using var rows = result.ReadAll();
                Assert.Equal(worker * 100, rows[0].Values<long>()[0]);
            }
        })));
    }

    private static ColumnBatch Make(int rows)
    {
        using var id = new ColumnBuilder(DataType.Utf8);
        using var country = new ColumnBuilder(DataType.Utf8);
        using var amount = new ColumnBuilder(DataType.Float64);
        using var ts = new ColumnBuilder(DataType.TimestampTz);
        for (var i = 0; i < rows; i++)
        {
            id.AppendBytes(System.Text.Encoding.UTF8.GetBytes($"order-number-{i}"));
            country.AppendBytes(System.Text.Encoding.UTF8.GetBytes($"c{i % 10}"));
            amount.Append(i * 0.5);
            ts.Append(1_700_000_000_000_000L + (i * 1000L));
        }
        return new ColumnBatch(Orders, rows, id.Build(), country.Build(), amount.Build(), ts.Build());
    }
}
