using Millrace.Schemas;
using Millrace.Schemas.Formats;

namespace Millrace.Tests.Schemas;

/// <summary>The rules of Confluent's registry (Schema Evolution and Compatibility, JSON Schema), each by a pair of schemas.</summary>
public sealed class JsonCompatibilityTests
{
    [Theory]
    // Annotations and the way a schema is written.
    [InlineData("""{"type":"object","properties":{"a":{"type":"string"}}}""", """{"properties":{"a":{"description":"x","type":"string"}},"type":"object","title":"T"}""")]
    [InlineData("""{"$id":"a","default":1}""", """{"$id":"b","default":2}""")]
    [InlineData("""{"type":"string"}""", "true")]
    [InlineData("false", """{"type":"string"}""")]
    [InlineData("""{"type":"object"}""", "{}")]
    // Text.
    [InlineData("""{"type":"string","minLength":2,"maxLength":5,"pattern":"a"}""", """{"type":"string","minLength":1,"maxLength":9}""")]
    [InlineData("""{"type":"string","maxLength":5}""", """{"type":"string"}""")]
    // Numbers.
    [InlineData("""{"type":"integer"}""", """{"type":"number"}""")]
    [InlineData("""{"type":"number","minimum":1,"maximum":5}""", """{"type":"number","minimum":0.5,"maximum":5.5}""")]
    [InlineData("""{"type":"number","multipleOf":10}""", """{"type":"number","multipleOf":5}""")]
    [InlineData("""{"type":"number","multipleOf":0.5}""", """{"type":"number","multipleOf":0.50}""")]
    [InlineData("""{"type":"number","exclusiveMinimum":3,"exclusiveMaximum":9}""", """{"type":"number","exclusiveMinimum":2,"exclusiveMaximum":10}""")]
    // Objects: what may be added and removed depends on the content model.
    [InlineData("""{"type":"object","additionalProperties":false}""", """{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}""")]
    [InlineData("""{"type":"object","additionalProperties":false}""", """{"type":"object","properties":{"a":{"type":"string","default":"x"}},"required":["a"],"additionalProperties":false}""")]
    [InlineData("""{"type":"object","properties":{"a":{"type":"string"}}}""", """{"type":"object"}""")]
    [InlineData("""{"type":"object"}""", """{"type":"object","properties":{"a":true}}""")]
    [InlineData("""{"type":"object","additionalProperties":{"type":"string"}}""", """{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":{"type":"string"}}""")]
    [InlineData("""{"type":"object","patternProperties":{"^s_":{"type":"string"}}}""", """{"type":"object","properties":{"s_a":{"type":"string"}},"patternProperties":{"^s_":{"type":"string"}}}""")]
    [InlineData("""{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":{"type":"string"}}""", """{"type":"object","additionalProperties":{"type":["string","null"]}}""")]
    [InlineData("""{"type":"object","properties":{"a":false},"additionalProperties":false}""", """{"type":"object","additionalProperties":false}""")]
    [InlineData("""{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}""", """{"type":"object","properties":{"a":{"type":"string"}}}""")]
    [InlineData("""{"type":"object","properties":{"a":{"type":"string"}}}""", """{"type":"object","properties":{"a":{"type":"string","default":""}},"required":["a"]}""")]
    [InlineData("""{"type":"object","additionalProperties":false}""", """{"type":"object"}""")]
    [InlineData("""{"type":"object","maxProperties":2,"minProperties":2}""", """{"type":"object","maxProperties":3,"minProperties":1}""")]
    [InlineData("""{"type":"object","dependencies":{"a":["b","c"]}}""", """{"type":"object","dependencies":{"a":["b"]}}""")]
    [InlineData("""{"type":"object","unevaluatedProperties":false}""", """{"type":"object","unevaluatedProperties":{"type":"string"}}""")]
    [InlineData("""{"type":"object"}""", """{"type":"object","patternProperties":{"^x":{"type":"string"}}}""")]
    [InlineData("""{"type":"object","patternProperties":{"^x":{"type":"number"}}}""", """{"type":"object","patternProperties":{"^x":{"type":"string"}}}""")]
    // Lists.
    [InlineData("""{"type":"array","items":{"type":"integer"},"maxItems":3,"uniqueItems":true}""", """{"type":"array","items":{"type":"number"}}""")]
    [InlineData("""{"type":"array","items":[{"type":"string"}],"additionalItems":false}""", """{"type":"array","items":[{"type":"string"},{"type":"number"}],"additionalItems":false}""")]
    [InlineData("""{"type":"array","items":[{"type":"string"},{"type":"number"}]}""", """{"type":"array","items":[{"type":"string"}]}""")]
    [InlineData("""{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"array","prefixItems":[{"type":"string"}],"items":false}""",
        """{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"array","prefixItems":[{"type":"string"},{"type":"number"}],"items":false}""")]
    // Values and combinations.
    [InlineData("""{"type":"string","enum":["a"]}""", """{"type":"string","enum":["b","a"]}""")]
    [InlineData("""{"enum":[{"x":1,"y":2}]}""", """{"enum":[{"y":2,"x":1},null]}""")]
    [InlineData("""{"type":"string"}""", """{"type":["string","null"]}""")]
    [InlineData("""{"type":"string"}""", """{"oneOf":[{"type":"null"},{"type":"string"}]}""")]
    [InlineData("""{"oneOf":[{"type":"null"},{"type":"string"}]}""", """{"oneOf":[{"type":"string"},{"type":"number"},{"type":"null"}]}""")]
    [InlineData("""{"oneOf":[{"type":"null"},{"type":"string"}]}""", """{"anyOf":[{"type":"string"},{"type":"null"}]}""")]
    [InlineData("""{"allOf":[{"type":"string","maxLength":3},{"type":"string","minLength":1}]}""", """{"type":"string","maxLength":3}""")]
    [InlineData("""{"allOf":[{"type":"string","maxLength":3},{"type":"string","minLength":1}]}""", """{"allOf":[{"type":"string","maxLength":4}]}""")]
    [InlineData("""{"anyOf":[{"type":"string"},{"type":"string","title":"again"}]}""", """{"anyOf":[{"type":"string"}]}""")]
    [InlineData("""{"not":{"type":"number"}}""", """{"not":{"type":"integer"}}""")]
    [InlineData("""{"const":{"a":[1]}}""", """{"const":{"a":[1]},"title":"c"}""")]
    // References.
    [InlineData("""{"type":"object","properties":{"a":{"type":"string"}}}""", """{"type":"object","properties":{"a":{"$ref":"#/definitions/t"}},"definitions":{"t":{"type":"string"}}}""")]
    [InlineData("""{"properties":{"next":{"$ref":"#"},"v":{"type":"integer"}}}""", """{"properties":{"next":{"$ref":"#"},"v":{"type":"number"}}}""")]
    [InlineData("""{"$ref":"#t","definitions":{"x":{"$id":"#t","type":"string"}}}""", """{"type":"string"}""")]
    // Keywords of which no rule speaks may stay, and may go.
    [InlineData("""{"type":"object","if":{"required":["a"]},"then":{"required":["b"]}}""", """{"type":"object","if":{"required":["a"]},"then":{"required":["b"]},"title":"T"}""")]
    [InlineData("""{"type":"array","contains":{"type":"string"}}""", """{"type":"array"}""")]
    [InlineData("""{"type":"string","connect.type":"bytes"}""", """{"type":"number","connect.type":"bytes"}""")]
    public void A_schema_takes_what_one_allowed_that_it_only_widens(string old, string now) => Assert.Empty(Faults(old, now));

    [Theory]
    [InlineData("{}", """{"type":"object"}""", "TYPE_CHANGED #/")]
    [InlineData("""{"type":"object"}""", """{"type":"array"}""", "TYPE_CHANGED #/")]
    [InlineData("""{"type":"number"}""", """{"type":"integer"}""", "TYPE_NARROWED #/")]
    [InlineData("""{"type":"string"}""", """{"type":"string","pattern":"x"}""", "PATTERN_ADDED #/pattern")]
    [InlineData("""{"type":"string","pattern":"y"}""", """{"type":"string","pattern":"x"}""", "PATTERN_CHANGED #/pattern")]
    [InlineData("""{"type":"string","minLength":1}""", """{"type":"string","minLength":2}""", "MIN_LENGTH_INCREASED #/minLength")]
    [InlineData("""{"type":"string"}""", """{"type":"string","maxLength":2}""", "MAX_LENGTH_ADDED #/maxLength")]
    [InlineData("""{"type":"number","maximum":5}""", """{"type":"number","maximum":4}""", "MAXIMUM_DECREASED #/maximum")]
    [InlineData("""{"type":"number","maximum":5,"exclusiveMaximum":true}""", """{"type":"number","exclusiveMaximum":4}""", "EXCLUSIVE_MAXIMUM_DECREASED #/exclusiveMaximum")]
    [InlineData("""{"type":"number","multipleOf":5}""", """{"type":"number","multipleOf":10}""", "MULTIPLE_OF_EXPANDED #/multipleOf")]
    [InlineData("""{"type":"number","multipleOf":5}""", """{"type":"number","multipleOf":3}""", "MULTIPLE_OF_CHANGED #/multipleOf")]
    [InlineData("""{"type":"object"}""", """{"type":"object","properties":{"a":{"type":"string"}}}""", "OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL #/properties/a")]
    [InlineData("""{"type":"object"}""", """{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}""", "REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL #/properties/a")]
    [InlineData("""{"type":"object","additionalProperties":false}""", """{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}""",
        "REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL #/properties/a")]
    [InlineData("""{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}""", """{"type":"object","additionalProperties":false}""",
        "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL #/properties/a")]
    [InlineData("""{"type":"object","additionalProperties":{"type":"string"}}""", """{"type":"object","properties":{"a":{"type":"number"}},"additionalProperties":{"type":"string"}}""",
        "TYPE_CHANGED #/properties/a", "PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL #/properties/a")]
    [InlineData("""{"type":"object","properties":{"a":{"type":"number"}},"additionalProperties":{"type":"string"}}""", """{"type":"object","additionalProperties":{"type":"string"}}""",
        "TYPE_CHANGED #/properties/a", "PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL #/properties/a")]
    [InlineData("""{"type":"object","properties":{"a":{"type":"number"}}}""", """{"type":"object","properties":{"a":{"type":"string"}}}""", "TYPE_CHANGED #/properties/a")]
    [InlineData("""{"type":"object","properties":{"a":{}}}""", """{"type":"object","properties":{"a":{}},"required":["a"]}""", "REQUIRED_ATTRIBUTE_ADDED #/required/a")]
    [InlineData("""{"type":"object"}""", """{"type":"object","additionalProperties":false}""", "ADDITIONAL_PROPERTIES_REMOVED #/additionalProperties")]
    [InlineData("""{"type":"object"}""", """{"type":"object","additionalProperties":{"type":"string"}}""", "ADDITIONAL_PROPERTIES_NARROWED #/additionalProperties")]
    [InlineData("""{"type":"object"}""", """{"type":"object","minProperties":1}""", "MIN_PROPERTIES_ADDED #/minProperties")]
    [InlineData("""{"type":"object","dependencies":{"a":["b"]}}""", """{"type":"object","dependencies":{"a":["b","c"]}}""", "DEPENDENCY_ARRAY_EXTENDED #/dependencies/a")]
    [InlineData("""{"type":"object"}""", """{"type":"object","dependentRequired":{"a":["b"]}}""", "DEPENDENCY_ARRAY_ADDED #/dependencies/a")]
    [InlineData("""{"type":"object","unevaluatedProperties":{"type":"string"}}""", """{"type":"object","unevaluatedProperties":false}""", "UNEVALUATED_PROPERTIES_REMOVED #/unevaluatedProperties")]
    [InlineData("""{"type":"array","items":{"type":"number"}}""", """{"type":"array","items":{"type":"integer"}}""", "TYPE_NARROWED #/items")]
    [InlineData("""{"type":"array","items":[{"type":"string"}]}""", """{"type":"array","items":[{"type":"string"},{"type":"number"}]}""", "ITEM_ADDED_TO_OPEN_CONTENT_MODEL #/items/1")]
    [InlineData("""{"type":"array","items":[{"type":"string"}],"additionalItems":false}""", """{"type":"array","items":[],"additionalItems":false}""", "ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL #/items/0")]
    [InlineData("""{"type":"array"}""", """{"type":"array","uniqueItems":true}""", "UNIQUE_ITEMS_ADDED #/uniqueItems")]
    [InlineData("""{"enum":["a","b"]}""", """{"enum":["a"]}""", "ENUM_ARRAY_NARROWED #/enum")]
    [InlineData("""{"enum":["a","b"]}""", """{"enum":["a","c"]}""", "ENUM_ARRAY_CHANGED #/enum")]
    [InlineData("""{"const":1}""", """{"const":2}""", "CONST_ARRAY_CHANGED #/const")]
    [InlineData("""{"not":{"type":"integer"}}""", """{"not":{"type":"number"}}""", "NOT_TYPE_EXTENDED #/not")]
    [InlineData("""{"type":["string","null"]}""", """{"type":"string"}""", "TYPE_CHANGED #/")]
    [InlineData("""{"oneOf":[{"type":"null"},{"type":"string"}]}""", """{"oneOf":[{"type":"string"}]}""", "SUM_TYPE_NARROWED #/")]
    [InlineData("""{"oneOf":[{"type":"null"},{"type":"string"}]}""", """{"oneOf":[{"type":"boolean"},{"type":"string"}]}""", "COMBINED_TYPE_SUBSCHEMAS_CHANGED #/")]
    [InlineData("""{"anyOf":[{"type":"null"},{"type":"string"}]}""", """{"allOf":[{"type":"null"},{"type":"string"}]}""", "COMBINED_TYPE_CHANGED #/")]
    [InlineData("""{"allOf":[{"type":"string"}]}""", """{"allOf":[{"type":"string"},{"minLength":1}]}""", "PRODUCT_TYPE_EXTENDED #/")]
    [InlineData("""{"properties":{"next":{"$ref":"#"},"v":{"type":"number"}}}""", """{"properties":{"next":{"$ref":"#"},"v":{"type":"integer"}}}""", "TYPE_NARROWED #/properties/v")]
    // What no rule speaks of is refused by name.
    [InlineData("""{"if":{"required":["a"]}}""", """{"if":{"required":["b"]}}""", "COMPATIBILITY_NOT_CHECKED if #/")]
    [InlineData("""{"contains":{"type":"string"}}""", """{"contains":{"type":"number"}}""", "COMPATIBILITY_NOT_CHECKED contains #/")]
    [InlineData("""{"$ref":"https://other/a.json"}""", """{"$ref":"https://other/b.json"}""", "COMPATIBILITY_NOT_CHECKED $ref #/")]
    public void A_schema_that_narrows_another_is_refused_by_the_names_of_its_changes(string old, string now, params string[] named)
    {
        Assert.Equal(named, JsonCompatibility.Check(Parse(old).Rules, Parse(now).Rules).Select(f => $"{f.Kind}{(f.What.Length > 0 ? " " + f.What : "")} {f.Path}"));
        Assert.Contains(named[0].Split(' ')[0], Faults(old, now)[0], StringComparison.Ordinal);
    }

    [Fact]
    public void A_change_is_found_behind_a_circle_of_alternatives()
    {
        // T0 -> T2 -> T0: taken to fit while T0 is compared, the second alternative would hide that T0 and T1 changed.
        static string Schema(string first, string second) => $$"""
            {"properties":{"root":{"oneOf":[{"$ref":"#/definitions/T0"},{"$ref":"#/definitions/T1"}]} },"definitions":{
              "T0":{"type":"object","properties":{"id":{"type":"{{first}}"},"ref":{"oneOf":[{"$ref":"#/definitions/T2"}]} } },
              "T1":{"type":"object","properties":{"id":{"type":"{{second}}"},"ref":{"oneOf":[{"$ref":"#/definitions/T2"}]} } },
              "T2":{"type":"object","properties":{"id":{"type":"integer"},"ref":{"oneOf":[{"$ref":"#/definitions/T0"}]} } } } }
            """;
        Assert.Empty(Faults(Schema("integer", "boolean"), Schema("integer", "boolean")));
        Assert.NotEmpty(Faults(Schema("integer", "boolean"), Schema("boolean", "number")));
    }

    [Fact]
    public void Many_types_that_name_one_another_are_compared_in_bounded_time()
    {
        var names = Enumerable.Range(0, 14).ToArray();
        string Union() => $$"""{"oneOf":[{{string.Join(',', names.Select(n => $$"""{"$ref":"#/definitions/T{{n}}"}"""))}}]}""";
        string Schema(string id) => $$"""
            {"properties":{"p":{{Union()}} },"definitions":{ {{string.Join(',', names.Select(n => $$"""
            "T{{n}}":{"type":"object","properties":{"id":{"type":"{{(n == 7 ? id : "string")}}"},"kind":{"const":{{n}} },"a":{{Union()}},"b":{{Union()}} } }
            """))}} } }
            """;
        Assert.Empty(Faults(Schema("string"), Schema("string")));
        Assert.NotEmpty(Faults(Schema("string"), Schema("number")));
    }

    [Fact]
    public void References_to_registered_schemas_are_followed_by_name_and_by_id()
    {
        ReferencedSchema[] first = [new("address.json", """{"$id":"https://shop/address.json","type":"object","properties":{"zip":{"type":"string"}}}""")];
        ReferencedSchema[] second = [new("address.json", """{"$id":"https://shop/address.json","type":"object","properties":{"zip":{"type":"number"}}}""")];
        foreach (var reference in new[] { "address.json", "https://shop/address.json", "address.json#/properties/zip" })
        {
            var text = $$"""{"type":"object","properties":{"to":{"$ref":"{{reference}}"} } }""";
            Assert.Empty(Parse(text, first).FaultsReading(Parse(text, first), "new", "old", lenient: false));
            Assert.Contains("TYPE_CHANGED", Assert.Single(Parse(text, second).FaultsReading(Parse(text, first), "new", "old", lenient: false)), StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("[]")]
    [InlineData("""{"properties":[]}""")]
    [InlineData("""{"type":"text"}""")]
    [InlineData("""{"$ref":"#/definitions/nothing"}""")]
    [InlineData("""{"$ref":"#"}""")]
    [InlineData("""{"allOf":{}}""")]
    public void What_is_no_JSON_Schema_is_refused(string schema) => Assert.Throws<SchemaFormatException>(() => Parse(schema));

    private static JsonFormat Parse(string text, params ReferencedSchema[] referenced) =>
        (JsonFormat)ParsedSchema.Parse(new SchemaContent(SchemaType.Json, text, []), referenced);

    private static IReadOnlyList<string> Faults(string old, string now) => Parse(now).FaultsReading(Parse(old), "new", "old", lenient: false);
}
