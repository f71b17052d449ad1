using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Millrace.Schemas.Formats;

/// <summary>
/// Writes an Avro schema as Java's <c>Schema.toString()</c> does, since Confluent's registry tells schemas apart by that text: no spaces,
/// attributes in one order, names without the namespace that they stand in.
/// </summary>
internal sealed class AvroText
{
    private static readonly string[] NamedKeys = ["type", "name", "namespace", "doc", "fields", "symbols", "size", "default", "aliases"];
    private static readonly string[] FieldKeys = ["name", "type", "doc", "default", "order", "aliases"];

    private readonly Utf8JsonWriter _json;
    private readonly bool _sorted;
    private readonly Dictionary<string, (JsonElement Schema, string Space)> _elsewhere;

    private AvroText(Utf8JsonWriter json, bool sorted, Dictionary<string, (JsonElement Schema, string Space)> elsewhere)
    {
        _json = json;
        _sorted = sorted;
        _elsewhere = elsewhere;
    }

    /// <param name="schema">A valid Avro schema.</param>
    /// <param name="sorted">Attributes that the specification does not know stand in the order of their names, else as they were written.</param>
    public static string Write(string schema, bool sorted = false)
    {
        using var document = Parse(schema);
        return Write(document.RootElement, sorted, []);
    }

    /// <summary>The same with the definitions of other schemas in it, each where it is first named.</summary>
    /// <param name="schema">A valid Avro schema.</param>
    /// <param name="referenced">What its names may mean.</param>
    public static string Resolve(string schema, IReadOnlyList<string> referenced)
    {
        var elsewhere = new Dictionary<string, (JsonElement Schema, string Space)>(StringComparer.Ordinal);
        foreach (var text in referenced)
        {
            using var other = Parse(text);
            Collect(other.RootElement.Clone(), "", elsewhere);
        }
        using var document = Parse(schema);
        return Write(document.RootElement, sorted: false, elsewhere);
    }

    private static JsonDocument Parse(string schema) => JsonDocument.Parse(schema, new JsonDocumentOptions { MaxDepth = 256 });

    /// <summary>Definitions by their full names, and the namespace that each stands in.</summary>
    private static void Collect(JsonElement schema, string space, Dictionary<string, (JsonElement Schema, string Space)> into)
    {
        if (schema.ValueKind == JsonValueKind.Array)
        {
            foreach (var branch in schema.EnumerateArray())
                Collect(branch, space, into);
        }
        if (schema.ValueKind != JsonValueKind.Object)
            return;
        var type = schema.GetProperty("type");
        var name = type.ValueKind == JsonValueKind.String ? type.GetString() : null;
        switch (name)
        {
            case null:
                Collect(type, space, into);
                break;
            case "record" or "error" or "enum" or "fixed":
                var (own, simple) = NameOf(schema, space);
                into[own.Length == 0 ? simple : own + "." + simple] = (schema, space);
                if (name is "record" or "error")
                {
                    foreach (var field in schema.GetProperty("fields").EnumerateArray())
                        Collect(field.GetProperty("type"), own, into);
                }
                break;
            case "array" or "map":
                Collect(schema.GetProperty(name == "array" ? "items" : "values"), space, into);
                break;
        }
    }

    private static (string Space, string Name) NameOf(JsonElement schema, string space)
    {
        var name = schema.GetProperty("name").GetString()!;
        var own = schema.TryGetProperty("namespace", out var written) && written.ValueKind == JsonValueKind.String ? written.GetString()! : space;
        return name.LastIndexOf('.') is >= 0 and var dot ? (name[..dot], name[(dot + 1)..]) : (own, name);
    }

    private static string Write(JsonElement schema, bool sorted, Dictionary<string, (JsonElement Schema, string Space)> elsewhere)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using var json = new Utf8JsonWriter(
            buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, MaxDepth = 512, SkipValidation = true });
        new AvroText(json, sorted, elsewhere).Write(schema, "");
        json.Flush();
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private void Write(JsonElement schema, string space)
    {
        switch (schema.ValueKind)
        {
            case JsonValueKind.String:
                WriteName(schema.GetString()!, space);
                break;
            case JsonValueKind.Array:
                _json.WriteStartArray();
                foreach (var branch in schema.EnumerateArray())
                    Write(branch, space);
                _json.WriteEndArray();
                break;
            default:
                WriteObject(schema, space);
                break;
        }
    }

    private void WriteObject(JsonElement schema, string space)
    {
        var type = schema.GetProperty("type");
        if (type.ValueKind != JsonValueKind.String)
        {
            Write(type, space);
            return;
        }
        var name = type.GetString()!;
        switch (name)
        {
            case "record" or "error" or "enum" or "fixed":
                WriteNamed(schema, name, space);
                break;
            case "array" or "map":
                var element = name == "array" ? "items" : "values";
                _json.WriteStartObject();
                _json.WriteString("type", name);
                _json.WritePropertyName(element);
                Write(schema.GetProperty(element), space);
                WriteRest(schema, ["type", element]);
                _json.WriteEndObject();
                break;
            // A primitive with nothing to say, or a name: one word.
            case var _ when !schema.EnumerateObject().Any(p => p.Name != "type"):
                WriteName(name, space);
                break;
            default:
                _json.WriteStartObject();
                _json.WriteString("type", Shorten(name, space));
                WriteRest(schema, ["type"]);
                _json.WriteEndObject();
                break;
        }
    }

    private void WriteName(string name, string space)
    {
        var full = name.Contains('.', StringComparison.Ordinal) || space.Length == 0 ? name : space + "." + name;
        // Once defined, a name is enough; a name alone may also mean what has no namespace.
        if (!IsPrimitive(name) && (_elsewhere.Remove(full, out var definition) || _elsewhere.Remove(name, out definition)))
            WriteNamed(definition.Schema, definition.Schema.GetProperty("type").GetString()!, space, definition.Space);
        else
            _json.WriteStringValue(Shorten(name, space));
    }

    /// <param name="schema">A definition.</param>
    /// <param name="type">Its kind.</param>
    /// <param name="space">The namespace that it is written into.</param>
    /// <param name="definedIn">The one that it was defined in; null: the same.</param>
    private void WriteNamed(JsonElement schema, string type, string space, string? definedIn = null)
    {
        var (own, name) = NameOf(schema, definedIn ?? space);
        _elsewhere.Remove(own.Length == 0 ? name : own + "." + name);
        _json.WriteStartObject();
        _json.WriteString("type", type);
        _json.WriteString("name", name);
        if (own != space)
            _json.WriteString("namespace", own);
        Copy(schema, "doc");
        if (type is "record" or "error")
        {
            _json.WriteStartArray("fields");
            foreach (var field in schema.GetProperty("fields").EnumerateArray())
                WriteField(field, own);
            _json.WriteEndArray();
        }
        Copy(schema, "symbols");
        if (type == "enum")
            Copy(schema, "default");
        Copy(schema, "size");
        WriteRest(schema, NamedKeys);
        Copy(schema, "aliases");
        _json.WriteEndObject();
    }

    private void WriteField(JsonElement field, string space)
    {
        _json.WriteStartObject();
        Copy(field, "name");
        _json.WritePropertyName("type");
        Write(field.GetProperty("type"), space);
        Copy(field, "doc");
        Copy(field, "default");
        if (field.TryGetProperty("order", out var order) && order.ValueKind == JsonValueKind.String && order.GetString() is var way and not "ascending")
            _json.WriteString("order", way);
        if (field.TryGetProperty("aliases", out var aliases) && aliases.GetArrayLength() > 0)
            Copy(field, "aliases");
        WriteRest(field, FieldKeys);
        _json.WriteEndObject();
    }

    private void Copy(JsonElement from, string name)
    {
        if (!from.TryGetProperty(name, out var value))
            return;
        _json.WritePropertyName(name);
        value.WriteTo(_json);
    }

    private void WriteRest(JsonElement from, string[] known)
    {
        foreach (var property in _sorted ? from.EnumerateObject().OrderBy(p => p.Name, StringComparer.Ordinal) : from.EnumerateObject().AsEnumerable())
        {
            if (known.Contains(property.Name))
                continue;
            _json.WritePropertyName(property.Name);
            property.Value.WriteTo(_json);
        }
    }

    private static string Shorten(string name, string space) =>
        space.Length > 0 && name.Length > space.Length + 1 && name.StartsWith(space, StringComparison.Ordinal) && name[space.Length] == '.'
        && name.IndexOf('.', space.Length + 1) < 0 && !IsPrimitive(name[(space.Length + 1)..])
            ? name[(space.Length + 1)..]
            : name;

    private static bool IsPrimitive(string name) => name is "null" or "boolean" or "int" or "long" or "float" or "double" or "bytes" or "string";
}
