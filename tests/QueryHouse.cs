using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Columnar;
using Millrace.DuckDb;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Files;
using Millrace.Iceberg.Schemas;
using Millrace.Query;
using Millrace.Query.Wire;
using Millrace.Storage.Files;

namespace Millrace.Tests;

/// <summary>An engine over a small warehouse in a folder of its own. Linked into the test projects that query.</summary>
internal sealed class QueryHouse : IAsyncDisposable
{
    /// <summary>Makes test rows.</summary>
    private static readonly Lazy<DuckDbDatabase> Scratch = new(() => DuckDbDatabase.Open(null, new DuckDbOptions { Threads = 1 }));

    private readonly string _folder = Path.Combine(Path.GetTempPath(), "millrace-query-tests", Guid.NewGuid().ToString("N"));

    public QueryHouse(QueryOptions? options = null, TimeProvider? time = null)
    {
        time ??= TimeProvider.System;
        Catalog = FolderCatalog.Open(DiskFileSystem.Instance, Path.Combine(_folder, "lake"), time);
        Engine = SqlEngine.Create(
            (options ?? new QueryOptions()) with { TempFolder = Path.Combine(_folder, "spill") }, Catalog, Live, time, NullLoggerFactory.Instance);
    }

    public FolderCatalog Catalog { get; }

    public SqlEngine Engine { get; }

    public LiveRows Live { get; } = new();

    /// <summary>With the tables that most tests read: sales.orders (6 rows), sales.empty, web.visits (3), web.orders_archive (2), live.by_country (2).</summary>
    public static QueryHouse WithTables(QueryOptions? options = null, TimeProvider? time = null)
    {
        var house = new QueryHouse(options, time);
        house.Add("sales.orders", """
            SELECT * FROM (VALUES
              (1::BIGINT, 'DE', 10.50::DECIMAL(9,2), TIMESTAMPTZ '2024-03-01 10:00:00+00', true),
              (2, 'FR', 20.00, TIMESTAMPTZ '2024-03-01 10:05:00.25+00', false),
              (3, 'DE', 5.25, TIMESTAMPTZ '2024-03-01 11:00:00+00', true),
              (4, 'IT', 99.99, TIMESTAMPTZ '2024-03-02 00:00:00+00', NULL),
              (5, NULL, 0.01, NULL, false),
              (6, 'FR', 1000.00, TIMESTAMPTZ '2024-03-03 23:59:59.999999+00', true)) t(id, country, amount, placed, paid)
            """);
        house.Add("sales.empty", "SELECT 1::INTEGER AS a, 'x' AS b WHERE false");
        house.Add("web.visits", "SELECT * FROM (VALUES ('a', 3::INTEGER, DATE '2024-01-01'), ('b', 5, DATE '2024-01-02'), ('ü', 7, DATE '1999-12-31')) t(page, hits, day)");
        house.Add("web.orders_archive", "SELECT * FROM (VALUES (1::BIGINT, 1.5::DOUBLE), (2, 2.5)) t(id, score)");
        house.Live.Set("by_country", "SELECT * FROM (VALUES ('DE', 15.75::DOUBLE, 2::BIGINT), ('FR', 20.0, 1)) t(country, revenue, orders)");
        return house;
    }

    /// <summary>Appends the rows of a query to a table, which is made when it is missing.</summary>
    public void Add(string name, string query)
    {
        var ident = TableIdent.Parse(name);
        using var rows = Rows(query);
        var table = Catalog.TableExists(ident) ? Catalog.LoadTable(ident) : Catalog.CreateTable(ident, IcebergSchema.From(rows.Schema));
        if (rows.RowCount == 0)
            return;
        using var writer = new ParquetWriter(table);
        table.NewAppend().Add([.. writer.Write(rows)]).Commit();
    }

    public Task<PostgresServer> ListenAsync(PostgresOptions? options = null) => PostgresServer.StartAsync(
        (options ?? new PostgresOptions()) with { Port = 0 }, Engine, TimeProvider.System, NullLoggerFactory.Instance);

    public async ValueTask DisposeAsync()
    {
        await Engine.DisposeAsync();
        Live.Dispose();
        if (Directory.Exists(_folder))
            Directory.Delete(_folder, recursive: true);
    }

    internal static ColumnBatch Rows(string query)
    {
        using var connection = Scratch.Value.Connect();
        using var result = connection.Query(query);
        return result.ReadAll();
    }

    /// <summary>Live tables whose rows a test sets.</summary>
    internal sealed class LiveRows : ILiveTables, IDisposable
    {
        private readonly Lock _lock = new();
        private readonly SortedDictionary<string, ColumnBatch> _tables = new(StringComparer.Ordinal);

        public void Set(string name, string query)
        {
            var rows = QueryHouse.Rows(query);
            lock (_lock)
            {
                if (_tables.TryGetValue(name, out var old))
                    old.Dispose();
                _tables[name] = rows;
            }
        }

        public void Remove(string name)
        {
            lock (_lock)
            {
                if (_tables.Remove(name, out var old))
                    old.Dispose();
            }
        }

        public IReadOnlyList<LiveTable> List()
        {
            lock (_lock)
                return _tables.Select(t => new LiveTable(t.Key, t.Value.Schema)).ToArray();
        }

        public ColumnBatch? Rows(string name)
        {
            lock (_lock)
                return _tables.TryGetValue(name, out var rows) ? rows.Retain() : null;
        }

        public void Dispose()
        {
            foreach (var rows in _tables.Values)
                rows.Dispose();
        }
    }
}
