using System.Collections.Concurrent;
using Millrace.Iceberg;
using Millrace.Iceberg.Catalogs;

namespace Millrace.Query.Engine;

/// <summary>The tables of an Iceberg catalog. States are kept while they are current, so that a statement costs one look at each table's pointer.</summary>
internal sealed class CatalogTables(FolderCatalog catalog) : ILakeTables
{
    private readonly ConcurrentDictionary<TableName, (Table Table, LakeTable State)> _known = new();

    public IReadOnlyList<string> Folders => [catalog.Warehouse];

    public IReadOnlyList<string> Namespaces() => Spaces().Select(s => s.ToString()).ToArray();

    public IReadOnlyList<TableName> List()
    {
        var names = new List<TableName>();
        foreach (var space in Spaces())
        {
            try
            {
                foreach (var table in catalog.ListTables(space))
                    names.Add(new TableName(space.ToString(), table.Name));
            }
            catch (NoSuchNamespaceException)
            {
                // Dropped since it was listed.
            }
        }
        return names;
    }

    public LakeTable? Load(TableName name)
    {
        var known = _known.TryGetValue(name, out var entry) ? entry.Table : null;
        Table table;
        try
        {
            table = catalog.LoadTable(new TableIdent(Namespace.Parse(name.Namespace), name.Name), known);
        }
        catch (NoSuchTableException)
        {
            _known.TryRemove(name, out _);
            return null;
        }
        catch (IcebergException error)
        {
            throw new SqlException($"the table {name} cannot be read: {error.Message}", SqlStates.IoError, inner: error);
        }
        if (ReferenceEquals(table, known))
            return entry.State;
        var scan = new Lazy<string>(() => Scan(table), LazyThreadSafetyMode.ExecutionAndPublication);
        var state = new LakeTable(name, table.MetadataLocation, table.Metadata.Schema.ToColumns(), () => scan.Value);
        _known[name] = (table, state);
        return state;
    }

    private static string Scan(Table table)
    {
        try
        {
            return table.ScanSql();
        }
        catch (IcebergException error)
        {
            throw new SqlException($"the table {table.Ident} cannot be read: {error.Message}", SqlStates.IoError, inner: error);
        }
    }

    private List<Namespace> Spaces()
    {
        var spaces = new List<Namespace>();
        var below = new Queue<Namespace>(catalog.ListNamespaces());
        while (below.TryDequeue(out var space))
        {
            spaces.Add(space);
            try
            {
                foreach (var inner in catalog.ListNamespaces(space))
                    below.Enqueue(inner);
            }
            catch (NoSuchNamespaceException)
            {
                // Dropped since it was listed.
            }
        }
        return spaces;
    }
}
