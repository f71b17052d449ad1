using Millrace.Kafka.Messages;
using Millrace.Log.Groups;
using Millrace.Log.Groups.Consumers;
using Xunit.Abstractions;

namespace Millrace.Tests.Log;

/// <summary>The consumer protocol of Kafka 4 without clock, disk or network.</summary>
public sealed class ConsumerGroupTests(ITestOutputHelper output)
{
    private readonly FakeTopics _topics = new();

    private sealed class FakeTopics : ITopicCatalog
    {
        private readonly Dictionary<string, TopicShape> _shapes = [];

        public long Version { get; private set; }

        public IEnumerable<TopicShape> All => _shapes.Values;

        public void Set(string name, int partitions)
        {
            _shapes[name] = new TopicShape(name, _shapes.GetValueOrDefault(name)?.Id ?? Guid.NewGuid(), partitions);
            Version++;
        }

        public TopicShape? Find(string name) => _shapes.GetValueOrDefault(name);

        public TopicShape? Find(Guid id) => _shapes.Values.FirstOrDefault(s => s.Id == id);
    }

    /// <summary>A client as Kafka's is: takes what it is given, and says so with the next heartbeat.</summary>
    private sealed class Client(string id, string[] topics)
    {
        public string Id => id;

        public int Epoch { get; private set; }

        public HashSet<(string Topic, int Partition)> Owned { get; } = [];

        private bool _told = true;
        private bool _lost;

        public ConsumerHeartbeat Next()
        {
            var isJoin = Epoch == 0;
            var isFull = isJoin || _lost;
            var beat = new ConsumerHeartbeat
            {
                MemberId = id, Epoch = Epoch, RebalanceTimeoutMs = isFull ? 10_000 : -1, Topics = isFull ? [.. topics] : null,
                Owned = isJoin ? [] : _told && !isFull ? null : [.. Owned],
            };
            if (isJoin)
                Owned.Clear();
            (_told, _lost) = (true, false);
            return beat;
        }

        /// <summary>No answer came: like Kafka's client it tells everything with the next heartbeat, and so learns its assignment again.</summary>
        public void Lose() => _lost = true;

        public void Take(HeartbeatResult result)
        {
            if (result.Error is ErrorCode.FencedMemberEpoch or ErrorCode.UnknownMemberId)
            {
                Epoch = 0;
                Owned.Clear();
                return;
            }
            Assert.Equal(ErrorCode.None, result.Error);
            Epoch = result.Epoch;
            if (result.Assigned is null)
                return;
            Owned.Clear();
            Owned.UnionWith(result.Assigned);
            _told = false;
        }
    }

    [Fact]
    public void Partitions_are_given_up_before_anyone_else_may_have_them()
    {
        _topics.Set("t", 4);
        var group = Group();
        var first = new Client("a", ["t"]);
        Beat(group, first, 0);
        Assert.Equal(4, first.Owned.Count);
        var second = new Client("b", ["t"]);
        Beat(group, second, 1);
        Assert.Empty(second.Owned);
        Assert.Equal("Reconciling", group.State);
        var keptEpoch = first.Epoch;
        Beat(group, first, 2);
        Assert.Equal(2, first.Owned.Count);
        // It may still commit what it has read, with the epoch that it had.
        Assert.Equal(keptEpoch, first.Epoch);
        Assert.Equal(ErrorCode.None, group.CheckCommit("a", null, keptEpoch, false));
        Beat(group, second, 3);
        Assert.Empty(second.Owned);
        Beat(group, first, 4);
        Assert.True(first.Epoch > keptEpoch);
        Assert.Equal(ErrorCode.StaleMemberEpoch, group.CheckCommit("a", null, keptEpoch, false));
        Beat(group, second, 5);
        Assert.Equal(2, second.Owned.Count);
        Assert.Equal("Stable", group.State);
    }

    [Fact]
    public void A_member_that_does_not_give_up_in_time_is_gone()
    {
        _topics.Set("t", 2);
        var group = Group();
        var first = new Client("a", ["t"]);
        Beat(group, first, 0);
        var second = new Client("b", ["t"]);
        Beat(group, second, 1);
        Beat(group, first, 2);
        group.Tick(10_001);
        Assert.NotNull(group.Member("a"));
        group.Tick(10_002);
        Assert.Null(group.Member("a"));
        Beat(group, second, 10_003);
        Beat(group, second, 10_004);
        Assert.Equal(2, second.Owned.Count);
        Assert.Equal(ErrorCode.UnknownMemberId, Heartbeat(group, first.Next(), 10_005).Error);
    }

    [Fact]
    public void A_static_member_comes_back_to_its_partitions()
    {
        _topics.Set("t", 4);
        var group = Group();
        var beat = new ConsumerHeartbeat { MemberId = "a", InstanceId = "i", Epoch = 0, RebalanceTimeoutMs = 1000, Topics = ["t"], Owned = [] };
        var joined = Heartbeat(group, beat, 0);
        Assert.Equal(ErrorCode.UnreleasedInstanceId, Heartbeat(group, beat with { MemberId = "b" }, 1).Error);
        Heartbeat(group, new ConsumerHeartbeat { MemberId = "a", InstanceId = "i", Epoch = ConsumerMember.AwayEpoch }, 2);
        var epoch = group.Epoch;
        var back = Heartbeat(group, beat with { MemberId = "b" }, 3);
        Assert.Equal((ErrorCode.None, 4, epoch), (back.Error, back.Assigned!.Count, group.Epoch));
        Assert.Equal(ErrorCode.FencedInstanceId, Heartbeat(group, beat with { Epoch = joined.Epoch }, 4).Error);
    }

    [Fact]
    public void The_id_of_a_member_is_no_other_members()
    {
        _topics.Set("t", 4);
        var group = Group();
        var beat = new ConsumerHeartbeat { MemberId = "a", Epoch = 0, RebalanceTimeoutMs = 1000, Topics = ["t"], Owned = [] };
        Heartbeat(group, beat, 0);
        Heartbeat(group, beat with { MemberId = "b", InstanceId = "i" }, 1);
        Heartbeat(group, new ConsumerHeartbeat { MemberId = "b", InstanceId = "i", Epoch = ConsumerMember.AwayEpoch }, 2);
        Assert.Equal(ErrorCode.InvalidRequest, Heartbeat(group, beat with { InstanceId = "i" }, 3).Error);
        Assert.Equal(ErrorCode.InvalidRequest, Heartbeat(group, beat with { InstanceId = "new" }, 4).Error);
        Assert.Equal(2, group.Members.Count);
    }

    [Fact]
    public void A_static_member_of_the_classic_protocol_that_comes_back_with_the_new_one_takes_its_own_place_at_once()
    {
        _topics.Set("t", 4);
        var group = Group();
        // Of a classic member with the subscription ["t"], version 0. It is stopped without a word, as static members are.
        var protocols = new GroupProtocol[] { new("range", "\0\0\0\0\0\u0001\0\u0001t\u00FF\u00FF\u00FF\u00FF".Select(c => (byte)c).ToArray()) };
        group.JoinClassic(
            new JoinRequest
            {
                MemberId = "", InstanceId = "i", ClientId = "c", ClientHost = "/h", SessionTimeoutMs = 45_000, RebalanceTimeoutMs = 10_000, ProtocolType = "consumer",
                Protocols = protocols, RequiresKnownMemberId = true, SupportsSkippingAssignment = true, NewMemberId = "old",
            },
            new object(), 0);
        group.Effects.Clear();
        var epoch = group.Epoch;
        var back = Heartbeat(
            group, new ConsumerHeartbeat { MemberId = "new", InstanceId = "i", Epoch = 0, RebalanceTimeoutMs = 1000, Topics = ["t"], Owned = [] }, 1);
        Assert.Equal((ErrorCode.None, 4, epoch), (back.Error, back.Assigned!.Count, group.Epoch));
        Assert.Equal(ErrorCode.FencedInstanceId, group.HeartbeatClassic("old", "i", epoch, 2));
    }

    [Fact]
    public void New_partitions_and_patterns_are_noticed_and_unknown_assignors_refused()
    {
        _topics.Set("orders", 1);
        var group = Group();
        var beat = new ConsumerHeartbeat { MemberId = "a", Epoch = 0, RebalanceTimeoutMs = 1000, Regex = "ord.*", Owned = [] };
        Assert.Equal(ErrorCode.UnsupportedAssignor, Heartbeat(group, beat with { Assignor = "mine" }, 0).Error);
        Assert.Equal(ErrorCode.InvalidRegularExpression, Heartbeat(group, beat with { Regex = "(" }, 0).Error);
        var joined = Heartbeat(group, beat with { Assignor = "range" }, 0);
        Assert.Equal([("orders", 0)], joined.Assigned!);
        _topics.Set("orders", 2);
        _topics.Set("ordinary", 1);
        var grown = Heartbeat(group, new ConsumerHeartbeat { MemberId = "a", Epoch = joined.Epoch }, 1);
        Assert.Equal([("orders", 0), ("orders", 1), ("ordinary", 0)], grown.Assigned!.Order());
        Assert.Equal("range", group.AssignorName);
    }

    [Theory]
    [InlineData("uniform")]
    [InlineData("range")]
    public void Assignors_give_every_partition_to_one_reader_evenly_and_move_little(string name)
    {
        var seed = Seeds.Next(output);
        var random = new Random(seed);
        for (var round = 0; round < 200; round++)
        {
            var shapes = Enumerable.Range(0, random.Next(1, 4)).Select(i => new TopicShape("t" + i, Guid.Empty, random.Next(1, 12))).ToArray();
            var members = Enumerable.Range(0, random.Next(1, 7)).Select(i => new AssignorMember("m" + i, shapes, new HashSet<(string, int)>())).ToList();
            var given = Assignor.Assign(name, members);
            Assert.Equal(shapes.Sum(s => s.Partitions), given.Values.Sum(g => g.Count));
            Assert.Equal(given.Values.Sum(g => g.Count), given.Values.SelectMany(g => g).Distinct().Count());
            if (name == "range")
                continue;
            Assert.True(given.Values.Max(g => g.Count) - given.Values.Min(g => g.Count) <= 1);
            // One more member: nothing moves but to it.
            var grown = Assignor.Assign(name, [.. members.Select(m => m with { Before = given[m.Id] }), new AssignorMember("x", shapes, new HashSet<(string, int)>())]);
            Assert.True(grown.Values.Max(g => g.Count) - grown.Values.Min(g => g.Count) <= 1);
            foreach (var (id, places) in grown)
            {
                if (id != "x")
                    Assert.Subset(given[id], places);
            }
        }
    }

    [Fact]
    public void Whatever_happens_no_partition_has_two_readers_and_in_the_end_each_has_one()
    {
        var seed = Seeds.Next(output);
        for (var round = 0; round < 60; round++)
        {
            var random = new Random(seed + round);
            _topics.Set("t", 6);
            _topics.Set("u", 3);
            var group = Group();
            var clients = new List<Client>();
            var now = 0L;
            for (var step = 0; step < 120; step++)
            {
                now += random.Next(400);
                group.Tick(now);
                var choice = random.Next(20);
                if (clients.Count == 0 || (choice == 0 && clients.Count < 6))
                    clients.Add(new Client($"c{round}-{step}", random.Next(3) == 0 ? ["t"] : ["t", "u"]));
                else if (choice == 1)
                    clients.RemoveAt(random.Next(clients.Count));
                else if (choice == 2)
                    Drop(group, clients, random, now);
                else
                    Beat(group, clients[random.Next(clients.Count)], now, lose: random.Next(10) == 0);
                CheckOwners(group, clients);
            }
            for (var beat = 0; beat < 12; beat++)
            {
                now += 5000;
                foreach (var client in clients)
                    Beat(group, client, now);
                group.Tick(now);
                CheckOwners(group, clients);
            }
            Assert.Equal(clients.Count, group.Members.Count);
            Assert.Equal(clients.Count == 0 ? "Empty" : "Stable", group.State);
            foreach (var topic in new[] { "t", "u" })
            {
                if (clients.Exists(c => group.Member(c.Id)!.Topics.Contains(topic)))
                    Assert.Equal(_topics.Find(topic)!.Partitions, clients.Sum(c => c.Owned.Count(p => p.Topic == topic)));
            }
        }
    }

    private ConsumerGroup Group() => new(new ConsumerGroupRules(5000, 45_000, 100), _topics);

    private static void Drop(ConsumerGroup group, List<Client> clients, Random random, long now)
    {
        var leaver = clients[random.Next(clients.Count)];
        clients.Remove(leaver);
        Heartbeat(group, new ConsumerHeartbeat { MemberId = leaver.Id, Epoch = -1 }, now);
    }

    private static void CheckOwners(ConsumerGroup group, List<Client> clients)
    {
        // A client that the group has forgotten finds out with its next heartbeat; Kafka's stops reading at its own session timeout.
        var owned = clients.Where(c => group.Member(c.Id) is not null).SelectMany(c => c.Owned).ToList();
        Assert.Equal(owned.Count, owned.Distinct().Count());
    }

    private static void Beat(ConsumerGroup group, Client client, long now, bool lose = false)
    {
        var result = Heartbeat(group, client.Next(), now);
        if (lose)
            client.Lose();
        else
            client.Take(result);
    }

    private static HeartbeatResult Heartbeat(ConsumerGroup group, ConsumerHeartbeat beat, long now)
    {
        var token = new object();
        group.Heartbeat(beat, token, now);
        var reply = group.Effects.OfType<GroupEffect.HeartbeatReply>().Single(r => r.Token == token);
        group.Effects.Clear();
        return reply.Result;
    }
}
