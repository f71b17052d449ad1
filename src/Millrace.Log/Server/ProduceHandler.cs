using System.Runtime.InteropServices;
using Millrace.Kafka.Messages;
using Millrace.Kafka.Records;
using Millrace.Log.Storage;
using Millrace.Log.Transactions;

namespace Millrace.Log.Server;

/// <summary>Produce: validates, appends, and answers when the flush that holds the batches is done.</summary>
internal sealed class ProduceHandler(BrokerContext context, TransactionCoordinator transactions)
{
    public void Handle(Exchange exchange, ProduceRequest request)
    {
        var operation = new ProduceOperation(exchange, request);
        var slot = 0;
        var validAcks = request.Acks is 0 or 1 or -1;
        using var gathering = context.Store.Committer.Queue.Gather();
        foreach (var topic in request.Topics)
        {
            var responses = new List<ProduceResponse.PartitionProduceResponse>(topic.Partitions.Count);
            foreach (var partition in topic.Partitions)
            {
                var response = new ProduceResponse.PartitionProduceResponse { Index = partition.Index, BaseOffset = -1 };
                responses.Add(response);
                operation.Expect(response);
                if (validAcks)
                    Append(exchange, request, topic.Name, partition, response, operation, slot);
                else
                    response.ErrorCode = ErrorCode.InvalidRequiredAcks;
                if (response.ErrorCode != ErrorCode.None)
                    operation.Refused();
                slot++;
            }
            operation.Response.Responses.Add(new ProduceResponse.TopicProduceResponse { Name = topic.Name, PartitionResponses = responses });
        }
        operation.Begun();
    }

    private void Append(
        Exchange exchange, ProduceRequest request, string topicName, ProduceRequest.PartitionProduceData data,
        ProduceResponse.PartitionProduceResponse response, ProduceOperation operation, int slot)
    {
        if (context.Store.Find(topicName) is not { } topic || topic.Partition(data.Index) is not { } partition)
        {
            response.ErrorCode = ErrorCode.UnknownTopicOrPartition;
            return;
        }
        if (InternalTopics.IsOurs(topicName))
        {
            response.ErrorCode = ErrorCode.InvalidTopic;
            response.ErrorMessage = $"{topicName} is written by the broker alone";
            return;
        }
        response.ErrorCode = BatchRules.Check(data.Records.Span, topic.Settings, exchange.Version, context.Now, out response.ErrorMessage);
        if (response.ErrorCode != ErrorCode.None)
        {
            // Bytes that do not match their checksum cast doubt on all that the connection still sends.
            if (response.ErrorCode == ErrorCode.CorruptMessage)
                exchange.CloseAfterSend = $"Produce to {topicName}-{data.Index}: {response.ErrorMessage}";
            return;
        }
        var records = MemoryMarshal.AsMemory(data.Records);
        var batch = new RecordBatch(records.Span);
        var (bytes, count) = (batch.TotalBytes, batch.RecordCount);
        // From here on the bytes belong to the partition until the operation hears of the outcome.
        operation.Started();
        var result = batch.IsTransactional
            ? AppendInTransaction(records, topicName, partition, operation, slot)
            : partition.Append(records, context.Now, Marker.None, operation, slot);
        response.LogStartOffset = partition.LogStart;
        if (result.Error != ErrorCode.None)
        {
            operation.NotStarted();
            // Version 11 tells clients apart what they can cure by aborting (KIP-890).
            response.ErrorCode = result.Error == ErrorCode.InvalidTxnState && batch.IsTransactional && exchange.Version >= 11
                ? ErrorCode.TransactionAbortable
                : result.Error;
            return;
        }
        response.BaseOffset = result.BaseOffset;
        response.LogAppendTimeMs = result.LogAppendTime;
        context.Metrics.Appended(bytes, count);
    }

    private AppendResult AppendInTransaction(Memory<byte> records, string topic, Partition partition, ProduceOperation operation, int slot)
    {
        var batch = new RecordBatch(records.Span);
        var result = new AppendResult(ErrorCode.InvalidTxnState, -1, -1);
        var error = transactions.Append(batch.ProducerId, batch.ProducerEpoch, (topic, partition.Index), () =>
        {
            result = partition.Append(records, context.Now, Marker.None, operation, slot);
            return result.Error;
        });
        return error == ErrorCode.None ? result : new AppendResult(error, -1, -1);
    }
}

/// <summary>Collects the outcomes of one Produce request's partitions.</summary>
internal sealed class ProduceOperation(Exchange exchange, ProduceRequest request) : IAppendWaiter
{
    private readonly List<ProduceResponse.PartitionProduceResponse> _slots = [];
    private readonly short _acks = request.Acks;
    private int _open = 1;
    private bool _refused;

    public ProduceResponse Response { get; } = new();

    public void Expect(ProduceResponse.PartitionProduceResponse response) => _slots.Add(response);

    public void Started() => Interlocked.Increment(ref _open);

    public void NotStarted() => Interlocked.Decrement(ref _open);

    public void Refused() => _refused = true;

    /// <summary>All appends have been tried.</summary>
    public void Begun() => Leave();

    public void Appended(int slot, ErrorCode error)
    {
        if (error != ErrorCode.None)
        {
            // The slot may not be listed yet only if the append is still running; its result is set before this is.
            var response = _slots[slot];
            response.ErrorCode = error;
            response.BaseOffset = -1;
            _refused = true;
        }
        Leave();
    }

    private void Leave()
    {
        if (Interlocked.Decrement(ref _open) > 0)
            return;
        if (_acks != 0)
        {
            exchange.Complete(Response);
            return;
        }
        // Nobody reads an answer; a closed connection is the only way to tell the client (Kafka does the same).
        if (_refused)
            exchange.CloseAfterSend ??= "a Produce request with acks=0 failed";
        exchange.Complete(null);
    }
}
