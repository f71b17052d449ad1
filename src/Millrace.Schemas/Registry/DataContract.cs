using System.Buffers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Millrace.Schemas;

/// <summary>
/// The parts of a data contract beside the schema (Confluent, Data Contracts for Schema Registry): metadata and rules. They are kept, merged and given out
/// here, as JSON in one form so that equal ones are equal text; applying rules to records is the clients' work.
/// </summary>
internal static class DataContract
{
    /// <summary>A property that the registry keeps at the version's number where it is used.</summary>
    public const string VersionProperty = "confluent:version";

    private const int MostRuleName = 64;

    private static readonly string[] MigrationModes = ["UPGRADE", "DOWNGRADE", "UPDOWN"];
    private static readonly string[] RecordModes = ["WRITE", "READ", "WRITEREAD"];
    private static readonly string[] RuleLists = ["migrationRules", "domainRules", "encodingRules"];

    /// <summary>Metadata in one form; null when it says nothing.</summary>
    /// <exception cref="FormatException">It is none.</exception>
    public static string? ReadMetadata(JsonElement? json)
    {
        if (json is not { ValueKind: JsonValueKind.Object } given)
            return json is null or { ValueKind: JsonValueKind.Null } ? null : throw new FormatException("metadata is an object");
        var metadata = new JsonObject();
        if (Member(given, "tags") is { } tags)
            metadata["tags"] = Sorted(tags, list => new JsonArray([.. Texts(list).Select(t => JsonValue.Create(t))]));
        if (Member(given, "properties") is { } properties)
            metadata["properties"] = Sorted(properties, text => JsonValue.Create(text.GetString()));
        if (Member(given, "sensitive") is { } sensitive)
            metadata["sensitive"] = new JsonArray([.. Texts(sensitive).Select(t => JsonValue.Create(t))]);
        return Print(metadata);
    }

    /// <summary>Rules in one form; null when there are none.</summary>
    /// <exception cref="RegistryException">A rule is not one (42210).</exception>
    public static string? ReadRuleSet(JsonElement? json)
    {
        if (json is not { ValueKind: JsonValueKind.Object } given)
            return json is null or { ValueKind: JsonValueKind.Null } ? null : throw new FormatException("ruleSet is an object");
        var rules = new JsonObject();
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var list in RuleLists)
        {
            if (Member(given, list) is not { } items)
                continue;
            var read = new JsonArray();
            foreach (var item in items.EnumerateArray())
                read.Add(ReadRule(item, list == "migrationRules" ? MigrationModes : RecordModes, names));
            rules[list] = read;
        }
        if (Text(given, "enableAt") is { } at)
            rules["enableAt"] = at;
        return Print(rules);
    }

    /// <summary>What both say, the second first; null when neither says anything.</summary>
    public static string? MergeMetadata(string? below, string? above)
    {
        if (below is null || above is null)
            return above ?? below;
        var (one, two) = (JsonNode.Parse(below)!.AsObject(), JsonNode.Parse(above)!.AsObject());
        foreach (var name in new[] { "tags", "properties" })
        {
            foreach (var (key, value) in one[name]?.AsObject() ?? [])
            {
                if (two[name] is null)
                    two[name] = new JsonObject();
                if (!two[name]!.AsObject().ContainsKey(key))
                    two[name]![key] = value?.DeepClone();
            }
        }
        foreach (var text in one["sensitive"]?.AsArray() ?? [])
        {
            if (two["sensitive"] is null)
                two["sensitive"] = new JsonArray();
            two["sensitive"]!.AsArray().Add(text?.DeepClone());
        }
        return ReadMetadata(JsonSerializer.SerializeToElement(two));
    }

    /// <summary>The rules of both; of two with one name the second's.</summary>
    public static string? MergeRuleSets(string? below, string? above)
    {
        if (below is null || above is null)
            return above ?? below;
        var (one, two) = (JsonNode.Parse(below)!.AsObject(), JsonNode.Parse(above)!.AsObject());
        var merged = new JsonObject();
        foreach (var list in RuleLists)
        {
            var (old, now) = (one[list]?.AsArray() ?? [], two[list]?.AsArray() ?? []);
            var replaced = now.Select(r => (string?)r!["name"]).ToHashSet(StringComparer.Ordinal);
            var rules = new JsonArray([.. old.Where(r => !replaced.Contains((string?)r!["name"])).Concat(now).Select(r => r!.DeepClone())]);
            if (rules.Count > 0)
                merged[list] = rules;
        }
        if ((two["enableAt"] ?? one["enableAt"]) is { } at)
            merged["enableAt"] = at.DeepClone();
        return Print(merged);
    }

    public static string? Property(string? metadata, string name) => metadata is null ? null : (string?)JsonNode.Parse(metadata)!["properties"]?[name];

    /// <summary>Fields that metadata reserve, so that no schema of the subject may have them.</summary>
    public static IReadOnlyList<string> Reserved(string? metadata) =>
        Property(metadata, "confluent:reserved")?.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) ?? [];

    /// <summary>The metadata with another value of a property; null takes it away.</summary>
    public static string? WithProperty(string? metadata, string name, string? value)
    {
        var json = metadata is null ? [] : JsonNode.Parse(metadata)!.AsObject();
        if (json["properties"] is null)
            json["properties"] = new JsonObject();
        if (value is null)
            json["properties"]!.AsObject().Remove(name);
        else
            json["properties"]![name] = value;
        return ReadMetadata(JsonSerializer.SerializeToElement(json));
    }

    public static bool HasRuleOfType(string? ruleSet, string type) =>
        ruleSet is not null && JsonNode.Parse(ruleSet)!.AsObject().Any(list => list.Value is JsonArray rules && rules.Any(r => (string?)r!["type"] == type));

    /// <summary>The id that a content has in every registry and context: MD5 over its parts, as Confluent's registry takes it.</summary>
    public static Guid GuidOf(SchemaContent content)
    {
#pragma warning disable CA5351 // It identifies and guards nothing; the algorithm is the registry's format.
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.MD5);
#pragma warning restore CA5351
        Add(hash, content.Text);
        Span<byte> version = stackalloc byte[4];
        foreach (var reference in content.References)
        {
            Add(hash, reference.Name);
            Add(hash, reference.Subject);
            System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(version, reference.Version);
            hash.AppendData(version);
        }
        foreach (var part in new[] { content.Metadata, content.RuleSet })
        {
            if (part is null)
                continue;
            hash.AppendData([1]);
            AddValues(hash, JsonNode.Parse(part)!);
        }
        return new Guid(hash.GetHashAndReset(), bigEndian: true);
    }

    // Keys that users chose are part of it; names of members are not. The members stand in the order that they are taken in.
    private static void AddValues(IncrementalHash hash, JsonNode node, bool named = false)
    {
        switch (node)
        {
            case JsonObject members:
                foreach (var (name, value) in members)
                {
                    if (named)
                        Add(hash, name);
                    AddValues(hash, value!, name is "tags" or "properties" or "params");
                }
                break;
            case JsonArray items:
                foreach (var item in items)
                    AddValues(hash, item!);
                break;
            case JsonValue value when value.GetValueKind() == JsonValueKind.String:
                Add(hash, value.GetValue<string>());
                break;
            case JsonValue value when value.GetValueKind() == JsonValueKind.True:
                hash.AppendData([1]);
                break;
        }
    }

    private static void Add(IncrementalHash hash, string text) => hash.AppendData(Encoding.UTF8.GetBytes(text));

    private static JsonObject ReadRule(JsonElement json, string[] modes, HashSet<string> names)
    {
        var name = Text(json, "name") ?? throw Wrong("Missing rule name");
        if (name.Length == 0)
            throw Wrong("Empty rule name");
        if (name.Length > MostRuleName)
            throw Wrong("Rule name too long");
        if (!(char.IsLetter(name[0]) || name[0] == '_'))
            throw Wrong($"Illegal initial character in rule name: {name}");
        if (!name.All(c => char.IsLetterOrDigit(c) || c is '_' or '-'))
            throw Wrong($"Illegal character in rule name: {name}");
        if (!names.Add(name))
            throw Wrong($"Found rule with duplicate name '{name}'");
        var type = Text(json, "type") ?? throw Wrong("Missing rule type");
        var kind = Text(json, "kind")?.ToUpperInvariant() ?? "TRANSFORM";
        if (kind is not ("TRANSFORM" or "CONDITION"))
            throw Wrong($"There is no rule kind {kind}");
        var mode = Text(json, "mode")?.ToUpperInvariant() ?? "WRITEREAD";
        if (!modes.Contains(mode))
            throw Wrong(modes == MigrationModes ? "Migration rules can only be UPGRADE, DOWNGRADE, UPDOWN" : "Domain rules can only be WRITE, READ, WRITEREAD");
        foreach (var action in new[] { Text(json, "onSuccess"), Text(json, "onFailure") })
        {
            if (action is not null && action.Contains(',', StringComparison.Ordinal) && mode is not ("WRITEREAD" or "UPDOWN"))
                throw Wrong("Multiple actions only valid with WRITEREAD and UPDOWN");
        }
        var rule = new JsonObject { ["name"] = name };
        Copy("doc");
        rule["kind"] = kind;
        rule["mode"] = mode;
        rule["type"] = type;
        if (Member(json, "tags") is { } tags && Texts(tags).Count > 0)
            rule["tags"] = new JsonArray([.. Texts(tags).Select(t => JsonValue.Create(t))]);
        if (Member(json, "params") is { } parameters && parameters.EnumerateObject().Any())
            rule["params"] = Sorted(parameters, text => JsonValue.Create(text.GetString()));
        Copy("expr");
        Copy("onSuccess");
        Copy("onFailure");
        rule["disabled"] = json.TryGetProperty("disabled", out var disabled) && disabled.ValueKind == JsonValueKind.True;
        return rule;

        void Copy(string member)
        {
            if (Text(json, member) is { Length: > 0 } text)
                rule[member] = text;
        }

        RegistryException Wrong(string what) => new(42210, what);
    }

    private static JsonElement? Member(JsonElement json, string name) =>
        json.TryGetProperty(name, out var member) && member.ValueKind != JsonValueKind.Null ? member : null;

    private static string? Text(JsonElement json, string name) => Member(json, name)?.GetString();

    private static List<string> Texts(JsonElement list) => [.. new SortedSet<string>(list.EnumerateArray().Select(t => t.GetString() ?? ""), StringComparer.Ordinal)];

    private static JsonObject Sorted(JsonElement members, Func<JsonElement, JsonNode?> value)
    {
        var sorted = new JsonObject();
        foreach (var member in members.EnumerateObject().OrderBy(m => m.Name, StringComparer.Ordinal))
            sorted[member.Name] = value(member.Value);
        return sorted;
    }

    // What is empty says nothing.
    private static string? Print(JsonObject json)
    {
        foreach (var name in json.Where(m => m.Value is JsonArray { Count: 0 } or JsonObject { Count: 0 }).Select(m => m.Key).ToArray())
            json.Remove(name);
        if (json.Count == 0)
            return null;
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
            json.WriteTo(writer);
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }
}
