using Millrace.Columnar;
using Millrace.DuckDb;
using Millrace.Query.PgCatalog;
using Millrace.Query.Text;

namespace Millrace.Query.Engine;

/// <summary>
/// Makes the tables that a query names stand as views in the session's own database, each over one snapshot, before DuckDB sees the query.
/// A name that cannot be resolved here never reaches DuckDB, which would take it for a file. Runs on the session's engine thread.
/// </summary>
internal sealed class TableBinder(DuckDbConnection connection, string database, ILakeTables lake, ILiveTables live, SystemCatalog catalog)
{
    private readonly Dictionary<TableName, string> _bound = [];
    private readonly Dictionary<(string Schema, string Name), string> _aliases = [];
    private readonly HashSet<string> _schemas = new(StringComparer.OrdinalIgnoreCase) { "main" };
    private readonly Dictionary<string, BatchTable> _live = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>Counts up with every view that is made anew: statements prepared before must be prepared again.</summary>
    public int Version { get; private set; }

    public HashSet<string> TemporaryTables { get; } = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>Binds what a statement names to the states that <paramref name="pins"/> gives.</summary>
    /// <exception cref="SqlException">A table does not exist, or its name is not unique.</exception>
    public void Bind(StatementReferences references, RewrittenSql sql, int start, SnapshotPins pins, IReadOnlyList<string> searchPath)
    {
        foreach (var reference in references.Tables)
        {
            if (reference.Catalog.Length > 0 && !reference.Catalog.Equals("temp", StringComparison.OrdinalIgnoreCase))
                throw Missing(reference, sql, start, $"cross-database references are not implemented: \"{reference.Catalog}.{reference.Schema}.{reference.Name}\"");
            if (!TryBind(reference, pins, searchPath))
                throw Missing(reference, sql, start, null);
        }
    }

    /// <summary>After a rollback the views made in the transaction are gone.</summary>
    public void ForgetViews()
    {
        _bound.Clear();
        _aliases.Clear();
        _schemas.Clear();
        _schemas.Add("main");
        foreach (var table in _live.Values)
            table.Dispose();
        _live.Clear();
        Version++;
    }

    private bool TryBind(TableReference reference, SnapshotPins pins, IReadOnlyList<string> searchPath)
    {
        switch (reference.Schema.ToLowerInvariant())
        {
            case PostgresRewriter.CatalogSchema or PostgresRewriter.InformationSchema:
                catalog.Refresh();
                return catalog.HasRelation(reference.Schema, reference.Name);
            case "live":
                return BindLive(reference.Name);
            case "temp":
                return TemporaryTables.Contains(reference.Name);
            case "" or "public" or "main":
                return BindUnqualified(reference, pins, searchPath);
            default:
                return Find(reference.Schema, reference.Name) is { } name && BindLake(name, pins);
        }
    }

    private bool BindUnqualified(TableReference reference, SnapshotPins pins, IReadOnlyList<string> searchPath)
    {
        if (reference.Schema.Length == 0 && TemporaryTables.Contains(reference.Name))
            return true;
        if (reference.Schema.Length == 0 && catalog.HasRelation(PostgresRewriter.CatalogSchema, reference.Name))
        {
            catalog.Refresh();
            return true;
        }
        if (Choose(reference.Name, searchPath) is not { } target)
            return false;
        if (target.Namespace == "live" ? !BindLive(target.Name) : !BindLake(target, pins))
            return false;
        var schema = reference.Schema.Length == 0 ? "main" : reference.Schema;
        var view = target.ToString();
        if (_aliases.GetValueOrDefault((schema, reference.Name)) == view)
            return true;
        CreateView(schema, reference.Name, $"SELECT * FROM {Qualified(target.Namespace, target.Name)}");
        _aliases[(schema, reference.Name)] = view;
        return true;
    }

    /// <summary>The one table of that name: in the search path's first schema that has it, else in any, if only one has it.</summary>
    private TableName? Choose(string name, IReadOnlyList<string> searchPath)
    {
        foreach (var schema in searchPath)
        {
            if (schema == "live" && live.List().Any(t => t.Name.Equals(name, StringComparison.OrdinalIgnoreCase)))
                return new TableName("live", name);
            if (Find(schema, name) is { } found)
                return found;
        }
        var all = lake.List().Where(t => t.Name.Equals(name, StringComparison.OrdinalIgnoreCase)).ToList();
        foreach (var table in live.List())
        {
            if (table.Name.Equals(name, StringComparison.OrdinalIgnoreCase))
                all.Add(new TableName("live", table.Name));
        }
        // A pipeline's output has its live state beside its table; the table is meant.
        if (all.Count > 1)
            all.RemoveAll(t => t.Namespace == "live");
        if (all.Count > 1)
        {
            throw new SqlException(
                $"table reference \"{name}\" is ambiguous", SqlStates.AmbiguousAlias,
                hint: $"write one of {string.Join(", ", all.Take(5))}, or SET search_path TO {all[0].Namespace}");
        }
        return all.Count == 1 ? all[0] : null;
    }

    private TableName? Find(string schema, string name)
    {
        foreach (var table in lake.List())
        {
            if (table.Name.Equals(name, StringComparison.OrdinalIgnoreCase) && table.Namespace.Equals(schema, StringComparison.OrdinalIgnoreCase))
                return table;
        }
        return null;
    }

    private bool BindLake(TableName name, SnapshotPins pins)
    {
        if (pins.Get(name) is not { } table)
            return false;
        if (_bound.GetValueOrDefault(name) == table.Version)
            return true;
        CreateView(name.Namespace, name.Name, table.ScanSql());
        _bound[name] = table.Version;
        return true;
    }

    private bool BindLive(string name)
    {
        foreach (var table in live.List())
        {
            if (!table.Name.Equals(name, StringComparison.OrdinalIgnoreCase))
                continue;
            using var rows = live.Rows(table.Name);
            if (rows is null)
                return false;
            if (!_live.TryGetValue(table.Name, out var registered) || !registered.Schema.Equals(rows.Schema))
            {
                registered?.Dispose();
                registered = connection.RegisterBatches("mr_live_" + table.Name, rows.Schema);
                _live[table.Name] = registered;
                CreateView("live", table.Name, $"SELECT * FROM temp.{DuckDbSql.Identifier(registered.Name)}");
            }
            registered.Set(rows);
            return true;
        }
        return false;
    }

    private void CreateView(string schema, string name, string query)
    {
        if (_schemas.Add(schema))
            connection.Execute($"CREATE SCHEMA IF NOT EXISTS {DuckDbSql.Identifier(database)}.{DuckDbSql.Identifier(schema)}");
        connection.Execute($"CREATE OR REPLACE VIEW {Qualified(schema, name)} AS {query}");
        Version++;
    }

    private string Qualified(string schema, string name) =>
        $"{DuckDbSql.Identifier(database)}.{DuckDbSql.Identifier(schema)}.{DuckDbSql.Identifier(name)}";

    private SqlException Missing(TableReference reference, RewrittenSql sql, int start, string? message)
    {
        var shown = reference.Schema switch
        {
            "" => reference.Name,
            PostgresRewriter.CatalogSchema => "pg_catalog." + reference.Name,
            PostgresRewriter.InformationSchema => "information_schema." + reference.Name,
            _ => $"{reference.Schema}.{reference.Name}",
        };
        var names = lake.List().Select(t => t.ToString()).Concat(live.List().Select(t => "live." + t.Name)).ToList();
        var near = NearestName.Among(shown, reference.Schema.Length == 0 ? names.Select(n => n[(n.LastIndexOf('.') + 1)..]).Distinct() : names);
        return new SqlException(
            message ?? $"relation \"{shown}\" does not exist", SqlStates.UndefinedTable, Positions.Of(reference.Location, sql, start),
            hint: near.Count > 0 ? $"Did you mean \"{string.Join("\" or \"", near)}\"?" : "\\dt or SHOW TABLES lists what there is");
    }
}

/// <summary>Which state of each table a statement, or all statements of a transaction, read.</summary>
internal sealed class SnapshotPins(ILakeTables lake)
{
    private readonly Dictionary<TableName, LakeTable?> _pins = [];

    /// <summary>The state that was current when the table was first asked for.</summary>
    public LakeTable? Get(TableName name)
    {
        if (!_pins.TryGetValue(name, out var table))
            _pins[name] = table = lake.Load(name);
        return table;
    }
}
