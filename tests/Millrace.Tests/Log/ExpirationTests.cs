using Millrace.Kafka.Messages;

namespace Millrace.Tests.Log;

/// <summary>What nobody uses any more is forgotten, durably, and what is in use is not.</summary>
public sealed class ExpirationTests
{
    [Fact]
    public async Task Offsets_of_a_group_without_members_are_forgotten_after_their_time_and_those_of_one_with_members_kept()
    {
        var test = await TestBroker.StartAsync(o => o with { OffsetRetention = TimeSpan.FromMilliseconds(100), MaintenanceInterval = TimeSpan.FromMilliseconds(20) });
        test.Broker.CreateTopic("t", 1);
        using (var client = test.Connect())
        {
            var joined = client.Call<ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse>(ApiKey.ConsumerGroupHeartbeat, 1, new()
            {
                GroupId = "used", MemberId = "m", RebalanceTimeoutMs = 1000, SubscribedTopicNames = ["t"], TopicPartitions = [],
            });
            Commit(client, "used", "m", joined.MemberEpoch);
            Commit(client, "left", "", -1);
            await Until(() => Committed(client, "left") == -1);
            Assert.Equal(7, Committed(client, "used"));
        }
        // With a longer time, so that the group which is now without its member keeps what it has.
        await using var again = await test.RestartAsync();
        using var second = again.Connect();
        Assert.Equal((-1, 7), (Committed(second, "left"), Committed(second, "used")));
    }

    [Fact]
    public async Task A_transactional_id_that_nobody_uses_is_forgotten_and_its_producer_told_so()
    {
        var test = await TestBroker.StartAsync(o => o with
        {
            TransactionalIdExpiration = TimeSpan.FromMilliseconds(100), TransactionScanInterval = TimeSpan.FromMilliseconds(20),
        });
        test.Broker.CreateTopic("t", 1);
        using (var client = test.Connect())
        {
            // On a slow machine the id may be forgotten before its transaction begins.
            (long Id, short Epoch) busy;
            do
                busy = TransactionCalls.Init(client, "busy");
            while (Add(client, "busy", busy) == ErrorCode.InvalidProducerIdMapping);
            var (id, epoch) = TransactionCalls.Init(client, "idle");
            await Until(() => Known(client) is ["busy"]);
            Assert.Equal(ErrorCode.InvalidProducerIdMapping, TransactionCalls.End(client, "idle", id, epoch, true));
            Assert.Equal(ErrorCode.None, TransactionCalls.End(client, "busy", busy.Id, busy.Epoch, true));
        }
        await using var again = await test.RestartAsync();
        using var second = again.Connect();
        Assert.DoesNotContain("idle", Known(second));
    }

    [Fact]
    public async Task There_are_no_more_partitions_than_allowed()
    {
        await using var test = await TestBroker.StartAsync(o => o with { MaxPartitions = 5 });
        test.Broker.CreateTopic("t", 4);
        using var client = test.Connect();
        var made = client.Call<CreateTopicsRequest, CreateTopicsResponse>(
            ApiKey.CreateTopics, 7, new() { Topics = [new() { Name = "u", NumPartitions = 2, ReplicationFactor = 1 }] }).Topics[0];
        Assert.Equal(ErrorCode.PolicyViolation, made.ErrorCode);
        Assert.Contains("at most 5 partitions (kafka: limits: partitions)", made.ErrorMessage, StringComparison.Ordinal);
        Assert.Equal(ErrorCode.PolicyViolation, Grow(6));
        Assert.Equal(ErrorCode.None, Grow(5));
        ErrorCode Grow(int count) => client.Call<CreatePartitionsRequest, CreatePartitionsResponse>(
            ApiKey.CreatePartitions, 3, new() { Topics = [new() { Name = "t", Count = count }] }).Results[0].ErrorCode;
    }

    private static ErrorCode Add(WireClient client, string transactionalId, (long Id, short Epoch) producer) =>
        client.Call<AddPartitionsToTxnRequest, AddPartitionsToTxnResponse>(ApiKey.AddPartitionsToTxn, 3, new()
        {
            TransactionalId = transactionalId, ProducerId = producer.Id, ProducerEpoch = producer.Epoch, Topics = [new() { Name = "t", Partitions = [0] }],
        }).ResultsByTopic[0].ResultsByPartition[0].ErrorCode;

    private static string[] Known(WireClient client) =>
        [.. client.Call<ListTransactionsRequest, ListTransactionsResponse>(ApiKey.ListTransactions, 1, new() { DurationFilter = -1 }).TransactionStates.Select(t => t.TransactionalId)];

    private static void Commit(WireClient client, string group, string member, int epoch) => Assert.Equal(
        ErrorCode.None, client.Call<OffsetCommitRequest, OffsetCommitResponse>(ApiKey.OffsetCommit, 9, new()
        {
            GroupId = group, MemberId = member, GenerationIdOrMemberEpoch = epoch,
            Topics = [new() { Name = "t", Partitions = [new() { PartitionIndex = 0, CommittedOffset = 7 }] }],
        }).Topics[0].Partitions[0].ErrorCode);

    private static long Committed(WireClient client, string group) => client.Call<OffsetFetchRequest, OffsetFetchResponse>(
        ApiKey.OffsetFetch, 7, new() { GroupId = group, Topics = [new() { Name = "t", PartitionIndexes = [0] }] }).Topics[0].Partitions[0].CommittedOffset;

    private static async Task Until(Func<bool> isSo)
    {
        var began = TimeProvider.System.GetTimestamp();
        while (!isSo())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(began) < TimeSpan.FromSeconds(30), "it did not come to be");
            await Task.Delay(5);
        }
    }
}
