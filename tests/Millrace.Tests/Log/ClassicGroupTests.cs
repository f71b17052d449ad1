using Millrace.Kafka.Messages;
using Millrace.Log.Groups;

namespace Millrace.Tests.Log;

/// <summary>The group machine without clock or network.</summary>
public sealed class ClassicGroupTests
{
    private readonly ClassicGroup _group = new(new GroupRules(0, 3));
    private readonly Dictionary<object, JoinResult> _joined = [];
    private readonly Dictionary<object, SyncResult> _synced = [];
    private int _persisted;
    private long _now = 1_000_000;
    private int _ids;

    [Fact]
    public void Members_join_the_leader_assigns_and_everyone_gets_their_part()
    {
        var a = JoinNew("a");
        Assert.Equal((ErrorCode.None, 1, a.MemberId), (a.Error, a.Generation, a.Leader));
        Assert.Equal(ErrorCode.None, Sync(a, (a.MemberId, 1)).Error);
        Assert.Equal(GroupState.Stable, _group.State);
        Assert.Equal(1, _persisted);

        // A second member makes the first one join again.
        Join("b", "", out var tokenB);
        Assert.Equal(GroupState.PreparingRebalance, _group.State);
        Assert.Equal(ErrorCode.RebalanceInProgress, _group.Heartbeat(a.MemberId, null, 1, _now));
        Join("a", a.MemberId, out var tokenA);
        Assert.Equal((2, 2), (_joined[tokenA].Generation, _joined[tokenB].Generation));
        Assert.Equal(2, _joined[tokenA].Members.Count);
        Assert.Empty(_joined[tokenB].Members);
        var b = _joined[tokenB];
        SyncLater(b, out var syncB);
        Assert.DoesNotContain(syncB, _synced.Keys);
        Sync(_joined[tokenA], (a.MemberId, 7), (b.MemberId, 8));
        Assert.Equal(8, _synced[syncB].Assignment.Span[0]);
        Assert.Equal(ErrorCode.IllegalGeneration, _group.Heartbeat(a.MemberId, null, 1, _now));
    }

    [Fact]
    public void A_member_without_id_is_given_one_first_when_it_knows_how()
    {
        Join("a", "", out var token, requiresId: true);
        Assert.Equal(ErrorCode.MemberIdRequired, _joined[token].Error);
        Join("a", _joined[token].MemberId, out var second, requiresId: true);
        Assert.Equal(ErrorCode.None, _joined[second].Error);
        Join("b", "", out var forgotten, requiresId: true);
        _now += 30_001;
        _group.Tick(_now);
        Join("b", _joined[forgotten].MemberId, out var late, requiresId: true);
        Assert.Equal(ErrorCode.UnknownMemberId, _joined[late].Error);
    }

    [Fact]
    public void A_silent_member_is_dropped_after_its_session_and_the_others_share_again()
    {
        var (a, b) = TwoMembers();
        _now += 20_000;
        Assert.Equal(ErrorCode.None, _group.Heartbeat(a.MemberId, null, 2, _now));
        Assert.True(_group.NextDeadline <= _now + 10_000);
        _now += 10_001;
        Tick();
        Assert.Equal(GroupState.PreparingRebalance, _group.State);
        Assert.Equal(ErrorCode.UnknownMemberId, _group.Heartbeat(b.MemberId, null, 2, _now));
        Join("a", a.MemberId, out var token);
        Assert.Equal(3, _joined[token].Generation);
        Assert.Single(_joined[token].Members);
    }

    [Fact]
    public void Who_does_not_come_back_within_the_rebalance_timeout_is_dropped()
    {
        var (a, b) = TwoMembers();
        Join("b", b.MemberId, out _, metadata: 9);
        Assert.Equal(GroupState.PreparingRebalance, _group.State);
        _now += 60_001;
        _group.Heartbeat(a.MemberId, null, 2, _now);
        Tick();
        Assert.Equal(GroupState.CompletingRebalance, _group.State);
        Assert.Null(_group.Member(a.MemberId));
        Assert.Equal(b.MemberId, _group.LeaderId);
    }

    [Fact]
    public void Who_joins_but_never_syncs_is_dropped_too()
    {
        var (a, b) = TwoMembers(sync: false);
        SyncLater(b, out var waiting);
        _now += 60_001;
        Tick();
        Assert.Null(_group.Member(a.MemberId));
        Assert.Equal(ErrorCode.RebalanceInProgress, _synced[waiting].Error);
    }

    [Fact]
    public void The_last_member_leaves_an_empty_group_behind_with_a_new_generation()
    {
        var a = JoinNew("a");
        Sync(a, (a.MemberId, 1));
        Assert.Equal(ErrorCode.None, _group.Leave(a.MemberId, null, _now));
        Tick();
        Assert.Equal((GroupState.Empty, 2), (_group.State, _group.Generation));
        Assert.Equal(ErrorCode.UnknownMemberId, _group.Leave(a.MemberId, null, _now));
        Assert.Equal(ErrorCode.None, _group.CheckCommit("", null, -1, _now, false));
    }

    [Fact]
    public void A_static_member_that_returns_keeps_its_part_and_fences_its_old_self()
    {
        Join("a", "", out var first, instance: "i1");
        var a = _joined[first];
        Sync(a, (a.MemberId, 5));
        Join("a", "", out var second, instance: "i1");
        var returned = _joined[second];
        Assert.Equal((ErrorCode.None, 1, GroupState.Stable), (returned.Error, returned.Generation, _group.State));
        Assert.NotEqual(a.MemberId, returned.MemberId);
        Assert.Equal(ErrorCode.FencedInstanceId, _group.Heartbeat(a.MemberId, "i1", 1, _now));
        Assert.Equal(ErrorCode.None, _group.Heartbeat(returned.MemberId, "i1", 1, _now));
        Assert.Equal(5, Sync(returned).Assignment.Span[0]);
        // With other subscriptions it is a rebalance after all.
        Join("a", "", out var third, instance: "i1", metadata: 3);
        Assert.Equal(2, _joined[third].Generation);
        Assert.Equal(ErrorCode.None, _group.Leave("", "i1", _now));
        Assert.Equal(ErrorCode.UnknownMemberId, _group.Leave("", "i2", _now));
    }

    [Fact]
    public void Protocols_are_voted_on_and_who_shares_none_is_refused()
    {
        Join("a", "", out var tokenA, protocols: ["range", "sticky"]);
        Join("b", "", out var tokenB, protocols: ["sticky"]);
        Join("a", _joined[tokenA].MemberId, out tokenA, protocols: ["range", "sticky"]);
        Assert.Equal("sticky", _joined[tokenB].ProtocolName);
        Join("c", "", out var tokenC, protocols: ["range"]);
        Assert.Equal(ErrorCode.InconsistentGroupProtocol, _joined[tokenC].Error);
    }

    [Fact]
    public void A_group_has_a_largest_size()
    {
        for (var i = 0; i < 3; i++)
            Join($"m{i}", "", out _);
        Join("m3", "", out var token);
        Assert.Equal(ErrorCode.GroupMaxSizeReached, _joined[token].Error);
    }

    [Fact]
    public void An_empty_group_waits_its_initial_delay_for_more_members()
    {
        var group = new ClassicGroup(new GroupRules(100, 10));
        group.Join(Request("a", "", null, 0, ["range"], false), "a", 0);
        Assert.Empty(group.Effects);
        group.Join(Request("b", "", null, 0, ["range"], false), "b", 60);
        group.Tick(120);
        Assert.Empty(group.Effects);
        Assert.Equal(160, group.NextDeadline);
        group.Tick(160);
        Assert.Equal(2, group.Effects.Count);
        Assert.Equal(GroupState.CompletingRebalance, group.State);
    }

    [Fact]
    public void Commits_are_checked_against_member_and_generation()
    {
        var (a, b) = TwoMembers(sync: false);
        Assert.Equal(ErrorCode.RebalanceInProgress, _group.CheckCommit(a.MemberId, null, 2, _now, false));
        Sync(a, (a.MemberId, 1), (b.MemberId, 2));
        Assert.Equal(ErrorCode.None, _group.CheckCommit(a.MemberId, null, 2, _now, false));
        Assert.Equal(ErrorCode.IllegalGeneration, _group.CheckCommit(a.MemberId, null, 1, _now, false));
        Assert.Equal(ErrorCode.UnknownMemberId, _group.CheckCommit("who", null, 2, _now, false));
        Assert.Equal(ErrorCode.UnknownMemberId, _group.CheckCommit("", null, -1, _now, false));
    }

    private (JoinResult A, JoinResult B) TwoMembers(bool sync = true)
    {
        Join("a", "", out var tokenA);
        Join("b", "", out var tokenB);
        Join("a", _joined[tokenA].MemberId, out tokenA);
        if (sync)
        {
            SyncLater(_joined[tokenB], out _);
            Sync(_joined[tokenA], (_joined[tokenA].MemberId, 1), (_joined[tokenB].MemberId, 2));
        }
        return (_joined[tokenA], _joined[tokenB]);
    }

    private JoinResult JoinNew(string client)
    {
        Join(client, "", out var token);
        return _joined[token];
    }

    private void Join(
        string client, string memberId, out object token, bool requiresId = false, string? instance = null, byte metadata = 0, string[]? protocols = null)
    {
        token = new object();
        _group.Join(Request(client, memberId, instance, metadata, protocols ?? ["range"], requiresId), token, _now);
        Collect();
    }

    private JoinRequest Request(string client, string memberId, string? instance, byte metadata, string[] protocols, bool requiresId) => new()
    {
        MemberId = memberId,
        InstanceId = instance,
        ClientId = client,
        ClientHost = "/127.0.0.1",
        SessionTimeoutMs = 30_000,
        RebalanceTimeoutMs = 60_000,
        ProtocolType = "consumer",
        Protocols = [.. protocols.Select(p => new GroupProtocol(p, new byte[] { metadata }))],
        RequiresKnownMemberId = requiresId,
        SupportsSkippingAssignment = true,
        NewMemberId = $"{client}-{++_ids}",
    };

    private SyncResult Sync(JoinResult member, params (string Id, byte Part)[] assignments)
    {
        var token = new object();
        _group.Sync(
            member.MemberId, null, member.Generation, "consumer", member.ProtocolName,
            assignments.ToDictionary(a => a.Id, a => (ReadOnlyMemory<byte>)new[] { a.Part }), token, _now);
        Collect();
        return _synced[token];
    }

    private void SyncLater(JoinResult member, out object token)
    {
        token = new object();
        _group.Sync(member.MemberId, null, member.Generation, null, null, new Dictionary<string, ReadOnlyMemory<byte>>(), token, _now);
        Collect();
    }

    private void Tick()
    {
        _group.Tick(_now);
        Collect();
    }

    private void Collect()
    {
        foreach (var effect in _group.Effects)
        {
            switch (effect)
            {
                case GroupEffect.JoinReply join:
                    _joined[join.Token] = join.Result;
                    break;
                case GroupEffect.SyncReply sync:
                    _synced[sync.Token] = sync.Result;
                    break;
                case GroupEffect.Persist:
                    _persisted++;
                    break;
            }
        }
        _group.Effects.Clear();
    }
}
