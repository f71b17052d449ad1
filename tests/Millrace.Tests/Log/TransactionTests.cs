using Millrace.Kafka.Messages;
using Millrace.Kafka.Records;

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
        Assert.Equal(["plain"], Committed(client));
        Assert.Equal(["plain", "one", "behind"], WireClient.Values(client.Fetch("t", 0, 0).Records));
        Assert.Equal(ErrorCode.None, End(client, "a", id, epoch, true));
        Assert.Equal(["plain", "one", "behind"], Committed(client));

        Add(client, "a", id, epoch, ("t", 0));
        Produce(client, "a", id, epoch, 1, "aborted");
        Assert.Equal(ErrorCode.None, End(client, "a", id, epoch, false));
        var data = client.Fetch("t", 0, 0, isolation: 1);
        var aborted = Assert.Single(data.AbortedTransactions!);
        Assert.Equal((id, 4L), (aborted.ProducerId, aborted.FirstOffset));
        Assert.Equal(["plain", "one", "behind"], Committed(client));
        Assert.Equal(data.HighWatermark, data.LastStableOffset);
        Assert.Null(client.Fetch("t", 0, 0).AbortedTransactions);
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
        Assert.Equal(["x"], Committed(client));
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
        Assert.Empty(Committed(client));
        Add(client, "a", id, higher, ("t", 0));
        Produce(client, "a", id, higher, 0, "living");
        End(client, "a", id, higher, true);
        Assert.Equal(["living"], Committed(client));
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
        Assert.Empty(Committed(second));
        Assert.Equal(ErrorCode.None, Produce(second, "a", id, epoch, 2, "more").ErrorCode);
        Assert.Equal(ErrorCode.None, End(second, "a", id, epoch, true));
        Assert.Equal(["open", "more"], Committed(second));
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

    private static (long Id, short Epoch) Init(WireClient client, string transactionalId, int timeoutMs = 60_000)
    {
        // A transaction of an earlier self is aborted first; clients ask again.
        for (var i = 0; i < 1000; i++)
        {
            var response = client.Call<InitProducerIdRequest, InitProducerIdResponse>(
                ApiKey.InitProducerId, 4, new InitProducerIdRequest { TransactionalId = transactionalId, TransactionTimeoutMs = timeoutMs });
            if (response.ErrorCode == ErrorCode.None)
                return (response.ProducerId, response.ProducerEpoch);
            Assert.Equal(ErrorCode.ConcurrentTransactions, response.ErrorCode);
        }
        throw new Xunit.Sdk.XunitException("the earlier transaction never ended");
    }

    private static void Add(WireClient client, string transactionalId, long id, short epoch, (string Topic, int Partition) place) => Assert.Equal(
        ErrorCode.None,
        client.Call<AddPartitionsToTxnRequest, AddPartitionsToTxnResponse>(ApiKey.AddPartitionsToTxn, 3, new AddPartitionsToTxnRequest
        {
            TransactionalId = transactionalId, ProducerId = id, ProducerEpoch = epoch, Topics = [new() { Name = place.Topic, Partitions = [place.Partition] }],
        }).ResultsByTopic[0].ResultsByPartition[0].ErrorCode);

    private static ErrorCode End(WireClient client, string transactionalId, long id, short epoch, bool commit) =>
        client.Call<EndTxnRequest, EndTxnResponse>(ApiKey.EndTxn, 3, new EndTxnRequest
        {
            TransactionalId = transactionalId, ProducerId = id, ProducerEpoch = epoch, Committed = commit,
        }).ErrorCode;

    private static ProduceResponse.PartitionProduceResponse Produce(
        WireClient client, string transactionalId, long id, short epoch, int sequence, string value, short version = 9)
    {
        using var builder = new RecordBatchBuilder
        {
            ProducerId = id, ProducerEpoch = epoch, BaseSequence = sequence, Attributes = BatchAttributes.Transactional,
        };
        builder.Add(1, "key"u8, System.Text.Encoding.UTF8.GetBytes(value));
        var request = WireClient.Request("t", 0, builder.Build(), -1);
        request.TransactionalId = transactionalId;
        return client.Call<ProduceRequest, ProduceResponse>(ApiKey.Produce, version, request).Responses[0].PartitionResponses[0];
    }

    /// <summary>What a read_committed client gives its reader.</summary>
    private static List<string> Committed(WireClient client)
    {
        var data = client.Fetch("t", 0, 0, isolation: 1);
        Assert.Equal(ErrorCode.None, data.ErrorCode);
        var values = new List<string>();
        var aborting = new HashSet<long>();
        for (var rest = data.Records; rest.Length > 0;)
        {
            var batch = new RecordBatch(rest.Span);
            foreach (var aborted in data.AbortedTransactions!)
            {
                if (aborted.ProducerId == batch.ProducerId && aborted.FirstOffset == batch.BaseOffset)
                    aborting.Add(batch.ProducerId);
            }
            if (batch.IsControl)
                aborting.Remove(batch.ProducerId);
            else if (!batch.IsTransactional || !aborting.Contains(batch.ProducerId))
                values.AddRange(WireClient.Values(rest[..batch.TotalBytes]));
            rest = rest[batch.TotalBytes..];
        }
        return values;
    }

    private static void CommitOffset(WireClient client, string transactionalId, long id, short epoch, long offset)
    {
        Assert.Equal(ErrorCode.None, client.Call<AddOffsetsToTxnRequest, AddOffsetsToTxnResponse>(ApiKey.AddOffsetsToTxn, 3, new AddOffsetsToTxnRequest
        {
            TransactionalId = transactionalId, ProducerId = id, ProducerEpoch = epoch, GroupId = "g",
        }).ErrorCode);
        Assert.Equal(ErrorCode.None, client.Call<TxnOffsetCommitRequest, TxnOffsetCommitResponse>(ApiKey.TxnOffsetCommit, 3, new TxnOffsetCommitRequest
        {
            TransactionalId = transactionalId, GroupId = "g", ProducerId = id, ProducerEpoch = epoch,
            Topics = [new() { Name = "t", Partitions = [new() { PartitionIndex = 0, CommittedOffset = offset }] }],
        }).Topics[0].Partitions[0].ErrorCode);
    }

    private static (long, ErrorCode) OffsetOf(WireClient client, bool stable)
    {
        var partition = client.Call<OffsetFetchRequest, OffsetFetchResponse>(ApiKey.OffsetFetch, 7, new OffsetFetchRequest
        {
            GroupId = "g", RequireStable = stable, Topics = [new() { Name = "t", PartitionIndexes = [0] }],
        }).Topics[0].Partitions[0];
        return (partition.CommittedOffset, partition.ErrorCode);
    }
}
