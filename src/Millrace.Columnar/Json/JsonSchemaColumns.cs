using System.Text.Json;

namespace Millrace.Columnar.Json;

/// <summary>
/// The columns that a JSON Schema's properties come to, in their order: <c>integer</c> is BIGINT (INTEGER with the format <c>int32</c>), <c>number</c>
/// DOUBLE (FLOAT with <c>float</c>), <c>boolean</c> BOOLEAN, <c>string</c> VARCHAR (TIMESTAMPTZ with <c>date-time</c>, DATE with <c>date</c>); objects,
/// arrays and whatever may be of several types are VARCHAR with their JSON text. Null beside one other type is that one. All may be null.
/// </summary>
/// <param name="Columns">One a property.</param>
/// <param name="Closed">The schema allows no further property.</param>
public sealed record JsonSchemaColumns(Schema Columns, bool Closed)
{
    private const int MostReferences = 32;

    /// <param name="text">The JSON Schema; references inside it are followed, others are not.</param>
    /// <exception cref="InvalidDataException">It is no JSON, or says of no property what it is.</exception>
    public static JsonSchemaColumns Of(string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text, new JsonDocumentOptions { MaxDepth = 256 });
            var root = Follow(document.RootElement, document.RootElement);
            if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("properties", out var properties) || properties.ValueKind != JsonValueKind.Object)
                throw new InvalidDataException("the JSON Schema has no properties, so it says nothing of columns");
            var fields = properties.EnumerateObject().Select(p => new Field(p.Name, TypeOf(p.Value, document.RootElement))).ToArray();
            if (fields.Length == 0)
                throw new InvalidDataException("the JSON Schema has no properties, so it says nothing of columns");
            return new JsonSchemaColumns(new Schema(fields), root.TryGetProperty("additionalProperties", out var more) && more.ValueKind == JsonValueKind.False);
        }
        catch (JsonException error)
        {
            throw new InvalidDataException($"the JSON Schema is not JSON: {error.Message}", error);
        }
    }

    private static DataType TypeOf(JsonElement schema, JsonElement root)
    {
        schema = Follow(schema, root);
        if (schema.ValueKind != JsonValueKind.Object)
            return DataType.Utf8;
        foreach (var keyword in new[] { "oneOf", "anyOf" })
        {
            if (schema.TryGetProperty(keyword, out var choices) && choices.ValueKind == JsonValueKind.Array)
            {
                var others = choices.EnumerateArray().Where(c => !IsNull(Follow(c, root))).ToArray();
                return others.Length == 1 ? TypeOf(others[0], root) : DataType.Utf8;
            }
        }
        var types = TypesOf(schema);
        var format = schema.TryGetProperty("format", out var written) && written.ValueKind == JsonValueKind.String ? written.GetString() : null;
        return types switch
        {
            ["boolean"] => DataType.Boolean,
            ["integer"] => format == "int32" ? DataType.Int32 : DataType.Int64,
            ["number"] => format == "float" ? new DataType(TypeKind.Float32) : DataType.Float64,
            ["integer", "number"] or ["number", "integer"] => DataType.Float64,
            ["string"] when format == "date-time" => DataType.TimestampTz,
            ["string"] when format == "date" => DataType.Date32,
            _ => DataType.Utf8,
        };
    }

    private static string[] TypesOf(JsonElement schema)
    {
        if (!schema.TryGetProperty("type", out var type))
            return [];
        var types = type.ValueKind == JsonValueKind.Array ? type.EnumerateArray().ToArray() : [type];
        return types.Where(t => t.ValueKind == JsonValueKind.String).Select(t => t.GetString()!).Where(t => t != "null").ToArray();
    }

    private static bool IsNull(JsonElement schema) =>
        schema.ValueKind == JsonValueKind.Object && schema.TryGetProperty("type", out var type) && type.ValueKind == JsonValueKind.String && type.ValueEquals("null");

    /// <summary>What a reference inside the schema stands for (JSON pointers, RFC 6901); another reference stays as it is.</summary>
    private static JsonElement Follow(JsonElement schema, JsonElement root)
    {
        for (var i = 0; i < MostReferences; i++)
        {
            if (schema.ValueKind != JsonValueKind.Object || !schema.TryGetProperty("$ref", out var reference) || reference.ValueKind != JsonValueKind.String)
                return schema;
            var pointer = reference.GetString()!;
            if (!pointer.StartsWith('#'))
                return schema;
            var at = root;
            foreach (var part in pointer[1..].Split('/', StringSplitOptions.RemoveEmptyEntries))
            {
                var name = part.Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal);
                if (at.ValueKind != JsonValueKind.Object || !at.TryGetProperty(name, out at))
                    throw new InvalidDataException($"the JSON Schema refers to '{pointer}', which is not in it");
            }
            schema = at;
        }
        throw new InvalidDataException("the JSON Schema's references go in a circle");
    }
}
