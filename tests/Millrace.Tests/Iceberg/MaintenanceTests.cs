using Millrace.Iceberg;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Maintenance;
using Millrace.Iceberg.Metadata;
using Millrace.Iceberg.Scans;

namespace Millrace.Tests.Iceberg;

public sealed class MaintenanceTests
{
    private static readonly ExpiryOptions Everything = new(TimeSpan.FromMilliseconds(-1), 1);

    [Fact]
    public void Expiry_keeps_every_file_that_a_live_snapshot_branch_or_tag_needs()
    {
        using var warehouse = new Warehouse();
        var table = TestTables.Create(warehouse.Catalog);
        var snapshots = new List<Snapshot>();
        for (var i = 0; i < 6; i++)
            snapshots.Add(table.NewAppend().Add(TestTables.Write(table, i * 10, 10)).Commit());
        Tag(table, "audit", snapshots[1].SnapshotId, RefKind.Tag);
        Tag(table, "trial", snapshots[3].SnapshotId, RefKind.Branch);
        Compaction.Run(table);
        Assert.Equal(60, Count(table, ScanTarget.Current));
        var files = FilesOf(table).Count;

        var result = SnapshotExpiry.Run(table, Everything);
        Assert.Equal([snapshots[0].SnapshotId, snapshots[2].SnapshotId, snapshots[4].SnapshotId, snapshots[5].SnapshotId], result.Snapshots);
        Assert.Equal(3, table.Metadata.Snapshots.Count);
        Assert.Equal(60, Count(table, ScanTarget.Current));
        Assert.Equal(20, Count(table, new ScanTarget.AtRef("audit")));
        Assert.Equal(40, Count(table, new ScanTarget.AtRef("trial")));
        // The files of the fifth and sixth append are needed by nobody now that their rows were rewritten.
        Assert.Equal(2, result.DataFiles);
        Assert.Equal(files - result.DataFiles - result.Manifests - result.ManifestLists + 1, FilesOf(table).Count);
        Assert.Throws<IcebergException>(() => table.PlanFiles(new ScanTarget.AtSnapshot(snapshots[0].SnapshotId)));

        table.Update(_ => ([], [new MetadataUpdate.RemoveSnapshotRef("audit"), new MetadataUpdate.RemoveSnapshotRef("trial")]));
        SnapshotExpiry.Run(table, Everything);
        Assert.Equal(60, Count(table, ScanTarget.Current));
        Assert.Single(Directory.GetFiles(table.DataFolder, "*.parquet"));
        Assert.Empty(OrphanRemoval.Run(table, new OrphanOptions(TimeSpan.FromMilliseconds(-1), DryRun: true)));
    }

    [Fact]
    public void Young_snapshots_and_those_that_a_branch_keeps_stay()
    {
        using var warehouse = new Warehouse();
        var table = TestTables.Create(warehouse.Catalog);
        for (var i = 0; i < 5; i++)
            table.NewAppend().Add(TestTables.Imaginary("/" + i)).Commit();
        Assert.Empty(SnapshotExpiry.Run(table).Snapshots);
        var (due, _) = SnapshotExpiry.Expired(table.Metadata, new ExpiryOptions(), TimeProvider.System.GetUtcNow().AddDays(6));
        Assert.Equal(4, due.Count);
        (due, _) = SnapshotExpiry.Expired(table.Metadata, new ExpiryOptions(MinSnapshotsToKeep: 3), TimeProvider.System.GetUtcNow().AddDays(6));
        Assert.Equal(table.Metadata.Snapshots.Take(2).Select(s => s.SnapshotId), due);
        var withAge = table.Metadata with
        {
            Refs = new Dictionary<string, SnapshotRef>(table.Metadata.Refs)
            {
                ["old"] = new(table.Metadata.Snapshots[0].SnapshotId, RefKind.Tag) { MaxRefAgeMs = 1000 },
                ["kept"] = new(table.Metadata.Snapshots[1].SnapshotId, RefKind.Tag),
            },
        };
        var (snapshots, refs) = SnapshotExpiry.Expired(withAge, new ExpiryOptions(), TimeProvider.System.GetUtcNow().AddDays(6));
        Assert.Equal(["old"], refs);
        Assert.Equal(3, snapshots.Count);
        Assert.DoesNotContain(table.Metadata.Snapshots[1].SnapshotId, snapshots);
    }

    [Fact]
    public void The_checkpoint_of_a_writer_outlives_the_snapshot_that_held_it()
    {
        using var warehouse = new Warehouse();
        var table = TestTables.Create(warehouse.Catalog);
        table.NewAppend().Add(TestTables.Imaginary("/a")).Checkpoint("job", 41).Commit();
        table.NewAppend().Add(TestTables.Imaginary("/b")).Commit();
        SnapshotExpiry.Run(table, Everything);
        Assert.Null(table.FindInHistory(s => s.Summary.ContainsKey("millrace.checkpoint-id")));
        Assert.Equal(41, table.LastCommitted("job"));
        var append = table.NewAppend().Add(TestTables.Imaginary("/a")).Checkpoint("job", 41);
        append.Commit();
        Assert.True(append.WasCommittedBefore);
    }

    [Fact]
    public void Compaction_rewrites_small_files_into_few_with_the_same_rows()
    {
        using var warehouse = new Warehouse();
        var table = TestTables.Create(warehouse.Catalog, ("identity", "country"));
        for (var i = 0; i < 6; i++)
            table.NewAppend().Add(TestTables.Write(table, i * 9, 9)).Commit();
        var before = TestTables.Query(table.ScanSql() + " ORDER BY id");
        Assert.Equal(18, table.PlanFiles().Files.Count);
        var result = Compaction.Run(table);
        Assert.Equal((18, 3), (result.FilesBefore, result.FilesAfter));
        Assert.Equal("replace", result.Snapshot!.Operation);
        Assert.Equal("54", result.Snapshot.Summary["total-records"]);
        Assert.Equal("3", result.Snapshot.Summary["total-data-files"]);
        Assert.Equal("18", result.Snapshot.Summary["deleted-data-files"]);
        var scan = table.PlanFiles();
        Assert.Equal(3, scan.Files.Count);
        // What was read at the sixth commit keeps that commit's number.
        Assert.All(scan.Files, f => Assert.Equal(6, f.SequenceNumber));
        Assert.Equal(before, TestTables.Query(table.ScanSql() + " ORDER BY id"));
        Assert.Null(Compaction.Run(table).Snapshot);
        Assert.Equal(before, TestTables.Query(table.ScanSql(new ScanTarget.AtSnapshot(result.Snapshot.ParentSnapshotId!.Value)) + " ORDER BY id"));
        var manifests = table.Storage.ReadManifests(table.CurrentSnapshot!);
        table.NewAppend().Add(TestTables.Write(table, 100, 1)).Commit();
        Assert.True(table.Storage.ReadManifests(table.CurrentSnapshot!).Count < manifests.Count);
        Assert.Equal(55, Count(table, ScanTarget.Current));
    }

    [Fact]
    public void Appends_during_a_compaction_are_kept_and_a_rival_compaction_is_refused()
    {
        using var warehouse = new Warehouse();
        var table = TestTables.Create(warehouse.Catalog);
        for (var i = 0; i < 6; i++)
            table.NewAppend().Add(TestTables.Write(table, i * 10, 10)).Commit();
        var stale = warehouse.Catalog.LoadTable(TestTables.Orders);
        var rival = warehouse.Catalog.LoadTable(TestTables.Orders);
        table.NewAppend().Add(TestTables.Write(table, 100, 10)).Commit();
        Compaction.Run(stale);
        Assert.Equal(70, Count(stale, ScanTarget.Current));
        Assert.Throws<RewriteOvertakenException>(() => Compaction.Run(rival));
        table.Refresh();
        Assert.Equal(70, Count(table, ScanTarget.Current));
        Assert.Single(OrphanRemoval.Run(table, new OrphanOptions(TimeSpan.FromMilliseconds(-1))), p => p.EndsWith(".parquet", StringComparison.Ordinal));
        Assert.Equal(70, Count(table, ScanTarget.Current));
    }

    private static void Tag(Table table, string name, long snapshot, RefKind kind) =>
        table.Update(_ => ([], [new MetadataUpdate.SetSnapshotRef(name, new SnapshotRef(snapshot, kind))]));

    private static int Count(Table table, ScanTarget target) => int.Parse(TestTables.Query($"SELECT count(*) FROM ({table.ScanSql(target)})")[0]!);

    private static List<string> FilesOf(Table table) =>
        Directory.GetFiles(Path.GetDirectoryName(table.DataFolder)!, "*", SearchOption.AllDirectories).ToList();
}
