using System.Collections.Frozen;
using System.Globalization;
using System.Text;
using Millrace.Columnar;
using Millrace.DuckDb;
using Millrace.Query.Text;
using Millrace.Query.Wire;

namespace Millrace.Query.PgCatalog;

/// <summary>
/// <c>pg_catalog</c> and <c>information_schema</c> as PostgreSQL's clients know them: tables, views and macros in a database of their own
/// beside the sessions', filled from the lake's metadata and the live tables without reading a data file. Thread-safe.
/// </summary>
internal sealed class SystemCatalog : ICatalogNames, IDisposable
{
    /// <summary>The attached database that holds it.</summary>
    public const string DatabaseName = "mr_system";

    public const string ServerVersion = "15.0";

    private const long CatalogNamespace = 11;
    private const long PublicNamespace = 2200;
    private const long InformationNamespace = 13000;
    private const long FirstUserOid = 16384;
    private const long FirstSystemOid = 12000;

    private static readonly FrozenDictionary<string, long> WellKnown = new Dictionary<string, long>
    {
        ["pg_class"] = 1259, ["pg_type"] = 1247, ["pg_proc"] = 1255, ["pg_attribute"] = 1249, ["pg_namespace"] = 2615, ["pg_database"] = 1262,
        ["pg_constraint"] = 2606, ["pg_index"] = 2610, ["pg_authid"] = 1260, ["pg_attrdef"] = 2604, ["pg_description"] = 2609, ["pg_am"] = 2601,
        ["pg_trigger"] = 2620, ["pg_rewrite"] = 2618, ["pg_extension"] = 3079, ["pg_policy"] = 3256, ["pg_statistic_ext"] = 3381,
        ["pg_foreign_server"] = 1417, ["pg_event_trigger"] = 3466, ["pg_publication"] = 6104, ["pg_subscription"] = 6100, ["pg_language"] = 2612,
        ["pg_opclass"] = 2616, ["pg_operator"] = 2617, ["pg_collation"] = 3456, ["pg_tablespace"] = 1213, ["pg_cast"] = 2605,
    }.ToFrozenDictionary();

    private static readonly FrozenDictionary<string, long> Procedures = new Dictionary<string, long>
    {
        ["array_in"] = 750, ["array_out"] = 751, ["array_recv"] = 2400, ["array_send"] = 2401,
    }.ToFrozenDictionary();

    private readonly Lock _lock = new();
    private readonly DuckDbConnection _connection;
    private readonly ILakeTables _lake;
    private readonly ILiveTables _live;
    private readonly HashSet<string> _catalogRelations = new(StringComparer.OrdinalIgnoreCase);
    private readonly HashSet<string> _informationRelations = new(StringComparer.OrdinalIgnoreCase);
    private readonly HashSet<string> _functions = new(StringComparer.OrdinalIgnoreCase);
    private readonly Dictionary<string, long> _oids = new(StringComparer.Ordinal);
    private readonly List<CatalogRelation> _system = [];
    private IReadOnlyList<CatalogRelation> _relations = [];
    private IReadOnlyDictionary<string, long> _namespaces = new Dictionary<string, long>();
    private string? _fingerprint;
    private long _nextOid = FirstUserOid;

    public SystemCatalog(DuckDbDatabase engine, string database, ILakeTables lake, ILiveTables live)
    {
        Database = database;
        _lake = lake;
        _live = live;
        _connection = engine.Connect();
        _connection.Execute($"ATTACH ':memory:' AS {DatabaseName}; USE {DatabaseName}");
        _connection.Execute(Script(database));
        _connection.Execute($"SET search_path = '{DatabaseName}.{PostgresRewriter.CatalogSchema}'");
        ReadOwnNames();
        FillTypes();
        FillSettings();
    }

    public string Database { get; }

    public bool DefinesFunction(string name) => _functions.Contains(name);

    /// <summary>True for a table or view of the catalog, by either of its schemas' inner names.</summary>
    public bool HasRelation(string schema, string name) => schema.Equals(PostgresRewriter.CatalogSchema, StringComparison.OrdinalIgnoreCase)
        ? _catalogRelations.Contains(name)
        : _informationRelations.Contains(name);

    public long? Resolve(string kind, string text)
    {
        var name = text.Replace("\"", "", StringComparison.Ordinal).Trim();
        switch (kind)
        {
            case "regclass":
                Refresh();
                return ResolveRelation(name);
            case "regtype":
                return ResolveType(name.StartsWith("pg_catalog.", StringComparison.Ordinal) ? name[11..] : name);
            case "regnamespace":
                Refresh();
                return _namespaces.TryGetValue(name, out var oid) ? oid : null;
            case "regrole":
                return 10;
            case "regproc":
                return Procedures.TryGetValue(name.StartsWith("pg_catalog.", StringComparison.Ordinal) ? name[11..] : name, out var procedure) ? procedure : null;
            case "regcollation":
                return 100;
            default:
                return null;
        }
    }

    /// <summary>Brings the tables up to date when the lake or the live tables changed since the last time.</summary>
    public void Refresh()
    {
        lock (_lock)
        {
            var relations = Collect(out var namespaces, out var fingerprint);
            if (fingerprint == _fingerprint)
                return;
            Write(relations, namespaces);
            _relations = relations;
            _namespaces = namespaces;
            _fingerprint = fingerprint;
        }
    }

    public void Dispose() => _connection.Dispose();

    private static string Script(string database)
    {
        using var stream = typeof(SystemCatalog).Assembly.GetManifestResourceStream("Millrace.Query.pg_catalog.sql")
            ?? throw new InvalidOperationException("the resource pg_catalog.sql is missing");
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd()
            .Replace("@DATABASE@", database.Replace("'", "''", StringComparison.Ordinal), StringComparison.Ordinal)
            .Replace("@VERSION@", $"PostgreSQL {ServerVersion} (Millrace {typeof(SystemCatalog).Assembly.GetName().Version?.ToString(3)}, DuckDB {DuckDbDatabase.Version})", StringComparison.Ordinal);
    }

    private long? ResolveRelation(string name)
    {
        var relations = _relations;
        var dot = name.LastIndexOf('.');
        foreach (var relation in relations)
        {
            if (dot < 0 ? relation.Name == name && relation.Visible : relation.Name == name[(dot + 1)..] && relation.Namespace == name[..dot])
                return relation.Oid;
        }
        return null;
    }

    private static long? ResolveType(string name)
    {
        var isArray = name.EndsWith("[]", StringComparison.Ordinal);
        foreach (var row in TypeRows.All)
        {
            if (row.Name == (isArray ? "_" + name[..^2] : name) || row.Display == name)
                return row.Oid;
        }
        return null;
    }

    private void ReadOwnNames()
    {
        using (var result = _connection.Query(
            "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() WHERE database_name = $1 ORDER BY schema_name, table_name, column_index", DatabaseName))
        {
            using var rows = result.ReadAll();
            List<Field>? fields = null;
            CatalogRelation? relation = null;
            var next = FirstSystemOid;
            for (var row = 0; row < rows.RowCount; row++)
            {
                var isCatalog = Text(rows[0], row) == PostgresRewriter.CatalogSchema;
                var name = Text(rows[1], row);
                (isCatalog ? _catalogRelations : _informationRelations).Add(name);
                if (name.StartsWith("mr_", StringComparison.Ordinal))
                    continue;
                var schema = isCatalog ? "pg_catalog" : "information_schema";
                if (relation is null || relation.Name != name || relation.Namespace != schema)
                {
                    fields = [];
                    var oid = isCatalog && WellKnown.TryGetValue(name, out var known) ? known : next++;
                    relation = new CatalogRelation(oid, schema, name, "v", isCatalog, null, fields);
                    _system.Add(relation);
                }
                fields!.Add(new Field(Text(rows[2], row), TypeOf(Text(rows[3], row))));
            }
        }
        using var functions = _connection.Query("SELECT DISTINCT function_name FROM duckdb_functions() WHERE database_name = $1", DatabaseName);
        using var names = functions.ReadAll();
        for (var row = 0; row < names.RowCount; row++)
            _functions.Add(Text(names[0], row));
    }

    private static string Text(Column column, int row) => Encoding.UTF8.GetString(column.GetBytes(row));

    private static DataType TypeOf(string sql) => sql switch
    {
        "BIGINT" => DataType.Int64,
        "INTEGER" => DataType.Int32,
        "SMALLINT" => new DataType(TypeKind.Int16),
        "BOOLEAN" => DataType.Boolean,
        "FLOAT" => new DataType(TypeKind.Float32),
        "TIMESTAMP WITH TIME ZONE" => DataType.TimestampTz,
        "BLOB" => DataType.Binary,
        _ when sql.EndsWith("[]", StringComparison.Ordinal) => new DataType(TypeKind.List, Children: [new Field("item", TypeOf(sql[..^2]))]),
        _ => DataType.Utf8,
    };

    private List<CatalogRelation> Collect(out Dictionary<string, long> namespaces, out string fingerprint)
    {
        namespaces = new Dictionary<string, long>(StringComparer.Ordinal)
        {
            ["pg_catalog"] = CatalogNamespace, ["public"] = PublicNamespace, ["information_schema"] = InformationNamespace,
        };
        var state = new StringBuilder();
        foreach (var name in _lake.Namespaces().Append("live"))
        {
            namespaces.TryAdd(name, OidOf("n:" + name));
            state.Append(name).Append('\n');
        }
        var relations = new List<CatalogRelation>();
        var tables = _lake.List();
        var live = _live.List();
        foreach (var name in tables)
        {
            if (_lake.Load(name) is not { } table)
                continue;
            var visible = tables.Count(t => t.Name.Equals(name.Name, StringComparison.OrdinalIgnoreCase)) == 1;
            namespaces.TryAdd(name.Namespace, OidOf("n:" + name.Namespace));
            relations.Add(new CatalogRelation(OidOf("t:" + name), name.Namespace, name.Name, "r", visible, null, table.Schema.Fields));
            state.Append(name).Append(' ').Append(table.Schema).Append('\n');
        }
        foreach (var table in live)
        {
            // An unqualified name means the table in the lake, where there is one.
            var visible = !tables.Any(t => t.Name.Equals(table.Name, StringComparison.OrdinalIgnoreCase));
            relations.Add(new CatalogRelation(OidOf("l:" + table.Name), "live", table.Name, "v", visible, table.Comment, table.Schema.Fields));
            state.Append("live ").Append(table.Name).Append(' ').Append(table.Schema).Append('\n');
        }
        fingerprint = state.ToString();
        relations.AddRange(_system);
        return relations;
    }

    /// <summary>Numbers are given once and kept while the process lives.</summary>
    private long OidOf(string key)
    {
        if (!_oids.TryGetValue(key, out var oid))
            _oids[key] = oid = _nextOid++;
        return oid;
    }

    private void Write(List<CatalogRelation> relations, Dictionary<string, long> namespaces)
    {
        _connection.Execute("BEGIN TRANSACTION");
        try
        {
            _connection.Execute("DELETE FROM mr_namespaces; DELETE FROM mr_relations; DELETE FROM mr_attributes");
            using (var insert = new RowInserter(_connection, "mr_namespaces"))
            {
                foreach (var (name, oid) in namespaces)
                    insert.Add($"({oid}, {Literal(name)})");
            }
            using (var insert = new RowInserter(_connection, "mr_relations"))
            {
                foreach (var r in relations)
                    insert.Add($"({r.Oid}, {namespaces[r.Namespace]}, {Literal(r.Name)}, '{r.Kind}', {r.Visible}, {Literal(r.Comment)}, {r.Columns.Count})");
            }
            using (var insert = new RowInserter(_connection, "mr_attributes"))
            {
                foreach (var r in relations)
                {
                    for (var i = 0; i < r.Columns.Count; i++)
                    {
                        var column = r.Columns[i];
                        insert.Add(string.Create(
                            CultureInfo.InvariantCulture,
                            $"({r.Oid}, {i + 1}, {Literal(column.Name)}, {PostgresTypes.Of(column.Type).Oid}, {PostgresTypes.ModifierOf(column.Type)}, {!column.Nullable})"));
                    }
                }
            }
            _connection.Execute("COMMIT");
        }
        catch
        {
            _connection.Execute("ROLLBACK");
            throw;
        }
    }

    private void FillTypes()
    {
        using var insert = new RowInserter(_connection, "mr_types");
        foreach (var type in TypeRows.All)
        {
            insert.Add(string.Create(
                CultureInfo.InvariantCulture,
                $"({type.Oid}, {Literal(type.Name)}, {type.Size}, '{type.Category}', {type.Element}, {type.Array}, {Literal(type.Display)})"));
        }
    }

    private void FillSettings()
    {
        using var insert = new RowInserter(_connection, "pg_settings (name, setting, category, short_desc, context, vartype, source)");
        foreach (var (name, value) in Sessions.SessionSettings.Defaults)
            insert.Add($"({Literal(name)}, {Literal(value)}, 'Millrace', '', 'user', 'string', 'default')");
    }

    private static string Literal(string? text) => text is null ? "NULL" : DuckDbSql.Literal(text.Replace("\0", "", StringComparison.Ordinal));
}

/// <param name="Oid">Its number.</param>
/// <param name="Namespace">The schema, as clients call it.</param>
/// <param name="Name">Its name there.</param>
/// <param name="Kind">pg_class.relkind.</param>
/// <param name="Visible">Found by its name alone.</param>
/// <param name="Comment">Its description.</param>
/// <param name="Columns">Its columns.</param>
internal sealed record CatalogRelation(
    long Oid, string Namespace, string Name, string Kind, bool Visible, string? Comment, IReadOnlyList<Field> Columns);

/// <summary>Inserts rows that are given as literals, many at a time.</summary>
internal sealed class RowInserter(DuckDbConnection connection, string table) : IDisposable
{
    private const int RowsAtATime = 500;

    private readonly StringBuilder _rows = new();
    private int _count;

    public void Add(string row)
    {
        _rows.Append(_count == 0 ? "" : ", ").Append(row);
        if (++_count == RowsAtATime)
            Flush();
    }

    public void Dispose() => Flush();

    private void Flush()
    {
        if (_count > 0)
            connection.Execute($"INSERT INTO {table} VALUES {_rows}");
        _rows.Clear();
        _count = 0;
    }
}
