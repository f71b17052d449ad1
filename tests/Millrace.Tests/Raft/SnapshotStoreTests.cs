using Millrace.Raft;
using Millrace.Raft.Log;
using Millrace.Raft.Snapshots;
using Millrace.Storage.Files.Faults;

namespace Millrace.Tests.Raft;

public sealed class SnapshotStoreTests
{
    private static readonly Configuration Members = Configuration.Of([new MemberId(1)]);

    [Fact]
    public void A_completed_snapshot_survives_and_an_abandoned_one_leaves_nothing()
    {
        var disk = new SimulatedFileSystem(1);
        var store = SnapshotStore.Open(disk, "/s");
        var content = Content(200_000, 1);
        Write(store, 10, content);
        using (var abandoned = store.Create(20, 3, Members))
            abandoned.Write(Content(100_000, 2));
        disk.Crash(CrashOutcome.NothingUnflushed);
        var again = SnapshotStore.Open(disk, "/s");
        Assert.Equal(10, again.Newest!.Index);
        Assert.Equal(content, Read(again));
        Assert.Single(disk.ListFiles("/s"));
    }

    [Fact]
    public void A_snapshot_arrives_in_pieces_and_goes_on_after_a_restart()
    {
        var source = SnapshotStore.Open(new SimulatedFileSystem(1), "/s");
        var content = Content(500_000, 3);
        var info = Write(source, 77, content);
        var disk = new SimulatedFileSystem(2);
        var target = SnapshotStore.Open(disk, "/t");
        long next = 0;
        var restarted = false;
        var pieces = 0;
        for (var complete = false; !complete; pieces++)
        {
            var (snapshot, data) = source.ReadPiece(next, 30_000)!.Value;
            (var after, complete) = target.Receive(snapshot, next, data.Span);
            Assert.Equal((next, false), complete ? (next, false) : target.Receive(snapshot, after + 5, data.Span) with { NextOffset = next });
            next = after;
            if (restarted || next < 300_000)
                continue;
            restarted = true;
            target = SnapshotStore.Open(disk, "/t");
            Assert.Null(target.Newest);
            next = target.Receive(snapshot, long.MaxValue, default).NextOffset;
            Assert.InRange(next, 200_000, 310_000);
        }
        Assert.InRange(pieces, 17, 22);
        Assert.Equal(info, target.Newest);
        Assert.Equal(content, Read(target));
    }

    [Fact]
    public void Damage_is_refused_with_its_place()
    {
        var disk = new SimulatedFileSystem(1);
        Write(SnapshotStore.Open(disk, "/s"), 5, Content(150_000, 4));
        var path = "/s/" + disk.ListFiles("/s").Single();
        disk.FlipBit(path, 100_000, 3);
        var error = Assert.Throws<LogCorruptException>(() => SnapshotStore.Open(disk, "/s"));
        Assert.InRange(error.Offset, 65_000, 100_000);
    }

    [Fact]
    public void Only_the_newest_is_kept()
    {
        var disk = new SimulatedFileSystem(1);
        var store = SnapshotStore.Open(disk, "/s");
        Write(store, 5, [1]);
        Write(store, 50, [2]);
        Write(store, 500, [3]);
        DeleteOld(store);
        Assert.Single(disk.ListFiles("/s"));
        Assert.Equal([3], Read(SnapshotStore.Open(disk, "/s")));
    }

    [Fact]
    public void A_large_old_one_goes_in_pieces_and_never_looks_like_a_snapshot_meanwhile()
    {
        var disk = new SimulatedFileSystem(1);
        var store = SnapshotStore.Open(disk, "/s");
        Write(store, 5, Content((2 * SnapshotStore.DeleteBytes) + 1, 7));
        Write(store, 50, [2]);
        var sizes = new List<long>();
        while (store.DeleteSomeOld())
        {
            var names = disk.ListFiles("/s");
            Assert.Single(names, static n => n.EndsWith(".snapshot", StringComparison.Ordinal));
            if (names.SingleOrDefault(static n => !n.EndsWith(".snapshot", StringComparison.Ordinal)) is { } rest)
            {
                using var file = disk.Open("/s/" + rest);
                sizes.Add(file.Length / SnapshotStore.DeleteBytes);
            }
        }
        Assert.Equal([2, 1, 0], sizes);
        Assert.Single(disk.ListFiles("/s"));
    }

    [Fact]
    public void What_a_stop_leaves_of_a_deletion_is_gone_at_the_next_start()
    {
        var disk = new SimulatedFileSystem(1);
        var store = SnapshotStore.Open(disk, "/s");
        Write(store, 5, Content(2 * SnapshotStore.DeleteBytes, 7));
        Write(store, 50, [2]);
        Assert.True(store.DeleteSomeOld());
        Assert.True(store.DeleteSomeOld());
        Assert.Equal(2, disk.ListFiles("/s").Count);
        Assert.Equal([2], Read(SnapshotStore.Open(disk, "/s")));
        Assert.Single(disk.ListFiles("/s"));
    }

    [Fact]
    public void One_that_is_being_read_stays_until_it_is_closed()
    {
        var disk = new SimulatedFileSystem(1);
        var store = SnapshotStore.Open(disk, "/s");
        var content = Content(SnapshotStore.DeleteBytes + 1, 7);
        Write(store, 5, content);
        using (var stream = store.OpenNewest()!)
        {
            Write(store, 50, [2]);
            DeleteOld(store);
            using var copy = new MemoryStream();
            stream.CopyTo(copy);
            Assert.Equal(content, copy.ToArray());
        }
        DeleteOld(store);
        Assert.Single(disk.ListFiles("/s"));
    }

    private static void DeleteOld(SnapshotStore store)
    {
        while (store.DeleteSomeOld())
        {
        }
    }

    private static SnapshotInfo Write(SnapshotStore store, long index, byte[] content)
    {
        using var stream = store.Create(index, 3, Members);
        stream.Write(content);
        return stream.Complete();
    }

    private static byte[] Read(SnapshotStore store)
    {
        using var stream = store.OpenNewest()!;
        using var copy = new MemoryStream();
        stream.CopyTo(copy);
        return copy.ToArray();
    }

    private static byte[] Content(int count, int seed)
    {
        var bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
