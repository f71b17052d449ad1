using Millrace.Storage.Files;
using Millrace.Storage.Files.Faults;

namespace Millrace.Tests.Storage;

public sealed class SimulatedFileSystemTests
{
    [Fact]
    public void Flushed_bytes_and_names_survive_every_crash()
    {
        for (var seed = 0; seed < 200; seed++)
        {
            var disk = new SimulatedFileSystem(seed);
            using var file = Create(disk, "/data/log");
            file.Write(0, Filled(5000, 1));
            file.Flush();
            disk.FlushFolder("/data");
            disk.FlushFolder("/");
            file.Write(4900, Filled(3000, 2));
            disk.Crash();
            var content = DurableFile.ReadAll(disk, "/data/log");
            Assert.True(content.AsSpan(0, 4608).IndexOfAnyExcept((byte)1) < 0, $"seed {seed}");
        }
    }

    [Fact]
    public void Unflushed_writes_are_lost_kept_torn_and_reordered()
    {
        var results = new HashSet<string>();
        for (var seed = 0; seed < 300; seed++)
        {
            var disk = new SimulatedFileSystem(seed);
            using var file = Create(disk, "/log");
            disk.FlushFolder("/");
            file.Write(0, Filled(1024, 1));
            file.Write(1024, Filled(1024, 2));
            disk.Crash();
            var content = DurableFile.ReadAll(disk, "/log");
            results.Add(string.Concat(Enumerable.Range(0, 4).Select(i => i * 512 < content.Length ? (char)('0' + content[i * 512]) : '-')));
        }
        Assert.Contains("----", results);
        Assert.Contains("1122", results);
        Assert.Contains("1---", results);
        Assert.Contains("112-", results);
        Assert.Contains("0022", results);
    }

    [Fact]
    public void A_name_without_a_flushed_folder_may_vanish_and_a_rename_is_all_or_nothing()
    {
        var outcomes = new HashSet<string>();
        for (var seed = 0; seed < 100; seed++)
        {
            var disk = new SimulatedFileSystem(seed);
            using (var old = Create(disk, "/f"))
            {
                old.Write(0, [1]);
                old.Flush();
            }
            disk.FlushFolder("/");
            using (var fresh = Create(disk, "/f.tmp"))
            {
                fresh.Write(0, [2]);
                fresh.Flush();
            }
            disk.Rename("/f.tmp", "/f");
            disk.Crash();
            outcomes.Add(string.Join(',', disk.ListFiles("/").Select(n => $"{n}={DurableFile.ReadAll(disk, "/" + n)[0]}")));
        }
        Assert.Equal(["f=1", "f=1,f.tmp=2", "f=2"], outcomes.Order());
    }

    [Fact]
    public void A_folder_whose_parent_was_not_flushed_takes_its_files_along()
    {
        var disk = new SimulatedFileSystem(1);
        using var file = Create(disk, "/a/b/log");
        file.Flush();
        disk.FlushFolder("/a/b");
        disk.Crash(CrashOutcome.NothingUnflushed);
        Assert.False(disk.FolderExists("/a"));
        Assert.False(disk.FileExists("/a/b/log"));
    }

    [Fact]
    public void A_failed_flush_never_makes_its_bytes_durable_even_if_the_next_one_succeeds()
    {
        var lost = 0;
        for (var seed = 0; seed < 50; seed++)
        {
            var disk = new SimulatedFileSystem(seed);
            using var file = Create(disk, "/log");
            disk.FlushFolder("/");
            disk.FailFlush("log");
            file.Write(0, Filled(2048, 7));
            Assert.Throws<IOException>(file.Flush);
            file.Flush();
            disk.Crash(CrashOutcome.Everything);
            var content = DurableFile.ReadAll(disk, "/log");
            if (content.Length < 2048 || content.AsSpan().IndexOfAnyExcept((byte)7) >= 0)
                lost++;
        }
        Assert.InRange(lost, 30, 50);
    }

    [Fact]
    public void A_full_disk_stores_what_fits_and_says_so()
    {
        var disk = new SimulatedFileSystem(3, new DiskFaults { CapacityBytes = 1000 });
        using var file = Create(disk, "/log");
        file.Write(0, Filled(900, 1));
        var error = Assert.Throws<IOException>(() => file.Write(900, Filled(200, 1)));
        Assert.Contains("no space", error.Message, StringComparison.Ordinal);
        Assert.Equal(1000, file.Length);
        disk.Faults = DiskFaults.None;
        file.Write(1000, Filled(200, 1));
    }

    [Fact]
    public void Lost_and_misdirected_writes_and_rot_leave_other_bytes_than_were_written()
    {
        var faults = new[]
        {
            new DiskFaults { LostWrite = 1 },
            new DiskFaults { MisdirectedWrite = 1 },
            new DiskFaults { RottenFileAtCrash = 1 },
        };
        foreach (var fault in faults)
        {
            var disk = new SimulatedFileSystem(11);
            using var file = Create(disk, "/log");
            disk.FlushFolder("/");
            file.Write(0, Filled(64 * 512, 1));
            file.Flush();
            disk.Faults = fault;
            file.Write(5120, Filled(512, 2));
            file.Flush();
            disk.Crash(CrashOutcome.NothingUnflushed);
            var expected = Filled(64 * 512, 1);
            Filled(512, 2).CopyTo(expected, 5120);
            Assert.NotEqual(expected, DurableFile.ReadAll(disk, "/log"));
        }
    }

    [Fact]
    public void Open_files_die_with_the_machine_and_the_same_seed_ends_the_same_way()
    {
        var first = Run(5);
        Assert.Equal(first, Run(5));

        static byte[] Run(int seed)
        {
            var disk = new SimulatedFileSystem(seed);
            using var file = Create(disk, "/log");
            disk.FlushFolder("/");
            for (var i = 0; i < 20; i++)
                file.Write(i * 300, Filled(700, (byte)(i + 1)));
            disk.Crash(CrashOutcome.AnySectors);
            Assert.Throws<IOException>(() => file.Length);
            return DurableFile.ReadAll(disk, "/log");
        }
    }

    private static IFile Create(SimulatedFileSystem disk, string path)
    {
        disk.CreateFolder(Path.GetDirectoryName(path)!);
        return disk.Open(path, create: true);
    }

    private static byte[] Filled(int count, byte value)
    {
        var bytes = new byte[count];
        bytes.AsSpan().Fill(value);
        return bytes;
    }
}
