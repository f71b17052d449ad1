using System.Diagnostics;
using Millrace.Iceberg;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Metadata;
using Millrace.Iceberg.Schemas;
using Millrace.Storage.Files;
using Millrace.Storage.Files.Faults;

namespace Millrace.Tests.Iceberg;

public sealed class CommitTests(Xunit.Abstractions.ITestOutputHelper output)
{
    [Fact]
    public async Task Racing_writers_all_win_in_turn_and_nothing_is_lost()
    {
        using var warehouse = new Warehouse();
        TestTables.Create(warehouse.Catalog);
        const int writers = 4;
        const int commits = 15;
        await Task.WhenAll(Enumerable.Range(0, writers).Select(w => Task.Run(() =>
        {
            var catalog = FolderCatalog.Open(DiskFileSystem.Instance, warehouse.Folder, TimeProvider.System);
            var table = catalog.LoadTable(TestTables.Orders);
            for (var i = 0; i < commits; i++)
                table.NewAppend().Add(TestTables.Imaginary($"/{w}/{i}")).Checkpoint("w" + w, i).Commit();
        })));
        var end = warehouse.Catalog.LoadTable(TestTables.Orders);
        Assert.Equal(writers * commits, end.PlanFiles().Files.Select(f => f.File.Path).Distinct().Count());
        Assert.Equal(Enumerable.Range(1, writers * commits).Select(i => (long)i), end.Metadata.Snapshots.Select(s => s.SequenceNumber));
        Assert.Equal(writers * commits, end.Metadata.AncestorsOf(end.Metadata.CurrentSnapshotId).Count());
        for (var w = 0; w < writers; w++)
            Assert.Equal(commits - 1, end.LastCommitted("w" + w));
        // What lost attempts wrote is gone: one manifest list a snapshot.
        var lists = Directory.GetFiles(Path.Combine(warehouse.Folder, "sales", "orders", "metadata"), "snap-*").Length;
        Assert.Equal(writers * commits, lists);
    }

    [Fact]
    public async Task The_lock_of_another_process_is_waited_for()
    {
        using var warehouse = new Warehouse();
        var table = TestTables.Create(warehouse.Catalog);
        var path = Path.Combine(warehouse.Folder, "sales", "orders", "metadata", "commit.lock");
        // util-linux's flock takes the very lock; cat holds it until its input ends.
        using var holder = Process.Start(new ProcessStartInfo("flock", [path, "sh", "-c", "echo held; cat"]) { RedirectStandardInput = true, RedirectStandardOutput = true })!;
        Assert.Equal("held", holder.StandardOutput.ReadLine());
        var commit = Task.Run(() => table.NewAppend().Add(TestTables.Imaginary("/a")).Commit());
        var impatient = FolderCatalog.Open(
            DiskFileSystem.Instance, warehouse.Folder, TimeProvider.System, new FolderCatalogOptions { LockTimeout = TimeSpan.FromMilliseconds(30) });
        // The semaphore of this process or the file: whichever comes first, the option is named.
        var error = Assert.Throws<TimeoutException>(() => impatient.LoadTable(TestTables.Orders).SetProperties(new Dictionary<string, string> { ["a"] = "b" }));
        Assert.Contains("LockTimeout", error.Message);
        Assert.False(commit.IsCompleted);
        holder.StandardInput.Close();
        holder.WaitForExit();
        await commit.WaitAsync(TimeSpan.FromSeconds(20));
        Assert.Single(warehouse.Catalog.LoadTable(TestTables.Orders).PlanFiles().Files);
    }

    [Fact]
    public void A_commit_that_loses_every_race_gives_up_and_names_the_property()
    {
        using var warehouse = new Warehouse();
        var table = TestTables.Create(warehouse.Catalog);
        table.SetProperties(new Dictionary<string, string> { ["commit.retry.num-retries"] = "3" });
        var rival = new RivalCatalog(warehouse.Catalog);
        var slow = new Table(rival, TestTables.Orders, table.Metadata, table.MetadataLocation, table.Storage);
        var error = Assert.Throws<CommitConflictException>(() => slow.NewAppend().Add(TestTables.Imaginary("/slow")).Commit());
        Assert.Contains("commit.retry.num-retries", error.Message);
        Assert.Contains("4 times", error.Message);
        Assert.Equal(4, warehouse.Catalog.LoadTable(TestTables.Orders).PlanFiles().Files.Count);
    }

    [Theory]
    [InlineData(CrashOutcome.Drawn, false)]
    [InlineData(CrashOutcome.Drawn, true)]
    [InlineData(CrashOutcome.AnySectors, true)]
    [InlineData(CrashOutcome.Everything, false)]
    [InlineData(CrashOutcome.NothingUnflushed, false)]
    [InlineData(CrashOutcome.NothingUnflushed, true)]
    public void A_crash_at_any_step_of_a_commit_leaves_the_state_before_or_after_and_a_retry_adds_once(CrashOutcome outcome, bool unorderedNames)
    {
        var seed = Seeds.Next(output);
        var steps = 0;
        for (var completed = false; !completed; steps++)
        {
            var disk = new SimulatedFileSystem(seed + steps, new DiskFaults { UnorderedNames = unorderedNames });
            var files = new CrashingFileSystem(disk);
            var catalog = FolderCatalog.Open(files, "/wh", TimeProvider.System);
            var table = TestTables.Create(catalog);
            table.NewAppend().Add(TestTables.Imaginary("/first")).Checkpoint("job", 1).Commit();
            files.StepsLeft = steps;
            try
            {
                table.NewAppend().Add(TestTables.Imaginary("/second")).Checkpoint("job", 2).Commit();
                completed = true;
            }
            catch (PowerFailure)
            {
            }
            disk.Crash(outcome);

            // After the restart.
            var again = FolderCatalog.Open(disk, "/wh", TimeProvider.System).LoadTable(TestTables.Orders);
            var seen = again.LastCommitted("job");
            Assert.True(seen is 1 or 2, $"seed {seed}, step {steps}: checkpoint {seen}");
            Assert.True(!completed || seen == 2, $"seed {seed}: an acknowledged commit was lost");
            Assert.Equal(seen, again.PlanFiles().Files.Count);
            // What was seen once stays, even when the power fails again.
            disk.Crash(CrashOutcome.NothingUnflushed);
            again = FolderCatalog.Open(disk, "/wh", TimeProvider.System).LoadTable(TestTables.Orders);
            Assert.True(again.LastCommitted("job") == seen, $"seed {seed}, step {steps}: {seen} was seen, then {again.LastCommitted("job")}");
            again.NewAppend().Add(TestTables.Imaginary("/second")).Checkpoint("job", 2).Commit();
            Assert.Equal(["/first", "/second"], again.PlanFiles().Files.Select(f => f.File.Path).Order());
            Assert.Equal("2", again.CurrentSnapshot!.Summary["total-data-files"]);
        }
        Assert.True(steps > 10, $"{steps} steps");
    }

    [Fact]
    public void A_full_disk_fails_the_commit_and_leaves_the_table_as_it_was()
    {
        var disk = new SimulatedFileSystem(1);
        var catalog = FolderCatalog.Open(disk, "/wh", TimeProvider.System);
        var table = TestTables.Create(catalog);
        table.NewAppend().Add(TestTables.Imaginary("/first")).Commit();
        disk.Faults = new DiskFaults { CapacityBytes = disk.UsedBytes + 100 };
        Assert.ThrowsAny<IOException>(() => table.NewAppend().Add(TestTables.Imaginary("/second")).Commit());
        disk.Faults = DiskFaults.None;
        var again = catalog.LoadTable(TestTables.Orders);
        Assert.Single(again.PlanFiles().Files);
        again.NewAppend().Add(TestTables.Imaginary("/second")).Commit();
        Assert.Equal(2, again.PlanFiles().Files.Count);
    }

    [Fact]
    public void Damaged_files_are_named_with_a_next_step()
    {
        using var warehouse = new Warehouse();
        var table = TestTables.Create(warehouse.Catalog);
        table.NewAppend().Add(TestTables.Imaginary("/a")).Commit();
        var list = table.CurrentSnapshot!.ManifestList!;
        var manifest = table.Storage.ReadManifests(table.CurrentSnapshot)[0].Path;
        foreach (var path in new[] { list, manifest })
        {
            var content = File.ReadAllBytes(path);
            foreach (var broken in new[] { content[..^20], [], [.. content[..^1], (byte)(content[^1] ^ 1)] })
            {
                File.WriteAllBytes(path, broken);
                var error = Assert.ThrowsAny<IcebergException>(() => table.PlanFiles());
                Assert.Contains(path, error.Message);
                Assert.Contains("earlier snapshot", error.Message);
            }
            File.Delete(path);
            Assert.Contains("missing", Assert.ThrowsAny<IcebergException>(() => table.PlanFiles()).Message);
            File.WriteAllBytes(path, content);
        }
        File.WriteAllText(table.MetadataLocation, "{\"format-version\": 2,");
        var invalid = Assert.Throws<InvalidMetadataException>(() => warehouse.Catalog.LoadTable(TestTables.Orders));
        Assert.Contains("v2.metadata.json", invalid.Message);
        Assert.Contains("v1.metadata.json", invalid.Message);
        // The advice holds.
        File.Delete(table.MetadataLocation);
        Assert.Null(warehouse.Catalog.LoadTable(TestTables.Orders).CurrentSnapshot);
    }

    [Fact]
    public void A_missing_or_wrong_version_hint_does_not_hide_the_table()
    {
        using var warehouse = new Warehouse();
        var table = TestTables.Create(warehouse.Catalog);
        table.NewAppend().Add(TestTables.Imaginary("/a")).Commit();
        var hint = Path.Combine(warehouse.Folder, "sales", "orders", "metadata", "version-hint.text");
        Assert.Equal("2", File.ReadAllText(hint));
        foreach (var wrong in new[] { "", "x", "77", "1" })
        {
            File.WriteAllText(hint, wrong);
            Assert.Single(warehouse.Catalog.LoadTable(TestTables.Orders).PlanFiles().Files);
            Assert.Equal("2", File.ReadAllText(hint));
        }
        File.Delete(hint);
        Assert.Single(warehouse.Catalog.LoadTable(TestTables.Orders).PlanFiles().Files);
    }

    [Fact]
    public void Old_metadata_files_go_when_the_log_forgets_them()
    {
        using var warehouse = new Warehouse();
        var table = TestTables.Create(warehouse.Catalog);
        table.SetProperties(new Dictionary<string, string> { ["write.metadata.previous-versions-max"] = "3" });
        for (var i = 0; i < 10; i++)
            table.NewAppend().Add(TestTables.Imaginary("/" + i)).Commit();
        Assert.Equal(3, table.Metadata.MetadataLog.Count);
        Assert.Equal(4, Directory.GetFiles(Path.Combine(warehouse.Folder, "sales", "orders", "metadata"), "*.metadata.json").Length);
        Assert.Equal(10, warehouse.Catalog.LoadTable(TestTables.Orders).PlanFiles().Files.Count);
    }

    /// <summary>Before each commit somebody else commits.</summary>
    private sealed class RivalCatalog(FolderCatalog catalog) : ICatalog
    {
        private int _commits;

        public Table CommitTable(TableIdent ident, IReadOnlyList<TableRequirement> requirements, IReadOnlyList<MetadataUpdate> updates)
        {
            catalog.LoadTable(ident).NewAppend().Add(TestTables.Imaginary("/rival" + _commits++)).Commit();
            return catalog.CommitTable(ident, requirements, updates);
        }

        public Table LoadTable(TableIdent ident) => catalog.LoadTable(ident);

        public IReadOnlyList<Namespace> ListNamespaces(Namespace? parent = null) => catalog.ListNamespaces(parent);

        public IReadOnlyList<TableIdent> ListTables(Namespace space) => catalog.ListTables(space);

        public bool TableExists(TableIdent ident) => catalog.TableExists(ident);

        public Table CreateTable(TableIdent ident, IcebergSchema schema, PartitionSpec? spec = null, IReadOnlyDictionary<string, string>? properties = null) =>
            catalog.CreateTable(ident, schema, spec, properties);

        public void DropTable(TableIdent ident, bool purge = true) => catalog.DropTable(ident, purge);
    }
}
