using System.Text.Json;
using System.Text.Json.Nodes;
using Millrace.Schemas;

namespace Millrace.Tests.Schemas;

/// <summary>Metadata, rules, and the settings that belong to them.</summary>
public sealed class RegistryContractTests
{
    private const string V1 = """{"type":"record","name":"A","fields":[{"name":"x","type":"int"}]}""";
    private const string V2 = """{"type":"record","name":"A","fields":[{"name":"x","type":"int"},{"name":"y","type":"int","default":0}]}""";
    private const string Bad = """{"type":"record","name":"A","fields":[{"name":"x","type":"string"}]}""";
    private const string Rules = """{"domainRules":[{"name":"len","kind":"CONDITION","type":"CEL","mode":"WRITE","expr":"size(message.x) > 1","tags":["b","a"]}]}""";

    private readonly RegistryFixture _registry = new();

    [Fact]
    public async Task Metadata_and_rules_are_kept_in_one_form_and_given_out()
    {
        await RegisterAsync("s", V1, """{"properties":{"owner":"shop","b":"2"},"tags":{"A.x":["PII","GDPR"]},"sensitive":["b"]}""", Rules);
        var version = await VersionAsync("/subjects/s/versions/1");
        Assert.Equal("""{"tags":{"A.x":["GDPR","PII"]},"properties":{"b":"2","owner":"shop"},"sensitive":["b"]}""", version["metadata"]!.ToJsonString());
        Assert.Equal("""{"domainRules":[{"name":"len","kind":"CONDITION","mode":"WRITE","type":"CEL","tags":["a","b"],"expr":"size(message.x) > 1","disabled":false}]}""",
            version["ruleSet"]!.ToJsonString(new JsonSerializerOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }));
        Assert.Equal(version["guid"]!.ToString(), (await VersionAsync("/schemas/ids/1"))["guid"]!.ToString());
        // The same text with other metadata is another schema, and without any it goes on with the last version's.
        Assert.Equal(2, await RegisterAsync("s", V1, """{"properties":{"owner":"sales"}}"""));
        Assert.Equal(2, await RegisterAsync("s", V1));
        Assert.Equal(3, await RegisterAsync("s", V2));
        Assert.Equal("sales", (await VersionAsync("/subjects/s/versions/3"))["metadata"]!["properties"]!["owner"]!.ToString());
        Assert.NotNull((await VersionAsync("/subjects/s/versions/3"))["ruleSet"]);
        // A registration without a schema changes what stands beside it.
        await _registry.OkAsync("POST", "/subjects/s/versions", """{"metadata":{"properties":{"owner":"none"}}}""");
        Assert.Equal(V2, (await VersionAsync("/subjects/s/versions/latest"))["schema"]!.ToString());
        Assert.Contains("\"version\":4", await _registry.OkAsync("POST", "/subjects/s", RegistryFixture.Body(V2)), StringComparison.Ordinal);
        await _registry.FailsAsync(422, 42201, "POST", "/subjects/new/versions", """{"metadata":{"properties":{"owner":"none"}}}""");
        var before = await _registry.OkAsync("GET", "/schemas");
        _registry.Restart();
        Assert.Equal(before, await _registry.OkAsync("GET", "/schemas"));
        Assert.Equal(4, JsonNode.Parse(await _registry.OkAsync("GET", "/schemas?ruleType=CEL"))!.AsArray().Count);
        Assert.Equal("[]", await _registry.OkAsync("GET", "/schemas?ruleType=ENCRYPT"));
    }

    [Theory]
    [InlineData("""{"domainRules":[{"name":"a"}]}""", "Missing rule type")]
    [InlineData("""{"domainRules":[{"type":"CEL"}]}""", "Missing rule name")]
    [InlineData("""{"domainRules":[{"name":"1a","type":"CEL"}]}""", "Illegal initial character")]
    [InlineData("""{"domainRules":[{"name":"a","type":"CEL","mode":"UPGRADE"}]}""", "Domain rules can only be")]
    [InlineData("""{"migrationRules":[{"name":"a","type":"JSONATA","mode":"READ"}]}""", "Migration rules can only be")]
    [InlineData("""{"domainRules":[{"name":"a","type":"CEL"},{"name":"a","type":"CEL"}]}""", "duplicate name")]
    [InlineData("""{"domainRules":[{"name":"a","type":"CEL","mode":"READ","onFailure":"DLQ,ERROR"}]}""", "Multiple actions")]
    public async Task Rules_that_are_none_are_refused(string rules, string reason) => Assert.Contains(
        reason, await _registry.FailsAsync(422, 42210, "POST", "/subjects/s/versions", $$"""{"schema":{{JsonSerializer.Serialize(V1)}},"ruleSet":{{rules}}}"""), StringComparison.Ordinal);

    [Fact]
    public async Task The_newest_version_with_some_metadata_is_found()
    {
        await RegisterAsync("s", V1, """{"properties":{"major":"1","team":"a"}}""");
        await RegisterAsync("s", V2, """{"properties":{"major":"2","team":"a"}}""");
        Assert.Contains("\"version\":1", await _registry.OkAsync("GET", "/subjects/s/metadata?key=major&value=1&key=team&value=a"), StringComparison.Ordinal);
        Assert.Contains("\"version\":2", await _registry.OkAsync("GET", "/subjects/s/metadata?key=team&value=a"), StringComparison.Ordinal);
        await _registry.FailsAsync(404, 40403, "GET", "/subjects/s/metadata?key=major&value=3");
        await _registry.FailsAsync(404, 40401, "GET", "/subjects/none/metadata?key=major&value=3");
    }

    [Fact]
    public async Task Versions_are_compared_within_their_compatibility_group()
    {
        await _registry.OkAsync("PUT", "/config/s", """{"compatibilityGroup":"major"}""");
        await RegisterAsync("s", V1, """{"properties":{"major":"1"}}""");
        await _registry.FailsAsync(409, 409, "POST", "/subjects/s/versions", $$"""{"schema":{{JsonSerializer.Serialize(Bad)}},"metadata":{"properties":{"major":"1"} } }""");
        await RegisterAsync("s", Bad, """{"properties":{"major":"2"}}""");
        await RegisterAsync("s", V2, """{"properties":{"major":"1"}}""");
        Assert.Equal("[1,2,3]", await _registry.OkAsync("GET", "/subjects/s/versions"));
    }

    [Fact]
    public async Task Defaults_and_overrides_of_a_subject_are_merged_into_its_versions()
    {
        Assert.Equal("""{"defaultMetadata":{"properties":{"a":"0","b":"0"}},"overrideMetadata":{"properties":{"c":"9"}}}""", await _registry.OkAsync(
            "PUT", "/config/s", """{"defaultMetadata":{"properties":{"b":"0","a":"0"}},"overrideMetadata":{"properties":{"c":"9"}}}"""));
        await RegisterAsync("s", V1, """{"properties":{"b":"1","c":"1"}}""");
        Assert.Equal("""{"a":"0","b":"1","c":"9"}""", (await VersionAsync("/subjects/s/versions/1"))["metadata"]!["properties"]!.ToJsonString());
        // A null takes a setting away, what is not said stays.
        Assert.Equal("""{"defaultMetadata":{"properties":{"a":"0","b":"0"}}}""", await _registry.OkAsync("PUT", "/config/s", """{"overrideMetadata":null}"""));
    }

    [Fact]
    public async Task An_alias_stands_for_another_subject()
    {
        await RegisterAsync("orders-value", V1);
        await _registry.OkAsync("PUT", "/config/old-orders-value", """{"alias":"orders-value"}""");
        Assert.Equal("[1]", await _registry.OkAsync("GET", "/subjects/old-orders-value/versions"));
        Assert.Contains("\"subject\":\"orders-value\"", await _registry.OkAsync("GET", "/schemas/ids/1?subject=old-orders-value"), StringComparison.Ordinal);
        Assert.Equal("""{"is_compatible":false}""", await _registry.OkAsync("POST", "/compatibility/subjects/old-orders-value/versions/latest", RegistryFixture.Body(Bad)));
        Assert.Equal("""{"alias":"orders-value","compatibilityLevel":"BACKWARD"}""", await _registry.OkAsync("GET", "/config/old-orders-value"));
    }

    [Fact]
    public async Task Normalized_schemas_are_the_same_in_whatever_order_they_are_written()
    {
        const string one = """{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}}""";
        const string two = """{"properties":{"b":{"type":"string"},"a":{"type":"string"}},"type":"object"}""";
        await _registry.OkAsync("POST", "/subjects/j/versions?normalize=true", RegistryFixture.Body(one, "JSON"));
        Assert.Contains("\"version\":1", await _registry.OkAsync("POST", "/subjects/j/versions?normalize=true", RegistryFixture.Body(two, "JSON")), StringComparison.Ordinal);
        await _registry.FailsAsync(404, 40403, "POST", "/subjects/j", RegistryFixture.Body(two, "JSON"));
        await _registry.OkAsync("PUT", "/config/j", """{"normalize":true}""");
        await _registry.OkAsync("POST", "/subjects/j", RegistryFixture.Body(two, "JSON"));
        const string avro = """{"type":"record","name":"A","fields":[],"z":1,"y":2}""";
        await _registry.OkAsync("POST", "/subjects/a/versions?normalize=true", RegistryFixture.Body(avro));
        Assert.Equal("""{"type":"record","name":"A","fields":[],"y":2,"z":1}""", await _registry.OkAsync("GET", "/subjects/a/versions/1/schema"));
    }

    [Fact]
    public async Task The_lenient_policy_lets_properties_be_added_to_open_content_models()
    {
        const string open = """{"type":"object","properties":{"a":{"type":"string"}}}""";
        const string wider = """{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}}""";
        await _registry.RegisterAsync("j", open, "JSON");
        await _registry.FailsAsync(409, 409, "POST", "/subjects/j/versions", RegistryFixture.Body(wider, "JSON"));
        await _registry.OkAsync("PUT", "/config/j", """{"compatibilityPolicy":"LENIENT"}""");
        await _registry.RegisterAsync("j", wider, "JSON");
        await _registry.FailsAsync(422, 42203, "PUT", "/config/j", """{"compatibilityPolicy":"LOGICAL"}""");
        await _registry.FailsAsync(422, 422, "PUT", "/config/j", """{"validateRules":true}""");
    }

    [Theory]
    [InlineData("AVRO", """{"type":"record","name":"R","fields":[{"name":"id","type":"int"},{"name":"ssn","type":"string","default":""}]}""", """{"type":"record","name":"R","fields":[{"name":"id","type":"int"}]}""")]
    [InlineData("JSON", """{"type":"object","properties":{"id":{},"ssn":{}},"additionalProperties":false}""", """{"type":"object","properties":{"id":{}},"additionalProperties":false}""")]
    [InlineData("PROTOBUF", "syntax = \"proto3\"; message R { int32 id = 1; string ssn = 2; }", "syntax = \"proto3\"; message R { int32 id = 1; }")]
    public async Task Reserved_fields_are_held_where_fields_are_validated(string type, string with, string without)
    {
        string Body(string schema, string? reserved) => new JsonObject
        {
            ["schema"] = schema, ["schemaType"] = type,
            ["metadata"] = reserved is null ? null : new JsonObject { ["properties"] = new JsonObject { ["confluent:reserved"] = reserved } },
        }.ToJsonString();
        await _registry.OkAsync("PUT", "/config/s", """{"compatibility":"NONE"}""");
        await _registry.OkAsync("POST", "/subjects/s/versions", Body(with, "ssn"));
        Assert.Contains("\"validateFields\":true", await _registry.OkAsync("PUT", "/config/s", """{"validateFields":true}"""), StringComparison.Ordinal);
        Assert.Contains("conflicts with the reserved field ssn", await _registry.FailsAsync(409, 409, "POST", "/subjects/s/versions", Body(with, "ssn, salary")), StringComparison.Ordinal);
        Assert.Contains("reserved field ssn removed", await _registry.FailsAsync(409, 409, "POST", "/subjects/s/versions", Body(without, "salary")), StringComparison.Ordinal);
        await _registry.OkAsync("POST", "/subjects/s/versions", Body(without, "ssn,salary"));
        Assert.Contains("\"is_compatible\":false", await _registry.OkAsync("POST", "/compatibility/subjects/s/versions/latest", Body(without, null)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Exporters_and_keys_are_said_not_to_be_held()
    {
        Assert.True(RegistryApi.Serves("/exporters") && RegistryApi.Serves("/dek-registry/v1/keks"));
        Assert.Contains("exporters", await _registry.FailsAsync(404, 404, "GET", "/exporters"), StringComparison.Ordinal);
        Assert.Contains("keys", await _registry.FailsAsync(404, 404, "GET", "/dek-registry/v1/keks"), StringComparison.Ordinal);
    }

    private async Task<int> RegisterAsync(string subject, string schema, string? metadata = null, string? rules = null)
    {
        var body = new JsonObject { ["schema"] = schema, ["metadata"] = metadata is null ? null : JsonNode.Parse(metadata), ["ruleSet"] = rules is null ? null : JsonNode.Parse(rules) };
        return JsonNode.Parse(await _registry.OkAsync("POST", $"/subjects/{subject}/versions", body.ToJsonString()))!["version"]!.GetValue<int>();
    }

    private async Task<JsonNode> VersionAsync(string path) => JsonNode.Parse(await _registry.OkAsync("GET", path))!;
}
