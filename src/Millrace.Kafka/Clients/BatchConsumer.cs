using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Extensions.Logging;

namespace Millrace.Kafka.Clients;

/// <summary>How a <see cref="BatchConsumer"/> reads.</summary>
public sealed record BatchConsumerOptions
{
    /// <summary>host:port list.</summary>
    public required string Brokers { get; init; }

    public required string GroupId { get; init; }

    public string ClientId { get; init; } = "millrace";

    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Most records that one poll hands out.</summary>
    public int MaxPollRecords { get; init; } = 32_768;

    /// <summary>
    /// Kibibytes that librdkafka prefetches for all partitions together, and records: fetching stops when either is passed. librdkafka
    /// before 2.2 looks again only after a second, so that both must last for as long at the highest rate.
    /// </summary>
    public int QueuedKilobytes { get; init; } = 32 << 10;

    /// <summary>See <see cref="QueuedKilobytes"/>.</summary>
    public int QueuedRecords { get; init; } = 100_000;

    /// <summary>Longest time without a poll or heartbeat before the group gives the partitions away.</summary>
    public TimeSpan SessionTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>librdkafka's own settings by name, e.g. <c>security.protocol</c>; they win over the ones above.</summary>
    public IReadOnlyDictionary<string, string> Extra { get; init; } = new Dictionary<string, string>();
}

/// <summary>A topic's partition.</summary>
public readonly record struct TopicPartition(string Topic, int Partition);

/// <summary>
/// A consumer-group member on librdkafka that hands out whole batches of records as they lie in the client's memory: no object and no
/// copy per record (Confluent.Kafka's Consume allocates five). Where reading starts is decided by the caller, who keeps the offsets.
/// </summary>
/// <remarks>All members but <see cref="Dispose"/> are for one thread. librdkafka reconnects by itself; only fatal errors throw.</remarks>
public sealed unsafe class BatchConsumer : IDisposable
{
    /// <summary>Start at the oldest record that is there.</summary>
    public const long Earliest = -2;

    // librdkafka tells the same failure of a connection again every 30 s (rd_kafka_broker_set_error).
    private static readonly TimeSpan ComplaintStands = TimeSpan.FromSeconds(40);

    private readonly Func<TopicPartition, long> _startOffset;
    private readonly ILogger _log;
    private readonly TimeProvider _time;
    private readonly nint* _messages;
    private readonly int _capacity;
    private readonly HashSet<TopicPartition> _assigned = [];
    private readonly GCHandle _self;
    private readonly Dictionary<nint, string> _topicNames = [];
    private readonly SortedDictionary<int, string> _troubles = [];
    private nint _handle;
    private nint _queue;
    private int _held;
    private Exception? _callbackFailure;
    private volatile Complaint? _complaint;

    /// <param name="options">Settings.</param>
    /// <param name="startOffset">Asked for each partition when it is assigned: the offset to read first, or <see cref="Earliest"/>.</param>
    /// <param name="log">Gets librdkafka's own messages.</param>
    /// <exception cref="ArgumentException">librdkafka refuses a setting.</exception>
    public BatchConsumer(BatchConsumerOptions options, Func<TopicPartition, long> startOffset, ILogger log)
    {
        _startOffset = startOffset;
        _log = log;
        _time = options.Time;
        _capacity = options.MaxPollRecords;
        _messages = (nint*)NativeMemory.Alloc((nuint)_capacity, (nuint)sizeof(nint));
        _self = GCHandle.Alloc(this);
        var configuration = Librdkafka.ConfigurationNew();
        var session = ((long)options.SessionTimeout.TotalMilliseconds).ToString(CultureInfo.InvariantCulture);
        var settings = new Dictionary<string, string>
        {
            ["bootstrap.servers"] = options.Brokers,
            ["group.id"] = options.GroupId,
            ["client.id"] = options.ClientId,
            ["enable.auto.commit"] = "false",
            ["enable.auto.offset.store"] = "false",
            ["auto.offset.reset"] = "error",
            ["enable.partition.eof"] = "true",
            ["session.timeout.ms"] = session,
            ["max.poll.interval.ms"] = "600000",
            ["fetch.wait.max.ms"] = "500",
            ["fetch.error.backoff.ms"] = "50",
            ["reconnect.backoff.ms"] = "50",
            ["reconnect.backoff.max.ms"] = "2000",
            ["topic.metadata.refresh.interval.ms"] = "10000",
            ["queued.max.messages.kbytes"] = options.QueuedKilobytes.ToString(CultureInfo.InvariantCulture),
            ["queued.min.messages"] = options.QueuedRecords.ToString(CultureInfo.InvariantCulture),
            ["allow.auto.create.topics"] = "true",
        };
        foreach (var (name, value) in options.Extra)
            settings[name] = value;
        Span<byte> error = stackalloc byte[512];
        fixed (byte* text = error)
        {
            // Known since librdkafka 2.2; without it a full queue costs up to a second of standstill.
            _ = Librdkafka.ConfigurationSet(configuration, "fetch.queue.backoff.ms", "5", text, 512);
            foreach (var (name, value) in settings)
            {
                if (Librdkafka.ConfigurationSet(configuration, name, value, text, 512) != Librdkafka.ConfigurationOk)
                {
                    Librdkafka.ConfigurationDestroy(configuration);
                    Release();
                    throw new ArgumentException($"Kafka client setting {name}: {Text(text)}", nameof(options));
                }
            }
            Librdkafka.ConfigurationSetOpaque(configuration, GCHandle.ToIntPtr(_self));
            Librdkafka.ConfigurationSetRebalance(configuration, &OnRebalance);
            Librdkafka.ConfigurationSetLog(configuration, &OnLog);
            _handle = Librdkafka.New(Librdkafka.ConsumerType, configuration, text, 512);
            if (_handle == 0)
            {
                Librdkafka.ConfigurationDestroy(configuration);
                Release();
                throw new InvalidOperationException($"the Kafka client does not start: {Text(text)}");
            }
        }
        Check(Librdkafka.PollSetConsumer(_handle), "poll_set_consumer");
        _queue = Librdkafka.QueueGetConsumer(_handle);
    }

    /// <summary>The partitions that this member reads now; changes only inside <see cref="Poll"/>.</summary>
    public IReadOnlyCollection<TopicPartition> Assigned => _assigned;

    /// <summary>
    /// What keeps records from coming: a partition's last error since it gave a record or its end, else what the client says of its
    /// connections since anything came; null when nothing is known to be wrong.
    /// </summary>
    public string? Trouble
    {
        get
        {
            foreach (var (partition, text) in _troubles)
                return $"partition {partition}: {text}";
            return _complaint is { } complaint && _time.GetElapsedTime(complaint.At) < ComplaintStands ? complaint.Text : null;
        }
    }

    /// <summary>Told after an assignment changed, inside <see cref="Poll"/>: the partitions that came (true) or went (false).</summary>
    public event Action<IReadOnlyList<TopicPartition>, bool>? AssignmentChanged;

    /// <summary>Told when a partition was read to its end, inside <see cref="Poll"/>, with the offset of the end.</summary>
    public event Action<TopicPartition, long>? EndReached;

    public void Subscribe(params IReadOnlyList<string> topics)
    {
        var list = Librdkafka.PartitionListNew(topics.Count);
        foreach (var topic in topics)
            _ = Librdkafka.PartitionListAdd(list, topic, -1);
        var error = Librdkafka.Subscribe(_handle, list);
        Librdkafka.PartitionListDestroy(list);
        Check(error, "subscribe to " + string.Join(", ", topics));
    }

    /// <summary>Reads these partitions from these offsets, outside of any group.</summary>
    public void Assign(IReadOnlyCollection<KeyValuePair<TopicPartition, long>> starts)
    {
        var list = Librdkafka.PartitionListNew(starts.Count);
        foreach (var (partition, offset) in starts)
        {
            Librdkafka.PartitionListAdd(list, partition.Topic, partition.Partition)->Offset = offset;
            _assigned.Add(partition);
        }
        var error = Librdkafka.Assign(_handle, list);
        Librdkafka.PartitionListDestroy(list);
        Check(error, "assign");
    }

    /// <summary>
    /// Waits until <see cref="BatchConsumerOptions.MaxPollRecords"/> records are there or the time is over. The records stay valid until
    /// <see cref="ConsumedBatch.Dispose"/>, which must come before the next poll.
    /// </summary>
    /// <exception cref="KafkaClientException">A fatal error, or a partition whose start offset is gone.</exception>
    public ConsumedBatch Poll(TimeSpan wait, int most = int.MaxValue)
    {
        if (_held != 0)
            throw new InvalidOperationException("the batch before was not disposed of");
        var count = Librdkafka.ConsumeBatch(
            _queue, (int)wait.TotalMilliseconds, (Librdkafka.Message**)_messages, (nuint)Math.Min(most, _capacity));
        if (count < 0)
            throw new KafkaClientException("consume failed", 0);
        var records = 0;
        KafkaClientException? failure = null;
        for (var i = 0; i < (int)count; i++)
        {
            var message = (Librdkafka.Message*)_messages[i];
            if (message->Error == 0)
            {
                _messages[records++] = (nint)message;
                if (_troubles.Count > 0)
                    _troubles.Remove(message->Partition);
                continue;
            }
            failure ??= OnMessageError(message);
            Librdkafka.MessageDestroy(message);
        }
        _held = records;
        if (records > 0)
            _complaint = null;
        if (_callbackFailure is { } thrown)
        {
            _callbackFailure = null;
            ReleaseHeld();
            throw thrown;
        }
        if (failure is not null)
        {
            ReleaseHeld();
            throw failure;
        }
        return new ConsumedBatch(this, records);
    }

    /// <summary>The oldest offset and the end of a partition as the last fetch told; (-1, -1) before the first.</summary>
    public (long Low, long High) CachedWatermarks(TopicPartition partition)
    {
        long low = -1, high = -1;
        _ = Librdkafka.CachedWatermarks(_handle, partition.Topic, partition.Partition, &low, &high);
        return (Math.Max(-1, low), Math.Max(-1, high));
    }

    /// <summary>Commits the next offsets to read to the group without waiting: for lag displays; truth is with the caller.</summary>
    public void CommitOffsets(IReadOnlyCollection<KeyValuePair<TopicPartition, long>> nextOffsets)
    {
        if (nextOffsets.Count == 0)
            return;
        var list = Librdkafka.PartitionListNew(nextOffsets.Count);
        foreach (var (partition, offset) in nextOffsets)
            Librdkafka.PartitionListAdd(list, partition.Topic, partition.Partition)->Offset = offset;
        _ = Librdkafka.Commit(_handle, list, 1);
        Librdkafka.PartitionListDestroy(list);
    }

    /// <summary>Where the group goes on in these partitions; -1 where it has committed nothing.</summary>
    /// <exception cref="KafkaClientException">The group's coordinator does not answer in time.</exception>
    public IReadOnlyDictionary<TopicPartition, long> Committed(IReadOnlyCollection<TopicPartition> partitions, TimeSpan patience)
    {
        var list = Librdkafka.PartitionListNew(partitions.Count);
        try
        {
            foreach (var partition in partitions)
                _ = Librdkafka.PartitionListAdd(list, partition.Topic, partition.Partition);
            Check(Librdkafka.Committed(_handle, list, (int)patience.TotalMilliseconds), "ask for committed offsets");
            var found = new Dictionary<TopicPartition, long>();
            var at = 0;
            foreach (var partition in partitions)
                found[partition] = Math.Max(-1, list->Elements[at++].Offset);
            return found;
        }
        finally
        {
            Librdkafka.PartitionListDestroy(list);
        }
    }

    /// <summary>Stops fetching all assigned partitions until <see cref="Resume"/>; keep polling, so that the group stays.</summary>
    public void Pause() => Toggle(pause: true);

    public void Resume() => Toggle(pause: false);

    /// <summary>Leaves the group and frees all memory.</summary>
    public void Dispose()
    {
        if (_handle == 0)
            return;
        ReleaseHeld();
        _ = Librdkafka.ConsumerClose(_handle);
        Librdkafka.QueueDestroy(_queue);
        Librdkafka.Destroy(_handle);
        _handle = 0;
        _queue = 0;
        Release();
    }

    internal Librdkafka.Message* MessageAt(int index) => (Librdkafka.Message*)_messages[index];

    /// <summary>The topic's name as one shared string.</summary>
    internal string TopicOf(Librdkafka.Message* message)
    {
        if (!_topicNames.TryGetValue(message->Topic, out var name))
        {
            name = Text(Librdkafka.TopicName(message->Topic));
            _topicNames[message->Topic] = name;
        }
        return name;
    }

    internal void ReleaseHeld()
    {
        for (var i = 0; i < _held; i++)
            Librdkafka.MessageDestroy((Librdkafka.Message*)_messages[i]);
        _held = 0;
        // Topic handles may be freed with their last message.
        _topicNames.Clear();
    }

    private void Toggle(bool pause)
    {
        if (_assigned.Count == 0)
            return;
        var list = Librdkafka.PartitionListNew(_assigned.Count);
        foreach (var partition in _assigned)
            _ = Librdkafka.PartitionListAdd(list, partition.Topic, partition.Partition);
        var error = pause ? Librdkafka.Pause(_handle, list) : Librdkafka.Resume(_handle, list);
        Librdkafka.PartitionListDestroy(list);
        Check(error, pause ? "pause" : "resume");
    }

    private KafkaClientException? OnMessageError(Librdkafka.Message* message)
    {
        if (message->Error == Librdkafka.PartitionEof)
        {
            _troubles.Remove(message->Partition);
            _complaint = null;
            EndReached?.Invoke(new TopicPartition(TopicOf(message), message->Partition), message->Offset);
            return null;
        }
        var text = Text(Librdkafka.MessageError(message));
        const int autoOffsetReset = -140;
        const int fatal = -150;
        if (message->Error is autoOffsetReset or 1 /* OFFSET_OUT_OF_RANGE */)
        {
            return new KafkaClientException(
                $"{(message->Topic == 0 ? "a topic" : TopicOf(message))} partition {message->Partition}: the offset to start at is gone ({text}); "
                + "older records were deleted before they were read", message->Error);
        }
        if (message->Error == fatal)
            return new KafkaClientException("the Kafka client gave up: " + text, message->Error);
        if (message->Topic != 0 && message->Partition >= 0)
            _troubles[message->Partition] = text;
        else if (Trouble is null)
            _complaint = new Complaint(text, _time.GetTimestamp());
        BatchConsumerLog.ClientError(_log, message->Error, text);
        return null;
    }

    private void Rebalance(int error, Librdkafka.PartitionList* partitions)
    {
        var changed = new List<TopicPartition>(partitions->Count);
        for (var i = 0; i < partitions->Count; i++)
        {
            ref var element = ref partitions->Elements[i];
            var partition = new TopicPartition(Text(element.Topic), element.Partition);
            changed.Add(partition);
            if (error == Librdkafka.AssignPartitions)
                element.Offset = _startOffset(partition);
        }
        if (error == Librdkafka.AssignPartitions)
        {
            Check(Librdkafka.Assign(_handle, partitions), "assign");
            _assigned.UnionWith(changed);
        }
        else
        {
            Check(Librdkafka.Assign(_handle, null), "assign nothing");
            _troubles.Clear();
            _assigned.Clear();
        }
        AssignmentChanged?.Invoke(changed, error == Librdkafka.AssignPartitions);
    }

    /// <summary>Called from the client's own threads.</summary>
    private void Says(int level, string facility, string text)
    {
        const int error = 3;
        if (level <= error)
        {
            // "[thrd:127.0.0.1:9092/bootstrap]: 127.0.0.1:9092/bootstrap: Connect to ... failed": the thread's name says it twice.
            var from = text.IndexOf("]: ", StringComparison.Ordinal);
            _complaint = new Complaint(from < 0 ? text : text[(from + 3)..], _time.GetTimestamp());
        }
        BatchConsumerLog.ClientSays(_log, level <= error ? LogLevel.Warning : LogLevel.Debug, facility, text);
    }

    private sealed record Complaint(string Text, long At);

    private void Release()
    {
        if (_self.IsAllocated)
            _self.Free();
        NativeMemory.Free(_messages);
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnRebalance(nint handle, int error, Librdkafka.PartitionList* partitions, nint opaque)
    {
        var consumer = (BatchConsumer)GCHandle.FromIntPtr(opaque).Target!;
        try
        {
            // During construction the field is not set yet, but then no rebalance can come.
            consumer.Rebalance(error, partitions);
        }
        catch (Exception failure)
        {
            // An exception must not cross into C; Poll, which called us, throws it on.
            consumer._callbackFailure = failure;
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnLog(nint handle, int level, byte* facility, byte* text)
    {
        var opaque = handle == 0 ? 0 : Librdkafka.Opaque(handle);
        if (opaque != 0 && GCHandle.FromIntPtr(opaque).Target is BatchConsumer consumer)
            consumer.Says(level, Text(facility), Text(text));
    }

    private static void Check(int error, string operation)
    {
        if (error != 0)
            throw new KafkaClientException($"{operation}: {Text(Librdkafka.ErrorText(error))}", error);
    }

    private static string Text(byte* text) =>
        text == null ? "" : Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(text));
}

/// <summary>Records of one poll, in the client's own memory.</summary>
public readonly unsafe struct ConsumedBatch : IDisposable
{
    private readonly BatchConsumer _consumer;

    internal ConsumedBatch(BatchConsumer consumer, int count)
    {
        _consumer = consumer;
        Count = count;
    }

    public int Count { get; }

    /// <summary>A view that is valid until this batch is disposed of.</summary>
    public ConsumedRecord this[int index]
    {
        get
        {
            if ((uint)index >= (uint)Count)
                throw new ArgumentOutOfRangeException(nameof(index));
            return new ConsumedRecord(_consumer, _consumer.MessageAt(index));
        }
    }

    public void Dispose() => _consumer?.ReleaseHeld();
}

/// <summary>One record in the client's own memory.</summary>
public readonly unsafe ref struct ConsumedRecord
{
    private readonly BatchConsumer _consumer;
    private readonly Librdkafka.Message* _message;

    internal ConsumedRecord(BatchConsumer consumer, Librdkafka.Message* message)
    {
        _consumer = consumer;
        _message = message;
    }

    public string Topic => _consumer.TopicOf(_message);

    public int Partition => _message->Partition;

    public long Offset => _message->Offset;

    /// <summary>Milliseconds since 1970, or -1 when the record has none.</summary>
    public long TimestampMillis
    {
        get
        {
            int type;
            return Librdkafka.MessageTimestamp(_message, &type);
        }
    }

    public bool HasValue => _message->Payload != null;

    public bool HasKey => _message->Key != null;

    public ReadOnlySpan<byte> Value => new(_message->Payload, checked((int)_message->Length));

    public ReadOnlySpan<byte> Key => new(_message->Key, checked((int)_message->KeyLength));

    /// <summary>The record's headers in order, copied; a name may come more than once.</summary>
    public IReadOnlyList<KeyValuePair<string, byte[]>> Headers()
    {
        nint headers;
        if (Librdkafka.MessageHeaders(_message, &headers) != 0)
            return [];
        var found = new List<KeyValuePair<string, byte[]>>();
        byte* name;
        byte* value;
        nuint size;
        for (nuint i = 0; Librdkafka.HeaderAt(headers, i, &name, &value, &size) == 0; i++)
        {
            var text = Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(name));
            found.Add(new(text, value == null ? [] : new ReadOnlySpan<byte>(value, checked((int)size)).ToArray()));
        }
        return found;
    }
}

/// <summary>The Kafka client cannot go on by itself.</summary>
public sealed class KafkaClientException(string message, int error) : Exception(message)
{
    /// <summary>librdkafka's (negative) or Kafka's (positive) error code.</summary>
    public int Error { get; } = error;
}

internal static partial class BatchConsumerLog
{
    [LoggerMessage(Level = LogLevel.Warning, Message = "Kafka client error {Error}: {Text}")]
    public static partial void ClientError(ILogger log, int error, string text);

    [LoggerMessage(Message = "Kafka client {Facility}: {Text}")]
    public static partial void ClientSays(ILogger log, LogLevel level, string facility, string text);
}
