using Millrace.Tests;
using Millrace.Iceberg.Catalogs;
using Millrace.Storage.Files;

namespace Millrace.Interop.Iceberg;

/// <summary>What we write, read by programs that are not ours; and what others wrote, read by us and by DuckDB's own Iceberg reader.</summary>
[Collection("foreign tables")]
public sealed class ForeignReadersTests(SampleTables tables) : IClassFixture<SampleTables>
{
    private static string LoadExtensions =>
        $"LOAD '{Repository.Engines}/duckdb/extensions/avro.duckdb_extension'; LOAD '{Repository.Engines}/duckdb/extensions/iceberg.duckdb_extension';";

    private IEnumerable<Table> All => [tables.Plain, tables.Partitioned, tables.Truncated, tables.Evolved, tables.Typed];

    [EngineFact("duckdb")]
    public void DuckDbs_iceberg_extension_reads_the_same_rows_by_folder_and_by_metadata_file()
    {
        foreach (var table in All)
        {
            var schema = table.Metadata.Schema;
            var ours = SampleTables.Rows(table.ScanSql(), schema);
            Assert.NotEmpty(ours);
            Assert.Equal(ours, SampleTables.Rows($"SELECT * FROM iceberg_scan('{SampleTables.PathOf(table)}')", schema, LoadExtensions));
            Assert.Equal(ours, SampleTables.Rows($"SELECT * FROM iceberg_scan('{table.MetadataLocation}')", schema, LoadExtensions));
        }
    }

    [EngineFact("duckdb")]
    public void DuckDbs_iceberg_extension_loses_no_row_when_it_prunes_by_our_partitions_and_bounds()
    {
        foreach (var table in new[] { tables.Plain, tables.Partitioned, tables.Truncated })
        {
            foreach (var filter in new[] { "id >= 77", "country = 'naïve'", "country IS NULL", "ts < TIMESTAMPTZ '1970-01-01 00:00:00+00'", "price <= 0 AND price > -20", "isnan(price)" })
            {
                var ours = SampleTables.Rows($"SELECT * FROM ({table.ScanSql()}) WHERE {filter}", table.Metadata.Schema);
                Assert.NotEmpty(ours);
                var theirs = SampleTables.Rows($"SELECT * FROM iceberg_scan('{SampleTables.PathOf(table)}') WHERE {filter}", table.Metadata.Schema, LoadExtensions);
                Assert.Equal(ours, theirs);
            }
        }
    }

    [NpmFact("icebird")]
    public void Icebird_reads_the_same_rows()
    {
        foreach (var table in new[] { tables.Plain, tables.Partitioned, tables.Truncated, tables.Evolved })
        {
            var theirs = ForeignProgram.Node("read-iceberg.js", SampleTables.PathOf(table));
            theirs.Sort(StringComparer.Ordinal);
            Assert.Equal(SampleTables.Rows(table.ScanSql(), table.Metadata.Schema), theirs);
        }
    }

    [EngineFact("spark")]
    public void Icebergs_own_library_reads_the_same_rows()
    {
        foreach (var table in All)
        {
            var theirs = ForeignProgram.Java(SampleTables.PathOf(table));
            theirs.Sort(StringComparer.Ordinal);
            Assert.Equal(SampleTables.Rows(table.ScanSql(), table.Metadata.Schema), theirs);
        }
    }

    [EngineFact("spark")]
    public void Icebergs_own_library_prunes_by_our_bounds_without_losing_rows()
    {
        foreach (var table in new[] { tables.Plain, tables.Partitioned, tables.Truncated })
        {
            var theirs = ForeignProgram.Java(SampleTables.PathOf(table), "id", "77");
            theirs.Sort(StringComparer.Ordinal);
            Assert.Equal(SampleTables.Rows($"SELECT * FROM ({table.ScanSql()}) WHERE id >= 77", table.Metadata.Schema), theirs);
        }
    }

    [EngineFact("spark")]
    public void Icebergs_own_library_sees_our_snapshots_and_files()
    {
        var snapshots = ForeignProgram.Java(SampleTables.PathOf(tables.Partitioned), "snapshots");
        Assert.Equal(tables.Partitioned.Metadata.Snapshots.Select((s, i) => $"{s.SnapshotId}|{i + 1}|append|{(i + 1) * 50}|{(i + 1) * 50}"), snapshots);
        var files = ForeignProgram.Java(SampleTables.PathOf(tables.Partitioned), "files");
        Assert.Equal(tables.Partitioned.PlanFiles().Files.Count, files.Count);
        Assert.Equal(150, files.Sum(f => int.Parse(f.Split('|')[2])));
        Assert.Contains(files, f => f.Contains("[null, ", StringComparison.Ordinal));
        Assert.All(files, f => Assert.DoesNotContain("?..", f.Split('|')[4].Split(',')[0]));
    }

    [EngineFact("duckdb")]
    public void Foreign_tables_give_us_the_rows_that_DuckDbs_own_iceberg_reader_gives()
    {
        if (Repository.Shared is null)
            return;
        var data = Path.Combine(Repository.Shared, "data", "iceberg", "tables");
        // These tables name their files relative to the checkout that they come from; DuckDB finds them from a folder that looks like it.
        var checkout = Path.Combine(tables.Folder, "checkout");
        Directory.CreateDirectory(Path.Combine(checkout, "data"));
        Directory.CreateSymbolicLink(Path.Combine(checkout, "data", "persistent"), Path.Combine(data, "duckdb"));
        Directory.CreateSymbolicLink(Path.Combine(checkout, "lineitem_iceberg"), Path.Combine(data, "duckdb", "iceberg", "lineitem_iceberg"));
        var before = Directory.GetCurrentDirectory();
        var compared = 0;
        try
        {
            Directory.SetCurrentDirectory(checkout);
            foreach (var line in File.ReadLines(Path.Combine(data, "..", "tables.csv")).Skip(1))
            {
                var cells = line.Split(',');
                // That id passes 2^63; DuckDB reads it as an unsigned number, the specification's long cannot hold it.
                if (!cells[0].StartsWith("duckdb/", StringComparison.Ordinal) || cells[4] == "9876543210123456789")
                    continue;
                var file = Path.Combine(data, cells[0], cells[1]);
                var table = Table.OpenPath(DiskFileSystem.Instance, file);
                var ours = SampleTables.Rows(table.ScanSql(), table.Metadata.Schema);
                // DuckDB does not read the form of version 1 that has no manifest list.
                if (table.CurrentSnapshot!.ManifestList is null)
                    continue;
                var path = Path.Combine("data", "persistent", Path.GetRelativePath("duckdb", cells[0]), cells[1]);
                var theirs = SampleTables.Rows($"SELECT * FROM iceberg_scan('{path}')", table.Metadata.Schema, LoadExtensions);
                Assert.True(ours.SequenceEqual(theirs), $"{cells[0]}: ours {ours.Count} rows {ours.FirstOrDefault()}, theirs {theirs.Count} rows {theirs.FirstOrDefault()}");
                compared++;
            }
        }
        finally
        {
            Directory.SetCurrentDirectory(before);
        }
        Assert.True(compared >= 15, $"{compared} tables compared");
    }
}

/// <summary>One test changes the process's current folder, so nothing runs beside these.</summary>
[CollectionDefinition("foreign tables", DisableParallelization = true)]
public sealed class ForeignTablesCollection;
