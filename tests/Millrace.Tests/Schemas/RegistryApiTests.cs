using System.Text;
using static Millrace.Tests.Schemas.RegistryFixture;

namespace Millrace.Tests.Schemas;

public sealed class RegistryApiTests
{
    private const string V1 = """{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"id","type":"long"}]}""";
    private const string V2 = """{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"id","type":"long"},{"name":"note","type":"string","default":""}]}""";
    private const string Bad = """{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"id","type":"long"},{"name":"note","type":"int"}]}""";

    private readonly RegistryFixture _registry = new();

    [Fact]
    public async Task A_schema_gets_an_id_and_a_version_and_is_found_by_both()
    {
        Assert.Equal("""{"id":1}""", await _registry.RegisterAsync("orders-value", V1));
        Assert.Equal("""{"id":2}""", await _registry.RegisterAsync("orders-value", V2));
        Assert.Equal("""{"id":1}""", await _registry.RegisterAsync("orders-value", V1));
        Assert.Equal("""["orders-value"]""", await _registry.OkAsync("GET", "/subjects"));
        Assert.Equal("[1,2]", await _registry.OkAsync("GET", "/subjects/orders-value/versions"));
        Assert.EndsWith($$""","schema":{{System.Text.Json.JsonSerializer.Serialize(V1, Relaxed)}}}""", await _registry.OkAsync("GET", "/schemas/ids/1"), StringComparison.Ordinal);
        Assert.Equal(V2, await _registry.OkAsync("GET", "/subjects/orders-value/versions/latest/schema"));
        Assert.StartsWith("""{"subject":"orders-value","version":2,"id":2,"guid":""", await _registry.OkAsync("GET", "/subjects/orders-value/versions/-1"), StringComparison.Ordinal);
        Assert.Contains("\"version\":1", await _registry.OkAsync("POST", "/subjects/orders-value", Body(V1)), StringComparison.Ordinal);
        Assert.Equal("""[{"subject":"orders-value","version":2}]""", await _registry.OkAsync("GET", "/schemas/ids/2/versions"));
        Assert.Equal("""["JSON","PROTOBUF","AVRO"]""", await _registry.OkAsync("GET", "/schemas/types"));
    }

    [Fact]
    public async Task The_same_schema_in_two_subjects_has_one_id_however_it_is_written()
    {
        await _registry.RegisterAsync("a", V1);
        Assert.Equal("""{"id":1}""", await _registry.RegisterAsync("b", """
            { "namespace": "shop", "name": "Order", "type": "record",
              "fields": [ { "type": {"type": "long"}, "name": "id", "order": "ascending" } ] }
            """));
        Assert.Equal("""["a","b"]""", await _registry.OkAsync("GET", "/schemas/ids/1/subjects"));
    }

    [Fact]
    public async Task What_is_missing_is_told_by_Confluents_codes()
    {
        await _registry.FailsAsync(404, 40401, "GET", "/subjects/none/versions");
        await _registry.FailsAsync(404, 40401, "GET", "/subjects/none/versions/latest");
        await _registry.FailsAsync(404, 40403, "GET", "/schemas/ids/9");
        await _registry.RegisterAsync("s", V1);
        await _registry.FailsAsync(404, 40402, "GET", "/subjects/s/versions/2");
        await _registry.FailsAsync(422, 42202, "GET", "/subjects/s/versions/first");
        await _registry.FailsAsync(422, 42202, "GET", "/subjects/s/versions/0");
        await _registry.FailsAsync(404, 40403, "POST", "/subjects/s", Body(V2));
        await _registry.FailsAsync(404, 40401, "POST", "/subjects/none", Body(V1));
        await _registry.FailsAsync(404, 40408, "GET", "/config/s");
        await _registry.FailsAsync(404, 40409, "GET", "/mode/s");
        await _registry.FailsAsync(422, 42203, "PUT", "/config", """{"compatibility":"SOMETIMES"}""");
        await _registry.FailsAsync(422, 42204, "PUT", "/mode", """{"mode":"WRITEONLY"}""");
        await _registry.FailsAsync(422, 42201, "POST", "/subjects/s/versions", Body("""{"type":"record"}"""));
        await _registry.FailsAsync(422, 42201, "POST", "/subjects/s/versions", """{"schema":""}""");
        await _registry.FailsAsync(422, 42201, "POST", "/subjects/s/versions", Body(V1, "XML"));
        await _registry.FailsAsync(400, 400, "POST", "/subjects/s/versions", "{");
        await _registry.FailsAsync(422, 422, "POST", "/subjects/s/versions", "[]");
        await _registry.FailsAsync(405, 405, "PATCH", "/subjects");
        await _registry.FailsAsync(404, 404, "GET", "/nothing");
    }

    [Fact]
    public async Task A_version_that_cannot_read_the_one_before_is_refused()
    {
        await _registry.RegisterAsync("s", V1);
        var message = await _registry.FailsAsync(409, 409, "POST", "/subjects/s/versions", Body(Bad));
        Assert.Contains("READER_FIELD_MISSING_DEFAULT_VALUE", message, StringComparison.Ordinal);
        Assert.Equal("""{"is_compatible":false}""", await _registry.OkAsync("POST", "/compatibility/subjects/s/versions/latest", Body(Bad)));
        var verbose = await _registry.OkAsync("POST", "/compatibility/subjects/s/versions?verbose=true", Body(Bad));
        Assert.StartsWith("""{"is_compatible":false,"messages":["{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE'""", verbose, StringComparison.Ordinal);
        Assert.Equal("""{"is_compatible":true}""", await _registry.OkAsync("POST", "/compatibility/subjects/s/versions/1", Body(V2)));
        Assert.Equal("""{"is_compatible":true}""", await _registry.OkAsync("POST", "/compatibility/subjects/new/versions/latest", Body(V2)));
        await _registry.FailsAsync(404, 40402, "POST", "/compatibility/subjects/s/versions/7", Body(V2));
        Assert.Equal("""{"compatibility":"NONE"}""", await _registry.OkAsync("PUT", "/config/s", """{"compatibility":"none"}"""));
        Assert.Equal("""{"id":2}""", await _registry.RegisterAsync("s", Bad));
    }

    [Theory]
    // Third versions after {id} and {id, note=""}: what each level looks at.
    [InlineData("BACKWARD", "note:string", true)]
    [InlineData("BACKWARD_TRANSITIVE", "note:string", false)]
    [InlineData("FORWARD", "note=", true)]
    [InlineData("FORWARD", "id", true)]
    [InlineData("FORWARD_TRANSITIVE", "id", true)]
    [InlineData("FORWARD", "none", false)]
    [InlineData("FULL", "id", true)]
    [InlineData("FULL", "note:string", true)]
    [InlineData("FULL_TRANSITIVE", "note:string", false)]
    [InlineData("FULL_TRANSITIVE", "id", true)]
    [InlineData("BACKWARD", "id:string", false)]
    [InlineData("NONE", "id:string", true)]
    public async Task Each_level_looks_at_its_own_pairs_of_versions(string level, string third, bool compatible)
    {
        await _registry.RegisterAsync("s", V1);
        await _registry.RegisterAsync("s", V2);
        await _registry.OkAsync("PUT", "/config/s", $$"""{"compatibility":"{{level}}"}""");
        var fields = third switch
        {
            "note:string" => """{"name":"id","type":"long"},{"name":"note","type":"string"}""",
            "note=" => """{"name":"id","type":"long"},{"name":"note","type":"string","default":"x"}""",
            "id" => """{"name":"id","type":"long"},{"name":"more","type":"int","default":1}""",
            "id:string" => """{"name":"id","type":"string"}""",
            _ => """{"name":"note","type":"string","default":""}""",
        };
        var schema = $$"""{"type":"record","name":"Order","namespace":"shop","fields":[{{fields}}]}""";
        Assert.Equal(compatible ? 200 : 409, (await _registry.SendAsync("POST", "/subjects/s/versions", Body(schema))).Status);
    }

    [Fact]
    public async Task Soft_deletion_hides_and_permanent_deletion_removes()
    {
        await _registry.RegisterAsync("s", V1);
        await _registry.RegisterAsync("s", V2);
        await _registry.FailsAsync(404, 40407, "DELETE", "/subjects/s/versions/1?permanent=true");
        Assert.Equal("1", await _registry.OkAsync("DELETE", "/subjects/s/versions/1"));
        await _registry.FailsAsync(404, 40406, "DELETE", "/subjects/s/versions/1");
        await _registry.FailsAsync(404, 40402, "GET", "/subjects/s/versions/1");
        await _registry.OkAsync("GET", "/subjects/s/versions/1?deleted=true");
        Assert.Equal("[2]", await _registry.OkAsync("GET", "/subjects/s/versions"));
        Assert.Equal("[1,2]", await _registry.OkAsync("GET", "/subjects/s/versions?deleted=true"));
        await _registry.OkAsync("GET", "/schemas/ids/1");
        await _registry.FailsAsync(404, 40405, "DELETE", "/subjects/s?permanent=true");
        Assert.Equal("[2]", await _registry.OkAsync("DELETE", "/subjects/s"));
        await _registry.FailsAsync(404, 40404, "DELETE", "/subjects/s");
        Assert.Equal("[]", await _registry.OkAsync("GET", "/subjects"));
        Assert.Equal("""["s"]""", await _registry.OkAsync("GET", "/subjects?deleted=true"));
        // Versions go on counting, and the same content has its id again.
        Assert.Equal("""{"id":1}""", await _registry.RegisterAsync("s", V1));
        Assert.Equal("[3]", await _registry.OkAsync("GET", "/subjects/s/versions"));
        await _registry.OkAsync("DELETE", "/subjects/s");
        Assert.Equal("[1,2,3]", await _registry.OkAsync("DELETE", "/subjects/s?permanent=true"));
        await _registry.FailsAsync(404, 40403, "GET", "/schemas/ids/1");
        _registry.Restart();
        // An id of a schema that is gone for ever is in somebody's records still.
        Assert.Equal("""{"id":3}""", await _registry.RegisterAsync("t", V1));
    }

    [Fact]
    public async Task A_schema_that_another_refers_to_cannot_be_deleted()
    {
        await _registry.RegisterAsync("customer", """{"type":"record","name":"Customer","namespace":"shop","fields":[{"name":"id","type":"long"}]}""");
        const string order = """{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"customer","type":"shop.Customer"}]}""";
        await _registry.FailsAsync(422, 42201, "POST", "/subjects/order/versions", Body(order));
        await _registry.FailsAsync(422, 42201, "POST", "/subjects/order/versions", Body(order, null, """[{"name":"shop.Customer","subject":"customer","version":9}]"""));
        await _registry.RegisterAsync("order", order, null, """[{"name":"shop.Customer","subject":"customer","version":1}]""");
        Assert.Equal("[2]", await _registry.OkAsync("GET", "/subjects/customer/versions/1/referencedby"));
        await _registry.FailsAsync(422, 42206, "DELETE", "/subjects/customer");
        await _registry.FailsAsync(422, 42206, "DELETE", "/subjects/customer/versions/1");
        Assert.Contains("\"references\":[{\"name\":\"shop.Customer\"", await _registry.OkAsync("GET", "/schemas/ids/2"), StringComparison.Ordinal);
        await _registry.OkAsync("DELETE", "/subjects/order");
        await _registry.OkAsync("DELETE", "/subjects/customer");
        await _registry.FailsAsync(422, 42206, "DELETE", "/subjects/customer?permanent=true");
        await _registry.OkAsync("DELETE", "/subjects/order?permanent=true");
        await _registry.OkAsync("DELETE", "/subjects/customer?permanent=true");
    }

    [Fact]
    public async Task Modes_say_what_may_be_changed()
    {
        await _registry.OkAsync("PUT", "/mode", """{"mode":"READONLY"}""");
        await _registry.FailsAsync(422, 42205, "POST", "/subjects/s/versions", Body(V1));
        await _registry.OkAsync("PUT", "/mode/s", """{"mode":"READWRITE"}""");
        await _registry.RegisterAsync("s", V1);
        await _registry.OkAsync("PUT", "/mode", """{"mode":"READONLY_OVERRIDE"}""");
        await _registry.FailsAsync(422, 42205, "DELETE", "/subjects/s");
        await _registry.OkAsync("PUT", "/mode", """{"mode":"READWRITE"}""");
        await _registry.FailsAsync(422, 42205, "PUT", "/mode", """{"mode":"IMPORT"}""");
        await _registry.FailsAsync(422, 42205, "POST", "/subjects/new/versions", Body(V1)[..^1] + ",\"id\":77,\"version\":5}");
        await _registry.OkAsync("PUT", "/mode/new", """{"mode":"IMPORT"}""");
        Assert.StartsWith("""{"id":77,"version":5,""", await _registry.OkAsync("POST", "/subjects/new/versions", Body(V2)[..^1] + ",\"id\":77,\"version\":5}"), StringComparison.Ordinal);
        Assert.Equal("[5]", await _registry.OkAsync("GET", "/subjects/new/versions"));
        Assert.Equal("""{"mode":"IMPORT"}""", await _registry.OkAsync("DELETE", "/mode/new"));
        Assert.Equal("""{"id":78}""", await _registry.RegisterAsync("other", """ "string" """));
    }

    [Fact]
    public async Task A_registry_started_again_says_the_same()
    {
        await _registry.RegisterAsync("a/b", V1);
        await _registry.RegisterAsync("a/b", V2);
        await _registry.RegisterAsync("p", "syntax = \"proto3\"; message A { int32 x = 1; }", "PROTOBUF");
        await _registry.OkAsync("DELETE", "/subjects/a%2Fb/versions/1");
        await _registry.OkAsync("PUT", "/config", """{"compatibility":"FULL"}""");
        await _registry.OkAsync("PUT", "/mode/p", """{"mode":"READONLY"}""");
        string[] questions = ["/subjects?deleted=true", "/schemas?deleted=true", "/config", "/mode/p", "/subjects/a%2Fb/versions?deleted=true"];
        var before = await Task.WhenAll(questions.Select(q => _registry.OkAsync("GET", q)));
        _registry.Restart();
        Assert.Equal(before, await Task.WhenAll(questions.Select(q => _registry.OkAsync("GET", q))));
    }

    [Fact]
    public async Task After_a_failed_write_nothing_is_changed_and_nothing_more_is_taken()
    {
        await _registry.RegisterAsync("s", V1);
        _registry.Log.Fails = true;
        await _registry.FailsAsync(500, 50001, "POST", "/subjects/s/versions", Body(V2));
        _registry.Log.Fails = false;
        await _registry.FailsAsync(500, 50001, "POST", "/subjects/s/versions", Body(V2));
        Assert.Equal("[1]", await _registry.OkAsync("GET", "/subjects/s/versions"));
    }

    [Fact]
    public async Task A_topic_of_Confluents_registry_is_taken_over()
    {
        void Put(string key, string? value) => _registry.Log.Records.Add(new(Encoding.UTF8.GetBytes(key), value is null ? null : Encoding.UTF8.GetBytes(value)));
        Put("""{"keytype":"NOOP","magic":0}""", null);
        Put("""{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}""", """{"subject":"s","version":1,"id":4,"md5":"x","schema":"\"string\"","deleted":false}""");
        Put("""{"keytype":"CONFIG","subject":null,"magic":0}""", """{"compatibilityLevel":"FORWARD"}""");
        Put("""{"keytype":"DELETE_SUBJECT","subject":"s","magic":0}""", """{"subject":"s","version":1}""");
        _registry.Restart();
        Assert.Equal("""["s"]""", await _registry.OkAsync("GET", "/subjects?deletedOnly=true"));
        Assert.Equal("""{"compatibilityLevel":"FORWARD"}""", await _registry.OkAsync("GET", "/config"));
        Assert.Equal("\"string\"", await _registry.OkAsync("GET", "/schemas/ids/4/schema"));
    }

    private static readonly System.Text.Json.JsonSerializerOptions Relaxed = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
}
