using System.Text;
using System.Text.Json;
using Millrace.Iceberg.Metadata;

namespace Millrace.Iceberg.Schemas;

/// <summary>Schemas in JSON (Iceberg spec, Appendix C).</summary>
internal static class SchemaJson
{
    public static IcebergSchema Read(JsonFields json, int? schemaId = null)
    {
        var id = json.OptionalInt("schema-id") ?? schemaId ?? 0;
        var identifier = json.OptionalInts("identifier-field-ids");
        var fields = Struct(json, 0).Fields;
        try
        {
            return new IcebergSchema(id, fields, identifier);
        }
        catch (IcebergException error)
        {
            throw json.Broken(error.Message);
        }
    }

    public static IcebergSchema Read(string json, string file)
    {
        using var document = JsonDocument.Parse(json);
        return Read(new JsonFields(document.RootElement, file, "$"));
    }

    public static void Write(Utf8JsonWriter writer, IcebergSchema schema, bool withId = true)
    {
        writer.WriteStartObject();
        writer.WriteString("type", "struct");
        if (withId)
            writer.WriteNumber("schema-id", schema.SchemaId);
        if (schema.IdentifierFieldIds.Count > 0)
        {
            writer.WriteStartArray("identifier-field-ids");
            foreach (var id in schema.IdentifierFieldIds)
                writer.WriteNumberValue(id);
            writer.WriteEndArray();
        }
        WriteFields(writer, schema.Struct);
        writer.WriteEndObject();
    }

    public static string Text(IcebergSchema schema)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream))
            Write(writer, schema);
        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }

    private static StructType Struct(JsonFields json, int depth)
    {
        if (depth > IcebergSchema.MostDepth)
            throw json.Broken($"the schema nests deeper than {IcebergSchema.MostDepth}");
        if (json.OptionalText("type") is { } type && type != "struct")
            throw json.Broken($"the type is '{type}'; expected 'struct'");
        json.Required("fields");
        return new StructType(json.Objects("fields").Select(f => Field(f, depth)).ToArray());
    }

    private static NestedField Field(JsonFields json, int depth) => new(
        json.Int("id"),
        json.Text("name"),
        json.Boolean("required"),
        Type(json, "type", depth),
        json.OptionalText("doc"),
        json.Optional("initial-default")?.Clone(),
        json.Optional("write-default")?.Clone());

    private static IcebergType Type(JsonFields json, string name, int depth)
    {
        var type = json.Required(name);
        if (type.ValueKind == JsonValueKind.String)
            return PrimitiveType.Parse(type.GetString()!) ?? throw json.Broken($"the type '{type.GetString()}' is unknown");
        var inner = json.Object(name);
        return inner.Text("type") switch
        {
            "struct" => Struct(inner, depth + 1),
            "list" => new ListType(inner.Int("element-id"), Type(inner, "element", depth + 1), inner.Boolean("element-required")),
            "map" => new MapType(
                inner.Int("key-id"), Type(inner, "key", depth + 1), inner.Int("value-id"), Type(inner, "value", depth + 1), inner.Boolean("value-required")),
            var other => throw inner.Broken($"the type '{other}' is unknown"),
        };
    }

    private static void WriteFields(Utf8JsonWriter writer, StructType type)
    {
        writer.WriteStartArray("fields");
        foreach (var field in type.Fields)
        {
            writer.WriteStartObject();
            writer.WriteNumber("id", field.Id);
            writer.WriteString("name", field.Name);
            writer.WriteBoolean("required", field.Required);
            WriteType(writer, "type", field.Type);
            if (field.Doc is not null)
                writer.WriteString("doc", field.Doc);
            if (field.InitialDefault is { } initial)
            {
                writer.WritePropertyName("initial-default");
                initial.WriteTo(writer);
            }
            if (field.WriteDefault is { } fallback)
            {
                writer.WritePropertyName("write-default");
                fallback.WriteTo(writer);
            }
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
    }

    private static void WriteType(Utf8JsonWriter writer, string name, IcebergType type)
    {
        if (type is PrimitiveType)
        {
            writer.WriteString(name, type.ToString());
            return;
        }
        writer.WriteStartObject(name);
        switch (type)
        {
            case StructType structure:
                writer.WriteString("type", "struct");
                WriteFields(writer, structure);
                break;
            case ListType list:
                writer.WriteString("type", "list");
                writer.WriteNumber("element-id", list.ElementId);
                WriteType(writer, "element", list.Element);
                writer.WriteBoolean("element-required", list.ElementRequired);
                break;
            case MapType map:
                writer.WriteString("type", "map");
                writer.WriteNumber("key-id", map.KeyId);
                WriteType(writer, "key", map.Key);
                writer.WriteNumber("value-id", map.ValueId);
                WriteType(writer, "value", map.Value);
                writer.WriteBoolean("value-required", map.ValueRequired);
                break;
        }
        writer.WriteEndObject();
    }
}
