using System.Text.Json;
using Millrace.Iceberg.Metadata;

namespace Millrace.Iceberg.Schemas;

/// <summary>The names under which files without field ids hold a table's columns (Iceberg spec, Column Projection).</summary>
internal sealed class NameMapping
{
    public const string Property = "schema.name-mapping.default";

    private readonly Dictionary<int, IReadOnlyList<string>> _names = [];

    /// <exception cref="InvalidMetadataException">The property is no mapping.</exception>
    public static NameMapping Read(string json, string file)
    {
        var mapping = new NameMapping();
        try
        {
            using var document = JsonDocument.Parse(json);
            foreach (var entry in document.RootElement.EnumerateArray())
            {
                var fields = new JsonFields(entry, file, $"$.properties.{Property}");
                var names = fields.Items("names").Select(n => n.GetString() ?? "").ToArray();
                if (fields.OptionalInt("field-id") is { } id)
                    mapping._names[id] = names;
            }
            return mapping;
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw new InvalidMetadataException(file, $"$.properties.{Property}", error.Message, "it must be a list of names and field ids", error);
        }
    }

    /// <summary>The names of a top-level column, the likeliest first.</summary>
    public IReadOnlyList<string> NamesOf(int fieldId) => _names.GetValueOrDefault(fieldId) ?? [];
}
