using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Extensions.Logging;
using Millrace.Columnar;
using Millrace.Columnar.Json;
using Millrace.Columnar.Kernels;
using Millrace.Kafka.Clients;
using Millrace.Storage.RocksDb;
using Millrace.Streams.Checkpoints;
using Millrace.Streams.Checks;
using Millrace.Streams.Checks.Unique;
using Millrace.Streams.Plans;
using Millrace.Streams.Running;
using Millrace.Streams.Sinks;
using Millrace.Streams.Windows;

namespace Millrace.Streams.Sources;

/// <summary>
/// One source at work: polls the topic, decodes records into columns, splits good rows from bad ones, follows event time. Keeps what
/// the next checkpoint says of the source. For the stream's thread.
/// </summary>
internal sealed class SourceReader : IDisposable
{
    private readonly Context _context;
    private readonly ILogger _log;
    private readonly BatchConsumer _consumer;
    private readonly Firewall _firewall;
    private readonly Dictionary<int, long> _expected = [];
    private readonly List<(int Partition, long Offset)> _ends = [];
    private readonly CircuitBreaker? _breaker;
    private readonly WaitingRecords _waiting;
    private readonly List<RocksState> _uniqueState = [];
    private readonly Dictionary<int, PartitionSpan> _spans = [];
    private long _endsReadAt = long.MinValue / 2;
    private string? _breakerReason;

    /// <param name="context">The source and what it feeds.</param>
    /// <param name="restored">What the newest durable checkpoint says of it.</param>
    public SourceReader(Context context, SourceCheckpoint? restored)
    {
        _context = context;
        _log = context.Logs.CreateLogger("Millrace.Streams.Source");
        Plan = context.Plan;
        Counters = new SourceCounters(context.Options.MaxReasons);
        Watermarks = new WatermarkTracker(Plan.WatermarkDelay, Plan.IdleAfter, restored?.Watermark ?? WatermarkTracker.None);
        _breaker = Plan.Breaker is { } breaker ? new CircuitBreaker(breaker, context.Options.Breaker) : null;
        if (restored is not null)
            Restore(restored);
        _waiting = new WaitingRecords(context.Store.Part(StateStore.Waiting, Plan.Name, ""));
        if (restored is not null)
            _waiting.Load();
        _firewall = new Firewall(Plan, context.Options, context.Logins);
        foreach (var store in _firewall.UniqueStores)
        {
            var state = context.Store.Part(StateStore.Unique, Plan.Name, store.Name);
            _uniqueState.Add(state);
            store.Stored = state;
            if (restored is not null)
                store.Load(state);
        }
        _consumer = Open();
    }

    public SourcePlan Plan { get; }

    public SourceCounters Counters { get; }

    public WatermarkTracker Watermarks { get; }

    /// <summary>The rules' state that outlives batches.</summary>
    public Firewall Firewall => _firewall;

    /// <summary>Bad records since the last barrier.</summary>
    public OwedRecords Quarantine { get; private set; } = new();

    /// <summary>Late rows' records since the last barrier.</summary>
    public OwedRecords Late { get; private set; } = new();

    /// <summary>Windowed queries that the source's rows reach, for telling late rows.</summary>
    public List<(string Query, WindowState State)> Windows { get; } = [];

    /// <summary>Records that wait to be tried again, and why and when the next of them is; null when none waits.</summary>
    public (int Count, WaitingRecord? Next) Waiting => (_waiting.Count, _waiting.Next);

    /// <summary>Kafka timestamps (milliseconds) of the records of the last <see cref="Read"/>.</summary>
    public ReadOnlySpan<long> LastTimestamps => _firewall.Timestamps;

    /// <summary>Set while too many rows fail: the breaker's sentence.</summary>
    public string? BreakerOpen => _breaker is { } breaker && breaker.Tick(NowMillis()) == CircuitState.Open ? _breakerReason : null;

    /// <summary>Told of each quarantined record, for display.</summary>
    public Action<QuarantinedRow>? Quarantined { get; init; }

    /// <summary>What the client complains of, or null.</summary>
    public string? Trouble => _consumer.Trouble;

    /// <summary>The partitions that this member reads now.</summary>
    public int AssignedPartitions => _consumer.Assigned.Count;

    public (OwedRecords Quarantine, OwedRecords Late) TakeOwed()
    {
        var taken = (Quarantine, Late);
        (Quarantine, Late) = (new OwedRecords(), new OwedRecords());
        return taken;
    }

    /// <summary>Takes in one micro-batch and gives its good rows, which the caller disposes of; null when no record came.</summary>
    /// <exception cref="StopAtRecordException">A record failed and the plan says stop.</exception>
    /// <exception cref="KafkaClientException">The client cannot go on.</exception>
    public ColumnBatch? Read(TimeSpan wait)
    {
        _ends.Clear();
        if (_waiting.Count > 0 && Retry() is { } again)
            return again;
        var now = NowMillis();
        ColumnBatch? good = null;
        // A breaker that tries again lets a few records through; one that is open has the consumer paused, and asks for none.
        var most = (int)Math.Clamp(_breaker?.Allowed(now) ?? long.MaxValue, 1, _context.Options.MaxBatchRecords);
        using (var records = _consumer.Poll(wait, most))
        {
            if (records.Count > 0)
            {
                _context.FailPoints.Hit(StreamFailPoints.AfterPoll);
                good = Take(records);
            }
        }
        foreach (var (partition, end) in _ends)
            NoteEnd(partition, end, now);
        if (now - _endsReadAt >= 50 || good is not null)
        {
            _endsReadAt = now;
            foreach (var partition in _consumer.Assigned)
            {
                var (_, high) = _consumer.CachedWatermarks(partition);
                if (high >= 0)
                    Watermarks.SetEnd(partition.Partition, high);
            }
        }
        return good;
    }

    public long Advance() => Watermarks.Advance(NowMillis());

    public void Pause() => _consumer.Pause();

    public void Resume() => _consumer.Resume();

    /// <summary>Tells the group how far the pipeline is durable: for lag displays alone.</summary>
    public void ShowProgress(SourceCheckpoint durable)
    {
        var offsets = new List<KeyValuePair<TopicPartition, long>>(durable.Partitions.Count);
        foreach (var partition in durable.Partitions)
        {
            var key = new TopicPartition(Plan.Topic, partition.Partition);
            if (_consumer.Assigned.Contains(key))
                offsets.Add(new(key, partition.NextOffset));
        }
        _consumer.CommitOffsets(offsets);
    }

    /// <summary>The balance that every checkpoint asserts.</summary>
    /// <exception cref="InvalidOperationException">A record was lost or counted twice: our own bug.</exception>
    public void AssertBalanced()
    {
        if (Counters.Good + Counters.Quarantined + _waiting.Count != Counters.In)
        {
            throw new InvalidOperationException(
                $"source {Plan.Name}: {Counters.Good} good + {Counters.Quarantined} quarantined + {_waiting.Count} waiting is not {Counters.In} in; this is a bug of Millrace, "
                + "the pipeline stops at its last checkpoint");
        }
    }

    public SourceCheckpoint ToCheckpoint() => new()
    {
        Topic = Plan.Topic,
        Schema = Plan.Schema.ToString(),
        TimeColumn = Plan.TimeColumn,
        Watermark = Watermarks.Current,
        Partitions = Watermarks.Partitions.Select(p => new PartitionCheckpoint(p.Key, p.Value.NextOffset, p.Value.NewestMicros)).ToList(),
        In = Counters.In,
        Good = Counters.Good,
        Quarantined = Counters.Quarantined,
        Late = Counters.Late,
        Retried = Counters.Retried,
        Reasons = new Dictionary<string, long>(Counters.Reasons),
    };

    /// <summary>Puts what the unique checks learned since the last barrier, and which records wait.</summary>
    public void PutState(RocksWriteBatch batch, long checkpoint)
    {
        _waiting.PutChanges(batch);
        for (var i = 0; i < _uniqueState.Count; i++)
            _firewall.UniqueStores[i].WriteChanges(checkpoint, _uniqueState[i].Into(batch));
    }

    /// <summary>A checkpoint is durable: what went into the store with it may leave memory.</summary>
    public void OnDurable(long checkpoint)
    {
        foreach (var store in _firewall.UniqueStores)
            store.OnDurable(checkpoint);
    }

    public void Dispose()
    {
        _consumer.Dispose();
        _firewall.Dispose();
    }

    private void Restore(SourceCheckpoint restored)
    {
        Counters.In = restored.In;
        Counters.Good = restored.Good;
        Counters.Quarantined = restored.Quarantined;
        Counters.Late = restored.Late;
        Counters.Retried = restored.Retried;
        foreach (var (reason, count) in restored.Reasons)
            Counters.Count(reason, count);
        foreach (var partition in restored.Partitions)
        {
            Watermarks.Assign(partition.Partition, partition.NextOffset, partition.NewestMicros, NowMillis());
            // Not ours until the group says so; it holds the watermark meanwhile.
            Watermarks.Revoke(partition.Partition);
            _expected[partition.Partition] = partition.NextOffset;
        }
    }

    private BatchConsumer Open()
    {
        var settings = new Dictionary<string, string>(_context.Login);
        foreach (var (name, value) in _context.Options.KafkaSettings)
            settings[name] = value;
        // One state folder is one process (its lock sees to it), so a restart may take the place of the process that died at once
        // instead of waiting for its session to end (KIP-345, static membership).
        settings.TryAdd("group.instance.id", $"{_context.Pipeline}-{Plan.Name}");
        var options = new BatchConsumerOptions
        {
            Brokers = Plan.Brokers, GroupId = _context.Pipeline, ClientId = $"millrace-{_context.Pipeline}-{Plan.Name}",
            MaxPollRecords = _context.Options.MaxBatchRecords, QueuedKilobytes = _context.Options.PrefetchKilobytes,
            QueuedRecords = _context.Options.PrefetchRecords, Extra = settings, Time = _context.Time,
        };
        var consumer = new BatchConsumer(options, partition => _expected.GetValueOrDefault(partition.Partition, BatchConsumer.Earliest), _log);
        consumer.AssignmentChanged += OnAssignment;
        consumer.EndReached += (partition, offset) => _ends.Add((partition.Partition, offset));
        consumer.Subscribe(Plan.Topic);
        return consumer;
    }

    private void OnAssignment(IReadOnlyList<TopicPartition> partitions, bool came)
    {
        foreach (var partition in partitions)
        {
            if (!came)
            {
                Watermarks.Revoke(partition.Partition);
                continue;
            }
            var known = Watermarks.TryGet(partition.Partition, out var progress);
            Watermarks.Assign(
                partition.Partition, known ? progress.NextOffset : 0, known ? progress.NewestMicros : WatermarkTracker.None, NowMillis());
        }
        SourceLog.Assignment(_log, Plan.Name, came ? "reads" : "gives up", string.Join(", ", partitions.Select(p => p.Partition)));
    }

    private void NoteEnd(int partition, long end, long now)
    {
        if (IsLimited(partition, end) || !Watermarks.TryGet(partition, out var progress))
            return;
        // The end may lie behind offsets that hold no record (compaction, transaction marks): they are read too.
        if (end > progress.NextOffset)
            Watermarks.Observe(partition, WatermarkTracker.None, end, progress.NextOffset == 0 ? progress.LastRecordMillis : now);
        Watermarks.SetEnd(partition, end);
    }

    private bool IsLimited(int partition, long offset) => _context.StopBefore.TryGetValue(partition, out var limit) && offset >= limit;

    /// <summary>Decodes and splits the records; their bytes are valid only inside.</summary>
    private ColumnBatch? Take(ConsumedBatch records)
    {
        _spans.Clear();
        _firewall.Begin(records.Count);
        var view = new PolledRecords(records);
        var taken = 0;
        for (var i = 0; i < records.Count; i++)
        {
            var record = records[i];
            var partition = record.Partition;
            var offset = record.Offset;
            // A record that was taken before can come again after a pause; one behind the stop is never taken.
            if (offset < _expected.GetValueOrDefault(partition) || IsLimited(partition, offset))
                continue;
            _expected[partition] = offset + 1;
            CollectionsMarshal.GetValueRefOrAddDefault(_spans, partition, out _).Next = offset + 1;
            _firewall.Add(i, view[i]);
            taken++;
        }
        if (taken == 0)
            return null;
        var split = _firewall.Split(_context.Time.GetUtcNow().ToUnixTimeMilliseconds() * 1000, Watermarks.Current);
        Counters.In += taken;
        Reject(view, split.Rejections);
        var good = split.Good;
        try
        {
            Counters.Good += good.RowCount;
            FollowTime(view, split);
            JudgeBreaker(taken, split.Rejections.Records);
            return good;
        }
        catch
        {
            good.Dispose();
            throw;
        }
    }

    /// <summary>Tries records again that are due; null when none is. Their rows count at their own times: some may be late by now.</summary>
    private ColumnBatch? Retry()
    {
        var now = _context.Time.GetUtcNow().ToUnixTimeMilliseconds();
        var due = _waiting.TakeDue(now, _context.Options.MaxBatchRecords);
        if (due.Count == 0)
            return null;
        var view = new DueRecords(due);
        _firewall.Forget();
        _firewall.Begin(due.Count);
        for (var i = 0; i < due.Count; i++)
            _firewall.Add(i, view[i]);
        var split = _firewall.Split(now * 1000, Watermarks.Current);
        Counters.Retried += due.Count;
        Reject(view, split.Rejections);
        Counters.Good += split.Good.RowCount;
        if (IsAnyLate(split.EventTimes))
            FindLate(view, split);
        return split.Good;
    }

    private void JudgeBreaker(int taken, int rejected)
    {
        if (_breaker is null)
            return;
        var before = _breaker.State;
        var (rows, failed) = _breaker.Totals();
        if (_breaker.Add(taken, rejected, NowMillis()) != CircuitState.Open || before == CircuitState.Open)
            return;
        (rows, failed) = before == CircuitState.Closed ? (rows + taken, failed + rejected) : (taken, rejected);
        _breakerReason = string.Create(
            CultureInfo.InvariantCulture,
            $"the breaker of {Plan.Name} is open: {failed} of the last {rows} rows failed, more than {Plan.Breaker!.Share * 100:0.##} %; "
            + $"the reasons are in {Plan.QuarantineTopic}; it tries again after {_context.Options.Breaker.OpenFor.TotalSeconds:0} s");
        SourceLog.Breaker(_log, _breakerReason);
    }

    private void Reject<TRecords>(TRecords records, Rejections rejections)
        where TRecords : struct, ISourceRecords
    {
        var reasons = rejections.Reasons;
        if (reasons.Count > 0 && Plan.OnFail == OnFail.Stop)
        {
            var first = records[reasons[0].Record];
            throw new StopAtRecordException(Plan.Name, Plan.Topic, first.Partition, first.Offset, reasons[0].Reason);
        }
        for (var i = 0; i < reasons.Count;)
        {
            var index = reasons[i].Record;
            var record = records[index];
            var count = 1;
            while (i + count < reasons.Count && reasons[i + count].Record == index)
                count++;
            if (TryWait(records, index, reasons, i, count))
            {
                i += count;
                continue;
            }
            Quarantine.Begin(record.Key, record.HasKey, record.Value, record.HasValue);
            for (var reason = i; reason < i + count; reason++)
            {
                Quarantine.AddHeader(OwedHeader.Reason, Encoding.UTF8.GetBytes(reasons[reason].Reason));
                Counters.Count(reasons[reason].Rule);
            }
            AddOrigin(Quarantine, record);
            AddNumber(Quarantine, OwedHeader.Attempts, record.Attempts + 1);
            Quarantine.AddHeader(OwedHeader.Pipeline, Encoding.UTF8.GetBytes(_context.Pipeline));
            // A record that was replayed and comes back keeps count of it.
            if (records.Retries(index) is { } retries)
                Quarantine.AddHeader(OwedHeader.Retries, retries);
            Quarantine.End();
            Counters.Quarantined++;
            Quarantined?.Invoke(Describe(record, reasons.Skip(i).Take(count).Select(r => r.Reason).ToArray()));
            i += count;
        }
    }

    /// <summary>Lets a record wait when all that is wrong with it may pass, it has attempts left, and there is room.</summary>
    private bool TryWait<TRecords>(TRecords records, int index, IReadOnlyList<(int Record, string Rule, string Reason)> reasons, int first, int count)
        where TRecords : struct, ISourceRecords
    {
        var record = records[index];
        if (record.Attempts >= Plan.Errors.Retries || _waiting.Bytes >= Plan.Errors.MaxWaitingBytes)
            return false;
        for (var i = first; i < first + count; i++)
        {
            if (!RowFault.MayPass(reasons[i].Rule))
                return false;
        }
        var due = _context.Time.GetUtcNow() + Plan.Errors.BackoffAfter(record.Attempts + 1);
        _waiting.Add(new WaitingRecord(
            record.Partition, record.Offset, record.TimestampMillis, record.HasKey ? record.Key.ToArray() : null, record.HasValue ? record.Value.ToArray() : null,
            records.Retries(index), record.Attempts + 1, due.ToUnixTimeMilliseconds(), reasons[first].Reason));
        return true;
    }

    private QuarantinedRow Describe(SourceRecord record, string[] reasons) => new(
        Plan.Name, Plan.Topic, record.Partition, record.Offset, DateTimeOffset.FromUnixTimeMilliseconds(Math.Max(0, record.TimestampMillis)), reasons,
        record.Value[..Math.Min(record.Value.Length, _context.Options.QuarantinedDisplayBytes)].ToArray());

    private void AddOrigin(OwedRecords owed, SourceRecord record)
    {
        owed.AddHeader(OwedHeader.SourceTopic, Encoding.UTF8.GetBytes(Plan.Topic));
        AddNumber(owed, OwedHeader.SourcePartition, record.Partition);
        AddNumber(owed, OwedHeader.SourceOffset, record.Offset);
        AddNumber(owed, OwedHeader.SourceTimestamp, record.TimestampMillis);
    }

    private static void AddNumber(OwedRecords owed, OwedHeader header, long number)
    {
        Span<byte> text = stackalloc byte[20];
        number.TryFormat(text, out var length, default, CultureInfo.InvariantCulture);
        owed.AddHeader(header, text[..length]);
    }

    /// <summary>Tells late rows by the windows that are closed before this batch, then lets the batch's own times count.</summary>
    private void FollowTime(PolledRecords records, FirewallSplit split)
    {
        var times = split.EventTimes;
        var rows = split.RecordOfRow;
        var partition = -1;
        ref var span = ref CollectionsMarshal.GetValueRefOrNullRef(_spans, -1);
        for (var row = 0; row < times.Length; row++)
        {
            var current = records.PartitionOf(rows[row]);
            if (current != partition)
            {
                partition = current;
                span = ref CollectionsMarshal.GetValueRefOrNullRef(_spans, partition);
            }
            span.Newest = span.HasNewest ? Math.Max(span.Newest, times[row]) : times[row];
            span.HasNewest = true;
        }
        if (IsAnyLate(times))
            FindLate(records, split);
        var now = NowMillis();
        foreach (var (key, value) in _spans)
            Watermarks.Observe(key, value.HasNewest ? value.Newest : WatermarkTracker.None, value.Next, now);
    }

    private bool IsAnyLate(ReadOnlySpan<long> times)
    {
        var least = long.MaxValue;
        foreach (var time in times)
            least = Math.Min(least, time);
        foreach (var (_, state) in Windows)
        {
            if (least < state.ClosedUpTo)
                return true;
        }
        return false;
    }

    private void FindLate<TRecords>(TRecords records, FirewallSplit split)
        where TRecords : struct, ISourceRecords
    {
        for (var row = 0; row < split.EventTimes.Length; row++)
        {
            string? reason = null;
            foreach (var (query, state) in Windows)
            {
                var start = state.StartOf(split.EventTimes[row]);
                if (start + state.SizeMicros > state.ClosedUpTo)
                    continue;
                state.LateRows++;
                reason = (reason is null ? "late for " : reason + "; ") + $"{query}: the window from {Instant(start)} was closed at {Instant(state.ClosedUpTo)}";
            }
            if (reason is null)
                continue;
            var record = records[split.RecordOfRow[row]];
            Late.Begin(record.Key, record.HasKey, record.Value, record.HasValue);
            Late.AddHeader(OwedHeader.Reason, Encoding.UTF8.GetBytes(reason));
            AddOrigin(Late, record);
            Late.End();
            Counters.Late++;
        }
    }

    private static string Instant(long micros) =>
        DateTimeOffset.FromUnixTimeMilliseconds(Math.Clamp(micros / 1000, -62_135_596_800_000, 253_402_300_799_999))
            .UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture);

    private long NowMillis() => _context.Time.GetTimestamp() / (_context.Time.TimestampFrequency / 1000);

    private struct PartitionSpan
    {
        public long Next;
        public long Newest;
        public bool HasNewest;
    }

    /// <summary>What a source works with.</summary>
    internal sealed record Context
    {
        public required string Pipeline { get; init; }

        public required SourcePlan Plan { get; init; }

        public required StateStore Store { get; init; }

        public required StreamOptions Options { get; init; }

        /// <summary>How to connect to the plan's brokers.</summary>
        public IReadOnlyDictionary<string, string> Login { get; init; } = new Dictionary<string, string>();

        /// <summary>How registries of schemas are reached.</summary>
        public ClientLogins Logins { get; init; } = ClientLogins.None;

        public required TimeProvider Time { get; init; }

        public required ILoggerFactory Logs { get; init; }

        public StreamFailPoints FailPoints { get; init; } = StreamFailPoints.None;

        /// <summary>Per partition the first offset that must not be taken, because its record stops the pipeline.</summary>
        public IReadOnlyDictionary<int, long> StopBefore { get; init; } = new Dictionary<int, long>();
    }
}

/// <summary>A record failed, and the plan says that the pipeline stops before it.</summary>
internal sealed class StopAtRecordException(string source, string topic, int partition, long offset, string reason)
    : Exception($"source {source} stops before topic {topic}, partition {partition}, offset {offset}: {reason}")
{
    public string SourceName => source;

    public int Partition => partition;

    public long Offset => offset;
}

internal static partial class SourceLog
{
    [LoggerMessage(Level = LogLevel.Information, Message = "Source {Name} {Change} partitions {Partitions}")]
    public static partial void Assignment(ILogger log, string name, string change, string partitions);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Text}")]
    public static partial void Breaker(ILogger log, string text);
}
