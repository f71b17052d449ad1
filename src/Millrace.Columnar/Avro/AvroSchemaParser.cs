using System.Text.Json;

namespace Millrace.Columnar.Avro;

/// <summary>JSON to <see cref="AvroSchema"/>: names with namespaces, references, logical types, free attributes.</summary>
internal sealed class AvroSchemaParser
{
    private static readonly HashSet<string> Reserved =
    [
        "type", "name", "namespace", "fields", "symbols", "items", "values", "size", "logicalType", "precision", "scale", "default", "order",
        "aliases", "doc",
    ];

    // The JSON reader's depth limit also bounds the recursion here; a level of records takes four of JSON.
    private static readonly JsonDocumentOptions Depth = new() { MaxDepth = 256 };

    private readonly Dictionary<string, AvroSchema> _named = new(StringComparer.Ordinal);
    private bool _strict;

    public static AvroSchema Parse(ReadOnlyMemory<byte> utf8) => new AvroSchemaParser().ReadText(utf8);

    public static AvroSchema Parse(string json, IReadOnlyList<string> referenced, bool strict)
    {
        var parser = new AvroSchemaParser();
        foreach (var other in referenced)
            parser.ReadText(System.Text.Encoding.UTF8.GetBytes(other));
        parser._strict = strict;
        return parser.ReadText(System.Text.Encoding.UTF8.GetBytes(json));
    }

    private AvroSchema ReadText(ReadOnlyMemory<byte> utf8)
    {
        try
        {
            using var document = JsonDocument.Parse(utf8, Depth);
            var schema = Read(document.RootElement, "", "$");
            if (_strict)
                AvroSchemaRules.Check(schema);
            return schema;
        }
        catch (JsonException error)
        {
            throw new AvroException($"the Avro schema is not JSON: {error.Message}", error);
        }
        catch (InvalidOperationException error)
        {
            // Text with a lone surrogate cannot be read as a string.
            throw new AvroException($"the Avro schema is not valid text: {error.Message}", error);
        }
    }

    private AvroSchema Read(JsonElement json, string space, string at) => json.ValueKind switch
    {
        JsonValueKind.String => Reference(json.GetString()!, space, at),
        JsonValueKind.Array => Union(json, space, at),
        JsonValueKind.Object => Object(json, space, at),
        _ => throw new AvroException($"the Avro schema at {at} is {json.ValueKind}; expected a name, an object or a union"),
    };

    private AvroSchema Reference(string name, string space, string at)
    {
        if (PrimitiveOf(name) is { } primitive)
            return new AvroSchema(primitive);
        if (name.Contains('.') ? _named.TryGetValue(name, out var found)
            : _named.TryGetValue(Qualify(name, space), out found) || _named.TryGetValue(name, out found))
            return found;
        throw new AvroException($"the Avro schema at {at} names the type '{name}', which stands nowhere before it");
    }

    private AvroSchema Union(JsonElement json, string space, string at)
    {
        var branches = new List<AvroSchema>(json.GetArrayLength());
        foreach (var branch in json.EnumerateArray())
        {
            var schema = Read(branch, space, $"{at}[{branches.Count}]");
            if (schema.Kind == AvroKind.Union)
                throw new AvroException($"the Avro union at {at} holds another union");
            branches.Add(schema);
        }
        return branches.Count > 0
            ? new AvroSchema(AvroKind.Union) { Branches = branches }
            : throw new AvroException($"the Avro union at {at} is empty");
    }

    private AvroSchema Object(JsonElement json, string space, string at)
    {
        if (!json.TryGetProperty("type", out var type))
            throw new AvroException($"the Avro schema at {at} has no type");
        if (type.ValueKind != JsonValueKind.String)
            return Read(type, space, at + ".type");
        var name = type.GetString()!;
        var schema = name switch
        {
            "record" or "error" => Record(json, space, at),
            "enum" => Enum(json, space, at),
            "fixed" => Fixed(json, space, at),
            "array" => new AvroSchema(AvroKind.Array) { Element = Read(Property(json, "items", at), space, at + ".items") },
            "map" => new AvroSchema(AvroKind.Map) { Element = Read(Property(json, "values", at), space, at + ".values") },
            _ => Reference(name, space, at),
        };
        if (name is not ("record" or "error") && PrimitiveOf(name) is null && name is not ("enum" or "fixed" or "array" or "map"))
            return schema;
        schema.Attributes = AttributesOf(json);
        Logical(json, schema);
        return schema;
    }

    private AvroSchema Record(JsonElement json, string space, string at)
    {
        var schema = Name(new AvroSchema(AvroKind.Record), json, space, at, out var inner);
        var list = Property(json, "fields", at);
        if (list.ValueKind != JsonValueKind.Array)
            throw new AvroException($"the fields of the Avro record at {at} are no list");
        var fields = new List<AvroField>(list.GetArrayLength());
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var field in list.EnumerateArray())
        {
            var place = $"{at}.fields[{fields.Count}]";
            var name = NameIn(field, place);
            if (!names.Add(name))
                throw new AvroException($"the Avro record {schema.FullName} has two fields '{name}'");
            JsonElement? fallback = field.TryGetProperty("default", out var value) ? value.Clone() : null;
            fields.Add(new AvroField(name, Read(Property(field, "type", place), inner, place), fallback, AttributesOf(field))
            {
                Aliases = TextsIn(field, "aliases", place),
            });
        }
        schema.Fields = fields;
        return schema;
    }

    private AvroSchema Enum(JsonElement json, string space, string at)
    {
        var schema = Name(new AvroSchema(AvroKind.Enum), json, space, at, out _);
        Property(json, "symbols", at);
        schema.Symbols = TextsIn(json, "symbols", at);
        if (json.TryGetProperty("default", out var fallback))
        {
            schema.DefaultSymbol = fallback.ValueKind == JsonValueKind.String ? fallback.GetString() : null;
            if (schema.DefaultSymbol is null || !schema.Symbols.Contains(schema.DefaultSymbol))
                throw new AvroException($"the default of the Avro enum {schema.FullName} is none of its symbols");
        }
        return schema;
    }

    private AvroSchema Fixed(JsonElement json, string space, string at)
    {
        var schema = Name(new AvroSchema(AvroKind.Fixed), json, space, at, out _);
        var written = Property(json, "size", at);
        if (written.ValueKind != JsonValueKind.Number || !written.TryGetInt32(out var size) || size < 0)
            throw new AvroException($"the Avro fixed at {at} has no valid size");
        schema.Size = size;
        return schema;
    }

    private AvroSchema Name(AvroSchema schema, JsonElement json, string space, string at, out string inner)
    {
        var name = NameIn(json, at);
        if (json.TryGetProperty("namespace", out var own) && own.ValueKind == JsonValueKind.String)
            space = own.GetString()!;
        schema.FullName = name.Contains('.') ? name : Qualify(name, space);
        var from = inner = schema.FullName.LastIndexOf('.') is > 0 and var dot ? schema.FullName[..dot] : "";
        schema.Aliases = Array.ConvertAll(TextsIn(json, "aliases", at), a => a.Contains('.') ? a : Qualify(a, from));
        if (!_named.TryAdd(schema.FullName, schema))
            throw new AvroException($"the Avro schema defines '{schema.FullName}' twice");
        return schema;
    }

    private static void Logical(JsonElement json, AvroSchema schema)
    {
        if (!json.TryGetProperty("logicalType", out var logical) || logical.ValueKind != JsonValueKind.String)
            return;
        schema.LogicalType = logical.GetString();
        if (json.TryGetProperty("precision", out var precision) && precision.ValueKind == JsonValueKind.Number && precision.TryGetInt32(out var p))
            schema.Precision = p;
        if (json.TryGetProperty("scale", out var scale) && scale.ValueKind == JsonValueKind.Number && scale.TryGetInt32(out var s))
            schema.Scale = s;
    }

    private static Dictionary<string, JsonElement> AttributesOf(JsonElement json)
    {
        var attributes = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        foreach (var property in json.EnumerateObject())
        {
            if (!Reserved.Contains(property.Name))
                attributes[property.Name] = property.Value.Clone();
        }
        return attributes;
    }

    private static JsonElement Property(JsonElement json, string name, string at) =>
        json.ValueKind == JsonValueKind.Object && json.TryGetProperty(name, out var value)
            ? value
            : throw new AvroException($"the Avro schema at {at} has no '{name}'");

    private static string NameIn(JsonElement json, string at)
    {
        var name = Property(json, "name", at);
        return name.ValueKind == JsonValueKind.String && name.GetString() is { Length: > 0 } text
            ? text
            : throw new AvroException($"the Avro type or field at {at} has no name");
    }

    private static string[] TextsIn(JsonElement json, string name, string at)
    {
        if (!json.TryGetProperty(name, out var list))
            return [];
        if (list.ValueKind != JsonValueKind.Array || list.EnumerateArray().Any(e => e.ValueKind != JsonValueKind.String))
            throw new AvroException($"'{name}' of the Avro schema at {at} is no list of names");
        return [.. list.EnumerateArray().Select(e => e.GetString()!)];
    }

    private static string Qualify(string name, string space) => space.Length == 0 ? name : space + "." + name;

    private static AvroKind? PrimitiveOf(string name) => name switch
    {
        "null" => AvroKind.Null,
        "boolean" => AvroKind.Boolean,
        "int" => AvroKind.Int,
        "long" => AvroKind.Long,
        "float" => AvroKind.Float,
        "double" => AvroKind.Double,
        "bytes" => AvroKind.Bytes,
        "string" => AvroKind.String,
        _ => null,
    };
}
