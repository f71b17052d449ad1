using System.Buffers;
using Millrace.Kafka.Messages;
using Millrace.Log.Storage;

namespace Millrace.Log.Server;

/// <summary>Fetch: answers when enough can be read, something is wrong, or the client's patience ends.</summary>
internal sealed class FetchHandler(BrokerContext context)
{
    private const ErrorCode FetchSessionIdNotFound = (ErrorCode)70;

    public async ValueTask HandleAsync(Exchange exchange, FetchRequest request)
    {
        if (request.SessionId != 0)
        {
            // No session is ever given out (session id 0 in each answer), so none can be known.
            exchange.Complete(new FetchResponse { ErrorCode = FetchSessionIdNotFound });
            return;
        }
        if (request.MaxWaitMs > 0 && request.MinBytes > 0 && !IsReady(request))
            await WaitAsync(exchange, request).ConfigureAwait(false);
        exchange.Complete(Read(exchange, request));
    }

    private async ValueTask WaitAsync(Exchange exchange, FetchRequest request)
    {
        var waiter = new FetchWaiter();
        using var patience = context.Time.CreateTimer(
            static state => ((FetchWaiter)state!).GiveUp(), waiter, TimeSpan.FromMilliseconds(request.MaxWaitMs), Timeout.InfiniteTimeSpan);
        using var gone = exchange.Connection.Closed.UnsafeRegister(static state => ((FetchWaiter)state!).GiveUp(), waiter);
        while (!waiter.HasGivenUp)
        {
            waiter.Arm();
            var registered = RegisterAll(request, waiter);
            if (registered && !IsReady(request))
                await waiter.Task.ConfigureAwait(false);
            UnregisterAll(request, waiter);
            if (IsReady(request))
                return;
        }
    }

    private bool RegisterAll(FetchRequest request, FetchWaiter waiter)
    {
        foreach (var topic in request.Topics)
        {
            var found = context.Store.Find(topic.Topic);
            foreach (var wanted in topic.Partitions)
            {
                if (found?.Partition(wanted.Partition) is not { } partition)
                    return false;
                if (!partition.Register(waiter, partition.HighWatermark))
                    return false;
            }
        }
        return true;
    }

    private void UnregisterAll(FetchRequest request, FetchWaiter waiter)
    {
        foreach (var topic in request.Topics)
        {
            var found = context.Store.Find(topic.Topic);
            foreach (var wanted in topic.Partitions)
                found?.Partition(wanted.Partition)?.Unregister(waiter);
        }
    }

    /// <summary>Whether the answer need not wait: enough bytes, or an error that the client must hear of.</summary>
    private bool IsReady(FetchRequest request)
    {
        long readable = 0;
        var committed = request.IsolationLevel == 1;
        var any = false;
        foreach (var topic in request.Topics)
        {
            var found = context.Store.Find(topic.Topic);
            foreach (var wanted in topic.Partitions)
            {
                any = true;
                if (found?.Partition(wanted.Partition) is not { } partition)
                    return true;
                var end = partition.HighWatermark;
                if (wanted.FetchOffset < partition.LogStart || wanted.FetchOffset > end || wanted.CurrentLeaderEpoch > 0)
                    return true;
                if (partition.Fault == ErrorCode.UnknownTopicOrPartition)
                    return true;
                if (committed)
                    end = partition.LastStableOffset;
                if (wanted.FetchOffset >= end)
                    continue;
                if (request.MinBytes <= 1)
                    return true;
                readable += Math.Min(partition.Segments.BytesFrom(wanted.FetchOffset), Math.Max(wanted.PartitionMaxBytes, 1));
                if (readable >= Math.Min(request.MinBytes, request.MaxBytes))
                    return true;
            }
        }
        return !any;
    }

    private FetchResponse Read(Exchange exchange, FetchRequest request)
    {
        var response = new FetchResponse();
        var left = Math.Max(0, Math.Min(request.MaxBytes, context.Options.MaxFetchBytes));
        // Memory for answers is shared: without a share, an answer carries one batch only, so every reader goes on.
        var granted = context.FetchMemory.TryTake(left);
        if (granted)
            exchange.OnRelease(context.FetchMemory, left);
        else
            left = 0;
        var first = true;
        foreach (var topic in request.Topics)
        {
            var found = context.Store.Find(topic.Topic);
            var partitions = new List<FetchResponse.PartitionData>(topic.Partitions.Count);
            foreach (var wanted in topic.Partitions)
            {
                var data = new FetchResponse.PartitionData { PartitionIndex = wanted.Partition };
                partitions.Add(data);
                if (found?.Partition(wanted.Partition) is not { } partition)
                {
                    data.ErrorCode = ErrorCode.UnknownTopicOrPartition;
                    data.HighWatermark = -1;
                    continue;
                }
                var used = ReadPartition(exchange, request, wanted, partition, data, left, first);
                left = Math.Max(0, left - used);
                first &= used == 0;
            }
            response.Responses.Add(new FetchResponse.FetchableTopicResponse { Topic = topic.Topic, Partitions = partitions });
        }
        return response;
    }

    private int ReadPartition(
        Exchange exchange, FetchRequest request, FetchRequest.FetchPartition wanted, Partition partition, FetchResponse.PartitionData data,
        int left, bool first)
    {
        var committed = request.IsolationLevel == 1;
        data.HighWatermark = partition.HighWatermark;
        data.LastStableOffset = Math.Min(partition.LastStableOffset, data.HighWatermark);
        data.LogStartOffset = partition.LogStart;
        data.ErrorCode = partition.Fault == ErrorCode.UnknownTopicOrPartition
            ? ErrorCode.UnknownTopicOrPartition
            : BrokerContext.CheckEpoch(wanted.CurrentLeaderEpoch);
        if (data.ErrorCode == ErrorCode.None && (wanted.FetchOffset < data.LogStartOffset || wanted.FetchOffset > data.HighWatermark))
            data.ErrorCode = ErrorCode.OffsetOutOfRange;
        var end = committed ? data.LastStableOffset : data.HighWatermark;
        if (committed)
            data.AbortedTransactions = [];
        if (data.ErrorCode != ErrorCode.None || wanted.FetchOffset >= end)
            return 0;
        try
        {
            var (buffer, bytes) = partition.Segments.Read(wanted.FetchOffset, end, Math.Min(left, Math.Max(0, wanted.PartitionMaxBytes)), first);
            if (bytes == 0)
                return 0;
            exchange.ReturnAfterSend(buffer);
            data.Records = buffer.AsMemory(0, bytes);
            context.Metrics.Fetched(bytes);
            if (committed)
                AddAborted(partition, wanted.FetchOffset, data);
            return bytes;
        }
        catch (SegmentDamagedException damage)
        {
            context.Metrics.LogTrouble(damage.Message, damage);
            data.ErrorCode = ErrorCode.CorruptMessage;
            return 0;
        }
        catch (IOException error)
        {
            context.Metrics.LogTrouble($"reading {partition.Segments.Folder} at offset {wanted.FetchOffset} failed", error);
            data.ErrorCode = ErrorCode.StorageError;
            return 0;
        }
    }

    private static void AddAborted(Partition partition, long from, FetchResponse.PartitionData data)
    {
        var to = BatchWalk.EndOffset(data.Records.Span);
        foreach (var range in partition.AbortedIn(from, to))
            data.AbortedTransactions!.Add(new FetchResponse.AbortedTransaction { ProducerId = range.ProducerId, FirstOffset = range.FirstOffset });
    }
}

/// <summary>Walks batches that lie one after another in memory.</summary>
internal static class BatchWalk
{
    /// <summary>The offset behind the last batch.</summary>
    public static long EndOffset(ReadOnlySpan<byte> batches)
    {
        long end = 0;
        while (batches.Length >= Kafka.Records.RecordBatch.HeaderBytes)
        {
            var batch = new Kafka.Records.RecordBatch(batches);
            end = batch.LastOffset + 1;
            batches = batches[batch.TotalBytes..];
        }
        return end;
    }
}

/// <summary>A parked fetch.</summary>
internal sealed class FetchWaiter : IReadWaiter
{
    private readonly Lock _gate = new();
    private TaskCompletionSource _signal = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _givenUp;

    public bool HasGivenUp
    {
        get
        {
            lock (_gate)
                return _givenUp;
        }
    }

    public Task Task
    {
        get
        {
            lock (_gate)
                return _signal.Task;
        }
    }

    /// <summary>Makes ready for the next signal.</summary>
    public void Arm()
    {
        lock (_gate)
        {
            if (_signal.Task.IsCompleted && !_givenUp)
                _signal = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }

    public void Readable()
    {
        lock (_gate)
            _signal.TrySetResult();
    }

    /// <summary>The patience ended, or the client is gone.</summary>
    public void GiveUp()
    {
        lock (_gate)
        {
            _givenUp = true;
            _signal.TrySetResult();
        }
    }
}
