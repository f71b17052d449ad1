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

    [Fact]
    public void A_dry_run_tells_what_expiry_and_compaction_would_do_and_does_nothing()
    {
        using var warehouse = new Warehouse();
        var table = TestTables.Create(warehouse.Catalog);
        for (var i = 0; i < 6; i++)
            table.NewAppend().Add(TestTables.Write(table, i * 10, 10)).Commit();
        var preview = Compaction.Preview(table);
        Assert.Equal((6, 1), (preview.FilesBefore, preview.FilesAfter));
        Compaction.Run(table);
        var files = FilesOf(table);
        var told = SnapshotExpiry.Run(table, Everything with { DryRun = true });
        Assert.Equal((6, 6), (told.Snapshots.Count, told.DataFiles));
        Assert.Equal(files, FilesOf(table));
        Assert.Equal(7, table.Metadata.Snapshots.Count);
        var done = SnapshotExpiry.Run(table, Everything);
        Assert.Equal(told.Snapshots, done.Snapshots);
        Assert.Equal((told.DataFiles, told.DataBytes, told.Manifests), (done.DataFiles, done.DataBytes, done.Manifests));
    }

    [Fact]
    public void Upkeep_writes_a_row_again_once_for_each_step_of_size_and_keeps_what_it_is_asked_to()
    {
        using var warehouse = new Warehouse();
        var table = TestTables.Create(warehouse.Catalog);
        var options = new UpkeepOptions { DefaultKeep = TimeSpan.Zero, DefaultKeepLast = 3, MinExpired = 1, MinFiles = 4 };
        long rewritten = 0;
        for (var i = 0; i < 32; i++)
        {
            table.NewAppend().Add(TestTables.Write(table, i * 10, 10)).Checkpoint("job/orders", i, "state-1").Commit();
            var result = TableUpkeep.Run(table, options);
            rewritten += result.Compacted?.FilesBefore ?? 0;
            Assert.True(table.PlanFiles().Files.Count <= 4, "small files are left");
            Assert.InRange(table.Metadata.Snapshots.Count, 1, 4);
            table = warehouse.Catalog.LoadTable(TestTables.Orders);
        }
        Assert.Equal(320, Count(table, ScanTarget.Current));
        Assert.Equal((31L, "state-1"), (table.LastCommitted("job/orders"), table.LastState("job/orders")));
        // All files here are of the smallest size, so four become one of the same step each time: a third each.
        Assert.InRange(rewritten, 32, 48);

        Assert.Null(TableUpkeep.Run(table, options with { DefaultKeep = TimeSpan.MaxValue, CompactTo = 0 }).Expired);
        table.SetProperties(new Dictionary<string, string> { ["history.expire.max-snapshot-age-ms"] = "86400000" });
        Assert.Equal(TimeSpan.FromDays(1), TableUpkeep.Expiry(table.Metadata, options, TimeProvider.System.GetUtcNow())!.MaxSnapshotAge);
        Assert.Equal(TimeSpan.FromHours(2), TableUpkeep.Expiry(table.Metadata, options with { Keep = TimeSpan.FromHours(2) }, TimeProvider.System.GetUtcNow())!.MaxSnapshotAge);
    }

    [Fact]
    public void Files_far_apart_in_size_are_not_put_together_by_upkeep()
    {
        using var warehouse = new Warehouse();
        var table = TestTables.Create(warehouse.Catalog);
        table.NewAppend().Add(TestTables.Write(table, 0, 400_000)).Commit();
        for (var i = 0; i < 4; i++)
            table.NewAppend().Add(TestTables.Write(table, 400_000 + i, 1)).Commit();
        var large = table.PlanFiles().Files.MaxBy(f => f.File.FileSizeInBytes)!.File;
        Assert.True(large.FileSizeInBytes > 512 << 10, $"{large.FileSizeInBytes} bytes are too few for this test");
        TableUpkeep.Run(table, new UpkeepOptions { MinFiles = 4 });
        Assert.Equal(2, table.PlanFiles().Files.Count);
        Assert.Contains(table.PlanFiles().Files, f => f.File.Path == large.Path);
        TableUpkeep.Compact(table, new UpkeepOptions(), dryRun: false);
        Assert.Single(table.PlanFiles().Files);
        Assert.Equal(400_004, Count(table, ScanTarget.Current));
    }

    private static void Tag(Table table, string name, long snapshot, RefKind kind) =>
        table.Update(_ => ([], [new MetadataUpdate.SetSnapshotRef(name, new SnapshotRef(snapshot, kind))]));

    private static int Count(Table table, ScanTarget target) => int.Parse(TestTables.Query($"SELECT count(*) FROM ({table.ScanSql(target)})")[0]!);

    private static List<string> FilesOf(Table table) =>
        Directory.GetFiles(Path.GetDirectoryName(table.DataFolder)!, "*", SearchOption.AllDirectories).ToList();
}
