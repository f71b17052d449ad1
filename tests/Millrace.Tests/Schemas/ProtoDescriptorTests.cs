using System.Text.Json.Nodes;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Google.Protobuf.WellKnownTypes;
using static Millrace.Tests.Schemas.RegistryFixture;

namespace Millrace.Tests.Schemas;

/// <summary>Protobuf files that come and go as descriptors, as clients without a parser of .proto files speak.</summary>
public sealed class ProtoDescriptorTests
{
    private const string Everything = """
        // A comment.
        syntax = "proto3";
        package shop.v1;
        import "google/protobuf/timestamp.proto";
        import "google/protobuf/struct.proto";
        option java_package = "com.shop";
        option java_multiple_files = true;
        option (shop.custom).level = -3;
        message Order {
          option deprecated = true;
          reserved 50, 60 to 70, 536870911 to max;
          reserved "old", "older";
          int64 id = 1 [jstype = JS_STRING, deprecated = true];
          optional string note = 2 [json_name = "remark"];
          repeated Line lines = 3 [(shop.checked) = { min: 1 text: "a\"b" }];
          map<string, Line.Kind> kinds = 4;
          map<int32, Order> children = 12;
          oneof payment {
            string card_number = 5;
            .shop.v1.Cash cash = 6;
          }
          google.protobuf.Timestamp at = 9;
          google.protobuf.NullValue none = 10;
          optional bytes blob = 11;
          repeated int32 packed_ints = 8 [packed = false];
          message Line {
            Kind kind = 1;
            double price = 2;
            enum Kind { option allow_alias = true; reserved 7 to 9; NEW = 0; FRESH = 0; USED = 1 [deprecated = true]; }
          }
        }
        message Cash { sint32 cents = 1; }
        service Orders {
          rpc Place (Order) returns (stream Cash);
          rpc Watch (stream Order) returns (Cash) { option deprecated = true; }
        }
        """;

    private const string Old = """
        syntax = "proto2";
        package shop;
        message Old {
          required int32 id = 1;
          optional string name = 2 [default = "a \"b\" \n"];
          optional Colour colour = 3 [default = RED];
          optional double ratio = 4 [default = -inf];
          repeated group Item = 5 { optional int32 count = 1 [default = -5]; }
          extensions 100 to 199, 1000 to max;
          enum Colour { RED = 1; BLUE = -2; }
        }
        """;

    private readonly RegistryFixture _registry = new();

    [Theory]
    [InlineData(Everything)]
    [InlineData(Old)]
    public async Task A_file_is_given_as_a_descriptor_that_Google_takes_and_is_the_same_schema_when_it_comes_back(string text)
    {
        Assert.Equal("""{"id":1}""", await _registry.RegisterAsync("s", text, "PROTOBUF"));
        var given = JsonNode.Parse(await _registry.OkAsync("GET", "/schemas/ids/1?format=serialized"))!["schema"]!.ToString();
        var described = FileDescriptorProto.Parser.ParseFrom(Convert.FromBase64String(given));
        var names = FileDescriptor.BuildFromByteStrings([
            .. described.Dependency.Count == 0 ? Array.Empty<ByteString>() : [TimestampReflection.Descriptor.SerializedData, StructReflection.Descriptor.SerializedData],
            described.ToByteString()])[^1];
        Assert.Contains(names.MessageTypes, m => m.Name is "Order" or "Old");
        // Without a name, as it was, or with one.
        Assert.Equal("""{"id":1}""", await _registry.RegisterAsync("s", given, "PROTOBUF"));
        Assert.Contains("\"version\":1", await _registry.OkAsync("POST", "/subjects/s", Body(given, "PROTOBUF")), StringComparison.Ordinal);
        Assert.Equal("""{"is_compatible":true}""", await _registry.OkAsync("POST", "/compatibility/subjects/s/versions/latest", Body(given, "PROTOBUF")));
        // What a descriptor was registered as is text, and that text is the same descriptor again.
        await _registry.RegisterAsync("t", given, "PROTOBUF");
        var printed = await _registry.OkAsync("GET", "/subjects/t/versions/1/schema");
        Assert.StartsWith("syntax = \"proto", printed, StringComparison.Ordinal);
        var again = FileDescriptorProto.Parser.ParseFrom(Convert.FromBase64String(await _registry.OkAsync("GET", "/subjects/t/versions/1/schema?format=serialized")));
        again.Name = described.Name;
        Assert.Equal(described, again);
    }

    [Fact]
    public async Task Descriptors_that_refer_to_others_do_so_by_their_imports()
    {
        await _registry.RegisterAsync("cash.proto", "syntax = \"proto3\"; package shop; message Cash { int32 cents = 1; enum Sort { NOTE = 0; } }", "PROTOBUF");
        const string references = """[{"name":"cash.proto","subject":"cash.proto","version":1}]""";
        const string text = "syntax = \"proto3\"; package shop; import \"cash.proto\"; message Order { Cash cash = 1; Cash.Sort sort = 2; }";
        await _registry.RegisterAsync("order", text, "PROTOBUF", references);
        var order = FileDescriptorProto.Parser.ParseFrom(Convert.FromBase64String(await _registry.OkAsync("GET", "/subjects/order/versions/1/schema?format=serialized")));
        Assert.Equal(
            [(FieldDescriptorProto.Types.Type.Message, ".shop.Cash"), (FieldDescriptorProto.Types.Type.Enum, ".shop.Cash.Sort")],
            order.MessageType[0].Field.Select(f => (f.Type, f.TypeName)));
        order.Name = "order.proto";
        Assert.Equal("""{"id":2}""", await _registry.RegisterAsync("order", Convert.ToBase64String(order.ToByteArray()), "PROTOBUF", references));
    }

    [Fact]
    public async Task The_order_of_fields_is_no_part_of_the_normal_form_and_the_order_of_messages_is()
    {
        await _registry.OkAsync("PUT", "/config", """{"normalize":true}""");
        await _registry.RegisterAsync("s", "syntax = \"proto3\"; message A { int32 y = 2; int32 x = 1; } message B { A a = 1; }", "PROTOBUF");
        await _registry.OkAsync("POST", "/subjects/s", Body("syntax = \"proto3\"; message A { int32 x = 1; /* y */ int32 y = 2; } message B { .A a = 1; }", "PROTOBUF"));
        await _registry.FailsAsync(404, 40403, "POST", "/subjects/s", Body("syntax = \"proto3\"; message B { A a = 1; } message A { int32 x = 1; int32 y = 2; }", "PROTOBUF"));
    }

    [Theory]
    [InlineData("bm8gZGVzY3JpcHRvcg==")]
    [InlineData("AAAAAAAA")]
    [InlineData("syntax")]
    public async Task What_is_no_descriptor_is_refused(string text) => await _registry.FailsAsync(422, 42201, "POST", "/subjects/s/versions", Body(text, "PROTOBUF"));

    [Fact]
    public async Task A_format_that_a_type_does_not_have_gives_the_schema_as_it_is()
    {
        await _registry.RegisterAsync("s", "\"string\"");
        Assert.Equal("\"string\"", await _registry.OkAsync("GET", "/subjects/s/versions/1/schema?format=serialized"));
    }

    [Fact]
    public async Task A_resolved_schema_has_what_it_refers_to_where_it_is_first_used()
    {
        await _registry.RegisterAsync("money", """{"type":"record","name":"Money","namespace":"shop","fields":[{"name":"amount","type":"double"},{"name":"unit","type":{"type":"enum","name":"Unit","symbols":["EUR"]}}]}""");
        await _registry.OkAsync("POST", "/subjects/order/versions", """
            {"schema":"{\"type\":\"record\",\"name\":\"Order\",\"namespace\":\"shop\",\"fields\":[{\"name\":\"price\",\"type\":[\"null\",\"Money\"]},{\"name\":\"tax\",\"type\":\"shop.Money\"},{\"name\":\"unit\",\"type\":\"Unit\"}]}",
             "references":[{"name":"shop.Money","subject":"money","version":1}]}
            """);
        Assert.Equal(
            """{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"price","type":["null",{"type":"record","name":"Money","fields":[{"name":"amount","type":"double"},{"name":"unit","type":{"type":"enum","name":"Unit","symbols":["EUR"]}}]}]},{"name":"tax","type":"Money"},{"name":"unit","type":"Unit"}]}""",
            await _registry.OkAsync("GET", "/subjects/order/versions/1/schema?format=resolved"));
        var plain = await _registry.OkAsync("GET", "/subjects/order/versions/1/schema");
        Assert.Equal(plain, await _registry.OkAsync("GET", "/subjects/order/versions/1/schema?format=default"));
        Assert.DoesNotContain("amount", plain, StringComparison.Ordinal);
    }
}
