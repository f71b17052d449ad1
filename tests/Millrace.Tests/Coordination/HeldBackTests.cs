using Millrace.Coordination.Node;
using Millrace.Raft;
using Millrace.Raft.Consensus;
using Millrace.Raft.Messages;

namespace Millrace.Tests.Coordination;

public sealed class HeldBackTests
{
    private static readonly MemberId One = new(1);
    private static readonly MemberId Two = new(2);
    private static readonly MemberId Three = new(3);
    private static readonly MemberId Four = new(4);

    private readonly List<Message> _sent = [];

    [Fact]
    public void Who_is_not_needed_for_a_majority_gets_entries_a_little_later_and_all_at_once()
    {
        var held = new HeldBack(Leader(), _sent.Add, 2000);
        held.Send(Append(Two, 1), 0);
        held.Send(Append(Three, 1), 10);
        held.Send(Append(Two, 2), 500);
        held.Send(Append(Three, 2), 510);
        Assert.Equal([Two, Two], _sent.Select(static m => m.To));
        Assert.Equal(2010, held.Deadline);
        held.ReleaseDue(2009);
        Assert.Equal(2, _sent.Count);
        held.ReleaseDue(2010);
        Assert.Equal([1, 2], _sent.Skip(2).Cast<AppendRequest>().Select(static a => a.Entries[^1].Index));
        Assert.All(_sent.Skip(2), static m => Assert.Equal(Three, m.To));
        Assert.Equal(long.MaxValue, held.Deadline);
    }

    [Fact]
    public void When_nothing_was_committed_meanwhile_another_is_needed_next_time()
    {
        var held = new HeldBack(Leader(), _sent.Add, 2000);
        held.Send(Append(Two, 7), 0);
        held.Send(Append(Three, 7), 0);
        held.ReleaseDue(2000);
        _sent.Clear();
        held.Send(Append(Two, 8), 2100);
        held.Send(Append(Three, 8), 2100);
        Assert.Equal([Three], _sent.Select(static m => m.To));
    }

    [Fact]
    public void Where_nobody_answers_in_time_nothing_is_held_back_for_a_second()
    {
        var held = new HeldBack(Leader(), _sent.Add, 2000);
        for (var i = 0; i < 3; i++)
        {
            held.Send(Append(Two, 7 + i), i * 3000);
            held.Send(Append(Three, 7 + i), i * 3000);
            held.ReleaseDue((i * 3000) + 2000);
        }
        _sent.Clear();
        held.Send(Append(Two, 10), 9000);
        held.Send(Append(Three, 10), 9000);
        Assert.Equal(2, _sent.Count);
        held.Send(Append(Two, 11), 1_009_000);
        held.Send(Append(Three, 11), 1_009_000);
        Assert.Equal(3, _sent.Count);
    }

    [Fact]
    public void Messages_to_a_member_keep_their_order()
    {
        var held = new HeldBack(Leader(), _sent.Add, 2000);
        held.Send(Append(Three, 1), 0);
        held.Send(new Heartbeat(One, Three, 1, 0, 1, 0, 0), 5);
        Assert.Collection(_sent, static m => Assert.IsType<AppendRequest>(m), static m => Assert.IsType<Heartbeat>(m));
        Assert.Equal(long.MaxValue, held.Deadline);
    }

    [Fact]
    public void Who_passed_a_request_on_waits_for_nothing()
    {
        var held = new HeldBack(Leader(), _sent.Add, 2000);
        held.Send(Append(Three, 1), 0);
        held.Prefer(Three);
        held.Send(Append(Three, 2), 5);
        held.Send(Append(Two, 2), 5);
        Assert.Equal([Three, Three], _sent.Select(static m => m.To));
    }

    [Fact]
    public void Many_entries_learners_followers_and_groups_that_need_all_are_not_held_back()
    {
        new HeldBack(Leader(), _sent.Add, 2000).Send(Append(Three, 1, count: 100), 0);
        new HeldBack(Leader(Configuration.Of([One, Two, Three], [Four])), _sent.Add, 2000).Send(Append(Four, 1), 0);
        new HeldBack(Leader(Configuration.Of([One, Two])), _sent.Add, 2000).Send(Append(Two, 1), 0);
        new HeldBack(Core(Configuration.Of([One, Two, Three])), _sent.Add, 2000).Send(Append(Three, 1), 0);
        new HeldBack(Leader(), _sent.Add, 0).Send(Append(Three, 1), 0);
        Assert.Equal(5, _sent.Count);
    }

    private static AppendRequest Append(MemberId to, long last, int count = 1) => new(
        One, to, 1, last - count, 1, 0, [.. Enumerable.Range(0, count).Select(i => new Entry(1, last - count + 1 + i, EntryKind.Command, new byte[1]))]);

    private static RaftCore Leader(Configuration? members = null)
    {
        var core = Core(members ?? Configuration.Of([One, Two, Three]));
        core.Tick(core.NextDeadline);
        core.Step(core.NextDeadline, new VoteResponse(Two, One, 1, IsPreVote: true, IsGranted: true));
        core.Persisted(0, core.TakeReady(0)!.Write!.Id);
        core.Step(core.NextDeadline, new VoteResponse(Two, One, 1, IsPreVote: false, IsGranted: true));
        Assert.Equal(Role.Leader, core.Role);
        return core;
    }

    private static RaftCore Core(Configuration members) => new(
        One, RecoveredState.Fresh(members), new RaftOptions(), new Nothing(), new Random(1), 0);

    private sealed class Nothing : IEntryReader
    {
        public void Read(long first, long last, long maxBytes, List<Entry> into) => throw new InvalidOperationException();
    }
}
