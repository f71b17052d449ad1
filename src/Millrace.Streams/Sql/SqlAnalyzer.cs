using System.Text.Json;
using System.Text.Json.Nodes;
using Millrace.Columnar;
using Millrace.DuckDb;
using Millrace.Streams.Plans;

namespace Millrace.Streams.Sql;

/// <summary>
/// Makes plans of SQL steps. DuckDB's own parser reads them and its binder checks them against empty tables, so a step that passes
/// here runs. What a user did wrong comes back as faults with places; nothing throws for it.
/// </summary>
/// <remarks>Holds a small DuckDB database in memory (some 20 ms to open). One thread at a time.</remarks>
public sealed class SqlAnalyzer : IDisposable
{
    private readonly SqlSession _session = new();

    /// <summary>Parses a step and finds what it reads. Null when a fault was added.</summary>
    public SqlStep? Parse(string sql, List<TextFault> faults)
    {
        var before = faults.Count;
        var calls = TumbleCall.Find(sql, faults);
        if (faults.Count > before)
            return null;
        if (calls.Count > 1)
        {
            faults.Add(new TextFault(calls[1].Call.Offset, calls[1].Call.Length, "unsupported-sql", "a step cuts one input into windows, not two", "write two steps"));
            return null;
        }
        var text = TumbleCall.Cut(sql, calls);
        var places = new SqlPlaces(text);
        if (ParseSelect(text, places, faults) is not { } select)
            return null;
        if (!new SqlShape(_session, places, faults).Check(select))
            return null;
        var from = select["from_table"]!.AsObject();
        var input = (string)from["table_name"]!;
        var span = calls.Count == 1 ? calls[0].InputSpan : places.Of(from);
        var alias = SyntaxTree.AliasOf(from) is { Length: > 0 } given ? given : input;
        return new SqlStep(sql, text, select, input, span, alias, calls.Count == 1 ? calls[0] : null);
    }

    /// <summary>Binds a step to its input and makes its plan. Null when a fault was added.</summary>
    public SqlAnalysis? Analyze(string name, SqlStep step, SqlInput input, List<TextFault> faults)
    {
        var places = new SqlPlaces(step.ParsedText);
        if (step.Window is { } window && input.TimeColumn is null)
        {
            faults.Add(new TextFault(
                window.InputSpan.Offset, window.InputSpan.Length, "no-time", $"'{input.Name}' has no event time to cut windows by",
                "select its time column (or window_start) unchanged in that step"));
            return null;
        }
        if (!CheckColumns(step, input, places, faults))
            return null;
        if (Bind(step, input, places, faults) is not { } described)
            return null;
        if (OutputOf(step, input, described, places, faults) is not { } output)
            return null;
        var aggregates = SyntaxTree.Expressions(step.Select["select_list"]).Concat(SyntaxTree.Expressions(step.Select["having"]))
            .Where(e => SyntaxTree.FunctionOf(e) is { } function && _session.Aggregates.Contains(function)).ToArray();
        var grouped = step.Select["group_expressions"] is JsonArray { Count: > 0 } || (string?)step.Select["aggregate_handling"] == "FORCE_AGGREGATES";
        if (aggregates.Length == 0 && !grouped)
            return Stateless(name, step, input, output);
        if (step.Window is null)
        {
            var at = aggregates.Length > 0 ? places.Of(aggregates[0]) : places.OfWord("group", false, null);
            faults.Add(new TextFault(
                at.Offset, at.Length, "no-window", "a stream has no end, so an aggregate needs a window",
                $"FROM tumble({input.Name}, 1m) ... GROUP BY ..., window_start"));
            return null;
        }
        var split = new WindowSplit(_session, step, input, places, faults);
        return split.Split(name, output) is { } plan
            ? new SqlAnalysis(plan, TimeColumnOf(step, [WindowColumns.Start], output), split.KeyColumns(output))
            : null;
    }

    /// <summary>Checks that a text is a boolean expression over the columns. False when a fault was added.</summary>
    public bool CheckCondition(string condition, Schema columns, List<TextFault> faults)
    {
        const string prefix = "SELECT ";
        const string table = "rows";
        var sql = $"{prefix}{condition}\nFROM \"{table}\"";
        var before = faults.Count;
        var found = new List<TextFault>();
        var places = new SqlPlaces(sql);
        if (ParseSelect(sql, places, found) is { } select && new SqlShape(_session, places, found).Check(select))
        {
            foreach (var aggregate in SyntaxTree.Expressions(select["select_list"]).Where(e => SyntaxTree.FunctionOf(e) is { } f && _session.Aggregates.Contains(f)))
            {
                var at = places.Of(aggregate);
                found.Add(new TextFault(at.Offset, at.Length, "unsupported-sql", "a condition looks at one row; it cannot aggregate", "aggregate in a SQL step and name its column here"));
            }
            if (select["select_list"]!.AsArray() is not [JsonObject single] || SyntaxTree.AliasOf(single).Length > 0 || select["where_clause"] is not null)
                found.Add(new TextFault(prefix.Length, condition.Length, "bad-condition", "a condition is one expression", "e.g. revenue < 100 AND orders > 3"));
            CheckColumns(select, table, columns, null, places, found);
            if (found.Count == 0)
                BindCondition(sql, table, columns, places, found);
        }
        foreach (var fault in found)
        {
            var offset = Math.Clamp(fault.Offset - prefix.Length, 0, Math.Max(0, condition.Length - 1));
            faults.Add(fault with { Offset = offset, Length = Math.Max(1, Math.Min(fault.Length, condition.Length - offset)) });
        }
        return faults.Count == before;
    }

    /// <summary>The name as SQL writes it: in double quotes where it needs them.</summary>
    public string Identifier(string name) =>
        name.Length > 0 && !char.IsAsciiDigit(name[0]) && name.All(c => char.IsAsciiLetterOrDigit(c) || c == '_')
        && !_session.Keywords.Contains(name.ToLowerInvariant())
            ? name
            : DuckDbSql.Identifier(name);

    public void Dispose() => _session.Dispose();

    private void BindCondition(string sql, string table, Schema columns, SqlPlaces places, List<TextFault> faults)
    {
        _session.CreateTable(table, columns);
        try
        {
            var type = _session.Describe(sql)[0].Type;
            if (type != "BOOLEAN")
                faults.Add(new TextFault(0, sql.Length, "bad-condition", $"the condition gives {type}, not true or false", "compare: revenue < 100"));
        }
        catch (DuckDbException error)
        {
            faults.Add(BindFault.Explain(error, places, columns));
        }
        finally
        {
            _session.DropTable(table);
        }
    }

    private JsonObject? ParseSelect(string text, SqlPlaces places, List<TextFault> faults)
    {
        JsonObject parsed;
        try
        {
            parsed = _session.Parse(text);
        }
        catch (JsonException)
        {
            faults.Add(new TextFault(places.Whole.Offset, places.Whole.Length, "too-deep", "the expressions are nested too deep", "compute parts in an earlier step"));
            return null;
        }
        if (parsed["error"]!.GetValue<bool>())
        {
            var message = (string?)parsed["error_message"] ?? "it cannot be parsed";
            if ((string?)parsed["error_type"] == "not implemented")
            {
                faults.Add(new TextFault(places.Whole.Offset, places.Whole.Length, "unsupported-sql", "a SQL step is one SELECT", "SELECT ... FROM a source or another step"));
                return null;
            }
            var at = int.TryParse((string?)parsed["position"], out var position) ? places.OfCodePoints(position) : places.Whole;
            faults.Add(new TextFault(at.Offset, at.Length, "sql", BindFault.Sentence(message)));
            return null;
        }
        var statements = parsed["statements"]!.AsArray();
        if (statements.Count == 1)
            return statements[0]!["node"]!.AsObject();
        var second = statements.Count > 1 ? places.Of(statements[1]) : places.Whole;
        faults.Add(new TextFault(
            second.Offset, second.Length, "unsupported-sql", statements.Count == 0 ? "the SQL is empty" : "a step is one statement; here a second begins",
            "give each statement its own name under sql:"));
        return null;
    }

    private IReadOnlyList<(string Name, string Type)>? Bind(SqlStep step, SqlInput input, SqlPlaces places, List<TextFault> faults)
    {
        var columns = step.Window is null ? input.Columns : WindowColumns.AddTo(input.Columns);
        _session.CreateTable(step.Input, columns);
        try
        {
            return _session.Describe(step.ParsedText);
        }
        catch (DuckDbException error)
        {
            faults.Add(BindFault.Explain(error, places, columns));
            return null;
        }
        finally
        {
            _session.DropTable(step.Input);
        }
    }

    private static bool CheckColumns(SqlStep step, SqlInput input, SqlPlaces places, List<TextFault> faults)
    {
        var columns = step.Window is null ? input.Columns : WindowColumns.AddTo(input.Columns);
        return CheckColumns(step.Select, step.Alias, columns, step.Window is null ? input.Name : null, places, faults);
    }

    // DuckDB stops at the first unknown column; a writer wants to hear of all.
    private static bool CheckColumns(
        JsonObject select, string alias, Schema columns, string? unwindowed, SqlPlaces places, List<TextFault> faults)
    {
        var known = columns.Fields.Select(f => f.Name).ToArray();
        var aliases = select["select_list"]!.AsArray().Select(i => SyntaxTree.AliasOf(i!.AsObject())).Where(a => a.Length > 0).ToArray();
        var lambdas = SyntaxTree.Expressions(select).Where(e => SyntaxTree.ClassOf(e) == "LAMBDA")
            .SelectMany(e => SyntaxTree.Expressions(e["lhs"])).Select(SyntaxTree.ColumnOf).OfType<string[]>().Select(c => c[0]).ToArray();
        var before = faults.Count;
        foreach (var part in (ReadOnlySpan<string>)["select_list", "where_clause", "group_expressions", "having"])
        {
            foreach (var expression in SyntaxTree.Expressions(select[part]))
            {
                if (SyntaxTree.ColumnOf(expression) is not { } column)
                    continue;
                var name = column.Length > 1 && Is(column[0], alias) && !Has(known, column[0]) ? column[1] : column[0];
                if (Has(known, name) || Has(aliases, name) || Has(lambdas, name) || Is(name, alias))
                    continue;
                var at = places.Of(expression);
                var hint = unwindowed is not null && name.StartsWith("window_", StringComparison.OrdinalIgnoreCase)
                    ? $"windows have it: FROM tumble({unwindowed}, 1m)"
                    : NearestName.Hint(name, known.Concat(aliases).ToArray(), "the columns are");
                faults.Add(new TextFault(at.Offset, at.Length, "unknown-column", $"there is no column '{name}'", hint));
            }
        }
        return faults.Count == before;
    }

    private static bool Is(string a, string b) => string.Equals(a, b, StringComparison.OrdinalIgnoreCase);

    private static bool Has(string[] names, string name) => names.Contains(name, StringComparer.OrdinalIgnoreCase);

    private static OutputShape? OutputOf(
        SqlStep step, SqlInput input, IReadOnlyList<(string Name, string Type)> described, SqlPlaces places, List<TextFault> faults)
    {
        var items = step.Select["select_list"]!.AsArray();
        var aligned = items.Count == described.Count && items.All(i => SyntaxTree.ClassOf(i!.AsObject()) != "STAR");
        var columns = new List<OutputColumn>();
        var before = faults.Count;
        for (var i = 0; i < described.Count; i++)
        {
            var (name, type) = described[i];
            var at = aligned ? places.Of(items[i]) : places.Of(items[Math.Min(i, items.Count - 1)]);
            if (columns.Exists(c => Is(c.Name, name)))
                faults.Add(new TextFault(at.Offset, at.Length, "duplicate-name", $"column '{name}' stands twice in the result", "give one another name with AS"));
            if (OutputColumn.Of(name, type, Nullable(aligned ? items[i]!.AsObject() : null, name, input)) is { } column)
                columns.Add(column);
            else
                faults.Add(new TextFault(at.Offset, at.Length, "unsupported-type", $"column '{name}' is {type}, which tables and topics cannot hold", $"cast it: CAST(... AS VARCHAR) AS {name}"));
        }
        return faults.Count == before ? new OutputShape(columns) : null;
    }

    // Without an item (under *) the result's column is the input's of that name.
    private static bool Nullable(JsonObject? item, string name, SqlInput input) => item is null ? !IsPresent(name, input) : !IsPresent(item, input);

    private static bool IsPresent(JsonObject expression, SqlInput input) => SyntaxTree.ClassOf(expression) switch
    {
        "COLUMN_REF" => IsPresent(SyntaxTree.ColumnOf(expression)![^1], input),
        "CONSTANT" => expression["value"]?["is_null"]?.GetValue<bool>() == false,
        "FUNCTION" => SyntaxTree.FunctionOf(expression) is "count" or "count_star",
        "OPERATOR" => SyntaxTree.TypeOf(expression) == "OPERATOR_COALESCE" && expression["children"]!.AsArray().Any(c => IsPresent(c!.AsObject(), input)),
        "CAST" => expression["try_cast"]?.GetValue<bool>() == false && IsPresent(expression["child"]!.AsObject(), input),
        _ => false,
    };

    private static bool IsPresent(string column, SqlInput input) =>
        column is WindowColumns.Start or WindowColumns.End || input.Columns.Fields.FirstOrDefault(f => Is(f.Name, column)) is { Nullable: false };

    private SqlAnalysis Stateless(string name, SqlStep step, SqlInput input, OutputShape output)
    {
        var select = (JsonObject)step.Select.DeepClone();
        select["from_table"] = step.Window is { } window
            ? WindowColumns.From(_session, "batch", input, window.Size, step.Alias)
            : _session.Parse($"SELECT 1 FROM batch AS {DuckDbSql.Identifier(step.Alias)}")["statements"]![0]!["node"]!["from_table"]!.DeepClone();
        var plan = new StatelessQueryPlan(name, step.Sql, step.Input, output.Schema, output.Wrap(_session.Print(select)));
        string[] times = step.Window is null ? [input.TimeColumn ?? ""] : [input.TimeColumn ?? "", WindowColumns.Start];
        return new SqlAnalysis(plan, TimeColumnOf(step, times, output), []);
    }

    // Event time goes on through a step only where the column is passed on unchanged.
    private static string? TimeColumnOf(SqlStep step, IReadOnlyList<string> times, OutputShape output)
    {
        var items = step.Select["select_list"]!.AsArray();
        for (var i = 0; i < items.Count; i++)
        {
            var item = items[i]!.AsObject();
            if (SyntaxTree.ColumnOf(item) is { } column && times.Any(t => Is(t, column[^1])))
                return SyntaxTree.AliasOf(item) is { Length: > 0 } alias ? alias : output.Schema.Fields.First(f => Is(f.Name, column[^1])).Name;
            if (SyntaxTree.ClassOf(item) == "STAR" && item["replace_list"] is JsonArray { Count: 0 } && item["rename_list"] is JsonArray { Count: 0 }
                && output.Schema.Fields.FirstOrDefault(f => times.Any(t => Is(t, f.Name))) is { } field)
                return field.Name;
        }
        return null;
    }
}
