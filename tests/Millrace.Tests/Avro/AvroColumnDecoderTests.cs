using System.Text;
using Millrace.Columnar;
using Millrace.Columnar.Avro;
using Xunit.Abstractions;

namespace Millrace.Tests.Avro;

public sealed class AvroColumnDecoderTests(ITestOutputHelper output)
{
    private const string Wide = """
        {"type":"record","name":"R","fields":[
          {"name":"i","type":"int"},{"name":"l","type":"long"},{"name":"f","type":"float"},{"name":"d","type":"double"},{"name":"b","type":"boolean"},
          {"name":"s","type":"string"},{"name":"y","type":"bytes"},{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},
          {"name":"o","type":["null","string"]},{"name":"u","type":["int","string"]},{"name":"a","type":{"type":"array","items":["null","R"]}},
          {"name":"m","type":{"type":"map","values":"long"}},
          {"name":"date","type":{"type":"int","logicalType":"date"}},{"name":"ts","type":{"type":"long","logicalType":"timestamp-millis"}},
          {"name":"t","type":{"type":"int","logicalType":"time-millis"}},{"name":"dec","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
          {"name":"id","type":{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}}]}
        """;

    [Fact]
    public void Each_type_has_its_column()
    {
        var schema = AvroSchema.Parse(Wide);
        Assert.Equal(
            "i INTEGER, l BIGINT, f FLOAT, d DOUBLE, b BOOLEAN, s VARCHAR, y BLOB, e VARCHAR, o VARCHAR, u VARCHAR, a VARCHAR, m VARCHAR, "
            + "date DATE, ts TIMESTAMPTZ, t TIME, dec DECIMAL(9,2), id VARCHAR",
            AvroTypes.ColumnsOf(schema).ToString());
        using var decoder = new AvroColumnDecoder(AvroTypes.ColumnsOf(schema));
        var plan = decoder.Plan(schema);
        Assert.True(decoder.TryDecode(plan, WideRecord(nested: true), out var reason), reason);
        using var batch = decoder.Build();
        Assert.Equal(
            "7|-8|1.5|2.5|true|é|00ff|B|NULL|five|[null,{\"i\":7,\"l\":-8,\"f\":1.5,\"d\":2.5,\"b\":true,\"s\":\"é\",\"y\":\"AP8=\",\"e\":\"B\",\"o\":null,\"u\":\"five\",\"a\":[],"
            + "\"m\":{\"k\":9},\"date\":1,\"ts\":1000,\"t\":1,\"dec\":\"/0w=\",\"id\":\"AAECAwQFBgcICQoLDA0ODw==\"}]|{\"k\":9}|1970-01-02|1970-01-01T00:00:01Z|00:00:00.001|-1.80|00010203-0405-0607-0809-0a0b0c0d0e0f",
            Row(batch, 0));
    }

    [Theory]
    [InlineData("\"int\"", "\"long\"", "BIGINT", "5")]
    [InlineData("\"int\"", "\"float\"", "FLOAT", "5")]
    [InlineData("\"int\"", "\"double\"", "DOUBLE", "5")]
    [InlineData("\"int\"", "[\"null\",\"long\"]", "BIGINT", "5")]
    [InlineData("[\"int\",\"null\"]", "[\"null\",\"double\"]", "DOUBLE", "5")]
    [InlineData("[\"int\",\"null\"]", "\"int\"", "INTEGER", "5")]
    [InlineData("\"int\"", "\"int\"", "VARCHAR", "5")]
    [InlineData("\"int\"", "\"int\"", "DECIMAL(9,2)", "5.00")]
    [InlineData("\"int\"", "\"int\"", "TIMESTAMPTZ", "1970-01-01T00:00:05Z")]
    [InlineData("\"int\"", "\"int\"", "TINYINT", "5")]
    public void A_number_is_read_as_the_reader_has_it(string writer, string reader, string column, string value)
    {
        Assert.True(Millrace.Streams.Sql.TypeNames.TryParse(column, out var type));
        using var decoder = new AvroColumnDecoder(new Schema(new Field("x", type)));
        var plan = decoder.Plan(Record($"{{\"name\":\"x\",\"type\":{writer}}}"), Record($"{{\"name\":\"x\",\"type\":{reader}}}"));
        var record = new AvroWriter();
        if (writer[0] == '[')
            record.WriteLong(0);
        record.WriteLong(5);
        Assert.True(decoder.TryDecode(plan, record.Written, out var reason), reason);
        using var batch = decoder.Build();
        Assert.Equal(value, Row(batch, 0));
    }

    [Fact]
    public void Fields_move_by_name_and_alias_and_missing_ones_take_defaults()
    {
        var writer = Record("""
            {"name":"gone","type":{"type":"array","items":"string"}},{"name":"old","type":"int"},{"name":"same","type":"string"},
            {"name":"state","type":{"type":"enum","name":"S","symbols":["NEW","ODD"]}}
            """);
        var reader = Record("""
            {"name":"added","type":"double","default":2},{"name":"same","type":"string"},{"name":"renamed","type":"long","aliases":["never","old"]},
            {"name":"list","type":{"type":"array","items":{"type":"map","values":"bytes"}},"default":[{"k":"\u00ff"}]},
            {"name":"state","type":{"type":"enum","name":"S","symbols":["NEW","OTHER"],"default":"OTHER"}},
            {"name":"maybe","type":["null","int"],"default":null},{"name":"either","type":["null","int"],"default":3}
            """);
        using var decoder = new AvroColumnDecoder(AvroTypes.ColumnsOf(reader));
        var plan = decoder.Plan(writer, reader);
        var record = new AvroWriter();
        // A block with its size written: a count below zero.
        record.WriteLong(-2);
        record.WriteLong(4);
        record.WriteString("a");
        record.WriteString("b");
        record.WriteLong(0);
        record.WriteLong(42);
        record.WriteString("text");
        record.WriteLong(1);
        Assert.True(decoder.TryDecode(plan, record.Written, out var reason), reason);
        using var batch = decoder.Build();
        Assert.Equal("2|text|42|[{\"k\":\"/w==\"}]|OTHER|NULL|3", Row(batch, 0));
    }

    [Fact]
    public void Schemas_that_do_not_resolve_are_refused_with_what_differs()
    {
        var writer = Record("{\"name\":\"x\",\"type\":\"int\"}");
        using (var decoder = new AvroColumnDecoder(new Schema(new Field("x", DataType.Int32))))
        {
            var more = Record("{\"name\":\"x\",\"type\":\"int\"},{\"name\":\"y\",\"type\":\"int\"}");
            Assert.Contains("no field 'y'", Assert.Throws<AvroException>(() => { decoder.Plan(writer, more); }).Message, StringComparison.Ordinal);
            var plan = decoder.Plan(writer, Record("{\"name\":\"x\",\"type\":\"boolean\"}"));
            Assert.False(decoder.TryDecode(plan, [2], out var reason));
            Assert.Contains("int cannot be read as boolean", reason, StringComparison.Ordinal);
        }
        using var blobs = new AvroColumnDecoder(new Schema(new Field("x", DataType.Binary)));
        Assert.Contains("does not go into BLOB", Assert.Throws<AvroException>(() => { blobs.Plan(writer); }).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_union_fails_for_the_branch_that_the_reader_lacks_and_for_no_other()
    {
        var reader = Record("{\"name\":\"x\",\"type\":[\"null\",\"long\"]}");
        using var decoder = new AvroColumnDecoder(AvroTypes.ColumnsOf(reader));
        var plan = decoder.Plan(Record("{\"name\":\"x\",\"type\":[\"string\",\"int\"]}"), reader);
        var bad = new AvroWriter();
        bad.WriteLong(0);
        bad.WriteString("no");
        Assert.False(decoder.TryDecode(plan, bad.Written, out var reason));
        Assert.Contains("no branch for string", reason, StringComparison.Ordinal);
        Assert.True(decoder.TryDecode(plan, [2, 6], out reason), reason);
        using var batch = decoder.Build();
        Assert.Equal("3", Row(batch, 0));
    }

    [Fact]
    public void What_does_not_end_where_its_schema_does_is_refused_whole()
    {
        var schema = AvroSchema.Parse(Wide);
        using var decoder = new AvroColumnDecoder(AvroTypes.ColumnsOf(schema));
        var plan = decoder.Plan(schema);
        var good = WideRecord(nested: true);
        for (var length = 0; length < good.Length; length++)
            Assert.False(decoder.TryDecode(plan, good.AsSpan(0, length), out _), $"{length} of {good.Length} bytes");
        Assert.False(decoder.TryDecode(plan, [.. good, 0], out var reason));
        Assert.Contains("1 bytes are left", reason, StringComparison.Ordinal);
        Assert.True(decoder.TryDecode(plan, good, out _));
        Assert.Equal(1, decoder.RowCount);
        using var batch = decoder.Build();
        Assert.All(batch.Columns, c => Assert.Equal(1, c.Length));
    }

    [Fact]
    public void Hostile_records_are_refused_and_leave_the_columns_even()
    {
        var random = new Random(Seeds.Next(output));
        var schema = AvroSchema.Parse(Wide);
        using var decoder = new AvroColumnDecoder(AvroTypes.ColumnsOf(schema));
        var plan = decoder.Plan(schema);
        var good = WideRecord(nested: true);
        var rows = 0;
        for (var i = 0; i < 100_000; i++)
        {
            var record = i % 2 == 0 ? (byte[])good.Clone() : new byte[random.Next(80)];
            if (i % 2 == 0)
            {
                for (var n = random.Next(1, 4); n > 0; n--)
                    record[random.Next(record.Length)] = (byte)random.Next(256);
            }
            else
            {
                random.NextBytes(record);
            }
            rows += decoder.TryDecode(plan, record, out _) ? 1 : 0;
        }
        Assert.Equal(rows, decoder.RowCount);
        using var batch = decoder.Build();
        Assert.All(batch.Columns, c => Assert.Equal(rows, c.Length));
    }

    [Fact]
    public void A_short_record_cannot_ask_for_endless_items()
    {
        var schema = Record("{\"name\":\"x\",\"type\":{\"type\":\"array\",\"items\":\"null\"}}");
        using var decoder = new AvroColumnDecoder(AvroTypes.ColumnsOf(schema));
        var record = new AvroWriter();
        record.WriteLong(long.MaxValue);
        record.WriteLong(0);
        Assert.False(decoder.TryDecode(decoder.Plan(schema), record.Written, out var reason));
        Assert.Contains("without bytes", reason, StringComparison.Ordinal);
    }

    private static AvroSchema Record(string fields) => AvroSchema.ParseStrict($"{{\"type\":\"record\",\"name\":\"R\",\"fields\":[{fields}]}}");

    private static byte[] WideRecord(bool nested)
    {
        var record = new AvroWriter();
        record.WriteLong(7);
        record.WriteLong(-8);
        record.WriteFloat(1.5f);
        record.WriteDouble(2.5);
        record.WriteBoolean(true);
        record.WriteString("é");
        record.WriteBytes([0, 255]);
        record.WriteLong(1);
        record.WriteLong(0);
        record.WriteLong(1);
        record.WriteString("five");
        if (nested)
        {
            record.WriteLong(2);
            record.WriteLong(0);
            record.WriteLong(1);
            record.WriteFixed(WideRecord(nested: false));
        }
        record.WriteLong(0);
        record.WriteLong(1);
        record.WriteString("k");
        record.WriteLong(9);
        record.WriteLong(0);
        record.WriteLong(1);
        record.WriteLong(1000);
        record.WriteLong(1);
        record.WriteBytes([0xFF, 0x4C]);
        record.WriteFixed([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        return record.Written.ToArray();
    }

    private static string Row(ColumnBatch batch, int row) => string.Join('|', batch.Columns.Select(c => c.IsNull(row) ? "NULL" : ColumnText.Format(c, row)));

    [Fact]
    public void The_least_numbers_that_there_are_are_refused_or_taken_and_break_nothing()
    {
        using var decoder = new AvroColumnDecoder(new Schema(
            new Field("at", DataType.TimestampTz), new Field("day", new DataType(TypeKind.Time64)), new Field("m", new DataType(TypeKind.Decimal128, 38, 2))));
        var schema = AvroSchema.Parse("""
            {"type":"record","name":"r","fields":[{"name":"at","type":"long"},{"name":"day","type":{"type":"int","logicalType":"time-millis"}},
              {"name":"m","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":0}}]}
            """);
        var plan = decoder.Plan(schema);
        var writer = new AvroWriter();
        writer.WriteLong(long.MinValue);
        writer.WriteInt(0);
        writer.WriteBytes([0]);
        Assert.True(decoder.TryDecode(plan, writer.Written, out var reason), reason);
        writer.Clear();
        writer.WriteLong(0);
        writer.WriteInt(int.MinValue);
        writer.WriteBytes([0]);
        Assert.False(decoder.TryDecode(plan, writer.Written, out reason));
        Assert.Contains("day", reason, StringComparison.Ordinal);
        writer.Clear();
        writer.WriteLong(0);
        writer.WriteInt(0);
        writer.WriteBytes([0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        Assert.False(decoder.TryDecode(plan, writer.Written, out reason));
        Assert.Contains("does not fit", reason, StringComparison.Ordinal);
        Assert.Equal(1, decoder.RowCount);
    }
}
