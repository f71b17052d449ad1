using System.Text;
using Millrace.Columnar;
using Millrace.Columnar.Json;

namespace Millrace.Tests.Columnar;

public sealed class JsonColumnDecoderTests
{
    private static readonly Schema Orders = new(
        new Field("order_id", DataType.Utf8, Nullable: false),
        new Field("amount", DataType.Float64),
        new Field("quantity", DataType.Int64),
        new Field("paid", DataType.Boolean),
        new Field("ts", DataType.TimestampTz),
        new Field("day", DataType.Date32),
        new Field("price", new DataType(TypeKind.Decimal128, 9, 2)),
        new Field("extra", DataType.Utf8));

    [Fact]
    public void A_record_becomes_a_row()
    {
        using var decoder = new JsonColumnDecoder(Orders);
        Accept(decoder, """{"order_id":"o-1","amount":12.5,"quantity":3,"paid":true,"ts":"2024-02-29T01:02:03.5Z","day":"2024-02-29","price":10.10,"extra":{"a":[1,2]}}""");
        Accept(decoder, """ { "price" : "0.05" , "ts":1709168523500, "order_id" : "a \u00e9 \ud83d\ude00 \n" , "ignored":[{}, {"x":null}] } """);
        using var batch = decoder.Build();
        Assert.Equal(2, batch.RowCount);
        Assert.Equal("o-1", Text(batch["order_id"], 0));
        Assert.Equal("a \u00e9 \U0001F600 \n", Text(batch["order_id"], 1));
        Assert.Equal(12.5, batch["amount"].Values<double>()[0]);
        Assert.True(batch["amount"].IsNull(1));
        Assert.Equal(3, batch["quantity"].Values<long>()[0]);
        Assert.True(batch["paid"].GetBoolean(0));
        Assert.Equal(1709168523500000, batch["ts"].Values<long>()[0]);
        Assert.Equal(1709168523500000, batch["ts"].Values<long>()[1]);
        Assert.Equal(19782, batch["day"].Values<int>()[0]);
        Assert.Equal(1010, (int)batch["price"].Values<Int128>()[0]);
        Assert.Equal(5, (int)batch["price"].Values<Int128>()[1]);
        Assert.Equal("""{"a":[1,2]}""", Text(batch["extra"], 0));
    }

    [Theory]
    [InlineData("", "not JSON: the record is empty")]
    [InlineData("{\"order_id\":\"a\"", "not JSON: the record ends unfinished at byte 15")]
    [InlineData("hello", "not JSON: unexpected 'h' at byte 0")]
    [InlineData("[1]", "a JSON object is expected, found an array")]
    [InlineData("17", "a JSON object is expected, found number")]
    [InlineData("{\"order_id\":5}", "column order_id: text is expected, found number 5 at byte 12")]
    [InlineData("{\"order_id\":\"a\",\"amount\":\"12\"}", "column amount: a number is expected, found text \"12\" at byte 25")]
    [InlineData("{\"order_id\":\"a\",\"amount\":{}}", "column amount: a number is expected, found an object at byte 25")]
    [InlineData("{\"order_id\":\"a\",\"quantity\":1.5}", "column quantity: 1.5 does not fit BIGINT (byte 27)")]
    [InlineData("{\"order_id\":\"a\",\"quantity\":9223372036854775808}", "column quantity: 9223372036854775808 does not fit BIGINT (byte 27)")]
    [InlineData("{\"order_id\":\"a\",\"price\":1.005}", "column price: 1.005 does not fit DECIMAL(9,2) (byte 24)")]
    [InlineData("{\"order_id\":\"a\",\"price\":10000000}", "column price: 10000000 does not fit DECIMAL(9,2) (byte 24)")]
    [InlineData("{\"order_id\":\"a\",\"ts\":\"yesterday\"}", "column ts: \"yesterday\" is not a time stamp (ISO 8601, or a number since 1970) (byte 21)")]
    [InlineData("{\"order_id\":\"a\",\"day\":\"2023-02-29\"}", "column day: \"2023-02-29\" is not a date (YYYY-MM-DD) (byte 22)")]
    [InlineData("{\"amount\":1}", "column order_id is missing and may not be")]
    [InlineData("{\"order_id\":null}", "column order_id is null at byte 12 and may not be")]
    [InlineData("{\"order_id\":\"a\",\"more\":1}", "unknown field \"more\" at byte 16")]
    [InlineData("{\"order_id\":\"a\",\"order_id\":\"b\"}", "duplicate key \"order_id\" at byte 16")]
    [InlineData("{\"order_id\":\"a\",\"order\\u005fid\":\"b\"}", "duplicate key \"order\\u005fid\" at byte 16")]
    [InlineData("{\"order_id\":\"a\",\"amount\":NaN}", "NaN and Infinity are not JSON, column amount (byte 25)")]
    [InlineData("{\"order_id\":\"a\",\"amount\":-Infinity}", "NaN and Infinity are not JSON, column amount (byte 26)")]
    [InlineData("{\"order_id\":\"a\",\"amount\":1e999}", "column amount: 1e999 does not fit DOUBLE (byte 25)")]
    [InlineData("{\"order_id\":\"a\"} x", "not JSON: unexpected 'x' at byte 17")]
    [InlineData("{\"order_id\":\"\\ud800\"}", "not JSON: unexpected '\\' at byte 13")]
    [InlineData("{\"order_id\":\"a\tb\"}", "not JSON: unexpected byte 0x09 at byte 14")]
    public void A_bad_record_is_refused_with_a_reason_and_leaves_nothing(string record, string reason)
    {
        using var decoder = new JsonColumnDecoder(Orders, new JsonDecoderOptions { RefuseUnknownFields = true });
        Accept(decoder, """{"order_id":"before","amount":1,"quantity":1,"paid":true,"day":"2024-01-01"}""");
        var bytes = Encoding.UTF8.GetBytes(record);
        Assert.False(decoder.TryDecode(bytes, out var error));
        Assert.Equal(reason, decoder.Render(error, bytes));
        Accept(decoder, """{"order_id":"after"}""");
        using var batch = decoder.Build();
        Assert.Equal(2, batch.RowCount);
        Assert.Equal("before", Text(batch[0], 0));
        Assert.Equal("after", Text(batch[0], 1));
        Assert.Equal(1, batch["amount"].NullCount);
        Assert.Equal(1, batch["paid"].NullCount);
    }

    [Fact]
    public void Invalid_utf8_is_refused_with_its_place()
    {
        using var decoder = new JsonColumnDecoder(Orders);
        byte[] record = [.. "{\"order_id\":\""u8, 0xC3, 0x28, .. "\"}"u8];
        Assert.False(decoder.TryDecode(record, out var error));
        Assert.Equal("invalid UTF-8 at byte 13", decoder.Render(error, record));
    }

    [Fact]
    public void A_long_record_and_a_deep_one_are_refused()
    {
        using var decoder = new JsonColumnDecoder(Orders, new JsonDecoderOptions { MaxRecordBytes = 1000 });
        var record = Encoding.UTF8.GetBytes($"{{\"order_id\":\"{new string('x', 1000)}\"}}");
        Assert.False(decoder.TryDecode(record, out var error));
        Assert.Equal("the record has 1015 bytes, more than the 1000 allowed (max_record)", decoder.Render(error, record));
        foreach (var column in new[] { "extra", "unknown" })
        {
            record = Encoding.UTF8.GetBytes($"{{\"order_id\":\"a\",\"{column}\":{new string('[', 300)}{new string(']', 300)}}}");
            Assert.False(decoder.TryDecode(record, out error));
            Assert.Equal(DecodeErrorKind.TooDeep, error.Kind);
            record = Encoding.UTF8.GetBytes($"{{\"order_id\":\"a\",\"{column}\":{new string('[', 63)}{new string(']', 63)}}}");
            Assert.True(decoder.TryDecode(record, out _));
        }
    }

    [Fact]
    public void Many_unknown_keys_cost_no_more_each_and_duplicates_are_found_among_them()
    {
        using var decoder = new JsonColumnDecoder(new Schema(new Field("a", DataType.Int64)));
        var keys = string.Join(",", Enumerable.Range(0, 20_000).Select(i => $"\"k{i}\":{i}"));
        Accept(decoder, $"{{{keys}}}");
        var record = Encoding.UTF8.GetBytes($"{{{keys},\"k\\u0031\":0}}");
        Assert.False(decoder.TryDecode(record, out var error));
        Assert.Equal(DecodeErrorKind.DuplicateKey, error.Kind);
        Accept(decoder, $"{{{keys}}}");
    }

    [Fact]
    public void Names_of_every_length_and_letter_are_found()
    {
        var names = Enumerable.Range(1, 120).Select(i => new string('n', i)).Append("").Append("quo\"te").Append("back\\slash").Append("ünï").ToArray();
        using var decoder = new JsonColumnDecoder(new Schema(names.Select(n => new Field(n, DataType.Int64)).ToArray()));
        for (var round = 0; round < 3; round++)
        {
            var order = names.Reverse().ToArray();
            Accept(decoder, "{" + string.Join(",", order.Select(n => System.Text.Json.JsonSerializer.Serialize(n) + ":" + n.Length)) + "}");
        }
        using var batch = decoder.Build();
        for (var i = 0; i < names.Length; i++)
            Assert.Equal([names[i].Length, names[i].Length, names[i].Length], batch[i].Values<long>().ToArray());
    }

    [Fact]
    public void Nested_values_are_refused_in_columns_that_do_not_declare_them()
    {
        using var decoder = new JsonColumnDecoder(Orders, new JsonDecoderOptions { NestedTextColumns = ["extra"] });
        Accept(decoder, """{"order_id":"a","extra":[]}""");
        Assert.False(decoder.TryDecode("""{"order_id":[]}"""u8, out var error));
        Assert.Equal(DecodeErrorKind.WrongType, error.Kind);
    }

    [SharedDataFact("json/parsing")]
    public void The_parsing_suite_is_decided_right()
    {
        // https://github.com/nst/JSONTestSuite: y_ must be taken, n_ refused.
        var schema = new Schema(new Field("v", DataType.Utf8));
        using var decoder = new JsonColumnDecoder(schema, new JsonDecoderOptions { MaxDepth = 200_000 });
        var scalars = new[] { DataType.Float64, DataType.Int64, DataType.Boolean, DataType.TimestampTz, new DataType(TypeKind.Decimal128, 38, 6) }
            .Select(t => new JsonColumnDecoder(new Schema(new Field("v", t)))).ToArray();
        var seen = 0;
        foreach (var file in Directory.EnumerateFiles(Path.Combine(Repository.Shared!, "data", "json", "parsing"), "*.json", SearchOption.AllDirectories))
        {
            var name = Path.GetFileName(file);
            if (name[0] is not ('y' or 'n'))
                continue;
            seen++;
            var content = File.ReadAllBytes(file);
            byte[] wrapped = [.. "{\"v\":["u8, .. content, .. "]}"u8];
            Assert.True(decoder.TryDecode(wrapped, out _) == (name[0] == 'y') || (name[0] == 'n' && IsArrayElements(name)), name);
            var accepted = decoder.TryDecode(content, out var error) || error.Kind == DecodeErrorKind.NotAnObject || (name[0] == 'y' && error.Kind == DecodeErrorKind.DuplicateKey);
            Assert.True(accepted == (name[0] == 'y'), name);
            if (name[0] == 'y')
                continue;
            byte[] value = [.. "{\"v\":"u8, .. content, .. "}"u8];
            foreach (var scalar in scalars)
                Assert.False(scalar.TryDecode(value, out _), name);
        }
        Assert.True(seen >= 120, $"only {seen} files");
    }

    // Files that are no JSON text but make one between brackets.
    private static bool IsArrayElements(string name) => name is "n_structure_no_data.json" or "n_single_space.json" or "n_array_comma_after_close.json" || name.StartsWith("n_multidigit", StringComparison.Ordinal);

    private static void Accept(JsonColumnDecoder decoder, string record)
    {
        var bytes = Encoding.UTF8.GetBytes(record);
        Assert.True(decoder.TryDecode(bytes, out var error), decoder.Render(error, bytes));
    }

    private static string Text(Column column, int row) => Encoding.UTF8.GetString(column.GetBytes(row));
}
