using System.Text.Json.Nodes;

namespace Millrace.Streams.Sql;

/// <summary>Refuses by name what a SQL step cannot be, each with its place and what is supported instead.</summary>
internal sealed class SqlShape(SqlSession session, SqlPlaces places, List<TextFault> faults)
{
    private const string RowByRow = "a step works row by row or by windows; order and limit rows where they are read";

    private static readonly string[] Clocks =
    [
        "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "current_user", "session_user", "user",
    ];

    /// <summary>Checks a statement's node; true when nothing was refused.</summary>
    public bool Check(JsonObject node)
    {
        var before = faults.Count;
        switch (SyntaxTree.TypeOf(node))
        {
            case "SELECT_NODE":
                break;
            case "SET_OPERATION_NODE":
                var operation = ((string?)node["setop_type"] ?? "UNION").ToUpperInvariant();
                Refuse(places.OfWord(operation, false, node), operation, "write two steps with a sink each");
                return false;
            default:
                Refuse(places.OfWord("with", false, node), "WITH RECURSIVE", "a step is one SELECT");
                return false;
        }
        if (node["cte_map"]?["map"] is JsonArray { Count: > 0 })
            Refuse(places.OfWord("with", false, null), "WITH", "give the inner SELECT its own name under sql: and read that");
        CheckModifiers(node);
        CheckFrom(node["from_table"]);
        if (node["sample"] is not null)
            Refuse(places.OfWord("sample", true, null), "SAMPLE", "choose rows by a condition in WHERE");
        if (node["qualify"] is { } qualify)
            Refuse(places.OfWord("qualify", false, qualify), "QUALIFY", "use HAVING, or a condition in a later step");
        if (node["group_sets"] is JsonArray { Count: > 1 })
            Refuse(places.OfWord("group", false, node["group_expressions"]), "GROUPING SETS, CUBE and ROLLUP", "write one step for each grouping");
        foreach (var part in (ReadOnlySpan<string>)["select_list", "where_clause", "group_expressions", "having"])
            CheckExpressions(node[part]);
        return faults.Count == before;
    }

    private void CheckModifiers(JsonObject node)
    {
        foreach (var modifier in node["modifiers"] as JsonArray ?? [])
        {
            switch (SyntaxTree.TypeOf(modifier!.AsObject()))
            {
                case "ORDER_MODIFIER":
                    Refuse(places.OfWord("order", true, modifier), "ORDER BY", RowByRow);
                    break;
                case "DISTINCT_MODIFIER":
                    Refuse(places.OfWord("distinct", false, modifier), "DISTINCT", "group by the columns in a window, or check unique(...) within a time");
                    break;
                default:
                    Refuse(places.OfWord("limit", true, modifier), "LIMIT", RowByRow);
                    break;
            }
        }
    }

    private void CheckFrom(JsonNode? from)
    {
        var node = from as JsonObject;
        switch (node is null ? "EMPTY" : SyntaxTree.TypeOf(node))
        {
            case "BASE_TABLE":
                if (node!["sample"] is not null)
                    Refuse(places.Of(node), "SAMPLE", "choose rows by a condition in WHERE");
                if ((string?)node["schema_name"] is { Length: > 0 } || node["at_clause"] is not null)
                    Refuse(places.Of(node), "a qualified table", "a step reads a source or another step by its plain name");
                break;
            case "EMPTY":
                faults.Add(new TextFault(places.Whole.Offset, places.Whole.Length, "no-input", "the step reads nothing: it has no FROM", "FROM a source or another step"));
                break;
            case "JOIN":
                Refuse(places.OfWord("join", false, node!["right"]), "a join", "a step reads one source or step");
                break;
            case "SUBQUERY":
                Refuse(places.OfWord("from", false, node), "a subquery in FROM", "give the inner SELECT its own name under sql: and read that");
                break;
            case "TABLE_FUNCTION":
                Refuse(places.Of(node), "a table function", "a step reads a source or another step; windows are cut by tumble(orders, 1m)");
                break;
            default:
                Refuse(places.OfWord("from", false, node), "this FROM", "a step reads a source or another step");
                break;
        }
    }

    private void CheckExpressions(JsonNode? part)
    {
        foreach (var expression in SyntaxTree.Expressions(part))
        {
            switch (SyntaxTree.ClassOf(expression))
            {
                case "WINDOW":
                    Refuse(places.Of(expression), "OVER (...)", "windows of event time are: FROM tumble(orders, 1m) ... GROUP BY window_start");
                    break;
                case "SUBQUERY":
                    Refuse(places.Of(expression), "a subquery", "give the inner SELECT its own name under sql:, or compute it in an earlier step");
                    break;
                case "POSITIONAL_REFERENCE":
                    Refuse(places.Of(expression), "a column by position", "name the column");
                    break;
                case "PARAMETER":
                    Refuse(places.Of(expression), "a parameter", "write the value");
                    break;
            }
            var name = SyntaxTree.FunctionOf(expression) ?? (SyntaxTree.ColumnOf(expression) is [var single] && Clocks.Contains(single.ToLowerInvariant()) ? single : null);
            if (name is not null && (session.Volatile.Contains(name) || Clocks.Contains(name.ToLowerInvariant())))
            {
                var place = places.Of(expression);
                faults.Add(new TextFault(
                    place.Offset, place.Length, "unsupported-sql", $"{name} gives another value at each run, so a restart would change rows that were already given",
                    "use the event's own columns"));
            }
        }
    }

    private void Refuse(Span at, string what, string hint) =>
        faults.Add(new TextFault(at.Offset, at.Length, "unsupported-sql", $"{what} is not supported in a SQL step", hint));
}
