using Millrace.Kafka.Messages;
using Millrace.Log.Groups;
using Millrace.Log.Transactions;

namespace Millrace.Log.Server;

/// <summary>Transactions, as producers drive them and tools look at them.</summary>
internal sealed class TransactionsHandler(BrokerContext context, TransactionCoordinator transactions, GroupCoordinator groups, GroupOffsetsHandler offsets)
{
    /// <summary>The first versions whose clients know PRODUCER_FENCED (KIP-588); before them it is INVALID_PRODUCER_EPOCH.</summary>
    private const short FencedFrom = 2;

    public ValueTask AddPartitionsAsync(Exchange exchange, AddPartitionsToTxnRequest request)
    {
        var response = new AddPartitionsToTxnResponse();
        var places = new List<(string, int)>();
        var unknown = false;
        foreach (var topic in request.Topics)
        {
            var found = context.Store.Find(topic.Name);
            var results = new List<AddPartitionsToTxnResponse.AddPartitionsToTxnPartitionResult>(topic.Partitions.Count);
            foreach (var partition in topic.Partitions)
            {
                var result = new AddPartitionsToTxnResponse.AddPartitionsToTxnPartitionResult { PartitionIndex = partition };
                results.Add(result);
                if (found?.Partition(partition) is null || InternalTopics.IsOurs(topic.Name))
                {
                    result.ErrorCode = ErrorCode.UnknownTopicOrPartition;
                    unknown = true;
                }
                places.Add((topic.Name, partition));
            }
            response.ResultsByTopic.Add(new AddPartitionsToTxnResponse.AddPartitionsToTxnTopicResult { Name = topic.Name, ResultsByPartition = results });
        }
        void Answer(ErrorCode error)
        {
            foreach (var topic in response.ResultsByTopic)
            {
                foreach (var result in topic.ResultsByPartition)
                {
                    if (result.ErrorCode == ErrorCode.None)
                        result.ErrorCode = error;
                }
            }
            exchange.Complete(response);
        }
        if (unknown)
            Answer(ErrorCode.OperationNotAttempted);
        else
            transactions.Add(request.TransactionalId, request.ProducerId, request.ProducerEpoch, places, e => Answer(Known(e, exchange.Version)));
        return exchange.FinishedAsync();
    }

    public ValueTask AddOffsetsAsync(Exchange exchange, AddOffsetsToTxnRequest request)
    {
        transactions.Add(
            request.TransactionalId, request.ProducerId, request.ProducerEpoch, [TransactionCoordinator.OffsetsPartition],
            error => exchange.Complete(new AddOffsetsToTxnResponse { ErrorCode = Known(error, exchange.Version) }));
        return exchange.FinishedAsync();
    }

    public ValueTask EndAsync(Exchange exchange, EndTxnRequest request)
    {
        transactions.End(
            request.TransactionalId, request.ProducerId, request.ProducerEpoch, request.Committed,
            error => exchange.Complete(new EndTxnResponse { ErrorCode = Known(error, exchange.Version) }));
        return exchange.FinishedAsync();
    }

    /// <summary>Offsets that count when the transaction commits.</summary>
    public ValueTask CommitOffsetsAsync(Exchange exchange, TxnOffsetCommitRequest request)
    {
        var response = new TxnOffsetCommitResponse();
        var accepted = new List<TxnOffsetCommitResponse.TxnOffsetCommitResponsePartition>();
        var commits = new List<(string, int, CommittedOffset)>();
        var group = request.GenerationId < 0 ? groups.GetOrAdd(request.GroupId) : groups.Find(request.GroupId);
        var refused = group is null
            ? ErrorCode.IllegalGeneration
            : groups.Run(group, m => m.CheckCommit(request.MemberId, request.GroupInstanceId, request.GenerationId, context.Steady, transactional: true));
        foreach (var topic in request.Topics)
        {
            var answers = new List<TxnOffsetCommitResponse.TxnOffsetCommitResponsePartition>(topic.Partitions.Count);
            foreach (var wanted in topic.Partitions)
            {
                var answer = new TxnOffsetCommitResponse.TxnOffsetCommitResponsePartition { PartitionIndex = wanted.PartitionIndex, ErrorCode = refused };
                answers.Add(answer);
                if (refused == ErrorCode.None)
                    answer.ErrorCode = offsets.Check(topic.Name, wanted.PartitionIndex, wanted.CommittedMetadata);
                if (answer.ErrorCode != ErrorCode.None)
                    continue;
                accepted.Add(answer);
                commits.Add((topic.Name, wanted.PartitionIndex, new CommittedOffset(
                    wanted.CommittedOffset, wanted.CommittedLeaderEpoch, wanted.CommittedMetadata ?? "", context.Now)));
            }
            response.Topics.Add(new TxnOffsetCommitResponse.TxnOffsetCommitResponseTopic { Name = topic.Name, Partitions = answers });
        }
        void Answer(ErrorCode error)
        {
            accepted.ForEach(a => a.ErrorCode = error);
            exchange.Complete(response);
        }
        if (commits.Count == 0)
        {
            exchange.Complete(response);
            return ValueTask.CompletedTask;
        }
        var begun = transactions.Append(request.ProducerId, request.ProducerEpoch, TransactionCoordinator.OffsetsPartition, () =>
        {
            groups.Commit(group!, commits, Answer, request.ProducerId, request.ProducerEpoch);
            return ErrorCode.None;
        });
        if (begun != ErrorCode.None)
            Answer(begun);
        return exchange.FinishedAsync();
    }

    /// <summary>An administrator ends what hangs in single partitions; the transaction's own state is not touched.</summary>
    public ValueTask WriteMarkersAsync(Exchange exchange, WriteTxnMarkersRequest request)
    {
        var response = new WriteTxnMarkersResponse();
        var wanted = new List<(WriteTxnMarkersRequest.WritableTxnMarker Marker, string Topic, WriteTxnMarkersResponse.WritableTxnMarkerPartitionResult Result)>();
        foreach (var marker in request.Markers)
        {
            var answered = new WriteTxnMarkersResponse.WritableTxnMarkerResult { ProducerId = marker.ProducerId };
            response.Markers.Add(answered);
            foreach (var topic in marker.Topics)
            {
                var results = topic.PartitionIndexes.ConvertAll(p => new WriteTxnMarkersResponse.WritableTxnMarkerPartitionResult { PartitionIndex = p });
                answered.Topics.Add(new WriteTxnMarkersResponse.WritableTxnMarkerTopicResult { Name = topic.Name, Partitions = results });
                results.ForEach(r => wanted.Add((marker, topic.Name, r)));
            }
        }
        var left = new Countdown(wanted.Count, () => exchange.Complete(response));
        foreach (var (marker, topic, result) in wanted)
        {
            transactions.WriteMarker((topic, result.PartitionIndex), marker.ProducerId, marker.ProducerEpoch, marker.TransactionResult, error =>
            {
                result.ErrorCode = error;
                left.Signal();
            });
        }
        left.Signal();
        return exchange.FinishedAsync();
    }

    public void List(Exchange exchange, ListTransactionsRequest request)
    {
        var response = new ListTransactionsResponse
        {
            UnknownStateFilters = request.StateFilters.FindAll(f => !Enum.TryParse<TransactionState>(f, out _)),
        };
        foreach (var (id, state, value) in transactions.Describe())
        {
            if (request.StateFilters.Count > 0 && !request.StateFilters.Contains(state.ToString()))
                continue;
            if (request.ProducerIdFilters.Count > 0 && !request.ProducerIdFilters.Contains(value.ProducerId))
                continue;
            if (request.DurationFilter >= 0 && (value.StartedAt < 0 || context.Steady - value.StartedAt <= request.DurationFilter))
                continue;
            response.TransactionStates.Add(new ListTransactionsResponse.TransactionEntry
            {
                TransactionalId = id, ProducerId = value.ProducerId, TransactionState = state.ToString(),
            });
        }
        exchange.Complete(response);
    }

    public void Describe(Exchange exchange, DescribeTransactionsRequest request)
    {
        var all = transactions.Describe();
        var response = new DescribeTransactionsResponse();
        foreach (var id in request.TransactionalIds)
        {
            var described = new DescribeTransactionsResponse.TransactionEntry { TransactionalId = id, ErrorCode = ErrorCode.TransactionalIdNotFound };
            response.TransactionStates.Add(described);
            foreach (var (known, state, value) in all)
            {
                if (known != id)
                    continue;
                described.ErrorCode = ErrorCode.None;
                described.TransactionState = state.ToString();
                described.TransactionTimeoutMs = value.TimeoutMs;
                described.TransactionStartTimeMs = value.StartedAt;
                described.ProducerId = value.ProducerId;
                described.ProducerEpoch = value.ProducerEpoch;
                foreach (var topic in value.Topics)
                    described.Topics.Add(new DescribeTransactionsResponse.TopicData { Topic = topic.Topic, Partitions = topic.Partitions });
            }
        }
        exchange.Complete(response);
    }

    private static ErrorCode Known(ErrorCode error, short version) =>
        error == ErrorCode.ProducerFenced && version < FencedFrom ? ErrorCode.InvalidProducerEpoch : error;
}
