using System.Text.Json.Nodes;

namespace Millrace.Streams.Sql;

/// <summary>Reading and changing DuckDB's serialized syntax trees. An expression is an object with a <c>class</c>.</summary>
internal static class SyntaxTree
{
    /// <summary>All expressions in a tree, outer before inner; those of subqueries too.</summary>
    public static IEnumerable<JsonObject> Expressions(JsonNode? node)
    {
        if (node is JsonObject map)
        {
            if (map.ContainsKey("class"))
                yield return map;
            foreach (var (_, child) in map)
            {
                foreach (var inner in Expressions(child))
                    yield return inner;
            }
        }
        else if (node is JsonArray list)
        {
            foreach (var child in list)
            {
                foreach (var inner in Expressions(child))
                    yield return inner;
            }
        }
    }

    public static string ClassOf(JsonObject expression) => (string?)expression["class"] ?? "";

    public static string TypeOf(JsonObject node) => (string?)node["type"] ?? "";

    public static string AliasOf(JsonObject expression) => (string?)expression["alias"] ?? "";

    /// <summary>A function's name in lower case, or null for other expressions; operators are not functions here.</summary>
    public static string? FunctionOf(JsonObject expression) =>
        ClassOf(expression) == "FUNCTION" && expression["is_operator"]?.GetValue<bool>() != true
            ? ((string?)expression["function_name"])?.ToLowerInvariant()
            : null;

    /// <summary>The parts of a column reference, or null for other expressions.</summary>
    public static string[]? ColumnOf(JsonObject expression) =>
        ClassOf(expression) == "COLUMN_REF" ? expression["column_names"]!.AsArray().Select(n => (string)n!).ToArray() : null;

    public static JsonObject Column(string name) => new()
    {
        ["class"] = "COLUMN_REF", ["type"] = "COLUMN_REF", ["alias"] = "", ["query_location"] = 0, ["column_names"] = new JsonArray(name),
    };

    /// <summary>Where the node stands in the statement in UTF-8 bytes, or where its first part with a place does; null when none has one.</summary>
    public static int? LocationOf(JsonNode? node)
    {
        if (node is JsonObject map)
        {
            if (map["query_location"] is JsonValue value && value.TryGetValue<ulong>(out var location) && location < int.MaxValue)
                return (int)location;
            foreach (var (_, child) in map)
            {
                if (LocationOf(child) is { } inner)
                    return inner;
            }
        }
        else if (node is JsonArray list)
        {
            foreach (var child in list)
            {
                if (LocationOf(child) is { } inner)
                    return inner;
            }
        }
        return null;
    }

    /// <summary>Whether two expressions are the same but for places, aliases and the case of names.</summary>
    public static bool Same(JsonNode? a, JsonNode? b)
    {
        switch (a, b)
        {
            case (null, null):
                return true;
            case (JsonObject x, JsonObject y):
                if (x.Count != y.Count)
                    return false;
                foreach (var (key, value) in x)
                {
                    if (key is "query_location" or "alias")
                        continue;
                    if (!y.TryGetPropertyValue(key, out var other))
                        return false;
                    if (key is "column_names" ? !SameNames(value, other) : !Same(value, other))
                        return false;
                }
                return true;
            case (JsonArray x, JsonArray y):
                if (x.Count != y.Count)
                    return false;
                for (var i = 0; i < x.Count; i++)
                {
                    if (!Same(x[i], y[i]))
                        return false;
                }
                return true;
            case (JsonValue, JsonValue):
                return JsonNode.DeepEquals(a, b);
            default:
                return false;
        }
    }

    /// <summary>
    /// A copy in which <paramref name="replace"/> has exchanged expressions; where it gives null the expression stays and its parts are gone
    /// through. Parameters of lambdas are not offered: they are no columns.
    /// </summary>
    public static JsonNode? Rewrite(JsonNode? node, Func<JsonObject, JsonObject?> replace)
    {
        switch (node)
        {
            case JsonObject map:
                if (map.ContainsKey("class") && replace(map) is { } replaced)
                {
                    var copy = (JsonObject)replaced.DeepClone();
                    if (AliasOf(map).Length > 0)
                        copy["alias"] = AliasOf(map);
                    return copy;
                }
                if (ClassOf(map) == "LAMBDA")
                {
                    var parameters = Expressions(map["lhs"]).Select(ColumnOf).OfType<string[]>().Select(c => c[0]).ToHashSet(StringComparer.OrdinalIgnoreCase);
                    var lambda = new JsonObject();
                    foreach (var (key, value) in map)
                    {
                        lambda[key] = key == "expr"
                            ? Rewrite(value, e => ColumnOf(e) is { Length: >= 1 } c && parameters.Contains(c[0]) ? e : replace(e))
                            : value?.DeepClone();
                    }
                    return lambda;
                }
                var result = new JsonObject();
                foreach (var (key, value) in map)
                    result[key] = Rewrite(value, replace);
                return result;
            case JsonArray list:
                return new JsonArray(list.Select(child => Rewrite(child, replace)).ToArray());
            default:
                return node?.DeepClone();
        }
    }

    private static bool SameNames(JsonNode? a, JsonNode? b) =>
        a is JsonArray x && b is JsonArray y && x.Count == y.Count
        && x.Zip(y).All(pair => string.Equals((string?)pair.First, (string?)pair.Second, StringComparison.OrdinalIgnoreCase));
}
