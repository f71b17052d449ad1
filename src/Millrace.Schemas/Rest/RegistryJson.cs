using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Millrace.Schemas;

/// <summary>Bodies of requests and answers.</summary>
internal static class RegistryJson
{
    public const string Empty = "{}";

    private static readonly JsonWriterOptions Relaxed = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static string Write(Action<Utf8JsonWriter> members) => Print(json =>
    {
        json.WriteStartObject();
        members(json);
        json.WriteEndObject();
    });

    public static string Array(Action<Utf8JsonWriter> items) => Print(json =>
    {
        json.WriteStartArray();
        items(json);
        json.WriteEndArray();
    });

    public static string Texts(IEnumerable<string> texts) => Array(json =>
    {
        foreach (var text in texts)
            json.WriteStringValue(text);
    });

    public static string Numbers(IEnumerable<int> numbers) => Array(json =>
    {
        foreach (var number in numbers)
            json.WriteNumberValue(number);
    });

    public static string Version(RegisteredSchema schema) => Write(json => WriteVersion(json, schema));

    public static void WriteVersion(Utf8JsonWriter json, RegisteredSchema schema)
    {
        json.WriteString("subject", schema.Subject);
        json.WriteNumber("version", schema.Version);
        json.WriteNumber("id", schema.Id);
        WriteContent(json, schema.Content);
        if (schema.Deleted)
            json.WriteBoolean("deleted", true);
    }

    /// <param name="json">Where to.</param>
    /// <param name="content">The schema.</param>
    /// <param name="text">Its text, when it is not the one that is kept.</param>
    public static void WriteContent(Utf8JsonWriter json, SchemaContent content, string? text = null)
    {
        json.WriteString("guid", content.Guid);
        // Avro is what clients assume.
        if (content.Type != SchemaType.Avro)
            json.WriteString("schemaType", SchemaNames.Of(content.Type));
        RegistryRecords.WriteReferences(json, content.References);
        RegistryRecords.WriteContract(json, content);
        json.WriteString("schema", text ?? content.Text);
    }

    /// <summary>The body of a registration, a look-up or a check.</summary>
    /// <param name="request">The parameter <c>normalize</c> belongs to it.</param>
    /// <param name="mayBeEmpty">Whether the schema may be left away beside metadata and rules.</param>
    public static SchemaRegistration ReadSchema(RegistryRequest request, bool mayBeEmpty = false)
    {
        using var document = Parse(request.Body);
        var json = document.RootElement;
        var text = json.TryGetProperty("schema", out var written) && written.ValueKind == JsonValueKind.String ? written.GetString()! : "";
        var metadata = DataContract.ReadMetadata(json.TryGetProperty("metadata", out var said) ? said : null);
        var rules = DataContract.ReadRuleSet(json.TryGetProperty("ruleSet", out var ruled) ? ruled : null);
        if (text.Trim().Length == 0)
            text = mayBeEmpty && (metadata ?? rules) is not null ? "" : throw new RegistryException(42201, "Empty schema");
        var type = SchemaType.Avro;
        if (json.TryGetProperty("schemaType", out var named) && named.ValueKind != JsonValueKind.Null)
        {
            type = SchemaNames.Type(named.GetString()!)
                ?? throw RegistryException.InvalidSchema($"there is no schema type '{named.GetString()}'; AVRO, JSON and PROTOBUF are held");
        }
        List<SchemaReference> references = [];
        if (json.TryGetProperty("references", out var list) && list.ValueKind != JsonValueKind.Null)
        {
            foreach (var reference in list.EnumerateArray())
                references.Add(RegistryRecords.ReadReference(reference));
        }
        var content = new SchemaContent(type, text, references) { Metadata = metadata, RuleSet = rules };
        return new SchemaRegistration(content, Number(json, "id"), Number(json, "version"), request.Flag("normalize"));
    }

    /// <summary>The body as an object, which lives on.</summary>
    public static JsonElement ReadObject(ReadOnlyMemory<byte> body)
    {
        using var document = Parse(body);
        return document.RootElement.Clone();
    }

    /// <summary>A text member of the body, or null.</summary>
    public static string? ReadText(ReadOnlyMemory<byte> body, string name)
    {
        using var document = Parse(body);
        return document.RootElement.TryGetProperty(name, out var text) && text.ValueKind == JsonValueKind.String ? text.GetString() : null;
    }

    private static JsonDocument Parse(ReadOnlyMemory<byte> body)
    {
        var document = JsonDocument.Parse(body);
        if (document.RootElement.ValueKind == JsonValueKind.Object)
            return document;
        document.Dispose();
        throw new FormatException("an object is expected");
    }

    // Clients write -1 and 0 for "not said".
    private static int? Number(JsonElement json, string name) =>
        json.TryGetProperty(name, out var number) && number.ValueKind == JsonValueKind.Number && number.TryGetInt32(out var value) && value > 0 ? value : null;

    private static string Print(Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using var json = new Utf8JsonWriter(buffer, Relaxed);
        write(json);
        json.Flush();
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }
}
