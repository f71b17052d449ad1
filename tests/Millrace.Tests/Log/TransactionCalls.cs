using Millrace.Kafka.Messages;
using Millrace.Kafka.Records;

namespace Millrace.Tests.Log;

/// <summary>A transactional producer's requests, one by one.</summary>
internal static class TransactionCalls
{
    public static (long Id, short Epoch) Init(WireClient client, string transactionalId, int timeoutMs = 60_000)
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

    public static void Add(WireClient client, string transactionalId, long id, short epoch, (string Topic, int Partition) place) => Assert.Equal(
        ErrorCode.None,
        client.Call<AddPartitionsToTxnRequest, AddPartitionsToTxnResponse>(ApiKey.AddPartitionsToTxn, 3, new AddPartitionsToTxnRequest
        {
            TransactionalId = transactionalId, ProducerId = id, ProducerEpoch = epoch, Topics = [new() { Name = place.Topic, Partitions = [place.Partition] }],
        }).ResultsByTopic[0].ResultsByPartition[0].ErrorCode);

    public static ErrorCode End(WireClient client, string transactionalId, long id, short epoch, bool commit) =>
        client.Call<EndTxnRequest, EndTxnResponse>(ApiKey.EndTxn, 3, new EndTxnRequest
        {
            TransactionalId = transactionalId, ProducerId = id, ProducerEpoch = epoch, Committed = commit,
        }).ErrorCode;

    public static ProduceResponse.PartitionProduceResponse Produce(
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

    public static void CommitOffset(WireClient client, string transactionalId, long id, short epoch, long offset)
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

    public static (long, ErrorCode) OffsetOf(WireClient client, bool stable)
    {
        var partition = client.Call<OffsetFetchRequest, OffsetFetchResponse>(ApiKey.OffsetFetch, 7, new OffsetFetchRequest
        {
            GroupId = "g", RequireStable = stable, Topics = [new() { Name = "t", PartitionIndexes = [0] }],
        }).Topics[0].Partitions[0];
        return (partition.CommittedOffset, partition.ErrorCode);
    }
}
