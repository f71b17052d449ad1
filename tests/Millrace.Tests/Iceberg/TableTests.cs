using Millrace.Iceberg;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Metadata;
using Millrace.Iceberg.Scans;
using Millrace.Iceberg.Schemas;
using Millrace.Iceberg.Values;

namespace Millrace.Tests.Iceberg;

public sealed class TableTests
{
    [Fact]
    public void Appended_rows_are_read_back_at_every_snapshot()
    {
        using var warehouse = new Warehouse();
        var table = TestTables.Create(warehouse.Catalog);
        Assert.Empty(TestTables.Query(table.ScanSql()));
        var first = table.NewAppend().Add(TestTables.Write(table, 0, 10)).Commit();
        var second = table.NewAppend().Add(TestTables.Write(table, 10, 5)).Set("who", "me").Commit();
        Assert.Equal(15, TestTables.Query(table.ScanSql()).Count);
        Assert.Equal(10, TestTables.Query(table.ScanSql(new ScanTarget.AtSnapshot(first.SnapshotId))).Count);
        Assert.Equal("me", second.Summary["who"]);
        Assert.Equal("15", second.Summary["total-records"]);
        Assert.Equal("2", second.Summary["total-data-files"]);
        Assert.Equal("append", second.Operation);
        Assert.Equal(first.SnapshotId, second.ParentSnapshotId);
        Assert.Equal(2, second.SequenceNumber);
        Assert.Equal(["0|DE|2024-01-01 00:00:00+00|0.0"], TestTables.Query(table.ScanSql() + " ORDER BY id LIMIT 1"));

        var other = warehouse.Catalog.LoadTable(TestTables.Orders);
        Assert.Equal(second.SnapshotId, other.CurrentSnapshot!.SnapshotId);
        Assert.Equal(table.MetadataLocation, other.MetadataLocation);
        var byPath = Table.OpenPath(Millrace.Storage.Files.DiskFileSystem.Instance, Path.Combine(warehouse.Folder, "sales", "orders"));
        Assert.Equal(15, TestTables.Query(byPath.ScanSql(columns: ["price"])).Count);
    }

    [Fact]
    public void Metrics_come_from_the_writer_and_enclose_the_values()
    {
        using var warehouse = new Warehouse();
        var table = TestTables.Create(warehouse.Catalog);
        var file = Assert.Single(TestTables.Write(table, 0, 30));
        Assert.Equal(30, file.RecordCount);
        Assert.Equal(new FileInfo(file.Path).Length, file.FileSizeInBytes);
        var id = file.Metrics.Find(1)!.Value;
        Assert.Equal(0L, SingleValue.Decode(PrimitiveType.Long, id.Lower));
        Assert.Equal(29L, SingleValue.Decode(PrimitiveType.Long, id.Upper));
        Assert.Equal((30, 0), (id.ValueCount, id.NullCount));
        var country = file.Metrics.Find(2)!.Value;
        Assert.Equal((30, 10), (country.ValueCount, country.NullCount));
        Assert.Equal("FR", SingleValue.Decode(PrimitiveType.String, country.Upper));
        var price = file.Metrics.Find(4)!.Value;
        Assert.Equal(3, price.NanCount);
        Assert.Equal(BitConverter.DoubleToInt64Bits(-0d), BitConverter.DoubleToInt64Bits((double)SingleValue.Decode(PrimitiveType.Double, price.Lower)!));
        Assert.Equal(42.0, SingleValue.Decode(PrimitiveType.Double, price.Upper));

        table.NewAppend().Add(file).Commit();
        var read = Assert.Single(table.PlanFiles().Files).File;
        Assert.Equal(file.Metrics.Columns.Length, read.Metrics.Columns.Length);
        for (var i = 0; i < file.Metrics.Columns.Length; i++)
        {
            var (a, b) = (file.Metrics.Columns[i], read.Metrics.Columns[i]);
            Assert.Equal((a.FieldId, a.SizeInBytes, a.ValueCount, a.NullCount, a.NanCount), (b.FieldId, b.SizeInBytes, b.ValueCount, b.NullCount, b.NanCount));
            Assert.Equal(a.Lower, b.Lower);
            Assert.Equal(a.Upper, b.Upper);
        }
    }

    [Theory]
    [InlineData("identity", "country")]
    [InlineData("bucket[4]", "id")]
    [InlineData("bucket[4]", "country")]
    [InlineData("truncate[1]", "country")]
    [InlineData("truncate[7]", "id")]
    [InlineData("day", "ts")]
    [InlineData("hour", "ts")]
    [InlineData("month", "ts")]
    [InlineData("year", "ts")]
    [InlineData("identity", "ts")]
    public void Rows_are_divided_as_the_transform_says(string transform, string column)
    {
        using var warehouse = new Warehouse();
        var table = TestTables.Create(warehouse.Catalog, (transform, column));
        table.NewAppend().Add(TestTables.Write(table, 0, 40)).Commit();
        var scan = table.PlanFiles();
        Assert.Equal(40, scan.RecordCount);
        var source = table.Metadata.Schema.Find(column)!;
        var rows = 0;
        foreach (var task in scan.Files)
        {
            var value = column switch { "id" => "id", "country" => "country", _ => "epoch_us(ts)" };
            foreach (var text in TestTables.Query($"SELECT {value} FROM read_parquet('{task.File.Path.Replace("'", "''")}', hive_partitioning=false)"))
            {
                object? typed = text == "NULL" ? null : column == "country" ? text : long.Parse(text!);
                Assert.Equal(Transform.Parse(transform).Apply((PrimitiveType)source.Type, typed), task.File.Partition[0]);
                rows++;
            }
        }
        Assert.Equal(40, rows);
        Assert.Equal(40, TestTables.Query(table.ScanSql()).Count);
    }

    [Fact]
    public void Renamed_added_dropped_and_widened_columns_are_read_from_old_files()
    {
        using var warehouse = new Warehouse();
        var table = TestTables.Create(warehouse.Catalog);
        table.NewAppend().Add(TestTables.Write(table, 0, 2)).Commit();
        table.Update(metadata => ([new TableRequirement.AssertLastAssignedFieldId(metadata.LastColumnId)],
        [
            new MetadataUpdate.AddSchema(new IcebergSchema(1,
            [
                new NestedField(5, "added", false, PrimitiveType.Int),
                new NestedField(4, "cost", false, PrimitiveType.Double),
                new NestedField(1, "id", true, PrimitiveType.Long),
                new NestedField(6, "country", false, PrimitiveType.String),
            ])),
            new MetadataUpdate.SetCurrentSchema(MetadataUpdate.LastAdded),
        ]));
        Assert.Equal(1, table.Metadata.CurrentSchemaId);
        // The new column named country is another one than the dropped one.
        Assert.Equal(["NULL|0.0|0|NULL", "NULL|1.5|1|NULL"], TestTables.Query(table.ScanSql() + " ORDER BY id"));
        var old = table.Metadata.Snapshots[0];
        Assert.Equal(4, table.PlanFiles(new ScanTarget.AtSnapshot(old.SnapshotId)).Schema.Fields.Count);
        Assert.Equal(["0|DE|2024-01-01 00:00:00+00|0.0"], TestTables.Query(table.ScanSql(new ScanTarget.AtSnapshot(old.SnapshotId)) + " ORDER BY id LIMIT 1"));
    }

    [Fact]
    public void A_checkpoint_is_committed_once_however_often_it_is_tried()
    {
        using var warehouse = new Warehouse();
        var table = TestTables.Create(warehouse.Catalog);
        Assert.Null(table.LastCommitted("job"));
        var first = table.NewAppend().Add(TestTables.Imaginary("/a")).Checkpoint("job", 7).Commit();
        Assert.Equal(7, table.LastCommitted("job"));
        Assert.Equal("7", first.Summary["millrace.checkpoint-id"]);

        // A process that was cut off before it heard of its commit, with a table object from before.
        var again = warehouse.Catalog.LoadTable(TestTables.Orders);
        var append = again.NewAppend().Add(TestTables.Imaginary("/a")).Checkpoint("job", 7);
        Assert.Equal(first.SnapshotId, append.Commit().SnapshotId);
        Assert.True(append.WasCommittedBefore);
        again.NewAppend().Add(TestTables.Imaginary("/b")).Commit();
        again.NewAppend().Add(TestTables.Imaginary("/c")).Checkpoint("other", 1).Commit();
        Assert.Equal(7, again.LastCommitted("job"));
        Assert.Equal(first.SnapshotId, again.FindInHistory(s => s.Summary.GetValueOrDefault("millrace.checkpoint-id") == "7")!.SnapshotId);

        // A stale object that has not seen the commit learns of it in the race.
        var late = table.NewAppend().Add(TestTables.Imaginary("/d")).Checkpoint("other", 1);
        late.Commit();
        Assert.True(late.WasCommittedBefore);
        Assert.Equal(3, table.PlanFiles().Files.Count);
    }

    [Fact]
    public void Small_manifests_are_merged_when_there_are_many()
    {
        using var warehouse = new Warehouse();
        var table = TestTables.Create(warehouse.Catalog);
        table.SetProperties(new Dictionary<string, string> { ["commit.manifest.min-count-to-merge"] = "5" });
        for (var i = 0; i < 23; i++)
            table.NewAppend().Add(TestTables.Imaginary($"/f{i}", i + 1)).Commit();
        var scan = table.PlanFiles();
        Assert.Equal(23, scan.Files.Count);
        // Every file keeps the sequence number of the commit that added it.
        for (var i = 0; i < 23; i++)
            Assert.Equal(i + 1, scan.Files.Single(f => f.File.Path == $"/f{i}").SequenceNumber);
        Assert.InRange(table.Storage.ReadManifests(table.CurrentSnapshot!).Count, 1, 6);
        Assert.Equal("23", table.CurrentSnapshot!.Summary["total-data-files"]);
        Assert.Equal(1, table.Storage.ReadManifests(table.CurrentSnapshot!).Min(m => m.MinSequenceNumber));
    }

    [Fact]
    public void Tables_and_namespaces_are_listed_and_dropped()
    {
        using var warehouse = new Warehouse();
        var catalog = warehouse.Catalog;
        TestTables.Create(catalog);
        catalog.CreateTable(TableIdent.Parse("sales.eu.data"), IcebergSchema.From(TestTables.Columns));
        Assert.Equal(["sales"], catalog.ListNamespaces().Select(n => n.ToString()));
        Assert.Equal(["sales.eu"], catalog.ListNamespaces(Namespace.Parse("sales")).Select(n => n.ToString()));
        Assert.Equal([TestTables.Orders], catalog.ListTables(Namespace.Parse("sales")));
        Assert.Throws<AlreadyExistsException>(() => TestTables.Create(catalog));
        Assert.Throws<NamespaceNotEmptyException>(() => catalog.DropNamespace(Namespace.Parse("sales.eu")));
        catalog.DropTable(TableIdent.Parse("sales.eu.data"));
        catalog.DropNamespace(Namespace.Parse("sales.eu"));
        catalog.DropTable(TestTables.Orders);
        Assert.Throws<NoSuchTableException>(() => catalog.LoadTable(TestTables.Orders));
        Assert.Empty(catalog.ListTables(Namespace.Parse("sales")));
        TestTables.Create(catalog);
    }

    [Theory]
    [InlineData("..")]
    [InlineData("a/b")]
    [InlineData("metadata")]
    [InlineData("data")]
    [InlineData(".hidden")]
    [InlineData("ü %20")]
    [InlineData("C:\\x")]
    public void No_name_leaves_its_folder(string name)
    {
        using var warehouse = new Warehouse();
        var ident = new TableIdent(new Namespace(name), name);
        var table = warehouse.Catalog.CreateTable(ident, IcebergSchema.From(TestTables.Columns));
        Assert.StartsWith(warehouse.Folder + "/", table.MetadataLocation);
        Assert.DoesNotContain("..", table.MetadataLocation);
        Assert.Equal([ident], warehouse.Catalog.ListTables(new Namespace(name)));
    }

    [Fact]
    public void Columns_that_do_not_fit_are_refused_by_name()
    {
        using var warehouse = new Warehouse();
        var table = TestTables.Create(warehouse.Catalog);
        using var writer = new Millrace.Iceberg.Files.ParquetWriter(table);
        using var column = new Millrace.Columnar.ColumnBuilder(Millrace.Columnar.DataType.Int64);
        column.AppendNull();
        using var nulls = new Millrace.Columnar.ColumnBatch(new(new Millrace.Columnar.Field("id", Millrace.Columnar.DataType.Int64)), 1, column.Build());
        Assert.Contains("required column 'id'", Assert.Throws<IcebergException>(() => writer.Write(nulls)).Message);
        column.Append(1L);
        using var unknown = new Millrace.Columnar.ColumnBatch(new(new Millrace.Columnar.Field("idd", Millrace.Columnar.DataType.Int64)), 1, column.Build());
        Assert.Contains("no column 'idd'", Assert.Throws<IcebergException>(() => writer.Write(unknown)).Message);
        Assert.Empty(Directory.EnumerateFiles(table.DataFolder));
    }
}
