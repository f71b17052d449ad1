using Confluent.Kafka;

namespace Millrace.Kafka.Clients;

/// <summary>Reads the newest records of a topic, for finding out what they look like.</summary>
public static class TopicSampler
{
    /// <summary>
    /// Values of at most <paramref name="most"/> of the newest records over all partitions, oldest first within a partition.
    /// </summary>
    /// <param name="patience">Longest wait in all; what has come by then is the sample.</param>
    /// <exception cref="KafkaClientException">The topic does not exist or no broker answers; the message says which.</exception>
    public static IReadOnlyList<byte[]> Newest(string brokers, string topic, int most, TimeSpan patience, TimeProvider time)
    {
        KafkaLibraries.EnsureReady();
        var client = new ClientConfig { BootstrapServers = brokers, ClientId = "millrace-sampler", SocketTimeoutMs = Math.Max(1000, (int)patience.TotalMilliseconds) };
        try
        {
            using var admin = new AdminClientBuilder(client).SetLogHandler((_, _) => { }).Build();
            // The whole list: asking for one topic by name could create it.
            var partitions = admin.GetMetadata(patience).Topics.Find(t => t.Topic == topic)?.Partitions
                ?? throw new KafkaClientException($"topic '{topic}' does not exist at {brokers}", (int)ErrorCode.UnknownTopicOrPart);
            using var consumer = new ConsumerBuilder<Ignore, byte[]?>(
                new ConsumerConfig(client) { GroupId = "millrace-sampler", EnableAutoCommit = false, EnablePartitionEof = true }).SetLogHandler((_, _) => { }).Build();
            return Read(consumer, topic, partitions.Select(p => p.PartitionId), most, patience, time);
        }
        catch (KafkaException failure)
        {
            throw new KafkaClientException($"{brokers}: {failure.Error.Reason}", (int)failure.Error.Code);
        }
    }

    private static List<byte[]> Read(
        IConsumer<Ignore, byte[]?> consumer, string topic, IEnumerable<int> partitions, int most, TimeSpan patience, TimeProvider time)
    {
        var started = time.GetTimestamp();
        var open = new HashSet<int>(partitions);
        var each = Math.Max(1, most / Math.Max(1, open.Count));
        consumer.Assign(open.Select(p =>
        {
            var ends = consumer.QueryWatermarkOffsets(new(topic, p), patience);
            return new TopicPartitionOffset(topic, p, Math.Max(ends.Low.Value, ends.High.Value - each));
        }).ToList());
        var values = new List<byte[]>();
        while (open.Count > 0 && values.Count < most && time.GetElapsedTime(started) < patience)
        {
            var record = consumer.Consume(TimeSpan.FromMilliseconds(100));
            if (record is null)
                continue;
            if (record.IsPartitionEOF)
                open.Remove(record.Partition);
            else if (record.Message.Value is { } value)
                values.Add(value);
        }
        return values;
    }
}
