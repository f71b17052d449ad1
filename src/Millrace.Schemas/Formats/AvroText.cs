using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Millrace.Schemas.Formats;

/// <summary>
/// Writes an Avro schema as Java's <c>Schema.toString()</c> does, since Confluent's registry tells schemas apart by that text: no spaces,
/// attributes in one order, names without the namespace that they stand in.
/// </summary>
internal static class AvroText
{
    private static readonly string[] NamedKeys = ["type", "name", "namespace", "doc", "fields", "symbols", "size", "default", "aliases"];
    private static readonly string[] FieldKeys = ["name", "type", "doc", "default", "order", "aliases"];

    /// <param name="schema">A valid Avro schema.</param>
    public static string Write(string schema)
    {
        using var document = JsonDocument.Parse(schema, new JsonDocumentOptions { MaxDepth = 256 });
        var buffer = new ArrayBufferWriter<byte>();
        using var json = new Utf8JsonWriter(
            buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, MaxDepth = 512, SkipValidation = true });
        Write(json, document.RootElement, "");
        json.Flush();
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private static void Write(Utf8JsonWriter json, JsonElement schema, string space)
    {
        switch (schema.ValueKind)
        {
            case JsonValueKind.String:
                json.WriteStringValue(Shorten(schema.GetString()!, space));
                break;
            case JsonValueKind.Array:
                json.WriteStartArray();
                foreach (var branch in schema.EnumerateArray())
                    Write(json, branch, space);
                json.WriteEndArray();
                break;
            default:
                WriteObject(json, schema, space);
                break;
        }
    }

    private static void WriteObject(Utf8JsonWriter json, JsonElement schema, string space)
    {
        var type = schema.GetProperty("type");
        if (type.ValueKind != JsonValueKind.String)
        {
            Write(json, type, space);
            return;
        }
        var name = type.GetString()!;
        switch (name)
        {
            case "record" or "error" or "enum" or "fixed":
                WriteNamed(json, schema, name, space);
                break;
            case "array" or "map":
                var element = name == "array" ? "items" : "values";
                json.WriteStartObject();
                json.WriteString("type", name);
                json.WritePropertyName(element);
                Write(json, schema.GetProperty(element), space);
                WriteRest(json, schema, ["type", element]);
                json.WriteEndObject();
                break;
            // A primitive with nothing to say, or a name: one word.
            case var _ when !schema.EnumerateObject().Any(p => p.Name != "type"):
                json.WriteStringValue(Shorten(name, space));
                break;
            default:
                json.WriteStartObject();
                json.WriteString("type", Shorten(name, space));
                WriteRest(json, schema, ["type"]);
                json.WriteEndObject();
                break;
        }
    }

    private static void WriteNamed(Utf8JsonWriter json, JsonElement schema, string type, string space)
    {
        var name = schema.GetProperty("name").GetString()!;
        var own = schema.TryGetProperty("namespace", out var written) && written.ValueKind == JsonValueKind.String ? written.GetString()! : space;
        if (name.LastIndexOf('.') is >= 0 and var dot)
            (own, name) = (name[..dot], name[(dot + 1)..]);
        json.WriteStartObject();
        json.WriteString("type", type);
        json.WriteString("name", name);
        if (own != space)
            json.WriteString("namespace", own);
        Copy(json, schema, "doc");
        if (type is "record" or "error")
        {
            json.WriteStartArray("fields");
            foreach (var field in schema.GetProperty("fields").EnumerateArray())
                WriteField(json, field, own);
            json.WriteEndArray();
        }
        Copy(json, schema, "symbols");
        if (type == "enum")
            Copy(json, schema, "default");
        Copy(json, schema, "size");
        WriteRest(json, schema, NamedKeys);
        Copy(json, schema, "aliases");
        json.WriteEndObject();
    }

    private static void WriteField(Utf8JsonWriter json, JsonElement field, string space)
    {
        json.WriteStartObject();
        Copy(json, field, "name");
        json.WritePropertyName("type");
        Write(json, field.GetProperty("type"), space);
        Copy(json, field, "doc");
        Copy(json, field, "default");
        if (field.TryGetProperty("order", out var order) && order.ValueKind == JsonValueKind.String && order.GetString() is var way and not "ascending")
            json.WriteString("order", way);
        if (field.TryGetProperty("aliases", out var aliases) && aliases.GetArrayLength() > 0)
            Copy(json, field, "aliases");
        WriteRest(json, field, FieldKeys);
        json.WriteEndObject();
    }

    private static void Copy(Utf8JsonWriter json, JsonElement from, string name)
    {
        if (!from.TryGetProperty(name, out var value))
            return;
        json.WritePropertyName(name);
        value.WriteTo(json);
    }

    private static void WriteRest(Utf8JsonWriter json, JsonElement from, string[] known)
    {
        foreach (var property in from.EnumerateObject())
        {
            if (known.Contains(property.Name))
                continue;
            json.WritePropertyName(property.Name);
            property.Value.WriteTo(json);
        }
    }

    private static string Shorten(string name, string space) =>
        space.Length > 0 && name.Length > space.Length + 1 && name.StartsWith(space, StringComparison.Ordinal) && name[space.Length] == '.'
        && name.IndexOf('.', space.Length + 1) < 0 && !IsPrimitive(name[(space.Length + 1)..])
            ? name[(space.Length + 1)..]
            : name;

    private static bool IsPrimitive(string name) => name is "null" or "boolean" or "int" or "long" or "float" or "double" or "bytes" or "string";
}
