using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace Millrace.Schemas.Formats;

/// <summary>One reason why a JSON Schema may refuse what an older one allowed, by the name that Confluent's registry gives it.</summary>
internal readonly record struct JsonFault(string Kind, string Path, string What = "")
{
    public string Render(string reader, string writer)
    {
        var description = Kind switch
        {
            JsonCompatibility.NotChecked => $"the keyword '{What}' changed at path '{Path}': whether the {reader} schema takes what the {writer} one allows is defined "
                + "nowhere; set the compatibility of the subject to NONE to register it",
            "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL" or "ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL" =>
                $"the {reader} schema has a closed content model and lacks what the {writer} one has at path '{Path}'",
            "REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL" or "REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL" or "OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL"
                or "ITEM_ADDED_TO_OPEN_CONTENT_MODEL" =>
                $"the {writer} schema has an open content model, so that anything may stand at path '{Path}', where the {reader} one asks for something",
            "REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL" or "REQUIRED_ATTRIBUTE_ADDED" => $"the {reader} schema requires what the {writer} one does not at path '{Path}'",
            "TYPE_CHANGED" or "TYPE_NARROWED" => $"the {reader} schema takes another type than the {writer} one at path '{Path}'",
            _ => $"{Kind.ToLowerInvariant().Replace('_', ' ')} at path '{Path}' from the {writer} schema to the {reader} one",
        };
        return $"{{errorType:\"{Kind}\", description:\"{description}\"}}";
    }
}

/// <summary>
/// Whether a JSON Schema takes all that an older one allows, as Confluent's registry defines it (Schema Evolution and Compatibility, JSON Schema):
/// rule by rule, by open, partially open and closed content models. Only what does not fit is told. Recursive schemas are taken to fit while
/// they are being compared, again and again until no further pair turns out not to (a greatest fixed point).
/// </summary>
internal sealed class JsonCompatibility
{
    public const string NotChecked = "COMPATIBILITY_NOT_CHECKED";

    // Stands where a recursive rule leads back to a pair that does not fit; its own reasons are told there.
    private const string Again = "";

    private const int MostFaults = 100;

    // Hostile combinations of combinations could ask for far more than any real schema does.
    private const int MostPairs = 200_000;
    private const int MostPasses = 64;

    private static readonly List<JsonFault> None = [];
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(250);

    // Upper bounds may be taken away and raised, lower ones taken away and lowered.
    private static readonly (string Word, bool Upper, string Name)[] Bounds =
    [
        ("maxLength", true, "MAX_LENGTH"), ("minLength", false, "MIN_LENGTH"), ("maximum", true, "MAXIMUM"), ("minimum", false, "MINIMUM"),
        ("exclusiveMaximum", true, "EXCLUSIVE_MAXIMUM"), ("exclusiveMinimum", false, "EXCLUSIVE_MINIMUM"), ("maxProperties", true, "MAX_PROPERTIES"),
        ("minProperties", false, "MIN_PROPERTIES"), ("maxItems", true, "MAX_ITEMS"), ("minItems", false, "MIN_ITEMS"), ("maxContains", true, "MAX_CONTAINS"),
        ("minContains", false, "MIN_CONTAINS"),
    ];

    // What the policy LENIENT lets pass.
    private static readonly HashSet<string> TakenLeniently = new(StringComparer.Ordinal)
    {
        "ADDITIONAL_PROPERTIES_NARROWED", "ADDITIONAL_PROPERTIES_REMOVED", "UNEVALUATED_PROPERTIES_NARROWED", "UNEVALUATED_PROPERTIES_REMOVED",
        "REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL", "OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL",
        "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL", "PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
        "PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
    };

    private readonly Dictionary<(JsonRule Old, JsonRule New), List<JsonFault>?> _known = [];
    private readonly HashSet<(JsonRule Old, JsonRule New)> _unfit;
    private bool _assumed;

    private readonly bool _lenient;

    private JsonCompatibility(HashSet<(JsonRule, JsonRule)> unfit, bool lenient)
    {
        _unfit = unfit;
        _lenient = lenient;
    }

    /// <exception cref="SchemaFormatException">The schemas are too large to compare.</exception>
    public static IReadOnlyList<JsonFault> Check(JsonRule old, JsonRule now, bool lenient = false)
    {
        var unfit = new HashSet<(JsonRule, JsonRule)>();
        for (var passes = 0; passes < MostPasses; passes++)
        {
            var pass = new JsonCompatibility(unfit, lenient);
            var faults = pass.Compare(old, now);
            var before = unfit.Count;
            foreach (var (pair, found) in pass._known)
            {
                if (found is { Count: > 0 })
                    unfit.Add(pair);
            }
            if (!pass._assumed || unfit.Count == before)
            {
                var reasons = faults.Exists(f => f.Kind != Again) ? faults.Where(f => f.Kind != Again) : faults.Select(f => f with { Kind = "TYPE_CHANGED" });
                return [.. reasons.Select(f => f with { Path = "#" + (f.Path.Length == 0 ? "/" : f.Path) })];
            }
        }
        throw new SchemaFormatException($"comparing its recursive rules takes more than {MostPasses} passes");
    }

    /// <summary>Faults with paths from here on.</summary>
    private List<JsonFault> Compare(JsonRule old, JsonRule now)
    {
        if (ReferenceEquals(old, now))
            return None;
        if (_known.TryGetValue((old, now), out var known))
        {
            _assumed |= known is null;
            return known ?? (_unfit.Contains((old, now)) ? [new JsonFault(Again, "")] : None);
        }
        if (_known.Count >= MostPairs)
            throw new SchemaFormatException($"comparing it takes more than {MostPairs} pairs of rules");
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
            throw new SchemaFormatException("its rules go too deep to compare");
        _known[(old, now)] = null;
        var faults = new List<JsonFault>();
        CompareRules(old, now, faults);
        if (_lenient)
            faults.RemoveAll(f => TakenLeniently.Contains(f.Kind));
        if (faults.Count > MostFaults)
            faults.RemoveRange(MostFaults, faults.Count - MostFaults);
        _known[(old, now)] = faults.Count == 0 ? None : faults;
        return faults;
    }

    private bool Fits(JsonRule old, JsonRule now) => Compare(old, now).Count == 0;

    private void Below(JsonRule old, JsonRule now, string path, List<JsonFault> faults)
    {
        foreach (var fault in Compare(old, now))
            faults.Add(fault with { Path = path + fault.Path });
    }

    private void CompareRules(JsonRule old, JsonRule now, List<JsonFault> faults)
    {
        if (!old.IsCombination && now.IsCombination)
        {
            if (now.Parts.Count == 1 || now.Kind is JsonRuleKind.AnyOf or JsonRuleKind.OneOf)
            {
                if (now.Parts.Exists(p => Fits(old, p)))
                    return;
            }
        }
        else if (old.IsCombination && !now.IsCombination && (old.Parts.Count == 1 || old.Kind == JsonRuleKind.AllOf) && old.Parts.Exists(p => Fits(p, now)))
        {
            return;
        }
        if (old.Kind == JsonRuleKind.Opaque || now.Kind == JsonRuleKind.Opaque)
        {
            // An added rule of one keyword, a removed one, or another text.
            if (old.Kind != now.Kind || old.Keyword != now.Keyword || old.Text != now.Text)
                faults.Add(new JsonFault(NotChecked, "", now.Kind == JsonRuleKind.Opaque ? now.Keyword : old.Keyword));
            return;
        }
        if (old.Kind != now.Kind && !(old.IsCombination && now.IsCombination))
        {
            if (old.Kind != JsonRuleKind.Never && now.Kind != JsonRuleKind.Any && !(old.IsConnectBytes && now.IsConnectBytes))
                faults.Add(new JsonFault("TYPE_CHANGED", ""));
            return;
        }
        foreach (var (word, upper, name) in Bounds)
            CompareBound(old, now, word, upper, name, faults);
        switch (now.Kind)
        {
            case JsonRuleKind.Text when now.Pattern is not null && now.Pattern != old.Pattern:
                faults.Add(new JsonFault(old.Pattern is null ? "PATTERN_ADDED" : "PATTERN_CHANGED", "/pattern"));
                break;
            case JsonRuleKind.Number:
                CompareNumbers(old, now, faults);
                break;
            case JsonRuleKind.Const when old.Values[0] != now.Values[0]:
                faults.Add(new JsonFault("CONST_ARRAY_CHANGED", "/const"));
                break;
            case JsonRuleKind.Enum when old.Values.Except(now.Values).Any():
                faults.Add(new JsonFault(now.Values.Except(old.Values).Any() ? "ENUM_ARRAY_CHANGED" : "ENUM_ARRAY_NARROWED", "/enum"));
                break;
            case JsonRuleKind.Not when !Fits(now.Parts[0], old.Parts[0]):
                faults.Add(new JsonFault("NOT_TYPE_EXTENDED", "/not"));
                break;
            case JsonRuleKind.Object:
                CompareObjects(old, now, faults);
                break;
            case JsonRuleKind.Array:
                CompareArrays(old, now, faults);
                break;
            case JsonRuleKind.AllOf or JsonRuleKind.AnyOf or JsonRuleKind.OneOf:
                CompareCombinations(old, now, faults);
                break;
        }
    }

    private static void CompareBound(JsonRule old, JsonRule now, string word, bool upper, string name, List<JsonFault> faults)
    {
        if (!now.Bounds.TryGetValue(word, out var bound))
            return;
        if (!old.Bounds.TryGetValue(word, out var before))
            faults.Add(new JsonFault(name + "_ADDED", "/" + word));
        else if (upper ? bound < before : bound > before)
            faults.Add(new JsonFault(name + (upper ? "_DECREASED" : "_INCREASED"), "/" + word));
    }

    private static void CompareNumbers(JsonRule old, JsonRule now, List<JsonFault> faults)
    {
        if (now.Whole && !old.Whole)
            faults.Add(new JsonFault("TYPE_NARROWED", ""));
        if (!now.Bounds.TryGetValue("multipleOf", out var step))
            return;
        if (!old.Bounds.TryGetValue("multipleOf", out var before))
            faults.Add(new JsonFault("MULTIPLE_OF_ADDED", "/multipleOf"));
        else if (step != before && (step == 0 || before % step != 0))
            faults.Add(new JsonFault(before != 0 && step % before == 0 ? "MULTIPLE_OF_EXPANDED" : "MULTIPLE_OF_CHANGED", "/multipleOf"));
    }

    private void CompareObjects(JsonRule old, JsonRule now, List<JsonFault> faults)
    {
        foreach (var name in now.Properties.Keys.Where(n => old.Properties.ContainsKey(n) && now.Required.Contains(n) && !old.Required.Contains(n) && !now.Defaulted.Contains(n)))
            faults.Add(new JsonFault("REQUIRED_ATTRIBUTE_ADDED", "/required/" + name));
        foreach (var (name, before) in old.Properties)
        {
            if (now.Properties.TryGetValue(name, out var rule))
                Below(before, rule, "/properties/" + name, faults);
            else
                CompareRemoved(before, now, MoreFor(now, name), "/properties/" + name, "PROPERTY", faults);
        }
        foreach (var (name, rule) in now.Properties.Where(p => !old.Properties.ContainsKey(p.Key)))
            CompareAdded(old, name, rule, now, faults);
        foreach (var (name, needed) in now.NeededNames)
        {
            if (!old.NeededNames.TryGetValue(name, out var before))
                faults.Add(new JsonFault("DEPENDENCY_ARRAY_ADDED", "/dependencies/" + name));
            else if (!needed.IsSubsetOf(before))
                faults.Add(new JsonFault(needed.IsSupersetOf(before) ? "DEPENDENCY_ARRAY_EXTENDED" : "DEPENDENCY_ARRAY_CHANGED", "/dependencies/" + name));
        }
        foreach (var (name, needed) in now.NeededRules)
        {
            if (!old.NeededRules.TryGetValue(name, out var before))
                faults.Add(new JsonFault("DEPENDENCY_SCHEMA_ADDED", "/dependencies/" + name));
            else
                Below(before, needed, "/dependencies/" + name, faults);
        }
        // Patterns decide of the content models above; of a change to one alone Confluent's rules say nothing.
        CompareMore(old, now, "/additionalProperties", "ADDITIONAL_PROPERTIES", faults);
        CompareUnevaluated(old, now, "/unevaluatedProperties", "UNEVALUATED_PROPERTIES", faults);
    }

    private void CompareRemoved(JsonRule before, JsonRule now, JsonRule? more, string path, string what, List<JsonFault> faults)
    {
        if (now.IsOpen)
            return;
        if (more is not null)
        {
            Below(before, more, path, faults);
            if (!Fits(before, more))
                faults.Add(new JsonFault(what + "_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", path));
        }
        else if (before.Kind != JsonRuleKind.Never)
        {
            faults.Add(new JsonFault(what + "_REMOVED_FROM_CLOSED_CONTENT_MODEL", path));
        }
    }

    private void CompareAdded(JsonRule old, string name, JsonRule rule, JsonRule now, List<JsonFault> faults)
    {
        var path = "/properties/" + name;
        var required = now.Required.Contains(name);
        var defaulted = now.Defaulted.Contains(name);
        if (old.IsOpen)
        {
            if (rule.Kind != JsonRuleKind.Any)
            {
                faults.Add(new JsonFault(
                    !required ? "OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL"
                    : defaulted ? "REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL"
                    : "REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL", path));
            }
            return;
        }
        if (MoreFor(old, name) is { } more)
        {
            Below(more, rule, path, faults);
            if (!Fits(more, rule))
                faults.Add(new JsonFault("PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", path));
        }
        if (required && !defaulted)
            faults.Add(new JsonFault("REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL", path));
    }

    /// <summary>What a property that nothing names must be; null when it may not be, or may be anything.</summary>
    private static JsonRule? MoreFor(JsonRule rule, string name)
    {
        foreach (var (pattern, matching) in rule.PatternProperties)
        {
            if (Matches(pattern, name))
                return matching;
        }
        return MoreFor(rule);
    }

    private static JsonRule? MoreFor(JsonRule rule) => rule.More
        ?? (rule.TakesMore && rule.Unevaluated is { Kind: not (JsonRuleKind.Never or JsonRuleKind.Any) } unevaluated ? unevaluated : null);

    private static bool Matches(string pattern, string name)
    {
        try
        {
            return Regex.IsMatch(name, pattern, RegexOptions.CultureInvariant | RegexOptions.ECMAScript, Patience);
        }
        catch (Exception error) when (error is ArgumentException or RegexMatchTimeoutException)
        {
            throw new SchemaFormatException($"the pattern '{pattern}' of patternProperties cannot be compared: {error.Message}", error);
        }
    }

    private void CompareArrays(JsonRule old, JsonRule now, List<JsonFault> faults)
    {
        if (now.EachItem is not null && old.EachItem is null)
            faults.Add(new JsonFault("SCHEMA_ADDED", "/items"));
        else if (now.EachItem is not null)
            Below(old.EachItem!, now.EachItem, "/items", faults);
        for (var i = 0; i < Math.Max(old.Parts.Count, now.Parts.Count); i++)
        {
            var path = "/items/" + i.ToString(CultureInfo.InvariantCulture);
            if (i >= now.Parts.Count)
                CompareRemoved(old.Parts[i], now, MoreFor(now), path, "ITEM", faults);
            else if (i < old.Parts.Count)
                Below(old.Parts[i], now.Parts[i], path, faults);
            else
                CompareAddedItem(old, now.Parts[i], path, faults);
        }
        if (now.UniqueItems && !old.UniqueItems)
            faults.Add(new JsonFault("UNIQUE_ITEMS_ADDED", "/uniqueItems"));
        CompareMore(old, now, "/additionalItems", "ADDITIONAL_ITEMS", faults);
        CompareUnevaluated(old, now, "/unevaluatedItems", "UNEVALUATED_ITEMS", faults);
    }

    private void CompareAddedItem(JsonRule old, JsonRule rule, string path, List<JsonFault> faults)
    {
        if (old.IsOpen)
        {
            if (rule.Kind != JsonRuleKind.Any)
                faults.Add(new JsonFault("ITEM_ADDED_TO_OPEN_CONTENT_MODEL", path));
        }
        else if (MoreFor(old) is { } more && !Fits(more, rule))
        {
            Below(more, rule, path, faults);
            faults.Add(new JsonFault("ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", path));
        }
    }

    private void CompareMore(JsonRule old, JsonRule now, string path, string name, List<JsonFault> faults)
    {
        if (old.TakesMore && !now.TakesMore)
            faults.Add(new JsonFault(name + "_REMOVED", path));
        else if (old.TakesMore && now.More is not null && old.More is null)
            faults.Add(new JsonFault(name + "_NARROWED", path));
        else if (old.More is not null && now.More is not null)
            Below(old.More, now.More, path, faults);
    }

    private void CompareUnevaluated(JsonRule old, JsonRule now, string path, string name, List<JsonFault> faults)
    {
        var (before, rule) = (old.Unevaluated, now.Unevaluated);
        if (rule is null || before is { Kind: JsonRuleKind.Never })
            return;
        if (rule.Kind == JsonRuleKind.Never)
            faults.Add(new JsonFault(name + "_REMOVED", path));
        else if (before is null or { Kind: JsonRuleKind.Any } && rule.Kind != JsonRuleKind.Any)
            faults.Add(new JsonFault(name + "_NARROWED", path));
        else if (before is not null)
            Below(before, rule, path, faults);
    }

    private void CompareCombinations(JsonRule old, JsonRule now, List<JsonFault> faults)
    {
        var single = old.Parts.Count == 1 && now.Parts.Count == 1;
        if (old.Kind != now.Kind && now.Kind != JsonRuleKind.AnyOf && !single && !(old.Parts.Count == 1 && now.Kind == JsonRuleKind.OneOf)
            && !(now.Parts.Count == 1 && old.Kind == JsonRuleKind.AllOf))
        {
            faults.Add(new JsonFault("COMBINED_TYPE_CHANGED", ""));
            return;
        }
        // A part that stands twice is one.
        var before = old.Parts.DistinctBy(p => p.Text, StringComparer.Ordinal).ToArray();
        var parts = now.Parts.DistinctBy(p => p.Text, StringComparer.Ordinal).ToArray();
        if (before.Length < parts.Length && now.Kind == JsonRuleKind.AllOf)
            faults.Add(new JsonFault("PRODUCT_TYPE_EXTENDED", ""));
        else if (before.Length > parts.Length && old.Kind != JsonRuleKind.AllOf)
            faults.Add(new JsonFault("SUM_TYPE_NARROWED", ""));
        if (Matching(before, parts) < Math.Min(before.Length, parts.Length))
            faults.Add(WhyParts(before, parts));
    }

    // An unknown keyword that changed within is the better reason.
    private JsonFault WhyParts(JsonRule[] before, JsonRule[] parts)
    {
        foreach (var opaque in parts.Concat(before).Where(p => p.Kind == JsonRuleKind.Opaque))
        {
            if (!before.Any(b => parts.Any(p => (ReferenceEquals(b, opaque) || ReferenceEquals(p, opaque)) && Fits(b, p))))
                return new JsonFault(NotChecked, "", opaque.Keyword);
        }
        return new JsonFault("COMBINED_TYPE_SUBSCHEMAS_CHANGED", "");
    }

    /// <summary>The most pairs of parts that fit, each part in one pair at most (Kuhn's augmenting paths).</summary>
    private int Matching(JsonRule[] before, JsonRule[] parts)
    {
        var taken = new int[parts.Length];
        Array.Fill(taken, -1);
        var pairs = 0;
        for (var i = 0; i < before.Length; i++)
        {
            if (Augment(i, new bool[parts.Length]))
                pairs++;
        }
        return pairs;

        bool Augment(int from, bool[] seen)
        {
            for (var to = 0; to < parts.Length; to++)
            {
                if (seen[to] || !Fits(before[from], parts[to]))
                    continue;
                seen[to] = true;
                if (taken[to] < 0 || Augment(taken[to], seen))
                {
                    taken[to] = from;
                    return true;
                }
            }
            return false;
        }
    }
}
