using System.Globalization;
using System.Text;
using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Microsoft.Extensions.Logging;
using Millrace.Kafka.Clients;
using Millrace.Streams.Running;

namespace Millrace.Streams.Sinks;

/// <summary>A Kafka topic to deliver to. Connects at the first call, so that a topic to which nothing goes costs nothing.</summary>
/// <remarks>
/// The client does not retry: a retry that it cannot tell from the first attempt may put a record in twice. Instead each failure
/// leaves the delivery in doubt, and the topic is searched (<see cref="TopicDelivery"/>).
/// </remarks>
/// <param name="madeWhenSent">The topic is made by the first record for it, not by a search in it.</param>
internal sealed class KafkaTopicPort(
    string brokers, string topic, IReadOnlyDictionary<string, string> login, StreamFailPoints failPoints, ILogger log, bool madeWhenSent = false) : ITopicPort
{
    private const int MaxMessageBytes = 64 << 20;
    private const int MaxUnacknowledged = 20_000;
    private const int CutValueBytes = 256 << 10;

    // librdkafka's word for a good record of a batch that was refused for another one (KIP-467).
    private const ErrorCode BesideInvalidRecord = (ErrorCode)(-138);

    private static readonly TimeSpan CallTimeout = TimeSpan.FromSeconds(10);

    private IProducer<byte[]?, byte[]?>? _producer;

    public IReadOnlyDictionary<int, long> Ends(CancellationToken cancellation)
    {
        using var consumer = OpenConsumer();
        return Watermarks(consumer).ToDictionary(w => w.Key, w => w.Value.High);
    }

    public IReadOnlySet<int> Scan(DeliveryMark mark, IReadOnlyDictionary<int, long> from, CancellationToken cancellation)
    {
        var found = new HashSet<int>();
        var open = new Dictionary<int, long>();
        var starts = new List<KeyValuePair<Millrace.Kafka.Clients.TopicPartition, long>>();
        using (var client = OpenConsumer())
        {
            if (madeWhenSent && !Exists(client))
                return found;
            foreach (var (partition, range) in Watermarks(client))
            {
                var start = Math.Max(range.Low, from.GetValueOrDefault(partition));
                if (start >= range.High)
                    continue;
                open.Add(partition, range.High);
                starts.Add(new(new Millrace.Kafka.Clients.TopicPartition(topic, partition), start));
            }
        }
        if (open.Count == 0)
            return found;
        // Not Confluent's consumer: it wants a newer librdkafka than Debian 12 has for reading.
        using var consumer = new BatchConsumer(
            new BatchConsumerOptions { Brokers = brokers, GroupId = "millrace-delivery-search", MaxPollRecords = 4096, Extra = login }, _ => 0, log);
        consumer.EndReached += (partition, _) => open.Remove(partition.Partition);
        consumer.Assign(starts);
        Read(consumer, Encoding.UTF8.GetBytes(mark.Prefix), open, found, cancellation);
        return found;
    }

    private void Read(BatchConsumer consumer, byte[] prefix, Dictionary<int, long> open, HashSet<int> found, CancellationToken cancellation)
    {
        var silent = 0;
        while (open.Count > 0)
        {
            cancellation.ThrowIfCancellationRequested();
            try
            {
                using var records = consumer.Poll(TimeSpan.FromMilliseconds(100));
                silent = records.Count > 0 ? 0 : silent + 1;
                for (var i = 0; i < records.Count; i++)
                {
                    if (SequenceOf(records[i], prefix) is { } sequence)
                        found.Add(sequence);
                    if (open.TryGetValue(records[i].Partition, out var end) && records[i].Offset + 1 >= end)
                        open.Remove(records[i].Partition);
                }
            }
            catch (KafkaClientException error)
            {
                throw new TopicUnreachableException($"topic {topic} at {brokers}: {error.Message}", error);
            }
            if (silent * 0.1 > CallTimeout.TotalSeconds)
                throw new TopicUnreachableException($"topic {topic} at {brokers} gives no records within {CallTimeout.TotalSeconds:0} s");
        }
    }

    public async Task SendAsync(
        DeliveryMark mark, ReadOnlyMemory<byte> records, IReadOnlySet<int> skip, IDictionary<int, long> acknowledged, ICollection<RefusedRecord>? refused,
        CancellationToken cancellation)
    {
        var producer = _producer ??= OpenProducer();
        var reader = new OwedReader(records);
        var window = new SendWindow(refused is not null);
        while (reader.Next() is { } record)
        {
            if (skip.Contains(record.Sequence))
                continue;
            if (window.Sent == MaxUnacknowledged)
            {
                await FinishAsync(producer, window, acknowledged, refused, cancellation);
                window = new SendWindow(refused is not null);
            }
            await ProduceAsync(producer, window, ToMessage(mark, record), acknowledged, cancellation);
            failPoints.Hit(StreamFailPoints.InsideDelivery);
        }
        await FinishAsync(producer, window, acknowledged, refused, cancellation);
    }

    public async Task SendDeadAsync(DeliveryMark mark, ReadOnlyMemory<byte> records, IReadOnlyCollection<RefusedRecord> refused, CancellationToken cancellation)
    {
        var producer = _producer ??= OpenProducer();
        var reasons = refused.ToDictionary(r => r.Sequence);
        var reader = new OwedReader(records);
        var window = new SendWindow(refusals: false);
        var acknowledged = new Dictionary<int, long>();
        while (reader.Next() is { } record)
        {
            if (!reasons.TryGetValue(record.Sequence, out var refusal))
                continue;
            if (window.Sent == MaxUnacknowledged)
            {
                await FinishAsync(producer, window, acknowledged, null, cancellation);
                window = new SendWindow(refusals: false);
            }
            var message = ToMessage(mark, record);
            message.Headers.Add(OwedHeaderNames.Of(OwedHeader.Reason), Encoding.UTF8.GetBytes(refusal.Reason));
            message.Headers.Add(OwedHeaderNames.Of(OwedHeader.SinkTopic), Encoding.UTF8.GetBytes(refusal.Topic));
            message.Headers.Add(OwedHeaderNames.Of(OwedHeader.Pipeline), Encoding.UTF8.GetBytes(mark.Pipeline));
            await ProduceAsync(producer, window, message, acknowledged, cancellation);
            failPoints.Hit(StreamFailPoints.InsideDelivery);
        }
        await FinishAsync(producer, window, acknowledged, null, cancellation);
    }

    public void Dispose() => _producer?.Dispose();

    private async Task ProduceAsync(
        IProducer<byte[]?, byte[]?> producer, SendWindow window, Message<byte[]?, byte[]?> message, IDictionary<int, long> acknowledged,
        CancellationToken cancellation)
    {
        window.Sent++;
        // One that comes back from a refusal carries the broker's time, which the client takes from nobody.
        message.Timestamp = Timestamp.Default;
        try
        {
            producer.Produce(topic, message, window.OnReport);
        }
        catch (ProduceException<byte[]?, byte[]?> error)
        {
            window.Sent--;
            if (error.Error.Code == ErrorCode.MsgSizeTooLarge)
            {
                window.Refused.Add((message, error.Error));
                return;
            }
            await window.DrainAsync(acknowledged, cancellation);
            throw Unreachable(error);
        }
    }

    /// <summary>Waits for all acknowledgements; a value that the topic finds too large is sent cut, with its length in a header, unless it is told.</summary>
    private async Task FinishAsync(
        IProducer<byte[]?, byte[]?> producer, SendWindow window, IDictionary<int, long> acknowledged, ICollection<RefusedRecord>? refused,
        CancellationToken cancellation)
    {
        await window.DrainAsync(acknowledged, cancellation);
        window.ThrowIfFailed(topic, brokers);
        if (window.Refused.Count == 0)
            return;
        if (refused is not null)
        {
            await SendAloneAsync(producer, window, acknowledged, refused, cancellation);
            return;
        }
        var again = new SendWindow(refusals: false);
        foreach (var (message, _) in window.Refused)
        {
            var length = message.Value?.Length ?? 0;
            KafkaPortLog.Cut(log, topic, length, CutValueBytes);
            message.Headers.Add(OwedHeaderNames.Of(OwedHeader.Truncated), Encoding.UTF8.GetBytes(length.ToString(CultureInfo.InvariantCulture)));
            message.Value = message.Value?[..Math.Min(length, CutValueBytes)];
            await ProduceAsync(producer, again, message, acknowledged, cancellation);
        }
        await again.DrainAsync(acknowledged, cancellation);
        again.ThrowIfFailed(topic, brokers);
        if (again.Refused.Count > 0)
            throw new TopicUnreachableException($"topic {topic} at {brokers} takes no message of {CutValueBytes} bytes; raise its max.message.bytes");
    }

    /// <summary>A broker refuses a batch whole (its size, one bad record): each record of it is sent by itself, and those that are refused then are told.</summary>
    private async Task SendAloneAsync(
        IProducer<byte[]?, byte[]?> producer, SendWindow window, IDictionary<int, long> acknowledged, ICollection<RefusedRecord> refused,
        CancellationToken cancellation)
    {
        foreach (var (message, _) in window.Refused)
        {
            var alone = new SendWindow(refusals: true);
            await ProduceAsync(producer, alone, message, acknowledged, cancellation);
            await alone.DrainAsync(acknowledged, cancellation);
            alone.ThrowIfFailed(topic, brokers);
            if (alone.Refused.Count == 0)
                continue;
            var mark = Encoding.UTF8.GetString(message.Headers.GetLastBytes(DeliveryMark.Header));
            var sequence = int.Parse(mark.AsSpan(mark.LastIndexOf(':') + 1), NumberStyles.None, CultureInfo.InvariantCulture);
            refused.Add(new RefusedRecord(sequence, topic, $"topic {topic} refuses a value of {message.Value?.Length ?? 0} bytes: {alone.Refused[0].Error.Reason}"));
        }
    }

    private static int? SequenceOf(ConsumedRecord record, byte[] prefix)
    {
        foreach (var (name, value) in record.Headers())
        {
            if (name == DeliveryMark.Header && value.AsSpan().StartsWith(prefix)
                && int.TryParse(value.AsSpan(prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var sequence))
                return sequence;
        }
        return null;
    }

    private static Message<byte[]?, byte[]?> ToMessage(DeliveryMark mark, OwedRecord record)
    {
        var headers = new Headers
        {
            { DeliveryMark.Header, Encoding.UTF8.GetBytes(mark.Prefix + record.Sequence.ToString(CultureInfo.InvariantCulture)) },
        };
        foreach (var (name, value) in record.Headers)
            headers.Add(OwedHeaderNames.Of(name), value);
        return new Message<byte[]?, byte[]?> { Key = record.Key, Value = record.Value, Headers = headers };
    }

    private Dictionary<int, (long Low, long High)> Watermarks(IConsumer<byte[], byte[]> consumer)
    {
        try
        {
            var partitions = PartitionsOf(consumer);
            var ranges = new Dictionary<int, (long, long)>(partitions.Count);
            foreach (var partition in partitions)
            {
                var range = consumer.QueryWatermarkOffsets(new Confluent.Kafka.TopicPartition(topic, partition), CallTimeout);
                ranges[partition] = (range.Low.Value, range.High.Value);
            }
            return ranges;
        }
        catch (KafkaException error)
        {
            throw Unreachable(error);
        }
    }

    private bool Exists(IConsumer<byte[], byte[]> consumer)
    {
        try
        {
            // All topics: one that is asked for by name might be made.
            using var admin = new DependentAdminClientBuilder(consumer.Handle).Build();
            return admin.GetMetadata(CallTimeout).Topics.Exists(t => t.Topic == topic);
        }
        catch (KafkaException error)
        {
            throw Unreachable(error);
        }
    }

    private List<int> PartitionsOf(IConsumer<byte[], byte[]> consumer)
    {
        using var admin = new DependentAdminClientBuilder(consumer.Handle).Build();
        var metadata = admin.GetMetadata(topic, CallTimeout).Topics.Single(t => t.Topic == topic);
        if (metadata.Error.Code == ErrorCode.NoError && metadata.Partitions.Count > 0)
            return metadata.Partitions.ConvertAll(p => p.PartitionId);
        MakeTopic();
        metadata = admin.GetMetadata(topic, CallTimeout).Topics.Single(t => t.Topic == topic);
        if (metadata.Error.Code != ErrorCode.NoError || metadata.Partitions.Count == 0)
            throw new TopicUnreachableException($"topic {topic} at {brokers}: {metadata.Error.Reason}; create it with ./millrace topic create {topic}");
        return metadata.Partitions.ConvertAll(p => p.PartitionId);
    }

    /// <summary>Makes the topic, wide enough for whatever the source's topic held; one that exists stays as it is.</summary>
    private void MakeTopic()
    {
        using var admin = new AdminClientBuilder(new AdminClientConfig(login.ToDictionary()) { BootstrapServers = brokers }).SetLogHandler(OnLog).SetErrorHandler((_, _) => { }).Build();
        // Partition count and replication factor of -1: the broker's defaults (KIP-464).
        var wanted = new TopicSpecification
        {
            Name = topic, NumPartitions = -1, ReplicationFactor = -1,
            Configs = new Dictionary<string, string> { ["max.message.bytes"] = (MaxMessageBytes + (1 << 20)).ToString(CultureInfo.InvariantCulture) },
        };
        try
        {
            admin.CreateTopicsAsync([wanted], new CreateTopicsOptions { RequestTimeout = CallTimeout }).GetAwaiter().GetResult();
        }
        catch (CreateTopicsException error)
        {
            // Who may not create topics may still write to this one; whether it is there shows when it is written to.
            if (!error.Results.All(r => r.Error.Code == ErrorCode.TopicAlreadyExists))
                KafkaPortLog.NotMade(log, topic, error.Results[0].Error.Reason);
        }
        catch (KafkaException error)
        {
            throw Unreachable(error);
        }
    }

    private IConsumer<byte[], byte[]> OpenConsumer()
    {
        KafkaLibraries.EnsureReady();
        var settings = new ConsumerConfig(login.ToDictionary())
        {
            BootstrapServers = brokers,
            GroupId = "millrace-delivery-search",
            EnableAutoCommit = false,
            AllowAutoCreateTopics = true,
            SocketConnectionSetupTimeoutMs = (int)CallTimeout.TotalMilliseconds,
        };
        return new ConsumerBuilder<byte[], byte[]>(settings).SetLogHandler(OnLog).SetErrorHandler((_, _) => { }).Build();
    }

    private IProducer<byte[]?, byte[]?> OpenProducer()
    {
        KafkaLibraries.EnsureReady();
        MakeTopic();
        var settings = new ProducerConfig(login.ToDictionary())
        {
            BootstrapServers = brokers,
            Acks = Acks.All,
            EnableIdempotence = false,
            MessageSendMaxRetries = 0,
            LingerMs = 5,
            MessageTimeoutMs = 30_000,
            MessageMaxBytes = MaxMessageBytes,
            Partitioner = Partitioner.Murmur2Random,
            QueueBufferingMaxMessages = MaxUnacknowledged * 2,
            QueueBufferingMaxKbytes = 256 << 10,
            ReconnectBackoffMs = 50,
            ReconnectBackoffMaxMs = 2000,
        };
        return new ProducerBuilder<byte[]?, byte[]?>(settings).SetLogHandler(OnLog).SetErrorHandler((_, _) => { }).Build();
    }

    private TopicUnreachableException Unreachable(KafkaException error) => new($"topic {topic} at {brokers}: {error.Error.Reason}", error);

    private void OnLog<T>(T client, LogMessage message) => KafkaPortLog.ClientSays(log, message.Facility, message.Message);

    /// <summary>Counts acknowledgements of some records; the client calls back on its own thread.</summary>
    /// <param name="refusals">Records that are invalid are told apart, not only those that are too large.</param>
    private sealed class SendWindow(bool refusals)
    {
        private readonly Lock _lock = new();
        private readonly Dictionary<int, long> _ends = [];
        private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int _reported;
        private bool _closed;
        private Error? _failure;

        public int Sent { get; set; }

        /// <summary>Messages that are not in the topic because of what they are; complete after <see cref="DrainAsync"/>.</summary>
        public List<(Message<byte[]?, byte[]?> Message, Error Error)> Refused { get; } = [];

        public void OnReport(DeliveryReport<byte[]?, byte[]?> report)
        {
            lock (_lock)
            {
                _reported++;
                if (report.Error.Code == ErrorCode.MsgSizeTooLarge || (refusals && report.Error.Code is ErrorCode.InvalidRecord or BesideInvalidRecord))
                    Refused.Add((report.Message, report.Error));
                else if (report.Error.IsError)
                    _failure ??= report.Error;
                else
                    _ends[report.Partition.Value] = Math.Max(report.Offset.Value + 1, _ends.GetValueOrDefault(report.Partition.Value));
                if (_closed && _reported == Sent)
                    _done.TrySetResult();
            }
        }

        public async Task DrainAsync(IDictionary<int, long> acknowledged, CancellationToken cancellation)
        {
            lock (_lock)
            {
                _closed = true;
                if (_reported == Sent)
                    _done.TrySetResult();
            }
            await _done.Task.WaitAsync(cancellation);
            lock (_lock)
            {
                foreach (var (partition, end) in _ends)
                {
                    acknowledged.TryGetValue(partition, out var known);
                    acknowledged[partition] = Math.Max(end, known);
                }
            }
        }

        public void ThrowIfFailed(string topic, string brokers)
        {
            if (_failure is { } failure)
                throw new TopicUnreachableException($"topic {topic} at {brokers}: {failure.Reason}");
        }
    }
}

internal static partial class KafkaPortLog
{
    [LoggerMessage(Level = LogLevel.Debug, Message = "Kafka producer {Facility}: {Text}")]
    public static partial void ClientSays(ILogger log, string facility, string text);

    [LoggerMessage(Level = LogLevel.Information, Message = "Topic {Topic} was not made: {Reason}")]
    public static partial void NotMade(ILogger log, string topic, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Topic {Topic} refuses a value of {Length} bytes; its first {Kept} are sent")]
    public static partial void Cut(ILogger log, string topic, int length, int kept);
}
