using System.Buffers;
using System.Globalization;
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

    public static void WriteContent(Utf8JsonWriter json, SchemaContent content)
    {
        // Avro is what clients assume.
        if (content.Type != SchemaType.Avro)
            json.WriteString("schemaType", SchemaNames.Of(content.Type));
        RegistryRecords.WriteReferences(json, content.References);
        json.WriteString("schema", content.Text);
    }

    /// <summary>The body of a registration, a look-up or a check.</summary>
    public static (SchemaContent Content, int? Id, int? Version) ReadSchema(ReadOnlyMemory<byte> body)
    {
        using var document = Parse(body);
        var json = document.RootElement;
        if (!json.TryGetProperty("schema", out var text) || text.ValueKind != JsonValueKind.String || text.GetString()!.Trim().Length == 0)
            throw new RegistryException(42201, "Empty schema");
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
        return (new SchemaContent(type, text.GetString()!, references), Number(json, "id"), Number(json, "version"));
    }

    /// <summary>A text member of the body, or null.</summary>
    public static string? ReadText(ReadOnlyMemory<byte> body, string name)
    {
        using var document = Parse(body);
        return document.RootElement.TryGetProperty(name, out var text) && text.ValueKind == JsonValueKind.String ? text.GetString() : null;
    }

    /// <summary>The part of a list that <c>offset</c> and <c>limit</c> ask for.</summary>
    public static IEnumerable<T> Page<T>(IEnumerable<T> all, RegistryRequest request)
    {
        if (QueryNumber(request, "offset") is > 0 and var skip)
            all = all.Skip(skip);
        return QueryNumber(request, "limit") is >= 0 and var most ? all.Take(most) : all;
    }

    private static int? QueryNumber(RegistryRequest request, string name) =>
        request.Query.TryGetValue(name, out var text) && int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number)
            ? number
            : null;

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
