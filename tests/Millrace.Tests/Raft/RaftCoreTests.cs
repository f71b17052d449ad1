using Millrace.Raft;
using Millrace.Raft.Consensus;
using Millrace.Raft.Messages;

namespace Millrace.Tests.Raft;

/// <summary>Small scripts for what the simulator cannot show as plainly; the group as a whole is tested in Millrace.Simulation.</summary>
public sealed class RaftCoreTests
{
    private static readonly MemberId One = new(1);
    private static readonly MemberId Two = new(2);
    private static readonly MemberId Three = new(3);

    [Fact]
    public void A_group_of_one_leads_only_after_its_vote_is_durable_and_commits_only_after_its_entries_are()
    {
        var core = Core(One, Configuration.Of([One]));
        core.Tick(0);
        var ready = core.TakeReady(0)!;
        Assert.Equal(new HardState(1, One), ready.Write!.HardState);
        Assert.Equal(Role.Candidate, core.Role);
        core.Persisted(1, ready.Write.Id);
        Assert.Equal(Role.Leader, core.Role);
        Assert.Equal(ProposalOutcome.Accepted, core.Propose(1, [new byte[] { 9 }]).Outcome);
        ready = core.TakeReady(1)!;
        Assert.Equal(2, ready.Write!.Entries.Count);
        Assert.Empty(ready.Committed);
        core.Persisted(2, ready.Write.Id);
        Assert.Equal([1L, 2L], core.TakeReady(2)!.Committed.Select(e => e.Index));
    }

    [Fact]
    public void A_silent_network_never_raises_the_term()
    {
        var core = Core(One, Configuration.Of([One, Two, Three]));
        for (var i = 0; i < 50; i++)
        {
            core.Tick(core.NextDeadline);
            var ready = core.TakeReady(core.NextDeadline);
            Assert.All(ready!.Messages, m => Assert.True(m is VoteRequest { IsPreVote: true }));
        }
        Assert.Equal(0, core.Term);
    }

    [Fact]
    public void A_vote_request_leaves_only_with_the_vote_and_a_vote_only_when_written()
    {
        var core = Core(One, Configuration.Of([One, Two, Three]));
        core.Tick(core.NextDeadline);
        core.Step(core.NextDeadline, new VoteResponse(Two, One, 1, IsPreVote: true, IsGranted: true));
        var ready = core.TakeReady(0)!;
        Assert.DoesNotContain(ready.Messages, m => m is VoteRequest { IsPreVote: false });
        Assert.Equal(2, ready.Write!.MessagesAfter.Count(m => m is VoteRequest { IsPreVote: false }));

        var voter = Core(Two, Configuration.Of([One, Two, Three]));
        voter.Step(0, new VoteRequest(One, Two, 1, 0, 0, IsPreVote: false, IsTransfer: false));
        ready = voter.TakeReady(0)!;
        Assert.Empty(ready.Messages);
        Assert.Equal(new HardState(1, One), ready.Write!.HardState);
        Assert.True(ready.Write.MessagesAfter.Single() is VoteResponse { IsGranted: true });
    }

    [Fact]
    public void A_late_answer_of_the_disk_proves_nothing_about_entries_that_took_the_place()
    {
        // Write 1 holds 1/t1, then 1/t2 and again 1/t1-like entries replace it; only the last write's end makes it durable.
        var core = Core(Two, Configuration.Of([One, Two, Three]));
        core.Step(0, Append(One, Two, term: 1, previous: 0, previousTerm: 0, new Entry(1, 1, EntryKind.Noop, default)));
        var first = core.TakeReady(0)!.Write!;
        core.Step(0, Append(Three, Two, term: 2, previous: 0, previousTerm: 0, new Entry(2, 1, EntryKind.Noop, default)));
        var second = core.TakeReady(0)!.Write!;
        core.Persisted(0, first.Id);
        Assert.Equal(0, core.Status(0).Durable);
        core.Persisted(0, second.Id);
        Assert.Equal(1, core.Status(0).Durable);
    }

    [Fact]
    public void The_commit_rule_agrees_with_counting_for_every_small_group()
    {
        var random = new Random(1);
        for (var run = 0; run < 20_000; run++)
        {
            var voters = Ids(random);
            var old = random.Next(2) == 0 ? Ids(random) : [];
            var configuration = old.Length > 0 ? Configuration.Of(old).JoinTo(Configuration.Of(voters)) : Configuration.Of(voters);
            var values = Enumerable.Range(1, 9).ToDictionary(i => new MemberId((ulong)i), _ => (long)random.Next(6));
            var reached = Quorum.Reached(configuration, id => values[id]);
            var expected = Enumerable.Range(0, 7).Last(v => HasMajority(voters, v) && (old.Length == 0 || HasMajority(old, v)));
            Assert.Equal(expected, reached);

            bool HasMajority(MemberId[] ids, int value) => ids.Count(id => values[id] >= value) * 2 > ids.Length;
        }

        static MemberId[] Ids(Random random) =>
            Enumerable.Range(1, 9).Select(i => new MemberId((ulong)i)).OrderBy(_ => random.Next()).Take(random.Next(1, 8)).ToArray();
    }

    [Fact]
    public void On_a_short_network_entries_wait_for_the_answer_to_those_before_and_leave_together()
    {
        var core = Leader(out var now);
        Answer(core, now, Two, now - 100);
        Answer(core, now, Three, now - 5_000);
        core.Propose(now, [new byte[] { 1 }]);
        Assert.Equal([Two, Three], Sent(core, now).Select(static m => m.To));
        core.Propose(now, [new byte[] { 2 }]);
        core.Propose(now, [new byte[] { 3 }]);
        // The one that is far away is sent ahead.
        Assert.Equal(Three, Assert.Single(Sent(core, now)).To);
        core.Step(now, new AppendResponse(Two, One, 1, 2, 0, 0, 0));
        var together = Assert.Single(Sent(core, now));
        Assert.Equal(Two, together.To);
        Assert.Equal(2, together.Entries.Count);

        static AppendRequest[] Sent(RaftCore core, long now)
        {
            var sent = new List<Message>();
            while (core.TakeReady(now) is { } ready)
            {
                sent.AddRange(ready.Messages);
                if (ready.Write is { } write)
                    core.Persisted(now, write.Id);
            }
            return sent.OfType<AppendRequest>().Where(static a => a.Entries.Count > 0).OrderBy(static a => a.To).ToArray();
        }
    }

    [Fact]
    public void A_snapshot_goes_on_from_what_the_receiver_has_left_of_it()
    {
        var core = Leader(out var now, hasThree: false);
        core.Compact(1, 1);
        Answer(core, now, Three, now);
        var snapshot = new SnapshotInfo(1, 1, Configuration.Of([One, Two, Three]), 100_000, 1);
        core.ProvideSnapshotChunk(now, Three, snapshot, 0, new byte[65_536]);
        core.Step(now, new SnapshotResponse(Three, One, 1, 1, 65_536));
        Assert.Equal(65_536, core.TakeReady(now)!.SnapshotReads[^1].Offset);
        // It was found to be damaged, or was not flushed when its machine died.
        core.Step(now, new SnapshotResponse(Three, One, 1, 1, 0));
        SnapshotRead? asked = null;
        for (var until = now + 2_000_000; asked is null && now < until;)
        {
            now = core.NextDeadline;
            core.Step(now, new AppendResponse(Two, One, 1, 1, 0, 0, 0));
            core.Tick(now);
            foreach (var read in core.TakeReady(now)?.SnapshotReads ?? [])
                asked = read;
        }
        Assert.Equal(0, asked?.Offset);
    }

    [Fact]
    public void A_learner_that_lacks_much_gets_it_in_small_messages_with_rests_between_them()
    {
        const int entries = 30, bytes = 100_000;
        var core = Core(One, Configuration.Of([One], [Two]));
        var now = core.NextDeadline;
        core.Tick(now);
        core.Persisted(now, core.TakeReady(now)!.Write!.Id);
        Assert.Equal(Role.Leader, core.Role);
        core.Propose(now, [.. Enumerable.Repeat<ReadOnlyMemory<byte>>(new byte[bytes], entries)]);
        long began = now, has = 0;
        for (var turns = 0; has < entries + 1; turns++)
        {
            Assert.True(turns < 1000, $"the learner has {has} of {entries + 1}");
            while (core.TakeReady(now) is { } ready)
            {
                if (ready.Write is { } write)
                    core.Persisted(now, write.Id);
                foreach (var append in ready.Messages.OfType<AppendRequest>())
                {
                    Assert.InRange(append.Entries.Sum(static e => (long)e.Data.Length), 0, 256 << 10);
                    has = Math.Max(has, append.PreviousIndex + append.Entries.Count);
                    core.Step(now, new AppendResponse(Two, One, 1, append.PreviousIndex + append.Entries.Count, 0, 0, 0));
                }
            }
            if (has < entries + 1)
            {
                now = core.NextDeadline;
                core.Tick(now);
            }
        }
        // The first message, which finds out where the logs agree, and the last are followed by no rest.
        Assert.InRange(now - began, (entries - 6) * bytes * 1_000_000L / (32 << 20), 2 * entries * bytes * 1_000_000L / (32 << 20));
    }

    /// <summary>One leads three in term 1 and has committed its first entry.</summary>
    private static RaftCore Leader(out long now, bool hasThree = true)
    {
        var core = Core(One, Configuration.Of([One, Two, Three]));
        now = core.NextDeadline;
        core.Tick(now);
        core.Step(now, new VoteResponse(Two, One, 1, IsPreVote: true, IsGranted: true));
        core.Persisted(now, core.TakeReady(now)!.Write!.Id);
        core.Step(now, new VoteResponse(Two, One, 1, IsPreVote: false, IsGranted: true));
        core.Persisted(now, core.TakeReady(now)!.Write!.Id);
        core.Step(now, new AppendResponse(Two, One, 1, 1, 0, 0, 0));
        if (hasThree)
            core.Step(now, new AppendResponse(Three, One, 1, 1, 0, 0, 0));
        while (core.TakeReady(now) is not null)
        {
        }
        Assert.Equal((Role.Leader, 1L), (core.Role, core.CommitIndex));
        return core;
    }

    private static void Answer(RaftCore core, long now, MemberId from, long sentAt)
    {
        core.Step(now, new HeartbeatResponse(from, One, 1, 0, sentAt, 1000));
        while (core.TakeReady(now) is not null)
        {
        }
    }

    private static AppendRequest Append(MemberId from, MemberId to, long term, long previous, long previousTerm, params Entry[] entries) =>
        new(from, to, term, previous, previousTerm, 0, entries);

    [Fact]
    public void A_snapshot_of_what_the_log_has_leaves_the_entries_behind_it_that_are_on_their_way_to_the_disk()
    {
        var members = Configuration.Of([One, Two, Three]);
        var core = Core(Two, members);
        Entry Noop(long index) => new(1, index, EntryKind.Noop, default);
        core.Step(0, Append(One, Two, term: 1, previous: 0, previousTerm: 0, Noop(1), Noop(2), Noop(3)));
        var write = core.TakeReady(0)!.Write!;
        Assert.Equal(3, Assert.IsType<AppendResponse>(Assert.Single(write.MessagesAfter)).Match);
        core.SnapshotStored(0, One, new SnapshotInfo(2, 1, members, 100, 1), nextOffset: 100, isComplete: true);
        core.Persisted(0, write.Id);
        core.Step(0, new Heartbeat(One, Two, Term: 1, Commit: 3, Round: 1, SentAt: 0, PromiseMicros: 1));
        Assert.Equal([1L, 2L, 3L], core.TakeReady(0)!.Committed.Select(e => e.Index));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void In_Multi_Paxos_a_snapshot_leaves_what_was_accepted_behind_it_and_a_promise_tells_it(bool isWrong)
    {
        var members = Configuration.Of([One, Two, Three]);
        var core = new RaftCore(
            Two, RecoveredState.Fresh(members), new RaftOptions { Algorithm = ConsensusAlgorithm.MultiPaxos }, new Nothing(), new Random(1), 0,
            new Faults { ForgetBehindSnapshot = isWrong });
        Entry Noop(long index) => new(1, index, EntryKind.Noop, default);
        core.Step(0, Append(One, Two, term: 1, previous: 0, previousTerm: 0, Noop(1), Noop(2), Noop(3), Noop(4)));
        core.Persisted(0, core.TakeReady(0)!.Write!.Id);
        core.Step(0, new Heartbeat(Three, Two, Term: 2, Commit: 0, Round: 1, SentAt: 0, PromiseMicros: 1));
        var snapshot = new SnapshotInfo(2, 2, members, 100, 1);
        core.SnapshotStored(0, Three, snapshot, nextOffset: 100, isComplete: true);
        var begun = core.TakeReady(0)!;
        Assert.Equal(snapshot, begun.Install);
        Assert.Equal(2, Assert.IsType<AppendResponse>(Assert.Single(begun.Write!.MessagesAfter)).Match);
        core.Persisted(0, begun.Write.Id);
        core.Step(1_000_000, new Prepare(One, Two, 3, Commit: 0, IsPreVote: false, IsTransfer: true));
        Assert.Empty(core.TakeReady(1_000_000)!.Write?.MessagesAfter.OfType<Promise>() ?? []);
        core.Step(1_000_000, new Prepare(One, Two, 4, Commit: 2, IsPreVote: false, IsTransfer: true));
        var promise = Assert.Single(core.TakeReady(1_000_000)!.Write!.MessagesAfter.OfType<Promise>());
        Assert.Equal(isWrong ? [] : [3L, 4L], promise.Accepted.Select(e => e.Index));
    }

    [Fact]
    public void In_Multi_Paxos_members_change_when_the_change_is_chosen_and_nothing_is_proposed_behind_it_before()
    {
        var core = new RaftCore(
            One, RecoveredState.Fresh(Configuration.Of([One])), new RaftOptions { Algorithm = ConsensusAlgorithm.MultiPaxos }, new Nothing(), new Random(1), 0);
        core.Tick(core.NextDeadline);
        core.Persisted(0, core.TakeReady(0)!.Write!.Id);
        core.Persisted(0, core.TakeReady(0)!.Write!.Id);
        Assert.Equal((Role.Leader, 1), (core.Role, core.CommitIndex));
        Assert.Throws<ArgumentException>(() => core.ProposeConfiguration(0, Configuration.Of([One, Two, Three]), []));
        var next = Configuration.Of([One, Two]);
        Assert.Equal(ProposalOutcome.Accepted, core.ProposeConfiguration(0, next, []).Outcome);
        Assert.Equal(ProposalOutcome.ChangeInProgress, core.Propose(0, [new byte[] { 1 }]).Outcome);
        Assert.Equal(Configuration.Of([One]), core.Configuration);
        core.Persisted(0, core.TakeReady(0)!.Write!.Id);
        Assert.Equal((2, next), (core.CommitIndex, core.Configuration));
        Assert.Equal(ProposalOutcome.Accepted, core.Propose(0, [new byte[] { 1 }]).Outcome);
        core.Persisted(0, core.TakeReady(0)!.Write!.Id);
        Assert.Equal(2, core.CommitIndex);
    }

    [Fact]
    public void In_Multi_Paxos_a_candidate_that_missed_a_change_is_told_it_instead_of_promised()
    {
        var members = Configuration.Of([One, Two]);
        RaftCore Member(MemberId self) => new(
            self, RecoveredState.Fresh(members), new RaftOptions { Algorithm = ConsensusAlgorithm.MultiPaxos }, new Nothing(), new Random(1), 0);
        var (knows, missed) = (Member(One), Member(Two));
        var changed = Configuration.Of([Two]);
        Entry[] entries = [new(1, 1, EntryKind.Noop, default), new(1, 2, EntryKind.Configuration, ConfigurationEntry.Encode(changed, []))];
        knows.Step(0, new AppendRequest(Two, One, 1, 0, 0, 2, entries));
        knows.TakeReady(0);
        knows.Step(5_000_000, new Prepare(Two, One, 2, Commit: 0, IsPreVote: true, IsTransfer: false));
        var told = Assert.Single(knows.TakeReady(5_000_000)!.Messages.OfType<Chosen>());
        var wire = new System.Buffers.ArrayBufferWriter<byte>();
        MessageCodec.Write(told, wire);
        missed.Step(0, MessageCodec.Read(wire.WrittenMemory.ToArray()));
        Assert.Equal((2, changed), (missed.CommitIndex, missed.Configuration));
    }

    [Fact]
    public void Reads_do_not_keep_a_leader_in_office_that_nobody_hears()
    {
        var core = Core(One, Configuration.Of([One, Two, Three]));
        var now = core.NextDeadline;
        core.Tick(now);
        core.Step(now, new VoteResponse(Two, One, 1, IsPreVote: true, IsGranted: true));
        core.Persisted(now, core.TakeReady(now)!.Write!.Id);
        core.Step(now, new VoteResponse(Two, One, 1, IsPreVote: false, IsGranted: true));
        Assert.Equal(Role.Leader, core.Role);
        var write = core.TakeReady(now)!.Write!;
        core.Persisted(now, write.Id);
        core.Step(now, new AppendResponse(Two, One, 1, 1, 0, 0, 0));
        for (var i = 0; i < 10_000 && core.Role == Role.Leader; i++, now += 1_000)
        {
            core.Read(now, i + 1);
            core.Tick(now);
            core.TakeReady(now);
        }
        Assert.Equal(Role.Follower, core.Role);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_restarted_member_tells_a_proposer_that_may_lead_its_fast_vote_with_the_value(bool isWrong)
    {
        var vote = new FastVote(Two, 7, new Entry(3, 1, EntryKind.Command, new byte[] { 9 }));
        var state = RecoveredState.Fresh(Configuration.Of([One, Two, Three])) with { HardState = new HardState(3, Two), IsRestart = true, Votes = [vote] };
        var core = new RaftCore(
            One, state, new RaftOptions { Algorithm = ConsensusAlgorithm.FastPaxos }, new Nothing(), new Random(1), 0, new Faults { BriefToLeader = isWrong });
        core.Step(0, new FastPropose(Two, One, 3, [vote]));
        var told = Assert.Single(core.TakeReady(0)!.Write!.MessagesAfter.OfType<FastVotes>()).Votes[0];
        Assert.Equal(isWrong ? 0 : 1, told.Entry.Data.Length);
    }

    private static RaftCore Core(MemberId self, Configuration members) => new(
        self, RecoveredState.Fresh(members), new RaftOptions(), new Nothing(), new Random(1), 0);

    private sealed class Nothing : IEntryReader
    {
        public void Read(long first, long last, long maxBytes, List<Entry> into) => throw new InvalidOperationException();
    }
}
