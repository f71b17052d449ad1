using Millrace.Kafka.Messages;
using static Millrace.Tests.Log.TransactionCalls;

namespace Millrace.Tests.Log;

/// <summary>Transactions over loopback, by bare requests.</summary>
public sealed class TransactionTests
{
    [Fact]
    public async Task Committed_records_are_seen_aborted_ones_never_and_open_ones_hold_readers_up()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1);
        using var client = test.Connect();
        var (id, epoch) = Init(client, "a");
        client.Produce("t", 0, WireClient.Batch("plain"));
        Add(client, "a", id, epoch, ("t", 0));
        Assert.Equal(ErrorCode.None, Produce(client, "a", id, epoch, 0, "one").ErrorCode);
        client.Produce("t", 0, WireClient.Batch("behind"));
        Assert.Equal(["plain"], client.Committed("t", 0));
        Assert.Equal(["plain", "one", "behind"], WireClient.Values(client.Fetch("t", 0, 0).Records));
        Assert.Equal(ErrorCode.None, End(client, "a", id, epoch, true));
        Assert.Equal(["plain", "one", "behind"], client.Committed("t", 0));

        Add(client, "a", id, epoch, ("t", 0));
        Produce(client, "a", id, epoch, 1, "aborted");
        Assert.Equal(ErrorCode.None, End(client, "a", id, epoch, false));
        var data = client.Fetch("t", 0, 0, isolation: 1);
        var aborted = Assert.Single(data.AbortedTransactions!);
        Assert.Equal((id, 4L), (aborted.ProducerId, aborted.FirstOffset));
        Assert.Equal(["plain", "one", "behind"], client.Committed("t", 0));
        Assert.Equal(data.HighWatermark, data.LastStableOffset);
        Assert.Null(client.Fetch("t", 0, 0).AbortedTransactions);
    }

    [Fact]
    public async Task The_largest_time_is_found_where_a_transaction_ended_last()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1);
        using var client = test.Connect();
        var (id, epoch) = Init(client, "a");
        Add(client, "a", id, epoch, ("t", 0));
        Produce(client, "a", id, epoch, 0, "one");
        End(client, "a", id, epoch, true);
        ListOffsetsResponse.ListOffsetsPartitionResponse At(long time) => client.Call<ListOffsetsRequest, ListOffsetsResponse>(
            ApiKey.ListOffsets, 7, new ListOffsetsRequest { Topics = [new() { Name = "t", Partitions = [new() { Timestamp = time }] }] }).Topics[0].Partitions[0];
        // Kafka counts the marker, whose time is the broker's; by a time only records are found.
        Assert.Equal(1, At(-3).Offset);
        Assert.Equal((0, -1), (At(1).Offset, At(2).Offset));
    }

    [Fact]
    public async Task A_reader_of_committed_records_that_waits_is_woken_by_the_marker()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1);
        using var client = test.Connect();
        using var reader = test.Connect();
        var (id, epoch) = Init(client, "a");
        Add(client, "a", id, epoch, ("t", 0));
        Produce(client, "a", id, epoch, 0, "one");
        var waiting = reader.Send(ApiKey.Fetch, 11, WireClient.FetchOf("t", 0, 0, 20_000, 1, 1 << 20, isolation: 1));
        End(client, "a", id, epoch, true);
        Assert.Equal(["one"], WireClient.Values(reader.Receive<FetchResponse>(ApiKey.Fetch, 11, waiting).Responses[0].Partitions[0].Records));
    }

    [Fact]
    public async Task Batches_outside_of_their_transaction_are_refused()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 2);
        using var client = test.Connect();
        var (id, epoch) = Init(client, "a");
        Assert.Equal(ErrorCode.InvalidTxnState, Produce(client, "a", id, epoch, 0, "no partition added").ErrorCode);
        Assert.Equal(ErrorCode.TransactionAbortable, Produce(client, "a", id, epoch, 0, "told better", version: 11).ErrorCode);
        Add(client, "a", id, epoch, ("t", 0));
        Produce(client, "a", id, epoch, 0, "x");
        Assert.Equal(ErrorCode.InvalidTxnState, client.Produce("t", 0, WireClient.Batch(id, epoch, 1, "plain in an open one")).ErrorCode);
        Assert.Equal(ErrorCode.None, End(client, "a", id, epoch, true));
        Assert.Equal(ErrorCode.InvalidTxnState, Produce(client, "a", id, epoch, 1, "late").ErrorCode);
        Assert.Equal(["x"], client.Committed("t", 0));
        var partial = client.Call<AddPartitionsToTxnRequest, AddPartitionsToTxnResponse>(ApiKey.AddPartitionsToTxn, 3, new AddPartitionsToTxnRequest
        {
            TransactionalId = "a", ProducerId = id, ProducerEpoch = epoch, Topics = [new() { Name = "t", Partitions = [1, 9] }],
        });
        Assert.Equal([ErrorCode.OperationNotAttempted, ErrorCode.UnknownTopicOrPartition], partial.ResultsByTopic[0].ResultsByPartition.Select(r => r.ErrorCode));
    }

    [Fact]
    public async Task A_new_producer_of_the_same_id_fences_the_old_one()
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1);
        using var client = test.Connect();
        var (id, epoch) = Init(client, "a");
        Add(client, "a", id, epoch, ("t", 0));
        Produce(client, "a", id, epoch, 0, "zombie");
        var (sameId, higher) = Init(client, "a");
        Assert.Equal(id, sameId);
        Assert.True(higher > epoch);
        Assert.Equal(ErrorCode.InvalidProducerEpoch, Produce(client, "a", id, epoch, 1, "zombie again").ErrorCode);
        Assert.Equal(ErrorCode.ProducerFenced, End(client, "a", id, epoch, true));
        Assert.Empty(client.Committed("t", 0));
        Add(client, "a", id, higher, ("t", 0));
        Produce(client, "a", id, higher, 0, "living");
        End(client, "a", id, higher, true);
        Assert.Equal(["living"], client.Committed("t", 0));
    }

    [Fact]
    public async Task A_forgotten_transaction_is_aborted_after_its_timeout()
    {
        await using var test = await TestBroker.StartAsync(o => o with { TransactionScanInterval = TimeSpan.FromMilliseconds(20) });
        test.Broker.CreateTopic("t", 1);
        using var client = test.Connect();
        var (id, epoch) = Init(client, "a", timeoutMs: 100);
        Add(client, "a", id, epoch, ("t", 0));
        Produce(client, "a", id, epoch, 0, "forgotten");
        client.Produce("t", 0, WireClient.Batch("behind"));
        Assert.Equal(["behind"], WireClient.Values(client.Fetch("t", 0, 1, maxWait: 20_000, isolation: 1).Records));
        Assert.Equal(ErrorCode.ProducerFenced, End(client, "a", id, epoch, true));
    }

    [Fact]
    public async Task Open_and_aborted_transactions_survive_a_restart()
    {
        var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1);
        long id;
        short epoch;
        using (var client = test.Connect())
        {
            (id, epoch) = Init(client, "a");
            Add(client, "a", id, epoch, ("t", 0));
            Produce(client, "a", id, epoch, 0, "aborted");
            End(client, "a", id, epoch, false);
            Add(client, "a", id, epoch, ("t", 0));
            Produce(client, "a", id, epoch, 1, "open");
        }
        await using var again = await test.RestartAsync();
        using var second = again.Connect();
        Assert.Empty(second.Committed("t", 0));
        Assert.Equal(ErrorCode.None, Produce(second, "a", id, epoch, 2, "more").ErrorCode);
        Assert.Equal(ErrorCode.None, End(second, "a", id, epoch, true));
        Assert.Equal(["open", "more"], second.Committed("t", 0));
    }

    [Fact]
    public async Task Offsets_of_a_transaction_count_when_it_commits()
    {
        var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1);
        using (var client = test.Connect())
        {
            var (id, epoch) = Init(client, "a");
            CommitOffset(client, "a", id, epoch, 5);
            Assert.Equal((-1L, ErrorCode.None), OffsetOf(client, stable: false));
            Assert.Equal((-1L, ErrorCode.UnstableOffsetCommit), OffsetOf(client, stable: true));
            End(client, "a", id, epoch, true);
            Assert.Equal((5L, ErrorCode.None), OffsetOf(client, stable: true));
            CommitOffset(client, "a", id, epoch, 9);
            End(client, "a", id, epoch, false);
            Assert.Equal((5L, ErrorCode.None), OffsetOf(client, stable: true));
            CommitOffset(client, "a", id, epoch, 11);
        }
        await using var again = await test.RestartAsync();
        using var second = again.Connect();
        Assert.Equal((-1L, ErrorCode.UnstableOffsetCommit), OffsetOf(second, stable: true));
        var (newId, newEpoch) = Init(second, "a");
        Assert.Equal((5L, ErrorCode.None), OffsetOf(second, stable: true));
        CommitOffset(second, "a", newId, newEpoch, 12);
        End(second, "a", newId, newEpoch, true);
        Assert.Equal((12L, ErrorCode.None), OffsetOf(second, stable: true));
    }
}
