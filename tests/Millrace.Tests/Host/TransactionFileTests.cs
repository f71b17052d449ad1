using Millrace.Coordination.Client;
using Millrace.Coordination.Commitment;
using Millrace.Coordination.Node;
using Millrace.Host.Settings;
using Millrace.Host.Transactions;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Schemas;
using Millrace.Storage.Files;

namespace Millrace.Tests.Host;

/// <summary>A transaction from a file over two Iceberg tables and a key, killed after each step.</summary>
public sealed class TransactionFileTests : IAsyncLifetime
{
    private const string Yaml = """
        transaction: month
        writes:
          - table: sales.orders
            rows:
              - {id: 1, amount: 9.5}
              - {id: 2, amount: null}
          - table: sales.totals
            rows: [{total: 9.5}]
          - {key: month/closed, value: yes}
        """;

    private readonly string _folder = Directory.CreateTempSubdirectory("millrace-transaction-").FullName;
    private CoordinationNode _node = null!;
    private TransactionPlaces _places = null!;

    public async Task InitializeAsync()
    {
        _node = await CoordinationNode.StartAsync(new CoordinationOptions { DataFolder = _folder + "/store", ClientPort = 0, PeerPort = -1 });
        var catalog = FolderCatalog.Open(DiskFileSystem.Instance, _folder + "/warehouse", TimeProvider.System);
        catalog.CreateTable(new TableIdent(new Namespace("sales"), "orders"), Schema(("id", PrimitiveType.Long), ("amount", PrimitiveType.Double)));
        catalog.CreateTable(new TableIdent(new Namespace("sales"), "totals"), Schema(("total", PrimitiveType.Double)));
        _places = new TransactionPlaces(
            DiskFileSystem.Instance, catalog, _folder + "/transactions", new CoordinationClient([new Uri($"http://127.0.0.1:{_node.ClientPort}")]));
    }

    public async Task DisposeAsync()
    {
        _places.Store.Dispose();
        await _node.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task Wherever_it_is_killed_all_tables_and_keys_are_written_once_or_none()
    {
        var steps = 0;
        await RunAsync("whole", _ => steps++);
        Assert.Equal((2, 1), (Rows("orders"), Rows("totals")));
        var committed = 1;
        for (var last = 1; last <= steps; last++)
        {
            var left = last;
            await Assert.ThrowsAsync<OperationCanceledException>(() => RunAsync($"t{last}", _ => left = left == 1 ? throw new OperationCanceledException() : left - 1));
            committed += (await RunAsync($"t{last}", static _ => { })).State == TransactionState.Committed ? 1 : 0;
            Assert.Equal((2 * committed, committed), (Rows("orders"), Rows("totals")));
        }
        Assert.InRange(committed, 2, steps);
        Assert.Empty(Directory.GetFileSystemEntries(_folder + "/transactions"));
    }

    [Fact]
    public async Task Rows_that_a_table_cannot_take_abort_the_whole()
    {
        var wrong = Yaml.Replace("total: 9.5", "total: much", StringComparison.Ordinal);
        var record = await RunAsync("wrong", static _ => { }, wrong);
        Assert.Equal(TransactionState.Aborted, record.State);
        Assert.Contains("sales.totals", record.Reason!, StringComparison.Ordinal);
        Assert.Equal((0, 0), (Rows("orders"), Rows("totals")));
        Assert.Null(await _places.Store.GetAsync("month/closed", default));
    }

    [Theory]
    [InlineData("transaction: t\nwrites: []", "t.yaml:2:9: writes are a list")]
    [InlineData("transaction: t\nprotocol: one\nwrites: [{key: a}]", "t.yaml:2:11: 'one' is no protocol")]
    [InlineData("transaction: t\nwrites: [{table: a.b, key: c}]", "t.yaml:2:10: a write is of a table or of a key")]
    [InlineData("transaction: t\nwrites: [{table: a}]", "t.yaml:2:18: 'a' is no table name")]
    [InlineData("transaction: t\nwrites: [{key: a}, {key: a}]", "t.yaml:2:9: a key is written twice")]
    public void A_fault_is_told_with_its_place(string yaml, string message) =>
        Assert.StartsWith(message, Assert.Throws<SettingsException>(() => TransactionFile.Parse(yaml, "t.yaml", _places)).Message, StringComparison.Ordinal);

    private static IcebergSchema Schema(params (string Name, IcebergType Type)[] fields) =>
        new(0, [.. fields.Select((f, i) => new NestedField(i + 1, f.Name, false, f.Type))]);

    private Task<TransactionRecord> RunAsync(string id, Action<string> passed, string yaml = Yaml) =>
        new TransactionCoordinator(_places.Store, passed).RunAsync(
            id, yaml, CommitProtocol.TwoPhase, stored => TransactionFile.Parse(stored, "t.yaml", _places).Participants, default);

    private int Rows(string table) =>
        (int)_places.Catalog.LoadTable(new TableIdent(new Namespace("sales"), table)).PlanFiles().Files.Sum(static f => f.File.RecordCount);
}
