using Millrace.Kafka.Messages;

namespace Millrace.Log.Server;

/// <summary>Answers for tools that look inside: sizes on disk, producers.</summary>
internal sealed class InspectionHandler(BrokerContext context)
{
    public void DescribeLogDirs(Exchange exchange, DescribeLogDirsRequest request)
    {
        var result = new DescribeLogDirsResponse.DescribeLogDirsResult { LogDir = context.Options.DataFolder };
        if (context.Options.Files is Millrace.Storage.Files.DiskFileSystem)
        {
            var drive = new DriveInfo(Path.GetFullPath(context.Options.DataFolder));
            result.TotalBytes = drive.TotalSize;
            result.UsableBytes = drive.AvailableFreeSpace;
        }
        foreach (var topic in context.Store.Topics)
        {
            var wanted = request.Topics?.Find(t => t.Topic == topic.Name);
            if (request.Topics is not null && wanted is null)
                continue;
            var described = new DescribeLogDirsResponse.DescribeLogDirsTopic { Name = topic.Name };
            foreach (var partition in topic.Partitions)
            {
                if (wanted is null || wanted.Partitions.Count == 0 || wanted.Partitions.Contains(partition.Index))
                {
                    described.Partitions.Add(new DescribeLogDirsResponse.DescribeLogDirsPartition
                    {
                        PartitionIndex = partition.Index, PartitionSize = partition.Segments.Bytes,
                    });
                }
            }
            result.Topics.Add(described);
        }
        exchange.Complete(new DescribeLogDirsResponse { Results = [result] });
    }

    public void DescribeProducers(Exchange exchange, DescribeProducersRequest request)
    {
        var response = new DescribeProducersResponse();
        foreach (var topic in request.Topics)
        {
            var found = context.Store.Find(topic.Name);
            var described = new DescribeProducersResponse.TopicResponse { Name = topic.Name };
            response.Topics.Add(described);
            foreach (var index in topic.PartitionIndexes)
            {
                var answer = new DescribeProducersResponse.PartitionResponse { PartitionIndex = index };
                described.Partitions.Add(answer);
                if (found?.Partition(index) is not { } partition)
                {
                    answer.ErrorCode = ErrorCode.UnknownTopicOrPartition;
                    continue;
                }
                foreach (var (producerId, last, start) in partition.DescribeProducers())
                {
                    answer.ActiveProducers.Add(new DescribeProducersResponse.ProducerState
                    {
                        ProducerId = producerId,
                        ProducerEpoch = last.Epoch,
                        LastSequence = last.LastSequence,
                        LastTimestamp = last.Timestamp,
                        CurrentTxnStartOffset = start,
                    });
                }
            }
        }
        exchange.Complete(response);
    }
}
