using Confluent.Kafka;
using Microsoft.Extensions.Logging.Abstractions;

namespace Millrace.Kafka.Clients;

/// <summary>A record with its parts copied, for displays and checks; streams read <see cref="ConsumedRecord"/>s.</summary>
public sealed record TopicRecord(
    int Partition, long Offset, long TimestampMillis, byte[]? Key, byte[]? Value, IReadOnlyList<KeyValuePair<string, byte[]>> Headers);

/// <summary>
/// Reads a topic without a group: from given offsets to the present ends, or on. Used where a person or a check looks at records.
/// </summary>
public sealed class TopicReader : IDisposable
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(50);
    private readonly IAdminClient _admin;
    private readonly IConsumer<Ignore, Ignore> _offsets;
    private readonly string _brokers;
    private readonly IReadOnlyDictionary<string, string> _login;
    private readonly TimeSpan _patience;
    private readonly TimeProvider _time;

    /// <param name="patience">Longest wait for an answer of the brokers.</param>
    /// <param name="login">How to connect there (<see cref="ClientLogins"/>).</param>
    public TopicReader(string brokers, TimeSpan patience, TimeProvider time, IReadOnlyDictionary<string, string>? login = null)
    {
        _login = login ?? new Dictionary<string, string>();
        KafkaLibraries.EnsureReady();
        _brokers = brokers;
        _patience = patience;
        _time = time;
        var client = new ClientConfig(_login.ToDictionary())
        {
            BootstrapServers = brokers, ClientId = "millrace-reader", SocketTimeoutMs = Math.Max(1000, (int)patience.TotalMilliseconds),
        };
        _admin = new AdminClientBuilder(client).SetLogHandler((_, _) => { }).SetErrorHandler((_, _) => { }).Build();
        _offsets = new ConsumerBuilder<Ignore, Ignore>(new ConsumerConfig(client) { GroupId = "millrace-reader" })
            .SetLogHandler((_, _) => { }).SetErrorHandler((_, _) => { }).Build();
    }

    /// <summary>Numbers of the topic's partitions; null when there is no such topic (asking does not create it).</summary>
    /// <exception cref="KafkaClientException">No broker answers.</exception>
    public IReadOnlyList<int>? Partitions(string topic) => Topics().GetValueOrDefault(topic);

    /// <summary>All topics with the numbers of their partitions.</summary>
    /// <exception cref="KafkaClientException">No broker answers.</exception>
    public IReadOnlyDictionary<string, IReadOnlyList<int>> Topics() => Asking(() => _admin.GetMetadata(_patience)).Topics
        .ToDictionary(t => t.Topic, t => (IReadOnlyList<int>)t.Partitions.Select(p => p.PartitionId).Order().ToArray());

    /// <summary>The oldest offset and the end of a partition.</summary>
    /// <exception cref="KafkaClientException">No broker answers.</exception>
    public (long Low, long High) Bounds(string topic, int partition)
    {
        var bounds = Asking(() => _offsets.QueryWatermarkOffsets(new(topic, partition), _patience));
        return (bounds.Low.Value, bounds.High.Value);
    }

    /// <summary>Where a group goes on in a topic, by partition; -1 where it has committed nothing.</summary>
    /// <exception cref="KafkaClientException">The group's coordinator does not answer in time.</exception>
    public IReadOnlyDictionary<int, long> Committed(string group, string topic, IReadOnlyList<int> partitions)
    {
        using var consumer = new BatchConsumer(
            new BatchConsumerOptions { Brokers = _brokers, GroupId = group, ClientId = "millrace-reader", Extra = _login }, _ => BatchConsumer.Earliest, NullLogger.Instance);
        return consumer.Committed([.. partitions.Select(p => new TopicPartition(topic, p))], _patience).ToDictionary(p => p.Key.Partition, p => p.Value);
    }

    /// <summary>
    /// Records from the given offsets on, to the ends as they stand now, or with <paramref name="follow"/> until cancelled. Ends early when
    /// no record comes for the patience of this reader.
    /// </summary>
    public IEnumerable<TopicRecord> Read(
        string topic, IReadOnlyDictionary<int, long> starts, bool follow = false, CancellationToken cancellation = default)
    {
        var open = new Dictionary<int, long>();
        foreach (var (partition, start) in starts)
        {
            if (Bounds(topic, partition).High is var end && start < end)
                open[partition] = end;
        }
        using var consumer = new BatchConsumer(
            new BatchConsumerOptions { Brokers = _brokers, GroupId = "millrace-reader", ClientId = "millrace-reader", MaxPollRecords = 500, Extra = _login },
            _ => BatchConsumer.Earliest, NullLogger.Instance);
        consumer.EndReached += (partition, offset) =>
        {
            if (open.TryGetValue(partition.Partition, out var end) && offset >= end)
                open.Remove(partition.Partition);
        };
        consumer.Assign(starts.Where(s => follow || open.ContainsKey(s.Key))
            .Select(s => KeyValuePair.Create(new TopicPartition(topic, s.Key), s.Value)).ToArray());
        var quietSince = _time.GetTimestamp();
        while ((follow || open.Count > 0) && !cancellation.IsCancellationRequested)
        {
            var records = Copy(consumer);
            if (records.Count > 0)
                quietSince = _time.GetTimestamp();
            else if (!follow && _time.GetElapsedTime(quietSince) > _patience)
                yield break;
            foreach (var record in records)
            {
                if (open.TryGetValue(record.Partition, out var end) && record.Offset + 1 >= end)
                    open.Remove(record.Partition);
                yield return record;
            }
        }
    }

    /// <summary>The newest records, about <paramref name="most"/> over all partitions, oldest first within a partition.</summary>
    /// <exception cref="KafkaClientException">The topic does not exist or no broker answers; the message says which.</exception>
    public IEnumerable<TopicRecord> Newest(string topic, int most)
    {
        var partitions = Partitions(topic) ?? throw new KafkaClientException($"topic '{topic}' does not exist at {_brokers}", (int)ErrorCode.UnknownTopicOrPart);
        var each = Math.Max(1, most / Math.Max(1, partitions.Count));
        return Read(topic, partitions.ToDictionary(p => p, p =>
        {
            var (low, high) = Bounds(topic, p);
            return Math.Max(low, high - each);
        }));
    }

    public void Dispose()
    {
        _offsets.Dispose();
        _admin.Dispose();
    }

    private static List<TopicRecord> Copy(BatchConsumer consumer)
    {
        using var batch = consumer.Poll(Poll);
        var records = new List<TopicRecord>(batch.Count);
        for (var i = 0; i < batch.Count; i++)
        {
            var record = batch[i];
            records.Add(new TopicRecord(
                record.Partition, record.Offset, record.TimestampMillis, record.HasKey ? record.Key.ToArray() : null,
                record.HasValue ? record.Value.ToArray() : null, record.Headers()));
        }
        return records;
    }

    private T Asking<T>(Func<T> ask)
    {
        try
        {
            return ask();
        }
        catch (KafkaException failure)
        {
            throw new KafkaClientException($"{_brokers}: {failure.Error.Reason}", (int)failure.Error.Code);
        }
    }
}
