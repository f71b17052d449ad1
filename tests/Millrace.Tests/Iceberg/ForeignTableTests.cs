using Millrace.Iceberg;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Scans;
using Millrace.Storage.Files;

namespace Millrace.Tests.Iceberg;

/// <summary>Tables that other writers made (Spark, PyIceberg, Athena, DuckDB's own tests), lying elsewhere than where they were written.</summary>
public sealed class ForeignTableTests
{
    private static string Tables => Path.Combine(Repository.Shared!, "data", "iceberg", "tables");

    [SharedDataFact("iceberg/tables.csv")]
    public void Every_table_without_deletes_gives_as_many_rows_as_its_summary_says()
    {
        var read = 0;
        foreach (var line in File.ReadLines(Path.Combine(Repository.Shared!, "data", "iceberg", "tables.csv")).Skip(1))
        {
            var cells = line.Split(',');
            // That table's snapshot id passes 2^63, which the specification's long cannot hold.
            if (cells[4] == "9876543210123456789")
                continue;
            var table = Table.OpenPath(DiskFileSystem.Instance, Path.Combine(Tables, cells[0], cells[1]));
            Assert.Equal(long.Parse(cells[4]), table.CurrentSnapshot!.SnapshotId);
            var scan = table.PlanFiles();
            Assert.Equal(long.Parse(cells[5]), scan.RecordCount);
            Assert.Equal(int.Parse(cells[6]), scan.Files.Count);
            var rows = TestTables.Query($"SELECT count(*) FROM ({table.ScanSql()})")[0];
            if (cells[7] == "0")
                Assert.Equal(cells[5], rows);
            read++;
        }
        Assert.Equal(19, read);
    }

    [SharedDataFact("iceberg/tables/icebird/spark/bunnies")]
    public void Position_deletes_take_rows_away()
    {
        var table = Table.OpenPath(DiskFileSystem.Instance, Path.Combine(Tables, "icebird", "spark", "bunnies"));
        // The newest snapshot rewrote the file; the delete file that stays in it is older than the rows and must not touch them.
        Assert.False(table.PlanFiles().HasDeletes);
        Assert.Equal("20", TestTables.Query($"SELECT count(*) FROM ({table.ScanSql()})")[0]);
        var before = new ScanTarget.AtSnapshot(469881615898633426);
        Assert.True(table.PlanFiles(before).HasDeletes);
        Assert.Equal(21, table.PlanFiles(before).RecordCount);
        Assert.Equal("20", TestTables.Query($"SELECT count(*) FROM ({table.ScanSql(before)})")[0]);
    }

    [SharedDataFact("iceberg/tables/duckdb/equality_deletes")]
    public void Equality_deletes_take_away_rows_that_were_there_before_them()
    {
        var table = Table.OpenPath(DiskFileSystem.Instance, Path.Combine(Tables, "duckdb", "equality_deletes", "warehouse", "mydb", "mytable"));
        Assert.True(table.PlanFiles().HasDeletes);
        var rows = TestTables.Query(table.ScanSql() + " ORDER BY ALL");
        Assert.NotEmpty(rows);
        Assert.True(rows.Count < table.PlanFiles().RecordCount);
    }

    [SharedDataFact("iceberg/tables/duckdb/equality_delete_cross_partition")]
    public void A_snapshot_id_beyond_63_bits_is_refused_and_named()
    {
        var folder = Path.Combine(Tables, "duckdb", "equality_delete_cross_partition", "warehouse", "ns", "t", "metadata", "vfinal.metadata.json");
        var error = Assert.Throws<InvalidMetadataException>(() => Table.OpenPath(DiskFileSystem.Instance, folder));
        Assert.Contains("9876543210123456789", error.Message);
    }
}
