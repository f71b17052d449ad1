using Millrace.Schemas;
using Millrace.Schemas.Formats;

namespace Millrace.Tests.Schemas;

public sealed class CompatibilityTests
{
    private const string Record = "{\"type\":\"record\",\"name\":\"R\",\"fields\":[";

    [Theory]
    [InlineData("\"long\"", "\"int\"")]
    [InlineData("\"float\"", "\"int\"")]
    [InlineData("\"float\"", "\"long\"")]
    [InlineData("\"double\"", "\"int\"")]
    [InlineData("\"double\"", "\"float\"")]
    [InlineData("\"bytes\"", "\"string\"")]
    [InlineData("\"string\"", "\"bytes\"")]
    [InlineData("[\"null\",\"int\"]", "\"int\"")]
    [InlineData("[\"null\",\"long\"]", "[\"int\",\"null\"]")]
    [InlineData("\"int\"", "[\"int\"]")]
    [InlineData("[\"long\",\"bytes\"]", "[\"int\",\"string\"]")]
    [InlineData("{\"type\":\"array\",\"items\":\"double\"}", "{\"type\":\"array\",\"items\":\"int\"}")]
    [InlineData("{\"type\":\"map\",\"values\":\"string\"}", "{\"type\":\"map\",\"values\":\"bytes\"}")]
    [InlineData("{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\",\"C\"]}", "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"B\",\"A\"]}")]
    [InlineData("{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"],\"default\":\"A\"}", "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"B\",\"A\"]}")]
    [InlineData("{\"type\":\"fixed\",\"name\":\"x.F\",\"size\":4}", "{\"type\":\"fixed\",\"name\":\"y.F\",\"size\":4}")]
    [InlineData("{\"type\":\"fixed\",\"name\":\"G\",\"size\":4,\"aliases\":[\"F\"]}", "{\"type\":\"fixed\",\"name\":\"F\",\"size\":4}")]
    [InlineData(Record + "{\"name\":\"b\",\"type\":\"int\",\"aliases\":[\"a\"]}]}", Record + "{\"name\":\"a\",\"type\":\"int\"}]}")]
    [InlineData(Record + "{\"name\":\"b\",\"type\":\"int\",\"default\":1}]}", Record + "{\"name\":\"a\",\"type\":\"int\"}]}")]
    [InlineData(Record + "{\"name\":\"next\",\"type\":[\"null\",\"R\"]}]}", Record + "{\"name\":\"next\",\"type\":[\"null\",\"R\"]}]}")]
    [InlineData("{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}", "\"long\"")]
    public void A_reader_takes_what_the_specification_lets_it(string reader, string writer) => Assert.Empty(Faults(reader, writer));

    [Theory]
    [InlineData("\"int\"", "\"long\"", "TYPE_MISMATCH")]
    [InlineData("\"long\"", "\"float\"", "TYPE_MISMATCH")]
    [InlineData("\"float\"", "\"double\"", "TYPE_MISMATCH")]
    [InlineData("\"boolean\"", "\"int\"", "TYPE_MISMATCH")]
    [InlineData("\"string\"", "\"int\"", "TYPE_MISMATCH")]
    [InlineData("\"int\"", "[\"int\",\"null\"]", "TYPE_MISMATCH")]
    [InlineData("[\"null\",\"string\"]", "\"int\"", "MISSING_UNION_BRANCH")]
    [InlineData("[\"null\",\"int\"]", "[\"null\",\"int\",\"string\"]", "MISSING_UNION_BRANCH")]
    [InlineData("{\"type\":\"array\",\"items\":\"int\"}", "{\"type\":\"array\",\"items\":\"double\"}", "TYPE_MISMATCH")]
    [InlineData("{\"type\":\"map\",\"values\":\"int\"}", "{\"type\":\"array\",\"items\":\"int\"}", "TYPE_MISMATCH")]
    [InlineData("{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}", "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"B\",\"A\"]}", "MISSING_ENUM_SYMBOLS")]
    [InlineData("{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}", "{\"type\":\"enum\",\"name\":\"D\",\"symbols\":[\"A\"]}", "NAME_MISMATCH")]
    [InlineData("{\"type\":\"fixed\",\"name\":\"F\",\"size\":4}", "{\"type\":\"fixed\",\"name\":\"F\",\"size\":8}", "FIXED_SIZE_MISMATCH")]
    [InlineData(Record + "{\"name\":\"b\",\"type\":\"int\"}]}", Record + "{\"name\":\"a\",\"type\":\"int\"}]}", "READER_FIELD_MISSING_DEFAULT_VALUE")]
    [InlineData(Record + "{\"name\":\"next\",\"type\":[\"null\",\"R\"]},{\"name\":\"v\",\"type\":\"int\"}]}", Record + "{\"name\":\"next\",\"type\":[\"null\",\"R\"]},{\"name\":\"v\",\"type\":\"string\"}]}", "TYPE_MISMATCH")]
    public void A_reader_refuses_what_the_specification_does(string reader, string writer, string kind) => Assert.Contains(kind, Faults(reader, writer)[0], StringComparison.Ordinal);

    [Theory]
    [InlineData("{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"int\",\"default\":\"x\"}]}")]
    [InlineData("{\"type\":\"record\",\"name\":\"1R\",\"fields\":[]}")]
    [InlineData("{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"A\"]}")]
    [InlineData("{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A-B\"]}")]
    [InlineData("{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"],\"default\":\"B\"}")]
    [InlineData("[\"int\",\"int\"]")]
    [InlineData("[[\"int\"]]")]
    [InlineData("{\"type\":\"array\"}")]
    [InlineData("{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":5,\"type\":\"int\"}]}")]
    [InlineData("{\"type\":\"unknown\"}")]
    [InlineData("5")]
    public void What_is_no_Avro_schema_is_refused(string schema) =>
        Assert.Throws<SchemaFormatException>(() => ParsedSchema.Parse(new SchemaContent(SchemaType.Avro, schema, []), []));

    [Theory]
    [InlineData("""{"type":"string"}""", "\"string\"")]
    [InlineData("string", "\"string\"")]
    [InlineData("""{ "fields":[ {"type":"a.b.C", "name":"x", "custom":1, "doc":"d"} , {"name":"c","type":{"name":"D","type":"fixed","size":2}}], "name":"a.b.C", "type":"record", "aliases":["Old"], "p":true}""",
        """{"type":"record","name":"C","namespace":"a.b","fields":[{"name":"x","type":"C","doc":"d","custom":1},{"name":"c","type":{"type":"fixed","name":"D","size":2}}],"p":true,"aliases":["Old"]}""")]
    [InlineData("""{"logicalType":"decimal","type":"bytes","precision":4,"scale":2}""", """{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}""")]
    public void A_schema_is_written_as_Java_writes_it(string schema, string canonical) =>
        Assert.Equal(canonical, ParsedSchema.Parse(new SchemaContent(SchemaType.Avro, schema, []), []).Content.Text);

    [Theory]
    [InlineData("message A { int32 x = 1; }", "message A { int64 x = 1; }", null)]
    [InlineData("message A { int32 x = 1; }", "message A { int32 y = 1; string z = 2; }", null)]
    [InlineData("message A { int32 x = 1; string y = 2; }", "message A { int32 x = 1; }", null)]
    [InlineData("message A { E x = 1; enum E { Z = 0; } }", "message A { int32 x = 1; enum E { Z = 0; O = 1; } }", null)]
    [InlineData("message A { int32 x = 1; }", "message A { oneof o { int32 x = 1; string y = 2; } }", null)]
    [InlineData("package a; message A { A next = 1; }", "package b; message A { A next = 1; }", "PACKAGE_CHANGED")]
    [InlineData("message A { int32 x = 1; }", "message A { string x = 1; }", "FIELD_SCALAR_KIND_CHANGED")]
    [InlineData("message A { int32 x = 1; }", "message A { sint32 x = 1; }", "FIELD_SCALAR_KIND_CHANGED")]
    [InlineData("message A { int32 x = 1; } message B {}", "message A { int32 x = 1; }", "MESSAGE_REMOVED")]
    [InlineData("message A { B x = 1; message B {} }", "message A { int32 x = 1; message B {} }", "FIELD_KIND_CHANGED")]
    [InlineData("message A { B x = 1; message B {} message C {} }", "message A { C x = 1; message B {} message C {} }", "FIELD_NAMED_TYPE_CHANGED")]
    [InlineData("message A { oneof o { int32 x = 1; string y = 2; } }", "message A { oneof o { int32 x = 1; } }", "ONEOF_FIELD_REMOVED")]
    [InlineData("message A { int32 x = 1; string y = 2; }", "message A { oneof o { int32 x = 1; string y = 2; } }", "MULTIPLE_FIELDS_MOVED_TO_ONEOF")]
    [InlineData("message A { map<string, int32> m = 1; }", "message A { map<int32, int32> m = 1; }", "FIELD_SCALAR_KIND_CHANGED")]
    [InlineData("message A { int32 x = 1; }", "message A { repeated int32 x = 1; }", "FIELD_NUMERIC_LABEL_CHANGED")]
    [InlineData("message A { oneof o { int32 x = 1; string y = 2; } }", "message A { oneof p { int32 x = 1; string y = 2; } }", null)]
    [InlineData("message A { oneof o { int32 x = 1; string y = 2; } }", "message A { int32 z = 3; }", null)]
    [InlineData("message A { oneof o { int32 x = 1; string y = 2; } }", "message A { int32 x = 1; string y = 2; }", null)]
    [InlineData("message A { oneof o { int32 x = 1; string y = 2; } }", "message A { oneof p { int32 x = 1; } }", "ONEOF_FIELD_REMOVED")]
    [InlineData("message A { oneof o { int32 x = 1; } int32 z = 3; }", "message A { oneof o { int32 x = 1; int32 z = 3; } }", "FIELD_MOVED_TO_EXISTING_ONEOF")]
    [InlineData("message A { oneof o { int32 x = 1; } oneof p { int32 z = 3; } }", "message A { oneof q { int32 x = 1; int32 z = 3; } }", "FIELD_MOVED_TO_EXISTING_ONEOF")]
    [InlineData("message A { oneof o { int32 x = 1; } }", "message A { oneof p { string x = 1; } }", "FIELD_SCALAR_KIND_CHANGED")]
    [InlineData("message A { string x = 1; }", "message A { reserved 1; reserved \"x\"; string y = 2; }", null)]
    public void A_Protobuf_schema_reads_the_one_before_as_the_wire_format_allows(string before, string after, string? kind)
    {
        var writer = ParsedSchema.Parse(new SchemaContent(SchemaType.Protobuf, "syntax = \"proto3\";\n" + before, []), []);
        var reader = ParsedSchema.Parse(new SchemaContent(SchemaType.Protobuf, "syntax = \"proto3\";\n" + after, []), []);
        var faults = reader.FaultsReading(writer, "new", "old");
        if (kind is null)
            Assert.Empty(faults);
        else
            Assert.Contains(kind, faults[0], StringComparison.Ordinal);
    }

    [Fact]
    public void A_whole_proto_file_is_read()
    {
        const string text = """
            // A comment.
            syntax = "proto2"; /* and
            another */ package shop.v1;
            import "google/protobuf/timestamp.proto";
            option java_package = "x;y";
            option (my.option) = { a: 1, b: [ { c: "}" } ] };
            extend Order { optional int32 extra = 126; }
            message Order {
              reserved 4, 10 to max; reserved "old"; extensions 100 to 200;
              required int64 id = 1 [deprecated = true, (x) = { a: "]" }];
              optional google.protobuf.Timestamp at = 0x2;
              repeated Line lines = 3;
              message Line { optional .shop.v1.Status status = 1; optional group Inner = 5 { optional string s = 1; } }
              map<string, Line> by_name = 7;
              oneof choice { string a = 8; bytes b = 9; }
            }
            enum Status { option allow_alias = true; NEW = -1; OLD = 3 [deprecated = true]; }
            service Shop { rpc Get (Order) returns (stream Order) { option x = 1; } }
            """;
        var file = ProtoFile.Parse(text);
        Assert.Equal(["shop.v1.Order", "shop.v1.Order.Line", "shop.v1.Order.Line.Inner"], file.Messages.Keys.Order());
        Assert.Equal(6, file.Messages["shop.v1.Order"].Fields.Count);
        ParsedSchema.Parse(new SchemaContent(SchemaType.Protobuf, text, []), []);
        Assert.Contains("line 2", Assert.Throws<SchemaFormatException>(() => ProtoFile.Parse("syntax = \"proto3\";\nmessage A { int32 = 1; }")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("message A { reserved 1, 5 to 7; int32 x = 6; }", "6")]
    [InlineData("message A { int32 x = 6; reserved 5 to max; }", "6")]
    [InlineData("message A { reserved \"x\"; int32 x = 6; }", "x")]
    public void A_field_may_not_use_what_its_message_reserves(string message, string named)
    {
        var fault = Assert.Throws<SchemaFormatException>(() => ParsedSchema.Parse(new SchemaContent(SchemaType.Protobuf, "syntax = \"proto3\";\n" + message, []), []));
        Assert.Contains("reserve", fault.Message, StringComparison.Ordinal);
        Assert.Contains(named, fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Schemas_that_refer_in_long_rows_and_wide_unions_are_compared_in_bounded_time()
    {
        var names = Enumerable.Range(0, 60).ToArray();
        // Every type's union names every type before it: compared naively, the ways through are 2^60.
        var types = string.Join(',', names.Select(i =>
            $"{{\"name\":\"f{i}\",\"type\":{{\"type\":\"record\",\"name\":\"T{i}\",\"fields\":[{{\"name\":\"u\",\"type\":[\"null\"{string.Concat(names.Take(i).Select(j => $",\"T{j}\""))}]}}]}}}}"));
        var schema = Record + types + "]}";
        Assert.Empty(Faults(schema, schema));
        var chain = string.Join(',', Enumerable.Range(0, 15_000).Select(i =>
            $"{{\"name\":\"f{i}\",\"type\":{{\"type\":\"record\",\"name\":\"T{i}\",\"fields\":[{{\"name\":\"u\",\"type\":{(i == 0 ? "\"int\"" : $"\"T{i - 1}\"")}}}]}}}}"));
        var last = "{\"name\":\"last\",\"type\":\"T14999\"}";
        try
        {
            Faults(Record + chain + "," + last + "]}", Record + chain.Replace("\"name\":\"f", "\"name\":\"g", StringComparison.Ordinal) + "," + last + "]}");
        }
        catch (SchemaFormatException error)
        {
            Assert.Contains("deep", error.Message, StringComparison.Ordinal);
        }
    }

    private static IReadOnlyList<string> Faults(string reader, string writer) =>
        ParsedSchema.Parse(new SchemaContent(SchemaType.Avro, reader, []), []).FaultsReading(
            ParsedSchema.Parse(new SchemaContent(SchemaType.Avro, writer, []), []), "new", "old");
}
