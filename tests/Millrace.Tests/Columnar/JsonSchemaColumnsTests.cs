using System.Text;
using Millrace.Columnar.Json;

namespace Millrace.Tests.Columnar;

public sealed class JsonSchemaColumnsTests
{
    [Theory]
    [InlineData("""{"type":"integer"}""", "BIGINT")]
    [InlineData("""{"type":"integer","format":"int32"}""", "INTEGER")]
    [InlineData("""{"type":"number"}""", "DOUBLE")]
    [InlineData("""{"type":"number","format":"float"}""", "FLOAT")]
    [InlineData("""{"type":["integer","number","null"]}""", "DOUBLE")]
    [InlineData("""{"type":["null","boolean"]}""", "BOOLEAN")]
    [InlineData("""{"type":"string","format":"date-time"}""", "TIMESTAMPTZ")]
    [InlineData("""{"type":"string","format":"date"}""", "DATE")]
    [InlineData("""{"type":"string","format":"email"}""", "VARCHAR")]
    [InlineData("""{"oneOf":[{"type":"null"},{"type":"integer"}]}""", "BIGINT")]
    [InlineData("""{"anyOf":[{"type":"string"},{"type":"integer"}]}""", "VARCHAR")]
    [InlineData("""{"$ref":"#/definitions/money"}""", "DOUBLE")]
    [InlineData("""{"type":"object","properties":{"b":{"type":"integer"}}}""", "VARCHAR")]
    [InlineData("""{"type":"array"}""", "VARCHAR")]
    [InlineData("""{"enum":["a","b"]}""", "VARCHAR")]
    [InlineData("true", "VARCHAR")]
    public void A_property_is_a_column_of_its_type(string property, string type)
    {
        var columns = JsonSchemaColumns.Of("""{"type":"object","properties":{"a":PROPERTY},"definitions":{"money":{"type":"number"}}}""".Replace("PROPERTY", property, StringComparison.Ordinal)).Columns;
        Assert.Equal(("a", type), (Assert.Single(columns.Fields).Name, columns[0].Type.SqlName));
    }

    [Theory]
    [InlineData("""{"properties":{"a":{}},"additionalProperties":false}""", true)]
    [InlineData("""{"properties":{"a":{}},"additionalProperties":{"type":"string"}}""", false)]
    [InlineData("""{"properties":{"a":{}}}""", false)]
    public void A_schema_without_further_properties_is_closed(string schema, bool closed) => Assert.Equal(closed, JsonSchemaColumns.Of(schema).Closed);

    [Theory]
    [InlineData("""{"type":"object"}""", "no properties")]
    [InlineData("""{"properties":{}}""", "no properties")]
    [InlineData("""true""", "no properties")]
    [InlineData("""{"properties":{"a":{"$ref":"#/definitions/none"}}}""", "'#/definitions/none', which is not in it")]
    [InlineData("""{"properties":{"a":{"$ref":"#/properties/a"}}}""", "in a circle")]
    [InlineData("""{""", "is not JSON")]
    public void A_schema_that_says_nothing_of_columns_is_refused(string schema, string reason) =>
        Assert.Contains(reason, Assert.Throws<InvalidDataException>(() => JsonSchemaColumns.Of(schema)).Message, StringComparison.Ordinal);

    [Fact]
    public void Records_in_a_frame_are_sampled_like_those_without()
    {
        byte[] framed = [0, 0, 0, 0, 7, .. """{"a":1}"""u8];
        var schema = JsonSchemaSampler.Sample([framed, Encoding.UTF8.GetBytes("""{"a":2}""")]);
        Assert.Equal("a", Assert.Single(schema.Fields).Name);
        Assert.Equal("""{"a":1}""", Encoding.UTF8.GetString(JsonFrame.Strip(framed)));
    }
}
