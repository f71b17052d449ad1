using System.Runtime.CompilerServices;
using System.Text.Json;

namespace Millrace.Schemas.Formats;

/// <summary>What a JSON Schema asks of a value, as far as its evolution is defined.</summary>
internal enum JsonRuleKind
{
    /// <summary>Nothing: <c>{}</c> or <c>true</c>.</summary>
    Any,

    /// <summary><c>false</c>.</summary>
    Never,
    Text,
    Number,
    Boolean,
    Null,
    Object,
    Array,
    Enum,
    Const,
    AllOf,
    AnyOf,
    OneOf,
    Not,

    /// <summary>A keyword of which no rule of evolution speaks: it is compared as text.</summary>
    Opaque,
}

/// <summary>One rule of a JSON Schema; a schema of several keywords is an <see cref="JsonRuleKind.AllOf"/> of several rules.</summary>
/// <param name="kind">Which of the properties below say something.</param>
/// <param name="source">What it was read from.</param>
internal sealed class JsonRule(JsonRuleKind kind, JsonElement source)
{
    private string? _text;

    public JsonRuleKind Kind => kind;

    /// <summary>The schema without annotations, keys in order: two schemas of one text ask for the same.</summary>
    public string Text => _text ??= JsonFormat.RulesText(source) + Beside;

    /// <summary>What the text says no more of: the definitions that it may refer to.</summary>
    public string Beside { get; init; } = "";

    /// <summary>Kafka Connect writes bytes as a string or a number and marks them.</summary>
    public bool IsConnectBytes { get; init; }

    /// <summary>Of a number that must be whole.</summary>
    public bool Whole { get; init; }

    /// <summary>Bounds by keyword: <c>maxLength</c>, <c>minimum</c>, <c>maxItems</c> and so on.</summary>
    public Dictionary<string, decimal> Bounds { get; } = new(StringComparer.Ordinal);

    public string? Pattern { get; init; }

    /// <summary>The values of an enum, or the one of a const, as text in one form.</summary>
    public IReadOnlyList<string> Values { get; init; } = [];

    /// <summary>Parts of a combination, what a <c>not</c> forbids, the items of a tuple.</summary>
    public List<JsonRule> Parts { get; } = [];

    public Dictionary<string, JsonRule> Properties { get; } = new(StringComparer.Ordinal);

    public HashSet<string> Required { get; } = new(StringComparer.Ordinal);

    /// <summary>Properties that have a default.</summary>
    public HashSet<string> Defaulted { get; } = new(StringComparer.Ordinal);

    public List<(string Pattern, JsonRule Rule)> PatternProperties { get; } = [];

    public Dictionary<string, HashSet<string>> NeededNames { get; } = new(StringComparer.Ordinal);

    public Dictionary<string, JsonRule> NeededRules { get; } = new(StringComparer.Ordinal);

    /// <summary>What the items of a list are, each.</summary>
    public JsonRule? EachItem { get; set; }

    public bool UniqueItems { get; init; }

    /// <summary>Whether properties (items) may be there that nothing names.</summary>
    public bool TakesMore { get; set; } = true;

    /// <summary>What they must be then; null for anything.</summary>
    public JsonRule? More { get; set; }

    /// <summary><c>unevaluatedProperties</c> or <c>unevaluatedItems</c>.</summary>
    public JsonRule? Unevaluated { get; set; }

    /// <summary>The keyword that an opaque rule has.</summary>
    public string Keyword { get; init; } = "";

    public bool IsCombination => Kind is JsonRuleKind.AllOf or JsonRuleKind.AnyOf or JsonRuleKind.OneOf;

    /// <summary>Whether anything may be added that nothing names.</summary>
    public bool IsOpen => TakesMore && More is null && PatternProperties.Count == 0 && Unevaluated is null or { Kind: JsonRuleKind.Any };
}

/// <summary>
/// A schema and those that it refers to, as rules. References are followed when they are asked for, so recursive schemas are no trouble; the
/// same place is always the same object. For one thread.
/// </summary>
internal sealed class JsonRuleReader
{
    private const int MostRules = 100_000;

    private static readonly string[] TextWords = ["minLength", "maxLength", "pattern", "format"];
    private static readonly string[] NumberWords = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];

    private static readonly string[] ObjectWords =
    [
        "properties", "required", "additionalProperties", "patternProperties", "minProperties", "maxProperties", "dependencies", "dependentRequired",
        "dependentSchemas", "unevaluatedProperties",
    ];

    private static readonly string[] ArrayWords =
        ["items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems", "unevaluatedItems", "minContains", "maxContains"];

    // They validate, and how they may change is defined nowhere.
    private static readonly string[] OpaqueWords = ["if", "then", "else", "contains", "propertyNames", "$dynamicRef", "$recursiveRef"];

    private readonly Dictionary<string, JsonElement> _documents = new(StringComparer.Ordinal);
    private readonly Dictionary<(string Document, string Place), JsonRule> _known = [];
    private readonly HashSet<(string Document, string Place)> _following = [];

    /// <param name="root">The schema; it lives as long as this.</param>
    /// <param name="referenced">Schemas that it may name.</param>
    public JsonRuleReader(JsonElement root, IEnumerable<(string Name, JsonElement Root)> referenced)
    {
        foreach (var (name, other) in referenced)
        {
            _documents.TryAdd(name, other);
            if (IdOf(other) is { } id)
                _documents.TryAdd(id, other);
        }
        if (IdOf(root) is { } own)
            _documents[own] = root;
        _documents[""] = root;
        Root = Read(root, "", "#");
    }

    public JsonRule Root { get; }

    private JsonRule Read(JsonElement schema, string document, string place)
    {
        if (_known.TryGetValue((document, place), out var known))
            return known;
        if (_known.Count >= MostRules)
            throw new SchemaFormatException($"the JSON Schema has more than {MostRules} rules");
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
            throw new SchemaFormatException("the references of the JSON Schema go too deep");
        if (schema.ValueKind is JsonValueKind.True or JsonValueKind.False)
            return _known[(document, place)] = new JsonRule(schema.ValueKind == JsonValueKind.True ? JsonRuleKind.Any : JsonRuleKind.Never, schema);
        if (Reference(schema) is { } target && (!IsModern(document) || !HasRules(schema, "$ref")))
            return _known[(document, place)] = Follow(target, schema, document, place);
        // Known before its parts are read: a reference below may lead back here.
        var types = Types(schema);
        var parts = CountParts(schema, types);
        if (parts.Count == 1 && parts[0] is { } only)
            return ReadPart(only, schema, document, place, place);
        var rule = New(parts.Count == 0 ? JsonRuleKind.Any : JsonRuleKind.AllOf, schema);
        _known[(document, place)] = rule;
        foreach (var part in parts)
            rule.Parts.Add(ReadPart(part, schema, document, place, $"{place}\0{part}"));
        return rule;
    }

    /// <summary>What kinds of rules the keywords make: names of types and keywords.</summary>
    private static List<string> CountParts(JsonElement schema, string[] types)
    {
        var parts = new List<string>();
        if (types.Length > 1)
            parts.Add("types");
        else if (types.Length == 1)
            parts.Add(types[0]);
        else
            parts.AddRange(new[] { ("object", ObjectWords), ("array", ArrayWords), ("string", TextWords), ("number", NumberWords) }
                .Where(t => t.Item2.Any(w => schema.TryGetProperty(w, out _))).Select(t => t.Item1));
        parts.AddRange(new[] { "enum", "const", "allOf", "anyOf", "oneOf", "not", "$ref" }.Where(w => schema.TryGetProperty(w, out _)));
        parts.AddRange(OpaqueWords.Where(w => schema.TryGetProperty(w, out _)));
        return parts;
    }

    private JsonRule ReadPart(string part, JsonElement schema, string document, string place, string key)
    {
        switch (part)
        {
            case "types":
                var any = Remember(New(JsonRuleKind.AnyOf, schema));
                foreach (var type in Types(schema))
                    any.Parts.Add(ReadTyped(type, schema, document, place, $"{key}\0{type}"));
                return any;
            case "enum":
                return Remember(New(JsonRuleKind.Enum, schema, [.. schema.GetProperty(part).EnumerateArray().Select(JsonFormat.DataText).Distinct(StringComparer.Ordinal)]));
            case "const":
                return Remember(New(JsonRuleKind.Const, schema, [JsonFormat.DataText(schema.GetProperty(part))]));
            case "allOf" or "anyOf" or "oneOf":
                var combined = Remember(New(part switch { "allOf" => JsonRuleKind.AllOf, "anyOf" => JsonRuleKind.AnyOf, _ => JsonRuleKind.OneOf }, schema));
                combined.Parts.AddRange(List(schema.GetProperty(part), document, $"{place}/{part}"));
                return combined;
            case "not":
                var not = Remember(New(JsonRuleKind.Not, schema));
                not.Parts.Add(Read(schema.GetProperty(part), document, $"{place}/not"));
                return not;
            case "$ref":
                return Remember(Follow(Reference(schema)!, schema, document, place));
            case var word when OpaqueWords.Contains(word):
                var opaque = schema.GetProperty(word);
                var refers = opaque.GetRawText().Contains("$ref", StringComparison.Ordinal);
                return Remember(new JsonRule(JsonRuleKind.Opaque, opaque) { Keyword = word, Beside = refers ? Definitions(document) : "" });
            default:
                return ReadTyped(part, schema, document, place, key);
        }

        JsonRule Remember(JsonRule rule) => _known[(document, key)] = rule;
    }

    private JsonRule ReadTyped(string type, JsonElement schema, string document, string place, string key)
    {
        var rule = type switch
        {
            "string" => new JsonRule(JsonRuleKind.Text, schema)
            {
                Pattern = schema.TryGetProperty("pattern", out var pattern) ? pattern.GetString() : null, IsConnectBytes = IsBytes(schema),
            },
            "number" or "integer" => new JsonRule(JsonRuleKind.Number, schema)
            {
                Whole = type == "integer", IsConnectBytes = IsBytes(schema),
            },
            "boolean" => New(JsonRuleKind.Boolean, schema),
            "null" => New(JsonRuleKind.Null, schema),
            "object" => New(JsonRuleKind.Object, schema),
            "array" => new JsonRule(JsonRuleKind.Array, schema)
            {
                UniqueItems = schema.TryGetProperty("uniqueItems", out var unique) && unique.ValueKind == JsonValueKind.True,
            },
            _ => throw new SchemaFormatException($"the JSON Schema at {place} has the type '{type}'; "
                + "string, number, integer, boolean, null, object and array are the types"),
        };
        _known[(document, key)] = rule;
        switch (rule.Kind)
        {
            case JsonRuleKind.Text:
                ReadBounds(rule, schema, "minLength", "maxLength");
                break;
            case JsonRuleKind.Number:
                ReadBounds(rule, schema, NumberWords);
                Draft4Bound(rule, schema, "maximum", "exclusiveMaximum");
                Draft4Bound(rule, schema, "minimum", "exclusiveMinimum");
                break;
            case JsonRuleKind.Object:
                ReadObject(rule, schema, document, place);
                break;
            case JsonRuleKind.Array:
                ReadArray(rule, schema, document, place);
                break;
        }
        return rule;
    }

    private void ReadObject(JsonRule rule, JsonElement schema, string document, string place)
    {
        ReadBounds(rule, schema, "minProperties", "maxProperties");
        foreach (var (name, value) in Members(schema, "properties"))
        {
            rule.Properties[name] = Read(value, document, $"{place}/properties/{Escape(name)}");
            if (value.ValueKind == JsonValueKind.Object && value.TryGetProperty("default", out _))
                rule.Defaulted.Add(name);
        }
        foreach (var (name, value) in Members(schema, "patternProperties"))
            rule.PatternProperties.Add((name, Read(value, document, $"{place}/patternProperties/{Escape(name)}")));
        if (schema.TryGetProperty("required", out var required) && required.ValueKind == JsonValueKind.Array)
            rule.Required.UnionWith(required.EnumerateArray().Where(n => n.ValueKind == JsonValueKind.String).Select(n => n.GetString()!));
        foreach (var word in new[] { "dependencies", "dependentRequired", "dependentSchemas" })
        {
            foreach (var (name, value) in Members(schema, word))
            {
                if (value.ValueKind == JsonValueKind.Array)
                    rule.NeededNames[name] = [.. value.EnumerateArray().Select(v => v.ToString())];
                else
                    rule.NeededRules[name] = Read(value, document, $"{place}/{word}/{Escape(name)}");
            }
        }
        ReadMore(rule, schema, "additionalProperties", document, place);
        if (schema.TryGetProperty("unevaluatedProperties", out var unevaluated))
            rule.Unevaluated = Read(unevaluated, document, $"{place}/unevaluatedProperties");
    }

    private void ReadArray(JsonRule rule, JsonElement schema, string document, string place)
    {
        ReadBounds(rule, schema, "minItems", "maxItems", "minContains", "maxContains");
        // Draft 2020-12 names the tuple prefixItems and what follows it items.
        var modern = schema.TryGetProperty("prefixItems", out var prefix);
        if (modern)
            rule.Parts.AddRange(List(prefix, document, $"{place}/prefixItems"));
        if (schema.TryGetProperty("items", out var items))
        {
            if (items.ValueKind == JsonValueKind.Array)
                rule.Parts.AddRange(List(items, document, $"{place}/items"));
            else if (modern)
                ReadMore(rule, schema, "items", document, place);
            else
                rule.EachItem = Read(items, document, $"{place}/items");
        }
        if (!modern)
            ReadMore(rule, schema, "additionalItems", document, place);
        if (schema.TryGetProperty("unevaluatedItems", out var unevaluated))
            rule.Unevaluated = Read(unevaluated, document, $"{place}/unevaluatedItems");
    }

    private void ReadMore(JsonRule rule, JsonElement schema, string word, string document, string place)
    {
        if (!schema.TryGetProperty(word, out var more) || more.ValueKind == JsonValueKind.True)
            return;
        rule.TakesMore = more.ValueKind != JsonValueKind.False;
        if (rule.TakesMore)
            rule.More = Read(more, document, $"{place}/{word}");
    }

    private IEnumerable<JsonRule> List(JsonElement schemas, string document, string place) =>
        schemas.EnumerateArray().Select((s, i) => Read(s, document, $"{place}/{i}"));

    /// <summary>What a reference means: a place in this schema, or in one that it refers to by name or id.</summary>
    private JsonRule Follow(string reference, JsonElement schema, string document, string place)
    {
        var hash = reference.IndexOf('#', StringComparison.Ordinal);
        var (file, pointer) = hash < 0 ? (reference, "") : (reference[..hash], reference[(hash + 1)..]);
        var name = file.Length == 0 ? document : Find(file, document);
        // Another's schema that nobody gave along can only be told by its name.
        if (name is null)
            return new JsonRule(JsonRuleKind.Opaque, schema.GetProperty("$ref")) { Keyword = "$ref" };
        if (!_following.Add((document, place)))
            throw new SchemaFormatException($"the JSON Schema at {place} refers to itself");
        var found = Locate(_documents[name], pointer, name) is { } at
            ? Read(at.Schema, name, at.Place)
            : throw new SchemaFormatException($"the JSON Schema at {place} refers to {reference}, where there is nothing");
        _following.Remove((document, place));
        return found;
    }

    private string Definitions(string document) => string.Concat(
        Members(_documents[document], "definitions").Concat(Members(_documents[document], "$defs")).Select(d => $"\0{d.Name}={JsonFormat.RulesText(d.Value)}"));

    private string? Find(string file, string document)
    {
        if (_documents.ContainsKey(file))
            return file;
        // Relative to the id of the schema that it stands in (RFC 3986).
        return IdOf(_documents[document]) is { } id && Uri.TryCreate(id, UriKind.Absolute, out var self) && Uri.TryCreate(self, file, out var whole)
            && _documents.ContainsKey(whole.ToString())
            ? whole.ToString()
            : null;
    }

    private static (JsonElement Schema, string Place)? Locate(JsonElement root, string pointer, string document)
    {
        if (pointer.Length == 0)
            return (root, "#");
        if (pointer[0] != '/')
            return FindAnchor(root, pointer, "#", 0);
        var at = root;
        foreach (var step in Uri.UnescapeDataString(pointer)[1..].Split('/'))
        {
            var name = step.Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal);
            if (at.ValueKind == JsonValueKind.Object && at.TryGetProperty(name, out var below))
                at = below;
            else if (at.ValueKind == JsonValueKind.Array && int.TryParse(name, out var index) && index >= 0 && index < at.GetArrayLength())
                at = at[index];
            else
                return null;
        }
        return at.ValueKind is JsonValueKind.Object or JsonValueKind.True or JsonValueKind.False ? (at, "#" + Uri.UnescapeDataString(pointer)) : null;
    }

    private static (JsonElement Schema, string Place)? FindAnchor(JsonElement at, string anchor, string place, int depth)
    {
        if (depth > 128)
            return null;
        if (at.ValueKind == JsonValueKind.Array)
        {
            return at.EnumerateArray().Select((child, i) => FindAnchor(child, anchor, $"{place}/{i}", depth + 1)).FirstOrDefault(f => f is not null);
        }
        if (at.ValueKind != JsonValueKind.Object)
            return null;
        foreach (var word in new[] { "$anchor", "$id", "id" })
        {
            if (at.TryGetProperty(word, out var name) && name.ValueKind == JsonValueKind.String && name.GetString()!.TrimStart('#') == anchor)
                return (at, place);
        }
        return at.EnumerateObject().Select(child => FindAnchor(child.Value, anchor, $"{place}/{Escape(child.Name)}", depth + 1)).FirstOrDefault(f => f is not null);
    }

    private bool IsModern(string document) =>
        _documents[document] is { ValueKind: JsonValueKind.Object } root && root.TryGetProperty("$schema", out var draft) && draft.ValueKind == JsonValueKind.String
        && draft.GetString() is { } written && (written.Contains("2019-09", StringComparison.Ordinal) || written.Contains("2020-12", StringComparison.Ordinal));

    private static bool HasRules(JsonElement schema, string but) => schema.EnumerateObject().Any(p => p.Name != but && !JsonFormat.IsAnnotation(p.Name)
        && p.Name is not ("definitions" or "$defs" or "$schema" or "$anchor"));

    private static string? Reference(JsonElement schema) =>
        schema.TryGetProperty("$ref", out var reference) && reference.ValueKind == JsonValueKind.String ? reference.GetString() : null;

    private static string? IdOf(JsonElement root)
    {
        if (root.ValueKind != JsonValueKind.Object || !(root.TryGetProperty("$id", out var id) || root.TryGetProperty("id", out id)) || id.ValueKind != JsonValueKind.String)
            return null;
        return id.GetString()!.TrimEnd('#') is { Length: > 0 } text ? text : null;
    }

    private static string[] Types(JsonElement schema) => !schema.TryGetProperty("type", out var type) ? []
        : type.ValueKind == JsonValueKind.Array ? [.. type.EnumerateArray().Select(t => t.ToString()).Distinct(StringComparer.Ordinal)]
        : [type.ToString()];

    private static IEnumerable<(string Name, JsonElement Value)> Members(JsonElement schema, string word) =>
        schema.TryGetProperty(word, out var members) && members.ValueKind == JsonValueKind.Object
            ? members.EnumerateObject().Select(m => (m.Name, m.Value))
            : [];

    private static void ReadBounds(JsonRule rule, JsonElement schema, params string[] words)
    {
        foreach (var word in words)
        {
            if (schema.TryGetProperty(word, out var bound) && bound.ValueKind == JsonValueKind.Number)
                rule.Bounds[word] = bound.TryGetDecimal(out var value) ? value : bound.GetDouble() > 0 ? decimal.MaxValue : decimal.MinValue;
        }
    }

    // Up to draft 4 the exclusive keywords are flags beside the bound.
    private static void Draft4Bound(JsonRule rule, JsonElement schema, string word, string exclusive)
    {
        if (schema.TryGetProperty(exclusive, out var flag) && flag.ValueKind == JsonValueKind.True && rule.Bounds.Remove(word, out var bound))
            rule.Bounds[exclusive] = bound;
    }

    private static bool IsBytes(JsonElement schema) => schema.TryGetProperty("connect.type", out var type) && type.ValueKind == JsonValueKind.String && type.ValueEquals("bytes");

    private static JsonRule New(JsonRuleKind kind, JsonElement schema, IReadOnlyList<string>? values = null) =>
        new(kind, schema) { Values = values ?? [] };

    private static string Escape(string name) => name.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal);
}
