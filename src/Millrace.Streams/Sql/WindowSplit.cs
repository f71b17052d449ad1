using System.Text.Json.Nodes;
using Millrace.Columnar;
using Millrace.DuckDb;
using Millrace.Streams.Plans;

namespace Millrace.Streams.Sql;

/// <summary>
/// Cuts a windowed aggregate in three, as Gray et al. divide aggregates ("Data Cube", 1997): partials over any part of the rows, a merge
/// of partials, and the statement's own expressions over merged ones. All texts are printed by DuckDB from trees that DuckDB parsed.
/// </summary>
internal sealed class WindowSplit
{
    private readonly SqlSession _session;
    private readonly SqlStep _step;
    private readonly SqlInput _input;
    private readonly SqlPlaces _places;
    private readonly List<TextFault> _faults;
    private readonly TimeSpan _size;
    private readonly JsonObject _select;
    private readonly List<JsonObject> _items;
    private readonly List<KeyColumn> _keys = [];
    private readonly List<PartialExpression> _partials = [];
    private Dictionary<string, string> _argumentTypes = [];

    public WindowSplit(SqlSession session, SqlStep step, SqlInput input, SqlPlaces places, List<TextFault> faults)
    {
        (_session, _step, _input, _places, _faults) = (session, step, input, places, faults);
        _size = step.Window!.Size;
        _select = (JsonObject)SyntaxTree.Rewrite(step.Select, Unqualify)!;
        _items = _select["select_list"]!.AsArray().Select(i => i!.AsObject()).ToList();
    }

    /// <summary>The plan, or null when a fault was added. The statement has been bound as it is written.</summary>
    public WindowedQueryPlan? Split(string name, OutputShape output)
    {
        var before = _faults.Count;
        foreach (var star in _items.Where(i => SyntaxTree.ClassOf(i) == "STAR"))
            Fault(star, "unsupported-sql", "* is not supported in a windowed step", "name the columns that are grouped by");
        for (var i = 0; i < _items.Count; i++)
            _items[i] = InlineAliases(_items[i], i);
        FindKeys();
        var having = _select["having"] is JsonObject condition ? InlineHaving(condition) : null;
        var aggregates = Aggregates(_items.Append(having)).ToArray();
        foreach (var aggregate in aggregates)
            AggregateRules.Check(aggregate, _places, _faults);
        if (_faults.Count > before)
            return null;
        CreateBatchTable();
        try
        {
            DescribeArguments(aggregates);
            var final = FinalTree(output, having);
            if (_faults.Count > before)
                return null;
            var partialSql = _session.Print(PartialTree());
            var partial = DescribePartial(partialSql);
            return new WindowedQueryPlan(name, _step.Sql, _step.Input, output.Schema, _size, partialSql, partial, FinalSql(final, output, partial))
            {
                Keys = [.. output.Columns.Where((_, i) => _keys.Exists(k => SyntaxTree.Same(k.Expression, _items[i]))).Select(c => c.Name)],
            };
        }
        finally
        {
            _session.DropTable("batch");
            _session.DropTable("partials");
        }
    }

    /// <summary>The output columns that the statement groups by, after <see cref="Split"/>.</summary>
    public IReadOnlyList<string> KeyColumns(OutputShape output) => output.Columns
        .Where((_, i) => _keys.Exists(k => SyntaxTree.Same(k.Expression, _items[i]))
            || (SyntaxTree.ColumnOf(_items[i]) is [var name] && Is(name, WindowColumns.Start)))
        .Select(c => c.Name).ToArray();

    private void CreateBatchTable() => _session.CreateTable("batch", _input.Columns);

    private JsonObject? Unqualify(JsonObject expression)
    {
        if (SyntaxTree.ColumnOf(expression) is not { Length: > 1 } column || !Is(column[0], _step.Alias) || IsColumn(column[0]))
            return null;
        var copy = (JsonObject)expression.DeepClone();
        copy["column_names"] = new JsonArray(column.Skip(1).Select(c => (JsonNode)c).ToArray());
        return copy;
    }

    // A name that is no column is the alias of an earlier item (lateral aliases).
    private JsonObject InlineAliases(JsonObject expression, int items) =>
        (JsonObject)SyntaxTree.Rewrite(expression, e => SyntaxTree.ColumnOf(e) is [var name] && !IsColumn(name) ? ItemNamed(name, items) : null)!;

    // In HAVING an alias goes before a column, except inside of aggregates.
    private JsonObject InlineHaving(JsonObject having) => (JsonObject)SyntaxTree.Rewrite(having, e =>
    {
        if (IsAggregate(e))
            return InlineAliases(e, _items.Count);
        return SyntaxTree.ColumnOf(e) is [var name] ? ItemNamed(name, _items.Count) : null;
    })!;

    private JsonObject? ItemNamed(string name, int items) => _items.Take(items).FirstOrDefault(i => Is(SyntaxTree.AliasOf(i), name));

    private bool IsColumn(string name) =>
        name.Equals(WindowColumns.Start, StringComparison.OrdinalIgnoreCase) || name.Equals(WindowColumns.End, StringComparison.OrdinalIgnoreCase)
        || _input.Columns.Fields.Any(f => Is(f.Name, name));

    private void FindKeys()
    {
        var expressions = _select["group_expressions"]!.AsArray().Select(e => e!.AsObject()).ToList();
        if ((string?)_select["aggregate_handling"] == "FORCE_AGGREGATES")
            expressions = _items.Where(i => !Aggregates([i]).Any()).ToList();
        var windowed = false;
        foreach (var written in expressions)
        {
            var expression = Resolve(written);
            if (IsWindowColumn(expression))
            {
                windowed = true;
            }
            else if (!_keys.Exists(k => SyntaxTree.Same(k.Expression, expression)))
            {
                _keys.Add(new KeyColumn($"k{_keys.Count}", expression));
            }
        }
        if (windowed)
            return;
        var at = _places.OfWord("group", last: false, null);
        if (expressions.Count == 0)
            at = new Span(_step.Window!.Call.Offset, _step.Window.Call.Length);
        var names = expressions.Select(e => SyntaxTree.ColumnOf(e) is { } column ? column[^1] : "...").Append(WindowColumns.Start);
        _faults.Add(new TextFault(
            at.Offset, at.Length, "no-window", "a windowed step groups by its window", $"GROUP BY {string.Join(", ", names)}"));
    }

    // GROUP BY 1 and GROUP BY alias stand for items.
    private JsonObject Resolve(JsonObject expression)
    {
        if (SyntaxTree.TypeOf(expression) == "VALUE_CONSTANT" && expression["value"]?["value"] is JsonValue value
            && value.TryGetValue<int>(out var position) && position >= 1 && position <= _items.Count)
            return _items[position - 1];
        return InlineAliases(expression, _items.Count);
    }

    private static bool IsWindowColumn(JsonObject expression) =>
        SyntaxTree.ColumnOf(expression) is [var name] && (Is(name, WindowColumns.Start) || Is(name, WindowColumns.End));

    private bool IsAggregate(JsonObject expression) => SyntaxTree.FunctionOf(expression) is { } name && _session.Aggregates.Contains(name);

    private IEnumerable<JsonObject> Aggregates(IEnumerable<JsonObject?> parts) =>
        parts.SelectMany(p => SyntaxTree.Expressions(p)).Where(IsAggregate);

    // The types of keys and arguments decide how partials are held; DuckDB's binder knows them.
    private void DescribeArguments(IReadOnlyList<JsonObject> aggregates)
    {
        var arguments = aggregates.Select(AggregateRules.ArgumentOf).OfType<JsonObject>().Concat(_keys.Select(k => k.Expression)).ToArray();
        if (arguments.Length == 0)
            return;
        var list = new JsonArray();
        for (var i = 0; i < arguments.Length; i++)
        {
            var copy = (JsonObject)arguments[i].DeepClone();
            copy["alias"] = $"a{i}";
            list.Add(copy);
        }
        var described = _session.Describe(_session.Print(Tree(list, From(), null, [])));
        _argumentTypes = [];
        for (var i = 0; i < arguments.Length; i++)
            _argumentTypes[arguments[i].ToJsonString()] = described[i].Type;
    }

    private string TypeOf(JsonObject? argument) => argument is null ? "" : _argumentTypes[argument.ToJsonString()];

    private JsonObject FinalTree(OutputShape output, JsonObject? having)
    {
        var list = new JsonArray();
        for (var i = 0; i < _items.Count; i++)
        {
            var item = ToFinal(_items[i]);
            item["alias"] = output.Columns[i].Name;
            list.Add(item);
        }
        var where = having is null ? null : ToFinal(having);
        var withEnd = SyntaxTree.Expressions(list).Concat(SyntaxTree.Expressions(where))
            .Any(e => SyntaxTree.ColumnOf(e) is [var name] && Is(name, WindowColumns.End));
        return Tree(list, WindowColumns.FromPartials(_session, _size, withEnd), where, []);
    }

    private JsonObject ToFinal(JsonObject expression) => (JsonObject)SyntaxTree.Rewrite(expression, e =>
    {
        if (_keys.Find(k => SyntaxTree.Same(k.Expression, e)) is { } key)
            return KeyReference(key);
        if (IsWindowColumn(e))
            return e;
        if (IsAggregate(e))
            return AggregateRules.Divide(e, TypeOf(AggregateRules.ArgumentOf(e)), AddPartial, Template, (at, message, hint) => Fault(at, "unsupported-sql", message, hint));
        return null;
    })!;

    private JsonObject KeyReference(KeyColumn key)
    {
        var type = TypeOf(key.Expression);
        return OutputColumn.CastOf(type) is null ? SyntaxTree.Column(key.Name) : Template($"CAST(x0 AS {type})", [SyntaxTree.Column(key.Name)]);
    }

    private JsonObject AddPartial(JsonObject expression, Merge merge)
    {
        var known = _partials.Find(p => p.Merge == merge && SyntaxTree.Same(p.Expression, expression));
        if (known is null)
        {
            known = new PartialExpression($"p{_partials.Count}", expression, merge);
            _partials.Add(known);
        }
        return SyntaxTree.Column(known.Name);
    }

    private JsonObject PartialTree()
    {
        var list = new JsonArray();
        var groups = new JsonArray();
        foreach (var key in _keys)
        {
            var type = TypeOf(key.Expression);
            var expression = OutputColumn.CastOf(type) is { } cast ? Template($"CAST(x0 AS {cast})", [key.Expression])
                // -0.0 and 0.0 are one group in SQL but two byte strings; adding 0.0 makes them one.
                : type is "DOUBLE" or "FLOAT" ? Template($"x0 + CAST(0 AS {type})", [key.Expression])
                : key.Expression;
            groups.Add(Aliased(expression, ""));
            list.Add(Aliased(expression, key.Name));
        }
        groups.Add(SyntaxTree.Column(WindowColumns.Start));
        list.Add(SyntaxTree.Column(WindowColumns.Start));
        foreach (var partial in _partials)
            list.Add(Aliased(partial.Expression, partial.Name));
        var where = _select["where_clause"] is JsonObject condition ? InlineAliases(condition, _items.Count) : null;
        return Tree(list, From(), where, groups);
    }

    private IReadOnlyList<PartialColumn> DescribePartial(string partialSql)
    {
        var columns = new List<PartialColumn>();
        foreach (var (name, typeName) in _session.Describe(partialSql))
        {
            if (!TypeNames.TryParse(typeName, out var type))
                throw new InvalidOperationException($"partial column {name} of '{_step.Sql}' is {typeName}");
            var merge = _partials.Find(p => p.Name == name)?.Merge ?? Merge.Key;
            columns.Add(new PartialColumn(new Field(name, type, Nullable: name != WindowColumns.Start), merge));
        }
        return columns;
    }

    private string FinalSql(JsonObject final, OutputShape output, IReadOnlyList<PartialColumn> partial)
    {
        _session.CreateTable("partials", new Schema(partial.Select(p => p.Field).ToArray()));
        var text = _session.Print(final);
        var described = _session.Describe(text);
        var sql = output.Wrap(text, i => OutputColumn.Of("", described[i].Type, true)?.Type.Equals(output.Columns[i].Type) != true);
        var check = _session.Describe(sql);
        for (var i = 0; i < check.Count; i++)
        {
            if (!TypeNames.TryParse(check[i].Type, out var type) || !type.Equals(output.Columns[i].Type))
                throw new InvalidOperationException($"column {output.Columns[i].Name} of '{_step.Sql}' is {output.Columns[i].Type} at once and {check[i].Type} from partials");
        }
        return sql;
    }

    private JsonNode From() => WindowColumns.From(_session, "batch", _input, _size, _step.Alias);

    private JsonObject Tree(JsonArray list, JsonNode from, JsonObject? where, JsonArray groups)
    {
        var tree = (JsonObject)_step.Select.DeepClone();
        tree["select_list"] = list;
        tree["from_table"] = from;
        tree["where_clause"] = where?.DeepClone();
        tree["group_expressions"] = groups;
        tree["group_sets"] = groups.Count == 0 ? [] : new JsonArray(new JsonArray(Enumerable.Range(0, groups.Count).Select(i => (JsonNode)i).ToArray()));
        tree["aggregate_handling"] = "STANDARD_HANDLING";
        tree["having"] = null;
        return tree;
    }

    /// <summary>An expression from text, in which x0, x1, ... stand for trees.</summary>
    private JsonObject Template(string expression, IReadOnlyList<JsonObject> arguments)
    {
        var parsed = _session.Parse($"SELECT {expression}")["statements"]![0]!["node"]!["select_list"]![0]!;
        return (JsonObject)SyntaxTree.Rewrite(parsed, e => SyntaxTree.ColumnOf(e) is [['x', .. var number]] && int.TryParse(number, out var i) ? Aliased(arguments[i], "") : null)!;
    }

    private static JsonObject Aliased(JsonObject expression, string alias)
    {
        var copy = (JsonObject)expression.DeepClone();
        copy["alias"] = alias;
        return copy;
    }

    private void Fault(JsonObject at, string code, string message, string hint)
    {
        var place = _places.Of(at);
        _faults.Add(new TextFault(place.Offset, place.Length, code, message, hint));
    }

    private static bool Is(string a, string b) => string.Equals(a, b, StringComparison.OrdinalIgnoreCase);

    private sealed record KeyColumn(string Name, JsonObject Expression);

    private sealed record PartialExpression(string Name, JsonObject Expression, Merge Merge);
}
