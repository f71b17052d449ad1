using Millrace.Raft;
using Millrace.Raft.Consensus;
using Millrace.Raft.Log;
using Millrace.Storage.Files;
using Millrace.Storage.Files.Faults;

namespace Millrace.Tests.Raft;

public sealed class RaftLogTests
{
    private static readonly Configuration Members = Configuration.Of([new MemberId(1), new MemberId(2), new MemberId(3)]);

    [Fact]
    public void What_was_appended_is_there_after_a_crash()
    {
        var disk = new SimulatedFileSystem(1);
        using (var log = Open(disk))
        {
            log.Append([Write(1, new HardState(3, new MemberId(2)), Entries(1, 10, term: 3))]);
            log.Append([Write(2, null, Entries(11, 5, term: 4)), Write(3, new HardState(5, new MemberId(1)), [])]);
            Assert.Equal(2, log.Flushes);
        }
        disk.Crash(CrashOutcome.NothingUnflushed);
        using var again = Open(disk);
        Assert.Equal(new HardState(5, new MemberId(1)), again.HardState);
        Assert.Equal(15, again.LastIndex);
        Assert.Equal(3, again.TermAt(10));
        Assert.Equal(4, again.TermAt(11));
        Assert.Equal(Expected(1, 15), Contents(again));
        Assert.True(again.IsRestart);
        Assert.Equal(Members, again.State(0).Base.Configuration);
    }

    [Fact]
    public void Replaced_entries_stay_replaced_and_configurations_go_with_them()
    {
        var disk = new SimulatedFileSystem(1);
        var changed = Configuration.Of([new MemberId(1)]);
        using (var log = Open(disk))
        {
            log.Append([Write(1, null, Entries(1, 10, term: 1))]);
            log.Append([Write(2, null, [new Entry(1, 11, EntryKind.Configuration, ConfigurationEntry.Encode(changed, [7]))])]);
            log.Append([Write(3, null, Entries(6, 2, term: 2))]);
        }
        using var again = Open(disk);
        Assert.Equal(7, again.LastIndex);
        Assert.Equal(1, again.TermAt(5));
        Assert.Equal(2, again.TermAt(6));
        Assert.Empty(again.State(0).Configurations);
    }

    [Fact]
    public void A_torn_tail_is_cut_wherever_it_tears_and_the_log_goes_on()
    {
        for (var seed = 0; seed < 400; seed++)
        {
            var disk = new SimulatedFileSystem(seed);
            using (var log = Open(disk))
            {
                log.Append([Write(1, new HardState(1, new MemberId(1)), Entries(1, 8, term: 1, size: 300))]);
                disk.FailFlush("raftlog");
                Assert.Throws<IOException>(() => log.Append([Write(2, null, Entries(9, 8, term: 1, size: 300))]));
                Assert.Throws<IOException>(() => log.Append([Write(3, null, Entries(17, 1, term: 1))]));
            }
            disk.Crash();
            using (var log = Open(disk))
            {
                Assert.InRange(log.LastIndex, 8, 16);
                log.Append([Write(1, null, Entries(log.LastIndex + 1, 3, term: 2, size: 300))]);
            }
            disk.Crash(CrashOutcome.NothingUnflushed);
            using var again = Open(disk);
            Assert.InRange(again.LastIndex, 11, 19);
            Assert.Equal(2, again.TermAt(again.LastIndex));
        }
    }

    [Fact]
    public void A_flipped_bit_in_durable_records_is_refused_with_its_place_or_changes_nothing()
    {
        var disk = new SimulatedFileSystem(1);
        using (var log = Open(disk))
        {
            log.Append([Write(1, new HardState(1, new MemberId(1)), Entries(1, 6, term: 1, size: 20))]);
            log.Append([Write(2, null, Entries(7, 4, term: 2, size: 20))]);
            log.Mark();
        }
        var name = disk.ListFiles("/raft").Single(n => n.EndsWith(".raftlog", StringComparison.Ordinal));
        var path = "/raft/" + name;
        var length = DurableFile.ReadAll(disk, path).AsSpan().LastIndexOfAnyExcept((byte)0) + 1;
        var refused = 0;
        for (var at = 0; at < length - LogRecord.HeaderBytes; at++)
        {
            disk.FlipBit(path, at, at % 8);
            try
            {
                using var log = Open(disk);
                Assert.Equal(10, log.LastIndex);
                Assert.Equal(Expected(1, 10, 20), Contents(log));
            }
            catch (LogCorruptException error)
            {
                Assert.Equal(path, error.Path);
                Assert.InRange(error.Offset, 0, at);
                refused++;
            }
            disk.FlipBit(path, at, at % 8);
        }
        // Only the padding between records is not covered.
        Assert.True(refused > length * 0.8, $"{refused} of {length}");
    }

    [Fact]
    public void A_log_goes_over_to_prepared_segments_and_loses_nothing_in_any_crash()
    {
        for (var seed = 0; seed < 300; seed++)
        {
            var disk = new SimulatedFileSystem(seed);
            var random = new Random(seed);
            var last = 0;
            for (var life = 0; life < 4; life++)
            {
                using (var log = RaftLog.Open(disk, "/raft", Members, new RaftLogOptions { SegmentBytes = 8192, PrepareAfterFlushes = 2 }))
                {
                    Assert.Equal(Expected(1, last, 300), Contents(log));
                    for (var writes = random.Next(30); writes > 0; writes--)
                    {
                        log.Append([Write(1, null, Entries(last + 1, 3, term: 1, size: 300))]);
                        last += 3;
                        for (var parts = random.Next(3); parts > 0 && log.TidySome() > TimeSpan.Zero; parts--)
                        {
                        }
                    }
                    Assert.Equal(Expected(1, last, 300), Contents(log));
                }
                disk.Crash();
            }
        }
    }

    [Fact]
    public void The_room_behind_a_segment_that_was_left_early_is_given_back()
    {
        var disk = new SimulatedFileSystem(1);
        using var log = RaftLog.Open(disk, "/raft", Members, new RaftLogOptions { SegmentBytes = 8192, PrepareAfterFlushes = 1 });
        log.Append([Write(1, null, Entries(1, 2, term: 1, size: 100))]);
        while (log.TidySome() > TimeSpan.Zero)
        {
        }
        log.Append([Write(2, null, Entries(3, 2, term: 1, size: 100))]);
        var segments = disk.ListFiles("/raft").Where(static n => LogSegment.TryParseName(n, out _)).ToArray();
        Assert.Equal(2, segments.Length);
        using var first = disk.Open("/raft/" + segments[0]);
        Assert.InRange(first.Length, 200, 1000);
        Assert.Equal(Expected(1, 4, 100), Contents(log));
    }

    [Fact]
    public void A_crash_while_the_next_segment_is_made_hides_no_damage_in_the_one_before()
    {
        var options = new RaftLogOptions { SegmentBytes = 65536 };
        for (var seed = 0; seed < 100; seed++)
        {
            var disk = new SimulatedFileSystem(seed);
            using (var log = RaftLog.Open(disk, "/raft", Members, options))
            {
                log.Append([Write(1, null, Entries(1, 1, term: 1, size: 1000))]);
                log.Append([Write(2, null, Entries(2, 1, term: 1, size: 1000))]);
                disk.FailFlush();
                Assert.Throws<IOException>(() => log.Append([Write(3, null, Entries(3, 1, term: 1, size: 65_000))]));
            }
            disk.Crash();
            if (seed % 2 == 0)
            {
                using var log = RaftLog.Open(disk, "/raft", Members, options);
                Assert.Equal(Expected(1, 2, 1000), Contents(log));
                continue;
            }
            disk.FlipBit("/raft/" + LogSegment.NameOf(1), 600);
            Assert.Equal("/raft/" + LogSegment.NameOf(1), Assert.Throws<LogCorruptException>(() => RaftLog.Open(disk, "/raft", Members, options)).Path);
        }
    }

    [Fact]
    public void A_last_segment_whose_first_record_is_damaged_is_refused()
    {
        var disk = new SimulatedFileSystem(1);
        using (var log = Open(disk))
        {
            log.Append([Write(1, null, Entries(1, 1, term: 1, size: 1000))]);
            log.Append([Write(2, null, Entries(2, 1, term: 1, size: 8000))]);
        }
        disk.FlipBit("/raft/" + LogSegment.NameOf(2), 20);
        Assert.Contains("first record", Assert.Throws<LogCorruptException>(() => Open(disk)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_or_shortened_segment_is_refused()
    {
        var disk = new SimulatedFileSystem(1);
        using (var log = Open(disk))
        {
            for (var i = 0; i < 40; i++)
                log.Append([Write(i + 1, null, Entries((i * 4) + 1, 4, term: 1, size: 200))]);
        }
        var names = disk.ListFiles("/raft").Where(n => n.EndsWith(".raftlog", StringComparison.Ordinal)).ToArray();
        Assert.True(names.Length >= 4);
        disk.Rename("/raft/" + names[1], "/taken");
        Assert.Contains("missing", Assert.Throws<LogCorruptException>(() => Open(disk)).Message, StringComparison.Ordinal);
        disk.Rename("/taken", "/raft/" + names[1]);
        using (var file = disk.Open("/raft/" + names[1]))
            file.SetLength(1000);
        Assert.Contains(names[1], Assert.Throws<LogCorruptException>(() => Open(disk)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Compaction_deletes_whole_segments_and_the_rest_stays_readable()
    {
        var disk = new SimulatedFileSystem(1);
        using var log = Open(disk);
        for (var i = 0; i < 40; i++)
            log.Append([Write(i + 1, null, Entries((i * 4) + 1, 4, term: 1, size: 200))]);
        var before = disk.ListFiles("/raft").Count;
        log.CompactTo(100);
        Assert.InRange(log.Base.Index, 50, 100);
        Tidy(log);
        Assert.True(disk.ListFiles("/raft").Count < before);
        Assert.Equal(Expected(101, 60, 200), Contents(log, 101));
        log.Dispose();
        using var again = Open(disk);
        Assert.Equal(Expected(101, 60, 200), Contents(again, 101));
        Assert.Equal(160, again.LastIndex);
    }

    [Fact]
    public void A_crash_amid_the_deletion_of_segments_leaves_a_whole_log()
    {
        for (var deleted = 0; ; deleted++)
        {
            var disk = new SimulatedFileSystem(1);
            bool isOver;
            using (var log = Open(disk))
            {
                for (var i = 0; i < 40; i++)
                    log.Append([Write(i + 1, null, Entries((i * 4) + 1, 4, term: 1, size: 200))]);
                log.CompactTo(100);
                var before = disk.ListFiles("/raft").Count;
                for (var i = 0; i < deleted; i++)
                    log.TidySome();
                isOver = disk.ListFiles("/raft").Count > before - deleted;
                disk.Crash();
            }
            using var again = Open(disk);
            Assert.Equal(160, again.LastIndex);
            Assert.Equal(Expected(101, 60, 200), Contents(again, 101));
            again.CompactTo(100);
            Tidy(again);
            Assert.InRange(again.Base.Index, 50, 100);
            if (isOver)
                return;
        }
    }

    [Fact]
    public void A_start_after_a_snapshot_of_an_entry_that_was_accepted_again_keeps_what_was_accepted_behind_it()
    {
        var disk = new SimulatedFileSystem(1);
        var bySlot = new RaftLogOptions { SegmentBytes = 4096, IsBySlot = true };
        using (var storage = MemberStorage.Open(disk, "/member", Members, bySlot))
        {
            storage.Log.Append([Write(1, new HardState(1, new MemberId(2)), Entries(1, 8, term: 1, size: 300))]);
            using (var stream = storage.Snapshots.Create(4, 1, Members))
                stream.Complete();
            // A new leader proposed them again in its own term.
            storage.Log.Append([Write(2, new HardState(2, new MemberId(3)), Entries(3, 2, term: 2, size: 300))]);
        }
        for (var start = 0; start < 3; start++)
        {
            disk.Crash(CrashOutcome.NothingUnflushed);
            using var again = MemberStorage.Open(disk, "/member", Members, bySlot);
            Assert.Equal((4, 4, 8 + start), (again.SnapshotIndex, again.Log.Base.Index, again.Log.LastIndex));
            Assert.Equal(Expected(5, 4 + start, 300), Contents(again.Log, 5));
            again.Log.Append([Write(3, null, Entries(9 + start, 1, term: 3, size: 300))]);
        }
    }

    [Fact]
    public void What_a_snapshot_began_anew_reads_back_also_when_the_log_was_compacted_beyond_it()
    {
        var disk = new SimulatedFileSystem(1);
        var bySlot = new RaftLogOptions { SegmentBytes = 4096, IsBySlot = true };
        using (var log = RaftLog.Open(disk, "/raft", Members, bySlot))
        {
            for (var i = 0; i < 20; i++)
                log.Append([Write(i, null, Entries((4 * i) + 1, 4, term: 1, size: 200))]);
            log.Append([new LogWrite(20, null, new SnapshotInfo(30, 2, Members, 7, 7), Entries(81, 4, term: 2, size: 200), [])]);
            log.CompactTo(82);
            Tidy(log);
            Assert.Equal(84, log.LastIndex);
        }
        using var again = RaftLog.Open(disk, "/raft", Members, bySlot);
        Assert.InRange(again.Base.Index, 31, 82);
        Assert.Equal(Expected(83, 2, 200), Contents(again, 83));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_start_takes_a_change_of_members_for_chosen_when_something_was_accepted_behind_it(bool isLeftover)
    {
        var disk = new SimulatedFileSystem(1);
        var bySlot = new RaftLogOptions { SegmentBytes = 4096, IsBySlot = true };
        var changed = Configuration.Of([new MemberId(1), new MemberId(2)]);
        Entry Change(long term) => new(term, 4, EntryKind.Configuration, ConfigurationEntry.Encode(changed, []));
        using (var log = RaftLog.Open(disk, "/raft", Members, bySlot))
        {
            log.Append([Write(1, null, Entries(1, isLeftover ? 5 : 3, term: 1))]);
            // What stands behind it may be from before another leader proposed it.
            log.Append([Write(2, null, [Change(2)])]);
            if (!isLeftover)
                log.Append([Write(3, null, Entries(5, 1, term: 2))]);
        }
        using var again = RaftLog.Open(disk, "/raft", Members, bySlot);
        var core = new RaftCore(new MemberId(1), again.State(0), new RaftOptions { Algorithm = ConsensusAlgorithm.MultiPaxos }, again, new Random(1), 0);
        Assert.Equal(5, core.LastIndex);
        Assert.Equal(isLeftover ? (0, Members) : (4, changed), (core.CommitIndex, core.Configuration));
    }

    [Fact]
    public void The_entry_that_a_compacted_log_begins_after_has_the_term_in_which_it_was_accepted_last()
    {
        var disk = new SimulatedFileSystem(1);
        var bySlot = new RaftLogOptions { SegmentBytes = 4096, IsBySlot = true };
        FastVote Vote(long slot) => new(new MemberId(1), slot, new Entry(1, slot, EntryKind.Command, Data(slot, 900)));
        using (var log = RaftLog.Open(disk, "/raft", Members, bySlot))
        {
            log.Append([Write(1, null, Entries(1, 8, term: 1, size: 400))]);
            for (var i = 0; i < 12; i++)
                log.Append([new LogWrite(2 + i, null, null, Entries(8, 1, term: 2 + i, size: 400), []) { Votes = [Vote(9 + i)] }]);
            log.CompactTo(8);
            Tidy(log);
        }
        using var again = RaftLog.Open(disk, "/raft", Members, bySlot);
        Assert.Equal((8, 8, 13), (again.Base.Index, again.LastIndex, again.TermAt(8)));
    }

    [Fact]
    public void It_works_the_same_on_the_real_disk()
    {
        var folder = Directory.CreateTempSubdirectory("raftlog").FullName;
        try
        {
            using (var log = RaftLog.Open(DiskFileSystem.Instance, folder, Members))
                log.Append([Write(1, new HardState(1, new MemberId(1)), Entries(1, 1000, term: 1))]);
            using var again = RaftLog.Open(DiskFileSystem.Instance, folder, Members);
            Assert.Equal(Expected(1, 1000), Contents(again));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void Tidy(RaftLog log)
    {
        while (log.TidySome() > TimeSpan.Zero)
        {
            // All that is to be done.
        }
    }

    private static RaftLog Open(SimulatedFileSystem disk) =>
        RaftLog.Open(disk, "/raft", Members, new RaftLogOptions { SegmentBytes = 8192 });

    private static LogWrite Write(long id, HardState? state, IReadOnlyList<Entry> entries) => new(id, state, null, entries, []);

    private static Entry[] Entries(long first, int count, long term, int size = 10) =>
        Enumerable.Range(0, count).Select(i => new Entry(term, first + i, EntryKind.Command, Data(first + i, size))).ToArray();

    private static byte[] Data(long index, int size) => Enumerable.Range(0, size).Select(i => (byte)(index + i)).ToArray();

    private static string[] Expected(long first, int count, int size = 10) =>
        Enumerable.Range(0, count).Select(i => Convert.ToHexString(Data(first + i, size))).ToArray();

    private static string[] Contents(RaftLog log, long first = 1)
    {
        var entries = new List<Entry>();
        log.Read(first, log.LastIndex, long.MaxValue, entries);
        return entries.Select(e => Convert.ToHexString(e.Data.Span)).ToArray();
    }
}
