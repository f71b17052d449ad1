using System.Text.Json;

namespace Millrace.Iceberg.Metadata;

/// <summary>
/// A JSON object read field by field, 64-bit numbers as such. Remembers what was asked for, so that the rest can be kept, and tells
/// file and path of what is wrong.
/// </summary>
internal sealed class JsonFields
{
    private const string Hint = "the file is damaged or was not written by an Iceberg writer; take an earlier metadata file or restore it";

    private readonly JsonElement _json;
    private readonly HashSet<string> _known = new(StringComparer.Ordinal);

    public JsonFields(JsonElement json, string file, string path)
    {
        File = file;
        Path = path;
        _json = json;
        if (json.ValueKind != JsonValueKind.Object)
            throw Broken($"expected an object, found {json.ValueKind}");
    }

    public string File { get; }

    public string Path { get; }

    public JsonElement? Optional(string name)
    {
        _known.Add(name);
        return _json.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;
    }

    public JsonElement Required(string name) => Optional(name) ?? throw Broken($"'{name}' is missing");

    public long? OptionalLong(string name) => Optional(name) is { } value
        ? value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out var number) ? number : throw Wrong(name, value, "a 64-bit integer")
        : null;

    public long Long(string name) => OptionalLong(name) ?? throw Broken($"'{name}' is missing");

    public int? OptionalInt(string name) => Optional(name) is { } value
        ? value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number) ? number : throw Wrong(name, value, "a 32-bit integer")
        : null;

    public int Int(string name) => OptionalInt(name) ?? throw Broken($"'{name}' is missing");

    public string? OptionalText(string name) => Optional(name) is { } value
        ? value.ValueKind == JsonValueKind.String ? value.GetString() : throw Wrong(name, value, "a string")
        : null;

    public string Text(string name) => OptionalText(name) ?? throw Broken($"'{name}' is missing");

    public bool? OptionalBoolean(string name) => Optional(name) is { } value
        ? value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Wrong(name, value, "true or false")
        : null;

    public bool Boolean(string name) => OptionalBoolean(name) ?? throw Broken($"'{name}' is missing");

    public JsonFields Object(string name) => new(Required(name), File, $"{Path}.{name}");

    /// <summary>The objects of a list; none when it is absent.</summary>
    public IEnumerable<JsonFields> Objects(string name)
    {
        var index = 0;
        foreach (var item in Items(name))
            yield return new JsonFields(item, File, $"{Path}.{name}[{index++}]");
    }

    /// <summary>The elements of a list; none when it is absent.</summary>
    public IEnumerable<JsonElement> Items(string name)
    {
        if (Optional(name) is not { } value)
            return [];
        return value.ValueKind == JsonValueKind.Array ? value.EnumerateArray() : throw Wrong(name, value, "a list");
    }

    public IReadOnlyList<int>? OptionalInts(string name) => Optional(name) is null
        ? null
        : Items(name).Select(i => i.ValueKind == JsonValueKind.Number && i.TryGetInt32(out var v) ? v : throw Wrong(name, i, "a list of 32-bit integers")).ToArray();

    public IReadOnlyDictionary<string, string> TextMap(string name)
    {
        var map = new Dictionary<string, string>(StringComparer.Ordinal);
        if (Optional(name) is not { } value)
            return map;
        if (value.ValueKind != JsonValueKind.Object)
            throw Wrong(name, value, "an object of strings");
        foreach (var property in value.EnumerateObject())
        {
            map[property.Name] = property.Value.ValueKind switch
            {
                JsonValueKind.String => property.Value.GetString()!,
                // Some writers give numbers and flags bare.
                JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False => property.Value.GetRawText(),
                _ => throw Wrong($"{name}.{property.Name}", property.Value, "a string"),
            };
        }
        return map;
    }

    /// <summary>All that was not asked for, or null.</summary>
    public UnknownFields? Rest()
    {
        UnknownFields? rest = null;
        foreach (var property in _json.EnumerateObject())
        {
            if (!_known.Contains(property.Name))
                (rest ??= [])[property.Name] = property.Value.Clone();
        }
        return rest;
    }

    public InvalidMetadataException Broken(string reason) => new(File, Path, reason, Hint);

    private InvalidMetadataException Wrong(string name, JsonElement value, string expected)
    {
        var text = value.GetRawText();
        return Broken($"'{name}' is {(text.Length > 60 ? text[..60] + "..." : text)}; expected {expected}");
    }
}
