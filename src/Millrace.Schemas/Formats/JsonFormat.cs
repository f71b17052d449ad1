using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Millrace.Schemas.Formats;

/// <summary>
/// JSON Schema: registered and served. There is no one definition of its evolution (open and closed content models differ by tool), so a
/// new version is compared only as far as that is certain: text that differs in what does not validate (titles, descriptions, examples)
/// fits; anything else is refused by name unless the subject's level is NONE.
/// </summary>
internal sealed class JsonFormat : ParsedSchema
{
    private static readonly string[] Annotations = ["title", "description", "$comment", "examples", "default", "deprecated", "readOnly", "writeOnly", "$id", "id"];

    /// <summary>The schema without annotations, keys in order.</summary>
    public required string Rules { get; init; }

    public static JsonFormat Parse(SchemaContent content)
    {
        try
        {
            using var document = JsonDocument.Parse(content.Text, new JsonDocumentOptions { MaxDepth = 256 });
            var root = document.RootElement;
            if (root.ValueKind is not (JsonValueKind.Object or JsonValueKind.True or JsonValueKind.False))
                throw new SchemaFormatException($"a JSON Schema is an object or a boolean, not {root.ValueKind}");
            CheckKeywords(root, "#");
            return new JsonFormat { Content = content with { Text = Print(root.WriteTo) }, Rules = Print(json => WriteRules(json, root, Keys.Keywords)) };
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw new SchemaFormatException($"the JSON Schema is not JSON: {error.Message}", error);
        }
    }

    public override IReadOnlyList<string> FaultsReading(ParsedSchema writer, string readerName, string writerName) =>
        Rules == ((JsonFormat)writer).Rules
            ? []
            : [$"{{errorType:'COMPATIBILITY_NOT_CHECKED', description:'whether the {readerName} JSON Schema takes what the {writerName} one allows is not decided here: "
                + "set the compatibility of the subject to NONE to register it'}"];

    // The keywords whose shape every draft agrees on.
    private static void CheckKeywords(JsonElement schema, string at)
    {
        if (schema.ValueKind is JsonValueKind.True or JsonValueKind.False)
            return;
        if (schema.ValueKind != JsonValueKind.Object)
            throw new SchemaFormatException($"the JSON Schema at {at} is {schema.ValueKind}; an object or a boolean is expected");
        foreach (var keyword in schema.EnumerateObject())
        {
            var place = $"{at}/{keyword.Name}";
            switch (keyword.Name)
            {
                case "properties" or "patternProperties" or "definitions" or "$defs" or "dependentSchemas":
                    Expect(keyword.Value, JsonValueKind.Object, place);
                    foreach (var child in keyword.Value.EnumerateObject())
                        CheckKeywords(child.Value, $"{place}/{child.Name}");
                    break;
                case "allOf" or "anyOf" or "oneOf":
                    Expect(keyword.Value, JsonValueKind.Array, place);
                    foreach (var child in keyword.Value.EnumerateArray())
                        CheckKeywords(child, place);
                    break;
                case "not" or "additionalProperties" or "if" or "then" or "else" or "contains" or "propertyNames":
                    CheckKeywords(keyword.Value, place);
                    break;
                case "$ref" or "$schema" or "title" or "pattern":
                    Expect(keyword.Value, JsonValueKind.String, place);
                    break;
                case "required" or "enum":
                    Expect(keyword.Value, JsonValueKind.Array, place);
                    break;
                case "type" when keyword.Value.ValueKind is not (JsonValueKind.String or JsonValueKind.Array):
                    throw new SchemaFormatException($"the JSON Schema has {keyword.Value.ValueKind} at {place}; a name or a list of names is expected");
            }
        }
    }

    private static void Expect(JsonElement value, JsonValueKind kind, string place)
    {
        if (value.ValueKind != kind)
            throw new SchemaFormatException($"the JSON Schema has {value.ValueKind} at {place}; {kind} is expected");
    }

    /// <summary>What an object's keys are: keywords, names that the user chose, or data.</summary>
    private enum Keys
    {
        Keywords,
        Names,
        Data,
    }

    private static void WriteRules(Utf8JsonWriter json, JsonElement value, Keys keys)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                json.WriteStartObject();
                foreach (var property in value.EnumerateObject().OrderBy(p => p.Name, StringComparer.Ordinal))
                {
                    if (keys == Keys.Keywords && Annotations.Contains(property.Name))
                        continue;
                    json.WritePropertyName(property.Name);
                    WriteRules(json, property.Value, keys switch
                    {
                        Keys.Names => Keys.Keywords,
                        Keys.Data => Keys.Data,
                        _ => property.Name switch
                        {
                            "properties" or "patternProperties" or "definitions" or "$defs" or "dependentSchemas" => Keys.Names,
                            "enum" or "const" => Keys.Data,
                            _ => Keys.Keywords,
                        },
                    });
                }
                json.WriteEndObject();
                break;
            case JsonValueKind.Array:
                json.WriteStartArray();
                foreach (var item in value.EnumerateArray())
                    WriteRules(json, item, keys);
                json.WriteEndArray();
                break;
            default:
                value.WriteTo(json);
                break;
        }
    }

    private static string Print(Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using var json = new Utf8JsonWriter(
            buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, MaxDepth = 512, SkipValidation = true });
        write(json);
        json.Flush();
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }
}
