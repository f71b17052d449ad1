using Millrace.Raft;
using Millrace.Raft.Consensus;
using Millrace.Raft.Log;
using Millrace.Raft.Messages;
using Millrace.Storage.Files;
using Millrace.Storage.Files.Faults;

namespace Millrace.Tests.Raft;

/// <summary>A member whose log or snapshot was damaged gets it again from the others, and votes for nobody meanwhile.</summary>
public sealed class HealingTests
{
    private static readonly MemberId Self = new(1);
    private static readonly MemberId Other = new(2);
    private static readonly Configuration Members = Configuration.Of([Self, Other, new MemberId(3)]);

    [Fact]
    public void Whatever_durable_bit_flips_a_member_of_a_group_starts_with_a_prefix_and_a_later_term()
    {
        var damaged = 0;
        for (var bit = 0; bit < 4000; bit += 61)
        {
            var disk = Disk();
            var path = Segment(disk);
            var length = DurableFile.ReadAll(disk, path).AsSpan().LastIndexOfAnyExcept((byte)0) + 1 - LogRecord.HeaderBytes;
            disk.FlipBit(path, bit % length, bit % 8);
            using (var storage = MemberStorage.OpenOrHeal(disk, "/member", Members))
            {
                var expected = Enumerable.Range(1, (int)storage.Log.LastIndex).Select(i => (byte)i);
                Assert.Equal(expected, Contents(storage.Log));
                Assert.Equal(storage.Healing is not null, storage.State().IsHealing);
                if (storage.Healing is not { } healing)
                {
                    Assert.Equal(new HardState(4, Other), storage.Log.HardState);
                    continue;
                }
                damaged++;
                Assert.Contains(path, healing.Damage, StringComparison.Ordinal);
                Assert.Equal(new HardState(5, MemberId.None), storage.Log.HardState);
            }
            // Still so after a restart, and refused without others, until it has all again.
            disk.Crash(CrashOutcome.NothingUnflushed);
            Assert.Throws<LogCorruptException>(() => MemberStorage.Open(disk, "/member", Members));
            using (var again = MemberStorage.OpenOrHeal(disk, "/member", Members))
            {
                Assert.True(again.State().IsHealing);
                Assert.Equal(5, again.Log.HardState.Term);
                again.Healed();
            }
            using var healed = MemberStorage.Open(disk, "/member", Members);
            Assert.False(healed.State().IsHealing);
        }
        Assert.InRange(damaged, 30, 4000 / 61 + 1);
    }

    [Fact]
    public void A_damaged_snapshot_leaves_nothing_behind_that_needs_it()
    {
        var small = new RaftLogOptions { SegmentBytes = 4096 };
        var disk = Disk(small);
        using (var storage = MemberStorage.Open(disk, "/member", Members, small))
        {
            using (var stream = storage.Snapshots.Create(25, 4, Members))
            {
                stream.Write(new byte[1000]);
                stream.Complete();
            }
            for (var i = 0; i < 20; i++)
                storage.Log.Append([new LogWrite(i, null, null, [Entry(21 + i, 4, 2000)], [])]);
            storage.Log.CompactTo(25);
            while (storage.Log.TidySome() > TimeSpan.Zero)
            {
                // Segments go one at a time.
            }
            Assert.True(storage.Log.Base.Index > 0);
        }
        disk.FlipBit("/member/snapshots/" + disk.ListFiles("/member/snapshots").Single(), 500);
        Assert.Throws<LogCorruptException>(() => MemberStorage.Open(disk, "/member", Members, small));
        using var healing = MemberStorage.OpenOrHeal(disk, "/member", Members, small);
        Assert.NotNull(healing.Healing);
        Assert.Equal(0, healing.Log.LastIndex);
        Assert.Equal(0, healing.SnapshotIndex);
        Assert.Equal(5, healing.Log.HardState.Term);
    }

    [Fact]
    public void A_member_that_does_not_even_know_its_vote_is_refused_and_nothing_is_touched()
    {
        var disk = Disk();
        var path = Segment(disk);
        disk.FlipBit(path, 100);
        disk.DeleteFile("/member/log/votes");
        var before = DurableFile.ReadAll(disk, path);
        Assert.Throws<LogCorruptException>(() => MemberStorage.OpenOrHeal(disk, "/member", Members));
        Assert.Equal(before, DurableFile.ReadAll(disk, path));
        Assert.False(disk.FileExists("/member/healing"));
    }

    [Fact]
    public void One_whole_copy_of_the_vote_is_enough()
    {
        foreach (var slot in new[] { 0, 4096 })
        {
            var disk = Disk();
            disk.FlipBit("/member/log/votes", slot + 10);
            disk.FlipBit(Segment(disk), 100);
            using var storage = MemberStorage.OpenOrHeal(disk, "/member", Members);
            Assert.Equal(5, storage.Healing!.Term);
        }
    }

    [Fact]
    public void A_healing_member_votes_for_nobody_until_it_has_what_a_later_leader_committed()
    {
        var disk = Disk();
        disk.FlipBit(Segment(disk), 200);
        using var storage = MemberStorage.OpenOrHeal(disk, "/member", Members);
        var core = new RaftCore(Self, storage.State(), new RaftOptions(), storage.Log, new Random(1), 0);
        core.Step(1, new VoteRequest(Other, Self, 9, 100, 8, IsPreVote: false, IsTransfer: false));
        core.Step(2, new VoteRequest(Other, Self, 9, 100, 8, IsPreVote: true, IsTransfer: false));
        core.Step(3, new QuorumReadRequest(Other, Self, 9, 1));
        core.Tick(100_000_000);
        Assert.Null(core.TakeReady(100_000_000));
        // A leader of the term that it acknowledged in is told of a later one, so that it counts no old word.
        core.Step(4, new Heartbeat(Other, Self, 4, 0, 1, 4, 1000));
        Assert.Equal(5, Assert.IsType<AppendResponse>(core.TakeReady(4)!.Messages.Single()).Term);

        var missing = storage.Log.LastIndex + 1;
        var previousTerm = storage.Log.TermAt(missing - 1);
        core.Step(5, new AppendRequest(Other, Self, 6, missing - 1, previousTerm, missing, [Entry(missing, 4, 1), Entry(missing + 1, 6, 1)]));
        Persist(core, storage, 5);
        Assert.True(core.IsHealing);
        core.Step(6, new AppendRequest(Other, Self, 6, missing + 1, 6, missing + 1, []));
        var ready = Persist(core, storage, 6);
        Assert.False(core.IsHealing);
        Assert.Contains(ready, r => r.IsHealed);
        core.Step(7, new VoteRequest(new MemberId(3), Self, 7, missing + 1, 6, IsPreVote: false, IsTransfer: true));
        Assert.Contains(Persist(core, storage, 7).SelectMany(r => r.Write?.MessagesAfter ?? []), m => m is VoteResponse { IsGranted: true });
    }

    private static List<Ready> Persist(RaftCore core, MemberStorage storage, long now)
    {
        var all = new List<Ready>();
        while (core.TakeReady(now) is { } ready)
        {
            all.Add(ready);
            if (ready.Write is null)
                continue;
            storage.Log.Append([ready.Write]);
            core.Persisted(now, ready.Write.Id);
        }
        return all;
    }

    /// <summary>Twenty entries, the last batch proven durable, term 4, a vote for the other.</summary>
    private static SimulatedFileSystem Disk(RaftLogOptions? options = null)
    {
        var disk = new SimulatedFileSystem(1);
        using var storage = MemberStorage.Open(disk, "/member", Members, options);
        storage.Log.Append([new LogWrite(1, new HardState(3, Self), null, [.. Enumerable.Range(1, 10).Select(i => Entry(i, 3, 1))], [])]);
        storage.Log.Append([new LogWrite(2, new HardState(4, Other), null, [.. Enumerable.Range(11, 10).Select(i => Entry(i, 4, 1))], [])]);
        storage.Log.Mark();
        return disk;
    }

    private static Entry Entry(long index, long term, int size)
    {
        var data = new byte[size];
        data[0] = (byte)index;
        return new Entry(term, index, EntryKind.Command, data);
    }

    private static string Segment(SimulatedFileSystem disk) =>
        "/member/log/" + disk.ListFiles("/member/log").Single(n => n.EndsWith(".raftlog", StringComparison.Ordinal));

    private static IEnumerable<byte> Contents(RaftLog log)
    {
        var entries = new List<Entry>();
        while (entries.Count < log.LastIndex)
            log.Read(entries.Count + 1, log.LastIndex, long.MaxValue, entries);
        return entries.Select(e => e.Data.Span[0]);
    }
}
