using System.Buffers;
using System.Text;
using System.Text.Json;

namespace Millrace.Schemas;

/// <summary>
/// The records of the topic <c>_schemas</c> as JSON, in the form of Confluent's registry, so that a topic can be taken over. The key type
/// <c>MAX_ID</c> is ours: ids of permanently deleted schemas are not given again.
/// </summary>
internal static class RegistryRecords
{
    public static SchemaRecord Schema(RegisteredSchema schema) => new(
        SchemaKey(schema.Subject, schema.Version),
        Json(json =>
        {
            json.WriteString("subject", schema.Subject);
            json.WriteNumber("version", schema.Version);
            json.WriteNumber("id", schema.Id);
            if (schema.Content.Type != SchemaType.Avro)
                json.WriteString("schemaType", SchemaNames.Of(schema.Content.Type));
            WriteReferences(json, schema.Content.References);
            json.WriteString("schema", schema.Content.Text);
            json.WriteBoolean("deleted", schema.Deleted);
        }));

    public static SchemaRecord Gone(string subject, int version) => new(SchemaKey(subject, version), null);

    public static SchemaRecord DeletedUpTo(string subject, int version) => new(
        Key("DELETE_SUBJECT", subject), Json(json =>
        {
            json.WriteString("subject", subject);
            json.WriteNumber("version", version);
        }));

    public static SchemaRecord Level(string subject, CompatibilityLevel? level) =>
        new(Key("CONFIG", subject), level is null ? null : Json(json => json.WriteString("compatibilityLevel", SchemaNames.Of(level.Value))));

    public static SchemaRecord Mode(string subject, RegistryMode? mode) =>
        new(Key("MODE", subject), mode is null ? null : Json(json => json.WriteString("mode", SchemaNames.Of(mode.Value))));

    public static SchemaRecord MaxId(int id) => new(Key("MAX_ID", ""), Json(json => json.WriteNumber("id", id)));

    public static void WriteReferences(Utf8JsonWriter json, IReadOnlyList<SchemaReference> references)
    {
        if (references.Count == 0)
            return;
        json.WriteStartArray("references");
        foreach (var reference in references)
        {
            json.WriteStartObject();
            json.WriteString("name", reference.Name);
            json.WriteString("subject", reference.Subject);
            json.WriteNumber("version", reference.Version);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    /// <summary>Applies one record.</summary>
    /// <exception cref="InvalidDataException">It is none of the registry's.</exception>
    public static void Apply(RegistryState state, SchemaRecord record)
    {
        try
        {
            using var key = JsonDocument.Parse(record.Key);
            using var value = record.Value is { Length: > 0 } bytes ? JsonDocument.Parse(bytes) : null;
            Apply(state, key.RootElement, value?.RootElement);
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new InvalidDataException(
                $"the topic _schemas holds a record that is none of a schema registry: {Encoding.UTF8.GetString(record.Key)}", error);
        }
    }

    private static void Apply(RegistryState state, JsonElement key, JsonElement? value)
    {
        var subject = key.TryGetProperty("subject", out var named) && named.ValueKind == JsonValueKind.String ? named.GetString()! : "";
        switch (key.GetProperty("keytype").GetString())
        {
            case "SCHEMA" when value is { } schema:
                state.Put(ReadSchema(schema));
                break;
            case "SCHEMA":
                state.Remove(subject, key.GetProperty("version").GetInt32());
                break;
            case "DELETE_SUBJECT" when value is { } deleted:
                state.DeleteUpTo(subject, deleted.GetProperty("version").GetInt32());
                break;
            case "CONFIG":
                Set(state.Levels, subject, Text(value, "compatibilityLevel") is { } level ? SchemaNames.Level(level) : null);
                break;
            case "MODE":
                Set(state.Modes, subject, Text(value, "mode") is { } mode ? SchemaNames.Mode(mode) : null);
                break;
            case "MAX_ID" when value is { } most:
                state.NoteMaxId(most.GetProperty("id").GetInt32());
                break;
        }
    }

    private static RegisteredSchema ReadSchema(JsonElement json)
    {
        var type = SchemaType.Avro;
        if (json.TryGetProperty("schemaType", out var written) && written.ValueKind == JsonValueKind.String)
            type = SchemaNames.Type(written.GetString()!) ?? throw new FormatException("schemaType");
        IReadOnlyList<SchemaReference> references = json.TryGetProperty("references", out var list) && list.ValueKind == JsonValueKind.Array
            ? [.. list.EnumerateArray().Select(ReadReference)]
            : [];
        return new RegisteredSchema(
            json.GetProperty("subject").GetString()!, json.GetProperty("version").GetInt32(), json.GetProperty("id").GetInt32(),
            new SchemaContent(type, json.GetProperty("schema").GetString()!, references),
            json.TryGetProperty("deleted", out var deleted) && deleted.ValueKind == JsonValueKind.True);
    }

    public static SchemaReference ReadReference(JsonElement json) => new(
        json.GetProperty("name").GetString() ?? "", json.GetProperty("subject").GetString() ?? "", json.GetProperty("version").GetInt32());

    private static string? Text(JsonElement? value, string name) =>
        value is { ValueKind: JsonValueKind.Object } json && json.TryGetProperty(name, out var text) ? text.GetString() : null;

    private static void Set<T>(Dictionary<string, T> settings, string subject, T? value)
        where T : struct
    {
        if (value is { } set)
            settings[subject] = set;
        else
            settings.Remove(subject);
    }

    private static byte[] SchemaKey(string subject, int version) => Json(json =>
    {
        json.WriteString("keytype", "SCHEMA");
        json.WriteString("subject", subject);
        json.WriteNumber("version", version);
        json.WriteNumber("magic", 1);
    });

    private static byte[] Key(string type, string subject) => Json(json =>
    {
        json.WriteString("keytype", type);
        if (subject.Length > 0)
            json.WriteString("subject", subject);
        else
            json.WriteNull("subject");
        json.WriteNumber("magic", 0);
    });

    private static byte[] Json(Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        json.WriteStartObject();
        write(json);
        json.WriteEndObject();
        json.Flush();
        return buffer.WrittenSpan.ToArray();
    }
}
