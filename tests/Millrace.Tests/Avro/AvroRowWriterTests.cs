using System.Buffers;
using System.Text;
using Millrace.Columnar;
using Millrace.Columnar.Avro;
using Millrace.Columnar.Json;
using Millrace.DuckDb;

namespace Millrace.Tests.Avro;

public sealed class AvroRowWriterTests
{
    [Fact]
    public void Rows_of_every_type_come_back_as_they_were()
    {
        using var rows = Query("""
            SELECT i AS n, CASE WHEN i % 3 = 0 THEN NULL ELSE i % 2 = 0 END AS flag, i::TINYINT AS a, (-i)::SMALLINT AS b, (i * 100000)::INTEGER AS c,
              i::UTINYINT AS d, i::USMALLINT AS e, (4000000000 + i)::UINTEGER AS f, (i / 3)::FLOAT AS g, (i / 7)::DOUBLE AS h,
              CASE WHEN i % 4 = 0 THEN NULL ELSE 'text "' || i || '" ü' END AS s, encode('b' || i) AS x, DATE '2024-02-29' + i::INTEGER AS day,
              TIME '12:34:56.789' AS t, TIMESTAMP '2024-02-29 12:34:56.123456' + INTERVAL (i) SECOND AS ts, make_timestamptz(1700000000123456 + i) AS tz,
              ((i - 5) * 1234567.89)::DECIMAL(18, 2) AS m, (-(i::HUGEINT) * 99999999999999999999)::DECIMAL(38, 0) AS big
            FROM range(10) r(i)
            """);
        var writer = new AvroRowWriter(rows.Schema, "millrace.all");
        var schema = AvroSchema.ParseStrict(writer.SchemaText);
        Assert.Equal("millrace.all", schema.FullName);
        using var decoder = new AvroColumnDecoder(rows.Schema);
        var plan = decoder.Plan(schema);
        var bytes = new AvroWriter();
        for (var row = 0; row < rows.RowCount; row++)
        {
            bytes.Clear();
            writer.Write(rows, row, bytes);
            Assert.True(decoder.TryDecode(plan, bytes.Written, out var reason), reason);
        }
        using var back = decoder.Build();
        Assert.Equal(Text(rows), Text(back));
    }

    [Fact]
    public void Columns_that_Avro_has_no_type_for_are_text()
    {
        using var rows = Query("SELECT [1, 2] AS l, {'a': 1, 'b': 'x'} AS s, 18446744073709551615::UBIGINT AS u, INTERVAL 3 DAY AS i");
        var writer = new AvroRowWriter(rows.Schema, "r");
        var schema = AvroSchema.ParseStrict(writer.SchemaText);
        using var decoder = new AvroColumnDecoder(AvroTypes.ColumnsOf(schema));
        var bytes = new AvroWriter();
        writer.Write(rows, 0, bytes);
        Assert.True(decoder.TryDecode(decoder.Plan(schema), bytes.Written, out var reason), reason);
        using var back = decoder.Build();
        Assert.Contains("""{"l":"[1,2]","s":"{\"a\":1,\"b\":\"x\"}","u":18446744073709551615,"i":"P3D"}""", Text(back), StringComparison.Ordinal);
    }

    [Fact]
    public void A_column_that_is_never_null_is_no_union_and_refuses_null()
    {
        var schema = new Schema(new Field("a", DataType.Int64, Nullable: false), new Field("b", DataType.Int64));
        Assert.Equal(
            """{"type":"record","name":"r","fields":[{"name":"a","type":"long"},{"name":"b","type":["null","long"],"default":null}]}""",
            new AvroRowWriter(schema, "r").SchemaText);
        using var rows = Query("SELECT NULL::BIGINT AS a, 1::BIGINT AS b");
        Assert.Throws<AvroException>(() => new AvroRowWriter(schema, "r").Write(rows, 0, new AvroWriter()));
        Assert.Contains("'a b'", Assert.Throws<AvroException>(() => new AvroRowWriter(new Schema(new Field("a b", DataType.Int64)), "r")).Message, StringComparison.Ordinal);
    }

    private static ColumnBatch Query(string sql)
    {
        using var database = DuckDbDatabase.Open(null, new DuckDbOptions { Threads = 1 });
        using var connection = database.Connect();
        using var result = connection.Query(sql);
        return result.ReadAll();
    }

    private static string Text(ColumnBatch rows)
    {
        var output = new ArrayBufferWriter<byte>();
        new JsonRowWriter(rows.Schema).WriteArray(rows, output);
        return Encoding.UTF8.GetString(output.WrittenSpan);
    }
}
