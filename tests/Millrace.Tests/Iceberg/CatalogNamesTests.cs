using System.Text;
using System.Text.Json;
using Millrace.Iceberg;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Metadata;
using Millrace.Iceberg.Rest;
using Millrace.Iceberg.Schemas;
using Millrace.Storage.Files.Faults;

namespace Millrace.Tests.Iceberg;

public sealed class CatalogNamesTests(Xunit.Abstractions.ITestOutputHelper output)
{
    [Fact]
    public void A_renamed_table_keeps_its_files_and_its_old_name_is_free()
    {
        using var warehouse = new Warehouse();
        var catalog = warehouse.Catalog;
        var table = TestTables.Create(catalog);
        table.NewAppend().Add(TestTables.Imaginary("/a")).Commit();
        catalog.CreateNamespace(Namespace.Parse("archive"));
        var moved = TableIdent.Parse("archive.old_orders");
        catalog.RenameTable(TestTables.Orders, moved);
        Assert.False(catalog.TableExists(TestTables.Orders));
        Assert.Equal([moved], catalog.ListTables(Namespace.Parse("archive")));
        Assert.Empty(catalog.ListTables(Namespace.Parse("sales")));
        var renamed = catalog.LoadTable(moved);
        renamed.NewAppend().Add(TestTables.Imaginary("/b")).Commit();
        Assert.Equal(table.Metadata.Location, renamed.Metadata.Location);
        var fresh = TestTables.Create(catalog);
        fresh.NewAppend().Add(TestTables.Imaginary("/c")).Commit();
        Assert.NotEqual(fresh.Metadata.Location, renamed.Metadata.Location);
        Assert.Equal(2, catalog.LoadTable(moved).PlanFiles().Files.Count);
        Assert.Single(catalog.LoadTable(TestTables.Orders).PlanFiles().Files);
        // Dropping the namespace that a home lies in does not take the home along.
        catalog.DropTable(TestTables.Orders);
        catalog.DropNamespace(Namespace.Parse("sales"));
        Assert.Equal(2, catalog.LoadTable(moved).PlanFiles().Files.Count);
        catalog.RenameTable(moved, TableIdent.Parse("archive.x"));
        Assert.Equal(2, catalog.LoadTable(TableIdent.Parse("archive.x")).PlanFiles().Files.Count);
        Assert.Throws<NoSuchTableException>(() => catalog.RenameTable(moved, TableIdent.Parse("archive.y")));
    }

    [Fact]
    public void A_table_dropped_without_its_files_can_be_registered_again()
    {
        using var warehouse = new Warehouse();
        var table = TestTables.Create(warehouse.Catalog);
        table.NewAppend().Add(TestTables.Imaginary("/a")).Commit();
        warehouse.Catalog.DropTable(TestTables.Orders, purge: false);
        Assert.False(warehouse.Catalog.TableExists(TestTables.Orders));
        var again = warehouse.Catalog.RegisterTable(TableIdent.Parse("sales.again"), table.MetadataLocation);
        Assert.Equal(table.MetadataLocation, again.MetadataLocation);
        again.NewAppend().Add(TestTables.Imaginary("/b")).Commit();
        Assert.Equal(2, warehouse.Catalog.LoadTable(TableIdent.Parse("sales.again")).PlanFiles().Files.Count);
    }

    [Theory]
    [InlineData(CrashOutcome.Everything)]
    [InlineData(CrashOutcome.NothingUnflushed)]
    [InlineData(CrashOutcome.Drawn)]
    public void A_crash_in_a_commit_of_two_tables_changes_both_or_none(CrashOutcome outcome)
    {
        var seed = Seeds.Next(output);
        var (one, two) = (TableIdent.Parse("n.one"), TableIdent.Parse("n.two"));
        var steps = 0;
        for (var completed = false; !completed; steps++)
        {
            var disk = new SimulatedFileSystem(seed + steps);
            var files = new CrashingFileSystem(disk);
            var catalog = FolderCatalog.Open(files, "/wh", TimeProvider.System);
            foreach (var ident in new[] { one, two })
                catalog.CreateTable(ident, IcebergSchema.From(TestTables.Columns));
            files.StepsLeft = steps;
            try
            {
                catalog.CommitTables([Change(one), Change(two)]);
                completed = true;
            }
            catch (PowerFailure)
            {
            }
            disk.Crash(outcome);
            var again = FolderCatalog.Open(disk, "/wh", TimeProvider.System);
            var marks = new[] { one, two }.Select(i => again.LoadTable(i).Metadata.Properties.ContainsKey("mark")).ToArray();
            Assert.True(marks[0] == marks[1], $"seed {seed}, step {steps}: {marks[0]} and {marks[1]}");
            Assert.True(!completed || marks[0], $"seed {seed}: an acknowledged transaction was lost");
            again.CommitTables([Change(one), Change(two)]);
            Assert.True(again.LoadTable(two).Metadata.Properties.ContainsKey("mark"));
        }
        Assert.True(steps > 10, $"{steps} steps");

        static TableChange Change(TableIdent ident) =>
            new(ident, [], [new MetadataUpdate.SetProperties(new Dictionary<string, string> { ["mark"] = "yes" })]);
    }

    [Fact]
    public void One_failed_requirement_stops_a_commit_of_two_tables()
    {
        using var warehouse = new Warehouse();
        var (one, two) = (TableIdent.Parse("n.one"), TableIdent.Parse("n.two"));
        foreach (var ident in new[] { one, two })
            warehouse.Catalog.CreateTable(ident, IcebergSchema.From(TestTables.Columns));
        MetadataUpdate mark = new MetadataUpdate.SetProperties(new Dictionary<string, string> { ["mark"] = "yes" });
        Assert.Throws<CommitConflictException>(() => warehouse.Catalog.CommitTables(
            [new TableChange(one, [], [mark]), new TableChange(two, [new TableRequirement.AssertTableUuid(Guid.Empty)], [mark])]));
        Assert.False(warehouse.Catalog.LoadTable(one).Metadata.Properties.ContainsKey("mark"));
    }

    [Theory]
    [InlineData("GET", "/v1/config", "", 200)]
    [InlineData("GET", "/v1/namespaces/none", "", 404)]
    [InlineData("GET", "/v1/namespaces/none/tables/t", "", 404)]
    [InlineData("GET", "/v1/namespaces/..%2F..%2Fetc/tables/passwd", "", 404)]
    [InlineData("POST", "/v1/namespaces", "{", 400)]
    [InlineData("POST", "/v1/namespaces", "[]", 400)]
    [InlineData("POST", "/v1/namespaces", """{"namespace": []}""", 400)]
    [InlineData("POST", "/v1/namespaces", """{"namespace": ["a", "b"]}""", 200)]
    [InlineData("POST", "/v1/namespaces/sales/tables/orders", """{"requirements": [], "updates": [{"action": "unheard-of"}]}""", 400)]
    [InlineData("POST", "/v1/namespaces/sales/tables/orders", """{"requirements": [{"type": "assert-table-uuid", "uuid": "00000000-0000-0000-0000-000000000000"}], "updates": []}""", 409)]
    [InlineData("PATCH", "/v2", "", 404)]
    public void The_rest_catalog_answers_every_request_with_a_status_and_a_body_that_says_why(string method, string path, string body, int status)
    {
        using var warehouse = new Warehouse();
        TestTables.Create(warehouse.Catalog);
        var answer = new RestCatalog(warehouse.Catalog).Handle(new RestRequest(method, path, new Dictionary<string, string>(), Encoding.UTF8.GetBytes(body)));
        Assert.Equal(status, answer.Status);
        using var json = JsonDocument.Parse(answer.Body);
        if (status >= 400)
        {
            Assert.Equal(status, json.RootElement.GetProperty("error").GetProperty("code").GetInt32());
            Assert.NotEmpty(json.RootElement.GetProperty("error").GetProperty("message").GetString()!);
        }
        // Clients that meet a missing namespace go on to metadata tables only when the table is said to be missing.
        if (path == "/v1/namespaces/none/tables/t")
            Assert.Equal("NoSuchTableException", json.RootElement.GetProperty("error").GetProperty("type").GetString());
    }
}
