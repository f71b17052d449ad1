using System.Text.Json;
using System.Text.Json.Nodes;

namespace Millrace.Pipelines.Files;

/// <summary>
/// The JSON Schema of pipeline files (draft 2020-12), generated from the file records: what editors complete and check with. Served
/// at <c>/api/pipeline.schema.json</c> and printed by <c>millrace gen --schema</c>.
/// </summary>
public static class PipelineSchema
{
    private static readonly JsonSerializerOptions Indented = new()
    {
        WriteIndented = true,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>The schema's text, the same for every call; ends with a line end.</summary>
    public static string Json { get; } = Build().ToJsonString(Indented) + "\n";

    private static JsonObject Build()
    {
        var schema = RecordOf(typeof(PipelineFile));
        var root = new JsonObject
        {
            ["$schema"] = "https://json-schema.org/draft/2020-12/schema",
            ["title"] = "Millrace pipeline file",
        };
        foreach (var (key, value) in schema.ToArray())
        {
            schema.Remove(key);
            root[key] = value;
        }
        return root;
    }

    private static JsonObject RecordOf(Type type)
    {
        var model = FileModel.Of(type);
        var properties = new JsonObject();
        var required = new JsonArray();
        foreach (var field in model.Fields)
        {
            var node = FieldOf(field);
            node["description"] = field.About.Description;
            properties[field.About.Name] = node;
            if (field.About.Required)
                required.Add(field.About.Name);
        }
        var map = new JsonObject { ["type"] = "object", ["additionalProperties"] = false, ["properties"] = properties };
        if (required.Count > 0)
            map["required"] = required;
        if (model.ShortForm is not { } shortForm)
            return map;
        var text = TextOf(shortForm.About);
        text["description"] = shortForm.About.Description;
        return new JsonObject { ["anyOf"] = new JsonArray(text, map) };
    }

    private static JsonObject FieldOf(FileModelField field) =>
        field.IsText ? TextOf(field.About) : ValueOf(field.Type, field.About);

    private static JsonObject ValueOf(Type type, FileFieldAttribute about)
    {
        if (type == typeof(Text))
            return TextOf(about);
        if (!type.IsGenericType)
            return RecordOf(type);
        var element = ValueOf(type.GetGenericArguments()[0], new FileFieldAttribute(about.Name, about.Description));
        if (type.GetGenericTypeDefinition() == typeof(FileMap<>))
            return new JsonObject { ["type"] = "object", ["additionalProperties"] = element };
        return new JsonObject
        {
            ["anyOf"] = new JsonArray(element, new JsonObject { ["type"] = "array", ["items"] = element.DeepClone() }),
        };
    }

    private static JsonObject TextOf(FileFieldAttribute about)
    {
        var text = new JsonObject { ["type"] = "string" };
        if (about.Values is { } values)
            text["enum"] = new JsonArray(values.Select(v => (JsonNode)v).ToArray());
        if (about.Pattern is not null)
            text["pattern"] = about.Pattern;
        if (about.Default is not null)
            text["default"] = about.Default;
        if (about.Example is not null)
            text["examples"] = new JsonArray(about.Example);
        return text;
    }
}
