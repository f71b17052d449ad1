using System.Text.Json.Nodes;
using Millrace.Streams.Plans;

namespace Millrace.Streams.Sql;

/// <summary>
/// How each aggregate is divided: which partials stand for it, how they merge, and the expression over merged partials that has the
/// aggregate's own type and value. An absent value (no row, or null alone) stays null through all three.
/// </summary>
internal static class AggregateRules
{
    private const string Supported = "these can be merged: sum, count, count(*), count_if, avg, min, max, bool_and, bool_or, each with FILTER (WHERE ...)";

    private static readonly HashSet<string> Names =
        ["sum", "count", "count_star", "count_if", "countif", "avg", "mean", "min", "max", "bool_and", "bool_or"];

    /// <summary>Refuses what cannot be divided.</summary>
    public static void Check(JsonObject aggregate, SqlPlaces places, List<TextFault> faults)
    {
        var name = SyntaxTree.FunctionOf(aggregate)!;
        var at = places.Of(aggregate);
        if (!Names.Contains(name))
            faults.Add(new TextFault(at.Offset, at.Length, "unsupported-sql", $"{name}(...) cannot be computed from parts of a window", Supported));
        else if (aggregate["distinct"]?.GetValue<bool>() == true && name is not ("min" or "max" or "bool_and" or "bool_or"))
            faults.Add(new TextFault(at.Offset, at.Length, "unsupported-sql", $"{name}(DISTINCT ...) cannot be computed from parts of a window", Supported));
        else if (aggregate["order_bys"]?["orders"] is JsonArray { Count: > 0 })
            faults.Add(new TextFault(at.Offset, at.Length, "unsupported-sql", $"ORDER BY inside of {name}(...) is not supported", "its value does not depend on the order: leave it out"));
        else if (aggregate["children"]!.AsArray().Count > 1)
            faults.Add(new TextFault(at.Offset, at.Length, "unsupported-sql", $"{name}(...) with more than one argument cannot be computed from parts of a window", Supported));
    }

    /// <summary>The argument, or null for count(*).</summary>
    public static JsonObject? ArgumentOf(JsonObject aggregate) => aggregate["children"]!.AsArray() is { Count: > 0 } children ? children[0]!.AsObject() : null;

    /// <summary>Adds the partials of an aggregate and gives the expression over them.</summary>
    /// <param name="type">The argument's DuckDB type.</param>
    /// <param name="add">Adds a partial and gives a reference to its column.</param>
    /// <param name="template">Makes an expression from text with x0, x1 for trees.</param>
    /// <param name="refuse">Tells a type that cannot be held.</param>
    public static JsonObject Divide(
        JsonObject aggregate, string type, Func<JsonObject, Merge, JsonObject> add, Func<string, IReadOnlyList<JsonObject>, JsonObject> template,
        Action<JsonObject, string, string> refuse)
    {
        var name = SyntaxTree.FunctionOf(aggregate)!;
        switch (name)
        {
            case "count_star" or "count":
                return add(Call(aggregate, name), Merge.Sum);
            case "count_if" or "countif":
                return template("CAST(x0 AS HUGEINT)", [add(template("CAST(x0 AS BIGINT)", [Call(aggregate, name)]), Merge.Sum)]);
            case "sum":
                return Sum(Call(aggregate, "sum"), type, add, template) ?? Refuse(aggregate, type, refuse);
            case "avg" or "mean":
                return Average(aggregate, type, add, template) ?? Refuse(aggregate, type, refuse);
            case "bool_and":
                return add(Call(aggregate, name), Merge.And);
            case "bool_or":
                return add(Call(aggregate, name), Merge.Or);
            default:
                return Extreme(aggregate, name, type, add, template) ?? Refuse(aggregate, type, refuse);
        }
    }

    private static JsonObject? Sum(
        JsonObject call, string type, Func<JsonObject, Merge, JsonObject> add, Func<string, IReadOnlyList<JsonObject>, JsonObject> template)
    {
        if (IsInteger(type))
            return template("CAST(x0 AS HUGEINT)", [add(template("CAST(x0 AS DECIMAL(38,0))", [call]), Merge.Sum)]);
        return type is "DOUBLE" or "FLOAT" || IsDecimal(type) ? add(call, Merge.Sum) : null;
    }

    // avg is sum / count in DOUBLE. DuckDB divides sums of integers in 80 bits, so that the last bit may differ where a sum passes 2^53.
    private static JsonObject? Average(
        JsonObject aggregate, string type, Func<JsonObject, Merge, JsonObject> add, Func<string, IReadOnlyList<JsonObject>, JsonObject> template)
    {
        if (Sum(Call(aggregate, "sum"), type, add, template) is not { } sum)
            return null;
        var count = add(Call(aggregate, "count"), Merge.Sum);
        if (!IsDecimal(type))
            return template("CASE WHEN x1 > 0 THEN CAST(x0 AS DOUBLE) / x1 END", [sum, count]);
        // DuckDB averages the unscaled digits and divides by count * 10^scale; the digits are taken from the text, which cannot overflow.
        var scale = ScaleOf(type);
        return template($"CASE WHEN x1 > 0 THEN CAST(CAST(replace(CAST(x0 AS VARCHAR), '.', '') AS HUGEINT) AS DOUBLE) / (x1 * 1e{scale}) END", [sum, count]);
    }

    private static JsonObject? Extreme(
        JsonObject aggregate, string name, string type, Func<JsonObject, Merge, JsonObject> add,
        Func<string, IReadOnlyList<JsonObject>, JsonObject> template)
    {
        var merge = name == "min" ? Merge.Min : Merge.Max;
        if (type == "BOOLEAN")
            return add(Call(aggregate, name == "min" ? "bool_and" : "bool_or"), name == "min" ? Merge.And : Merge.Or);
        if (type is "HUGEINT" or "UHUGEINT")
            return template($"CAST(x0 AS {type})", [add(template("CAST(x0 AS DECIMAL(38,0))", [Call(aggregate, name)]), merge)]);
        var held = type is "DOUBLE" or "FLOAT" or "VARCHAR" or "BLOB" or "DATE" or "TIME" or "TIMESTAMP" or "TIMESTAMP WITH TIME ZONE"
            || IsInteger(type) || IsDecimal(type);
        return held ? add(Call(aggregate, name), merge) : null;
    }

    private static JsonObject Refuse(JsonObject aggregate, string type, Action<JsonObject, string, string> refuse)
    {
        refuse(aggregate, $"{SyntaxTree.FunctionOf(aggregate)} over {type} cannot be computed from parts of a window", "cast the argument, e.g. to DOUBLE, BIGINT or VARCHAR");
        return aggregate;
    }

    private static JsonObject Call(JsonObject aggregate, string name)
    {
        var copy = (JsonObject)aggregate.DeepClone();
        copy["function_name"] = name;
        copy["alias"] = "";
        copy["distinct"] = false;
        return copy;
    }

    private static bool IsInteger(string type) =>
        type is "BOOLEAN" or "TINYINT" or "SMALLINT" or "INTEGER" or "BIGINT" or "HUGEINT" or "UTINYINT" or "USMALLINT" or "UINTEGER" or "UBIGINT";

    private static bool IsDecimal(string type) => type.StartsWith("DECIMAL(", StringComparison.Ordinal);

    private static int ScaleOf(string type) => int.Parse(type.AsSpan(type.IndexOf(',') + 1).TrimEnd(')'));
}
