using System.Buffers;
using System.Text;
using System.Text.Json;
using Millrace.Columnar;
using Millrace.Columnar.Json;
using Millrace.DuckDb;
using Xunit.Abstractions;

namespace Millrace.Tests.Columnar;

public sealed class JsonRowWriterTests(ITestOutputHelper output)
{
    [Fact]
    public void Every_kind_is_written_as_json()
    {
        using var database = DuckDbDatabase.Open();
        using var connection = database.Connect();
        using var result = connection.Query("""
            SELECT true AS b, 1::TINYINT AS i, 18446744073709551615::UBIGINT AS u, 0.1::DOUBLE AS f, 'NaN'::DOUBLE AS nan, 1.5::FLOAT AS g, -0.05::DECIMAL(9,2) AS d,
              123456789012345678901234567890::HUGEINT AS h, DATE '2024-02-29' AS day, TIME '01:02:03.5' AS t, TIMESTAMP '1969-12-31 23:59:59.999999' AS ts,
              TIMESTAMPTZ '2024-02-29 01:02:03Z' AS tz, E'a"\\\n\t' || chr(1) || 'é' AS s, '\xFF\x00'::BLOB AS bin, [1, NULL] AS l, {'x': 1, 'q"': 'y'} AS st,
              MAP {1: 'one'} AS m, INTERVAL '14 months 3 days 1.5 seconds' AS iv, NULL AS n
            """);
        using var batch = result.ReadAll();
        var buffer = new ArrayBufferWriter<byte>();
        new JsonRowWriter(batch.Schema).Write(batch, 0, buffer);
        Assert.Equal(
            """{"b":true,"i":1,"u":18446744073709551615,"f":0.1,"nan":null,"g":1.5,"d":-0.05,"h":123456789012345678901234567890,"day":"2024-02-29","t":"01:02:03.5","ts":"1969-12-31T23:59:59.999999","tz":"2024-02-29T01:02:03Z","s":"a\"\\\n\t\u0001é","bin":"/wA=","l":[1,null],"st":{"x":1,"q\"":"y"},"m":{"1":"one"},"iv":"P14M3DT1.5S","n":null}""",
            Encoding.UTF8.GetString(buffer.WrittenSpan));
    }

    [Fact]
    public void What_is_written_is_read_back_the_same()
    {
        var random = new Random(Seeds.Next(output));
        var schema = new Schema(
            new Field("id", DataType.Utf8), new Field("n", DataType.Int64), new Field("v", DataType.Float64), new Field("b", DataType.Boolean),
            new Field("ts", DataType.TimestampTz), new Field("d", DataType.Date32), new Field("p", new DataType(TypeKind.Decimal128, 20, 4)), new Field("bin", DataType.Binary));
        using var decoder = new JsonColumnDecoder(schema);
        var writer = new JsonRowWriter(schema);
        for (var round = 0; round < 500; round++)
        {
            var text = new string(Enumerable.Range(0, random.Next(40)).Select(_ => (char)random.Next(1, 0x250)).ToArray());
            var record = JsonSerializer.SerializeToUtf8Bytes(new
            {
                id = random.Next(4) == 0 ? null : text, n = random.NextInt64(long.MinValue, long.MaxValue), v = random.NextDouble() * Math.Pow(10, random.Next(-20, 20)), b = random.Next(2) == 0,
                ts = random.NextInt64(-9_000_000_000, 9_000_000_000) + 0.25m, p = random.Next() / 10000m, bin = Convert.ToBase64String(Encoding.UTF8.GetBytes(text)),
                d = new DateOnly(random.Next(1, 9999), 2, 3).ToString("yyyy-MM-dd"),
            });
            Assert.True(decoder.TryDecode(record, out var error), decoder.Render(error, record));
            using var first = decoder.Build();
            var buffer = new ArrayBufferWriter<byte>();
            writer.Write(first, 0, buffer);
            Assert.True(decoder.TryDecode(buffer.WrittenSpan, out error), decoder.Render(error, buffer.WrittenSpan));
            using var second = decoder.Build();
            Assert.Equal(first.Columns.Select(c => ColumnText.Format(c, 0)), second.Columns.Select(c => ColumnText.Format(c, 0)));
        }
    }

    [Fact]
    public void A_sampled_schema_takes_the_commonest_types()
    {
        string[] records =
        [
            """{"id":1,"name":"a","at":"2024-01-01T00:00:00Z","day":"2024-01-01","price":1,"ok":true,"nested":{"a":1},"mixed":1,"never":null}""",
            "not json",
            """{"id":2,"name":"b","at":"2024-01-02","day":"2024-01-02","price":1.5,"ok":false,"nested":[1],"mixed":2,"late":"x"}""",
            """{"id":3,"name":"2024-01-01","at":"2024-01-01T00:00:00+01:00","day":"2024-01-03","price":2,"ok":null,"nested":"t","mixed":"x"}""",
        ];
        var schema = JsonSchemaSampler.Sample(records.Select(r => new ReadOnlyMemory<byte>(Encoding.UTF8.GetBytes(r))), requirePresent: true);
        Assert.Equal(
            "id BIGINT NOT NULL, name VARCHAR NOT NULL, at TIMESTAMPTZ NOT NULL, day DATE NOT NULL, price DOUBLE NOT NULL, ok BOOLEAN, nested VARCHAR NOT NULL, mixed BIGINT NOT NULL, never VARCHAR, late VARCHAR",
            schema.ToString());
        Assert.Throws<InvalidDataException>(() => JsonSchemaSampler.Sample([Encoding.UTF8.GetBytes("[]")]));
    }
}
