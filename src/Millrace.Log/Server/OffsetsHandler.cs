using Millrace.Kafka.Messages;
using Millrace.Kafka.Records;
using Millrace.Log.Storage;
using Millrace.Log.Topics;

namespace Millrace.Log.Server;

/// <summary>Where a log begins and ends, which offset belongs to a time, and what leader epochs there were.</summary>
internal sealed class OffsetsHandler(BrokerContext context)
{
    private const long Latest = -1;
    private const long Earliest = -2;
    private const long LargestTimestamp = -3;

    public void ListOffsets(Exchange exchange, ListOffsetsRequest request)
    {
        var response = new ListOffsetsResponse();
        foreach (var topic in request.Topics)
        {
            var found = context.Store.Find(topic.Name);
            var answers = new List<ListOffsetsResponse.ListOffsetsPartitionResponse>(topic.Partitions.Count);
            foreach (var wanted in topic.Partitions)
            {
                var answer = new ListOffsetsResponse.ListOffsetsPartitionResponse { PartitionIndex = wanted.PartitionIndex };
                answers.Add(answer);
                if (found?.Partition(wanted.PartitionIndex) is not { } partition)
                    answer.ErrorCode = ErrorCode.UnknownTopicOrPartition;
                else if (BrokerContext.CheckEpoch(wanted.CurrentLeaderEpoch) is var epoch and not ErrorCode.None)
                    answer.ErrorCode = epoch;
                else
                    Find(found.Settings, partition, wanted.Timestamp, request.IsolationLevel == 1, answer);
            }
            response.Topics.Add(new ListOffsetsResponse.ListOffsetsTopicResponse { Name = topic.Name, Partitions = answers });
        }
        exchange.Complete(response);
    }

    public void OffsetForLeaderEpoch(Exchange exchange, OffsetForLeaderEpochRequest request)
    {
        var response = new OffsetForLeaderEpochResponse();
        foreach (var topic in request.Topics)
        {
            var found = context.Store.Find(topic.Topic);
            var answers = new List<OffsetForLeaderEpochResponse.EpochEndOffset>(topic.Partitions.Count);
            foreach (var wanted in topic.Partitions)
            {
                var answer = new OffsetForLeaderEpochResponse.EpochEndOffset { Partition = wanted.Partition };
                answers.Add(answer);
                if (found?.Partition(wanted.Partition) is not { } partition)
                {
                    answer.ErrorCode = ErrorCode.UnknownTopicOrPartition;
                    continue;
                }
                answer.ErrorCode = BrokerContext.CheckEpoch(wanted.CurrentLeaderEpoch);
                if (answer.ErrorCode != ErrorCode.None || wanted.LeaderEpoch != 0)
                    continue;
                answer.LeaderEpoch = 0;
                answer.EndOffset = partition.HighWatermark;
            }
            response.Topics.Add(new OffsetForLeaderEpochResponse.OffsetForLeaderTopicResult { Topic = topic.Topic, Partitions = answers });
        }
        exchange.Complete(response);
    }

    private void Find(
        TopicSettings settings, Partition partition, long timestamp, bool committed, ListOffsetsResponse.ListOffsetsPartitionResponse answer)
    {
        var end = committed ? partition.LastStableOffset : partition.HighWatermark;
        answer.LeaderEpoch = 0;
        switch (timestamp)
        {
            case Latest:
                answer.Offset = end;
                return;
            case Earliest:
                answer.Offset = partition.LogStart;
                return;
        }
        try
        {
            var (time, offset) = timestamp == LargestTimestamp
                ? TimestampLookup.Largest(partition, BatchRules.MaxUncompressed(settings))
                : TimestampLookup.FirstAtOrAfter(partition, timestamp, BatchRules.MaxUncompressed(settings));
            if (offset < 0 || offset >= end)
                answer.LeaderEpoch = -1;
            else
                (answer.Timestamp, answer.Offset) = (time, offset);
        }
        catch (IOException error)
        {
            context.Metrics.LogTrouble(error.Message, error);
            answer.ErrorCode = error is SegmentDamagedException ? ErrorCode.CorruptMessage : ErrorCode.StorageError;
        }
        catch (InvalidDataException error)
        {
            context.Metrics.LogTrouble($"{partition.Segments.Folder} holds a batch that cannot be read: {error.Message}", error);
            answer.ErrorCode = ErrorCode.CorruptMessage;
        }
    }
}

/// <summary>Finds records by their time: the index leads to the batch, the records inside say which one.</summary>
internal static class TimestampLookup
{
    /// <summary>The first record at or after a time, as (timestamp, offset); (-1, -1) when there is none.</summary>
    public static (long Timestamp, long Offset) FirstAtOrAfter(Partition partition, long timestamp, int maxUncompressed) =>
        FirstAtOrAfter(partition, timestamp, maxUncompressed, markers: false);

    private static (long Timestamp, long Offset) FirstAtOrAfter(Partition partition, long timestamp, int maxUncompressed, bool markers)
    {
        var logStart = partition.LogStart;
        foreach (var segment in partition.Segments.All)
        {
            if (segment.LargestTimestamp() < timestamp || !segment.TryAcquire())
                continue;
            try
            {
                for (var position = segment.LocateTimestamp(timestamp); position < segment.Readable;)
                {
                    var found = InBatch(segment, ref position, (time, offset) => time >= timestamp && offset >= logStart, maxUncompressed, markers);
                    if (found.Offset >= 0)
                        return found;
                }
            }
            finally
            {
                segment.Release();
            }
        }
        return (-1, -1);
    }

    /// <summary>The record with the largest timestamp, the first of several; the marker of a transaction's end counts as one, as in Kafka.</summary>
    public static (long Timestamp, long Offset) Largest(Partition partition, int maxUncompressed)
    {
        var largest = -1L;
        foreach (var segment in partition.Segments.All)
            largest = Math.Max(largest, segment.LargestTimestamp());
        return largest < 0 ? (-1, -1) : FirstAtOrAfter(partition, largest, maxUncompressed, markers: true);
    }

    private static (long Timestamp, long Offset) InBatch(Segment segment, ref long position, Func<long, long, bool> wanted, int maxUncompressed, bool markers)
    {
        var header = new byte[RecordBatch.HeaderBytes];
        segment.Read(position, header);
        var whole = RecordBatch.WholeBytes(header);
        if (whole < 0 || position + whole > segment.Readable || !PlaceCheck.Holds(header))
            throw new SegmentDamagedException(segment.Path, position, "no record batch begins here");
        var bytes = new byte[whole];
        segment.Read(position, bytes);
        var batch = new RecordBatch(bytes);
        if (batch.Crc != batch.ComputeCrc())
            throw new SegmentDamagedException(segment.Path, position, $"the batch at offset {batch.BaseOffset} has a wrong CRC");
        position += whole;
        if (batch.IsControl && !markers)
            return (-1, -1);
        using var open = RecordBatch.OpenRecords(bytes, maxUncompressed);
        var reader = new RecordReader(open.Bytes, batch.RecordCount);
        while (reader.MoveNext())
        {
            var time = (batch.Attributes & BatchAttributes.LogAppendTime) != 0 ? batch.MaxTimestamp : batch.BaseTimestamp + reader.Current.TimestampDelta;
            var offset = batch.BaseOffset + reader.Current.OffsetDelta;
            if (wanted(time, offset))
                return (time, offset);
        }
        return (-1, -1);
    }
}
