using Millrace.Kafka.Messages;

namespace Millrace.Tests.Log;

/// <summary>Groups of the consumer protocol over loopback, and through a restart.</summary>
public sealed class ConsumerGroupBrokerTests
{
    [Fact]
    public async Task A_consumer_group_goes_on_after_a_restart_with_the_epochs_that_it_had()
    {
        var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 2);
        int epoch;
        using (var client = test.Connect())
        {
            var joined = Beat(client, new() { GroupId = "g", MemberId = "m", RebalanceTimeoutMs = 1000, SubscribedTopicNames = ["t"], TopicPartitions = [] });
            Assert.Equal((ErrorCode.None, 2), (joined.ErrorCode, joined.Assignment!.TopicPartitions.Single().Partitions.Count));
            epoch = joined.MemberEpoch;
            Assert.Equal(ErrorCode.None, Commit(client, epoch));
            Assert.Equal(ErrorCode.StaleMemberEpoch, Commit(client, epoch - 1));
        }
        await using var again = await test.RestartAsync();
        using var second = again.Connect();
        var beat = Beat(second, new() { GroupId = "g", MemberId = "m", MemberEpoch = epoch });
        Assert.Equal((ErrorCode.None, epoch), (beat.ErrorCode, beat.MemberEpoch));
        Assert.Null(beat.Assignment);
        Assert.Equal(ErrorCode.FencedMemberEpoch, Beat(second, new() { GroupId = "g", MemberId = "m", MemberEpoch = epoch + 5 }).ErrorCode);
        Assert.Equal(ErrorCode.UnknownMemberId, Beat(second, new() { GroupId = "g", MemberId = "other", MemberEpoch = epoch }).ErrorCode);
        Assert.Equal(7, again.Broker.Lags().Single().CommittedOffset);
        var described = second.Call<ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse>(ApiKey.ConsumerGroupDescribe, 1, new() { GroupIds = ["g", "none"] }).Groups;
        Assert.Equal(("Stable", ErrorCode.GroupIdNotFound), (described[0].GroupState, described[1].ErrorCode));
        Beat(second, new() { GroupId = "g", MemberId = "m", MemberEpoch = -1 });
        Assert.Equal("Empty", second.Call<ListGroupsRequest, ListGroupsResponse>(ApiKey.ListGroups, 5, new()).Groups.Single().GroupState);
    }

    private static ConsumerGroupHeartbeatResponse Beat(WireClient client, ConsumerGroupHeartbeatRequest request) =>
        client.Call<ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse>(ApiKey.ConsumerGroupHeartbeat, 1, request);

    private static ErrorCode Commit(WireClient client, int epoch) => client.Call<OffsetCommitRequest, OffsetCommitResponse>(ApiKey.OffsetCommit, 9, new()
    {
        GroupId = "g", MemberId = "m", GenerationIdOrMemberEpoch = epoch,
        Topics = [new() { Name = "t", Partitions = [new() { PartitionIndex = 0, CommittedOffset = 7 }] }],
    }).Topics[0].Partitions[0].ErrorCode;
}
