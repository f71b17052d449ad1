using System.Text.Json;
using Millrace.Query.Text;

namespace Millrace.Query.Engine;

/// <summary>A table that a query names.</summary>
/// <param name="Catalog">Empty when not said.</param>
/// <param name="Schema">Empty when not said.</param>
/// <param name="Name">As written.</param>
/// <param name="Location">In bytes from the query's start, or -1.</param>
internal readonly record struct TableReference(string Catalog, string Schema, string Name, long Location);

/// <summary>A function in FROM that a query calls, or a function of values.</summary>
internal readonly record struct FunctionReference(string Name, string Schema, bool IsTable, long Location);

/// <summary>The tables and functions that a query names, read off DuckDB's own syntax tree (<c>json_serialize_sql</c>). Pure.</summary>
internal sealed class StatementReferences
{
    /// <summary>What DuckDB writes for "no place".</summary>
    private const ulong NoLocation = ulong.MaxValue;
    private const int MaxDepth = 2000;

    private readonly List<TableReference> _tables = [];
    private readonly List<FunctionReference> _functions = [];
    private readonly List<string> _commonTables = [];

    private StatementReferences()
    {
    }

    public IReadOnlyList<TableReference> Tables => _tables;

    public IReadOnlyList<FunctionReference> Functions => _functions;

    /// <param name="json">The result of <c>json_serialize_sql</c>.</param>
    /// <exception cref="SqlException">The text does not parse, or is no query; the position is in bytes + 1.</exception>
    public static StatementReferences Read(string json)
    {
        using var document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = MaxDepth });
        var root = document.RootElement;
        if (root.GetProperty("error").GetBoolean())
        {
            var message = root.GetProperty("error_message").GetString() ?? "syntax error";
            if (root.GetProperty("error_type").GetString() != "parser")
                throw new SqlException("only queries can be run here", SqlStates.FeatureNotSupported, detail: message);
            int? position = root.TryGetProperty("position", out var at) && int.TryParse(at.GetString(), out var place) ? place : null;
            throw new SqlException(message, SqlStates.SyntaxError, position);
        }
        var statements = root.GetProperty("statements");
        if (statements.GetArrayLength() != 1)
            throw new SqlException("one statement is expected", SqlStates.SyntaxError);
        var references = new StatementReferences();
        references.Walk(statements[0]);
        return references;
    }

    private void Walk(JsonElement element)
    {
        if (element.ValueKind == JsonValueKind.Array)
        {
            foreach (var item in element.EnumerateArray())
                Walk(item);
            return;
        }
        if (element.ValueKind != JsonValueKind.Object)
            return;
        var scope = _commonTables.Count;
        if (element.TryGetProperty("cte_map", out var map))
            WalkCommonTables(map);
        var type = element.TryGetProperty("type", out var t) && t.ValueKind == JsonValueKind.String ? t.GetString() : null;
        if (type == "RECURSIVE_CTE_NODE" && element.TryGetProperty("cte_name", out var name))
            _commonTables.Add(name.GetString() ?? "");
        switch (type)
        {
            case "BASE_TABLE":
                AddTable(element);
                break;
            case "TABLE_FUNCTION":
                AddFunction(element.GetProperty("function"), isTable: true);
                break;
            case "FUNCTION":
                AddFunction(element, isTable: false);
                break;
            case "SHOW_REF" when element.TryGetProperty("table_name", out var shown) && shown.GetString() is { Length: > 0 } special:
                throw new SqlException($"cannot show {special}", SqlStates.FeatureNotSupported, hint: "SHOW TABLES, SHOW SCHEMAS and information_schema list what there is");
        }
        foreach (var property in element.EnumerateObject())
        {
            if (property.Value.ValueKind is not (JsonValueKind.Object or JsonValueKind.Array) || property.NameEquals("cte_map"))
                continue;
            if (type == "TABLE_FUNCTION" && property.NameEquals("function"))
            {
                Walk(property.Value.GetProperty("children"));
                continue;
            }
            Walk(property.Value);
        }
        _commonTables.RemoveRange(scope, _commonTables.Count - scope);
    }

    /// <summary>A common table sees those in front of it, and the query sees all.</summary>
    private void WalkCommonTables(JsonElement map)
    {
        foreach (var entry in map.GetProperty("map").EnumerateArray())
        {
            var name = entry.GetProperty("key").GetString() ?? "";
            var value = entry.GetProperty("value");
            var before = _commonTables.Count;
            if (IsRecursive(value))
                _commonTables.Add(name);
            Walk(value);
            _commonTables.RemoveRange(before, _commonTables.Count - before);
            _commonTables.Add(name);
        }
    }

    private static bool IsRecursive(JsonElement commonTable) =>
        commonTable.TryGetProperty("query", out var query) && query.TryGetProperty("node", out var node)
        && node.TryGetProperty("type", out var type) && type.GetString() == "RECURSIVE_CTE_NODE";

    private void AddTable(JsonElement element)
    {
        var name = Text(element, "table_name");
        var schema = Text(element, "schema_name");
        if (schema.Length == 0)
        {
            foreach (var commonTable in _commonTables)
            {
                if (commonTable.Equals(name, StringComparison.OrdinalIgnoreCase))
                    return;
            }
        }
        if (element.TryGetProperty("at_clause", out var at) && at.ValueKind != JsonValueKind.Null)
            throw new SqlException("reading a table as of another time is not supported yet", SqlStates.FeatureNotSupported);
        _tables.Add(new TableReference(Text(element, "catalog_name"), schema, name, Location(element)));
    }

    private void AddFunction(JsonElement element, bool isTable)
    {
        if (element.ValueKind == JsonValueKind.Object && element.TryGetProperty("function_name", out _))
            _functions.Add(new FunctionReference(Text(element, "function_name"), Text(element, "schema"), isTable, Location(element)));
    }

    private static string Text(JsonElement element, string property) =>
        element.TryGetProperty(property, out var value) ? value.GetString() ?? "" : "";

    private static long Location(JsonElement element) =>
        element.TryGetProperty("query_location", out var value) && value.TryGetUInt64(out var location) && location != NoLocation ? (long)location : -1;
}
