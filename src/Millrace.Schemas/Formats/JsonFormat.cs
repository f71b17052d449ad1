using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Millrace.Schemas.Formats;

/// <summary>
/// JSON Schema: registered, served, and compared by the rules that Confluent's registry defines (<see cref="JsonCompatibility"/>); what they do
/// not speak of is refused by name when it changes.
/// </summary>
internal sealed class JsonFormat : ParsedSchema
{
    private static readonly string[] Annotations =
        ["title", "description", "$comment", "examples", "default", "deprecated", "readOnly", "writeOnly", "$id", "id", "$schema", "$anchor", "definitions", "$defs"];

    public required JsonRule Rules { get; init; }

    public static new JsonFormat Parse(SchemaContent content, IReadOnlyList<ReferencedSchema> referenced)
    {
        try
        {
            var root = Read(content.Text);
            if (root.ValueKind is not (JsonValueKind.Object or JsonValueKind.True or JsonValueKind.False))
                throw new SchemaFormatException($"a JSON Schema is an object or a boolean, not {root.ValueKind}");
            CheckKeywords(root, "#");
            var reader = new JsonRuleReader(root, referenced.Select(r => (r.Name, Read(r.Text))));
            return new JsonFormat { Content = content with { Text = Print(root.WriteTo) }, Rules = reader.Root };
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw new SchemaFormatException($"the JSON Schema is not JSON: {error.Message}", error);
        }
    }

    public override string NormalText => DataText(Read(Content.Text));

    public override bool HasTopLevelField(string name) =>
        Read(Content.Text) is { ValueKind: JsonValueKind.Object } root && root.TryGetProperty("properties", out var properties)
        && properties.ValueKind == JsonValueKind.Object && properties.TryGetProperty(name, out _);

    public override IReadOnlyList<string> FaultsReading(ParsedSchema writer, string readerName, string writerName, bool lenient = false) =>
        [.. JsonCompatibility.Check(((JsonFormat)writer).Rules, Rules, lenient).Select(f => f.Render(readerName, writerName))];

    /// <summary>Whether a keyword says nothing of what is valid where it stands.</summary>
    internal static bool IsAnnotation(string keyword) => Annotations.Contains(keyword);

    /// <summary>A schema without annotations, keys in order.</summary>
    internal static string RulesText(JsonElement schema) => Print(json => WriteRules(json, schema, Keys.Keywords));

    /// <summary>A value in one form.</summary>
    internal static string DataText(JsonElement value) => Print(json => WriteRules(json, value, Keys.Data));

    // A clone is of one piece and needs no end.
    private static JsonElement Read(string text)
    {
        using var document = JsonDocument.Parse(text, new JsonDocumentOptions { MaxDepth = 256 });
        return document.RootElement.Clone();
    }

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
                            "properties" or "patternProperties" or "dependentSchemas" or "dependencies" => Keys.Names,
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
