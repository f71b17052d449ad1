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
            WriteContract(json, schema.Content);
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

    public static SchemaRecord Config(string subject, SubjectConfig? config) => new(
        Key("CONFIG", subject), config is null ? null : Json(json =>
        {
            if (subject.Length > 0)
                json.WriteString("subject", subject);
            config.Write(json, "compatibilityLevel");
        }));

    public static SchemaRecord Mode(string subject, RegistryMode? mode) =>
        new(Key("MODE", subject), mode is null ? null : Json(json => json.WriteString("mode", SchemaNames.Of(mode.Value))));

    /// <summary>The largest id that a context gave; its prefix stands for it.</summary>
    public static SchemaRecord MaxId(string context, int id) =>
        new(Key("MAX_ID", QualifiedSubject.Prefix(context)), Json(json => json.WriteNumber("id", id)));

    public static SchemaRecord Context(string context, bool there)
    {
        void Write(Utf8JsonWriter json)
        {
            json.WriteString("tenant", "default");
            json.WriteString("context", context);
        }
        return new SchemaRecord(
            Json(json =>
            {
                json.WriteString("keytype", "CONTEXT");
                Write(json);
                json.WriteNumber("magic", 0);
            }),
            there ? Json(Write) : null);
    }

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

    public static void WriteContract(Utf8JsonWriter json, SchemaContent content)
    {
        if (content.Metadata is not null)
        {
            json.WritePropertyName("metadata");
            json.WriteRawValue(content.Metadata);
        }
        if (content.RuleSet is not null)
        {
            json.WritePropertyName("ruleSet");
            json.WriteRawValue(content.RuleSet);
        }
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
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or RegistryException)
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
            case "CONFIG" when value is { ValueKind: JsonValueKind.Object } config:
                state.Configs[subject] = new SubjectConfig().With(Known(config), "compatibilityLevel");
                break;
            case "CONFIG":
                state.Configs.Remove(subject);
                break;
            case "MODE" when Text(value, "mode") is { } mode && SchemaNames.Mode(mode) is { } known:
                state.Modes[subject] = known;
                break;
            case "MODE":
                state.Modes.Remove(subject);
                break;
            case "CONTEXT" when key.GetProperty("context").GetString() is { } context:
                if (value is null)
                    state.RemoveContext(context);
                else
                    state.AddContext(context);
                break;
            case "MAX_ID" when value is { } most:
                state.NoteMaxId(QualifiedSubject.ContextOf(subject), most.GetProperty("id").GetInt32());
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
            new SchemaContent(type, json.GetProperty("schema").GetString()!, references)
            {
                Metadata = DataContract.ReadMetadata(Member(json, "metadata")), RuleSet = DataContract.ReadRuleSet(Member(json, "ruleSet")),
            },
            json.TryGetProperty("deleted", out var deleted) && deleted.ValueKind == JsonValueKind.True);
    }

    public static SchemaReference ReadReference(JsonElement json) => new(
        json.GetProperty("name").GetString() ?? "", json.GetProperty("subject").GetString() ?? "", json.GetProperty("version").GetInt32());

    private static string? Text(JsonElement? value, string name) =>
        value is { ValueKind: JsonValueKind.Object } json && json.TryGetProperty(name, out var text) ? text.GetString() : null;

    private static JsonElement? Member(JsonElement json, string name) => json.TryGetProperty(name, out var member) ? member : null;

    // Another registry's topic may have settings that this one does not hold; they are left where they are.
    private static JsonElement Known(JsonElement config) => JsonSerializer.SerializeToElement(
        config.EnumerateObject().Where(m => m.Name is not ("validateNewSchemas" or "validateRules" or "aliasForDeks")
            && !(m.Name == "compatibilityPolicy" && m.Value.ValueEquals("LOGICAL"))).ToDictionary(m => m.Name, m => m.Value));

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
