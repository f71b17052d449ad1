using Millrace.Kafka.Messages;
using Millrace.Kafka.Records;
using Millrace.Storage.Files;

namespace Millrace.Log.Storage;

/// <summary>
/// One partition: offsets are given out under its lock, the committer writes and publishes, anyone reads what is published.
/// </summary>
internal sealed class Partition : IDisposable
{
    private readonly Lock _gate = new();
    private readonly PartitionSegments _segments;
    private readonly ProducerTable _producers = new();
    private readonly TransactionIndex _transactions = new();
    private readonly Func<Partition, bool> _enqueue;
    private List<PendingBatch> _pending = [];
    private List<PendingBatch> _writing = [];
    private List<IReadWaiter> _readers = [];
    private ErrorCode _fault;
    private bool _queued;
    private long _nextOffset;
    private long _highWatermark;
    private long _logStart;
    private long _pendingBytes;
    private long _unflushed;
    private long _countedSince = -1;

    /// <param name="files">Where the data are.</param>
    /// <param name="folder">Exists.</param>
    /// <param name="topicId">Of its topic.</param>
    /// <param name="index">Its number in the topic.</param>
    /// <param name="settings">The topic's settings as they are at each moment.</param>
    /// <param name="enqueue">Called when there is something to flush; false when the partition is to be asked by <see cref="TryQueue"/> a little later.</param>
    /// <param name="tails">Memory for what is acknowledged and not in its segment yet.</param>
    public Partition(
        IFileSystem files, string folder, Guid topicId, int index, Func<PartitionSettings> settings, Func<Partition, bool> enqueue, TailMemory? tails)
    {
        TopicId = topicId;
        Index = index;
        Settings = settings;
        _enqueue = enqueue;
        _segments = new PartitionSegments(files, folder, tails);
    }

    public LogFaults Faults
    {
        get => _segments.Faults;
        init
        {
            _segments.Faults = value;
            _producers.Faults = value;
        }
    }

    public Guid TopicId { get; }

    public int Index { get; }

    public Func<PartitionSettings> Settings { get; }

    public PartitionSegments Segments => _segments;

    /// <summary>Everything below is durable and may be read.</summary>
    public long HighWatermark => Volatile.Read(ref _highWatermark);

    public long LogStart => Volatile.Read(ref _logStart);

    /// <summary>What read_committed readers may see: everything before the oldest open transaction.</summary>
    public long LastStableOffset
    {
        get
        {
            lock (_gate)
                return Math.Min(_transactions.FirstOpenOffset ?? long.MaxValue, _highWatermark);
        }
    }

    /// <summary>Why it takes no more appends: <see cref="ErrorCode.None"/> when it does.</summary>
    public ErrorCode Fault
    {
        get
        {
            lock (_gate)
                return _fault;
        }
    }

    /// <summary>Gives a validated batch its offsets and queues it for the next flush.</summary>
    /// <param name="bytes">One whole batch; changed in place (base offset, leader epoch). Untouched after the waiter has been told.</param>
    /// <param name="now">Milliseconds of Unix time, for LogAppendTime and producer expiry.</param>
    /// <param name="marker">What a control batch ends.</param>
    /// <param name="waiter">Told when the batch is durable; not called when the result is an error.</param>
    /// <param name="slot">Given back to the waiter.</param>
    public AppendResult Append(Memory<byte> bytes, long now, Marker marker, IAppendWaiter? waiter, int slot)
    {
        var settings = Settings();
        lock (_gate)
        {
            if (_fault != ErrorCode.None)
                return new AppendResult(_fault, -1, -1);
            if (_pendingBytes + bytes.Length > settings.MaxPendingBytes && _pendingBytes > 0)
                return new AppendResult(ErrorCode.RequestTimedOut, -1, -1);
            var batch = new RecordBatch(bytes.Span);
            if (batch.ProducerId >= 0 && marker == Marker.None)
            {
                var check = _producers.Check(batch, out var original);
                if (check == ErrorCode.DuplicateSequenceNumber)
                    return AnswerDuplicate(original, waiter, slot);
                if (check == ErrorCode.None && !batch.IsTransactional && _transactions.IsOpen(batch.ProducerId))
                    check = ErrorCode.InvalidTxnState;
                if (check != ErrorCode.None)
                    return new AppendResult(check, -1, -1);
            }
            var offset = _nextOffset;
            RecordBatch.SetBaseOffset(bytes.Span, offset);
            PlaceCheck.Set(bytes.Span);
            long appendTime = -1;
            if (settings.LogAppendTime)
                RecordBatch.SetLogAppendTime(bytes.Span, appendTime = now);
            batch = new RecordBatch(bytes.Span);
            Note(batch, marker, now, _highWatermark);
            _nextOffset = batch.LastOffset + 1;
            _pendingBytes += bytes.Length;
            _pending.Add(new PendingBatch(bytes, offset, batch.LastOffset, batch.MaxTimestamp, batch.ProducerId, marker, waiter, slot));
            Enqueue();
            return new AppendResult(ErrorCode.None, offset, appendTime);
        }
    }

    /// <summary>Registers for one call when more can be read. False when the log has already passed the offset: look again.</summary>
    public bool Register(IReadWaiter waiter, long endSeen)
    {
        lock (_gate)
        {
            if (_highWatermark > endSeen || _fault == ErrorCode.UnknownTopicOrPartition)
                return false;
            _readers.Add(waiter);
            return true;
        }
    }

    public void Unregister(IReadWaiter waiter)
    {
        lock (_gate)
            _readers.Remove(waiter);
    }

    /// <summary>Aborted transactions that a read_committed reader of the range must know.</summary>
    public List<AbortedRange> AbortedIn(long from, long to)
    {
        lock (_gate)
            return _transactions.AbortedIn(from, to);
    }

    /// <summary>Below it compaction has been, and no record of an aborted transaction is left. Written by the committer's thread.</summary>
    public long CleanedThrough { get; set; }

    /// <summary>Where the oldest open transaction begins, which compaction must not pass; the largest number when none is open.</summary>
    public long FirstOpenTransaction
    {
        get
        {
            lock (_gate)
                return _transactions.FirstOpenOffset ?? long.MaxValue;
        }
    }

    /// <summary>Forgets aborted transactions that end before an offset: none of their records is left.</summary>
    public void ForgetAborted(long before)
    {
        lock (_gate)
            _transactions.ForgetBefore(before);
    }

    /// <summary>Whether a producer has been seen here with a higher epoch.</summary>
    public bool IsFenced(long producerId, short epoch)
    {
        lock (_gate)
            return _producers.Producers.TryGetValue(producerId, out var batches) && batches[^1].Epoch > epoch;
    }

    /// <summary>Whether the batch that begins at an offset is one of those by which a producer's next is judged.</summary>
    public bool Remembers(long producerId, long baseOffset)
    {
        lock (_gate)
            return _producers.Remembers(producerId, baseOffset);
    }

    /// <summary>Whether the producer has a transaction open here.</summary>
    public bool HasOpenTransaction(long producerId)
    {
        lock (_gate)
            return _transactions.IsOpen(producerId);
    }

    /// <summary>Moves the log start; what is before it can no longer be read. Not durable by itself.</summary>
    public ErrorCode MoveLogStart(long offset)
    {
        lock (_gate)
        {
            if (offset < 0 || offset > _highWatermark)
                return ErrorCode.OffsetOutOfRange;
            if (offset <= _logStart)
                return ErrorCode.None;
            Volatile.Write(ref _logStart, offset);
            _transactions.ForgetBefore(offset);
            return ErrorCode.None;
        }
    }

    /// <summary>Waits, like an append, for the next flush.</summary>
    public void AwaitFlush(IAppendWaiter waiter, int slot)
    {
        lock (_gate)
        {
            if (_fault != ErrorCode.None)
            {
                waiter.Appended(slot, _fault);
                return;
            }
            _pending.Add(new PendingBatch(default, _nextOffset, _nextOffset - 1, -1, -1, Marker.None, waiter, slot));
            Enqueue();
        }
    }

    /// <summary>Whether there is something to flush that nobody has queued yet; whoever is told so queues it.</summary>
    public bool TryQueue()
    {
        lock (_gate)
            return !_queued && _pending.Count > 0 && (_queued = true);
    }

    /// <summary>Committer: what was taken.</summary>
    public List<PendingBatch> Writing => _writing;

    /// <summary>Committer: takes what waits.</summary>
    public void TakePending()
    {
        lock (_gate)
        {
            _queued = false;
            (_pending, _writing) = (_writing, _pending);
        }
    }

    /// <summary>Committer: counts what was taken; records since the flush of that number are returned.</summary>
    public long CountUnflushed(long flush)
    {
        if (_countedSince != flush)
            (_countedSince, _unflushed) = (flush, 0);
        foreach (var batch in _writing)
            _unflushed += batch.Bytes.IsEmpty ? 0 : batch.LastOffset - batch.BaseOffset + 1;
        return _unflushed;
    }

    /// <summary>Committer: writes what was taken to the journal.</summary>
    public void StageTo(Journal journal)
    {
        foreach (var batch in _writing)
        {
            if (!batch.Bytes.IsEmpty)
                journal.Add(JournalEntryKind.Batch, TopicId, Index, batch.Bytes.Span);
        }
    }

    /// <summary>Committer: what was taken is durable. Readers see it, waiters hear of it.</summary>
    public void Publish()
    {
        _segments.Publish(_writing);
        List<IReadWaiter>? wake = null;
        lock (_gate)
        {
            foreach (var batch in _writing)
            {
                _pendingBytes -= batch.Bytes.Length;
                if (batch.Bytes.IsEmpty)
                    continue;
                if (batch.Marker != Marker.None)
                    _transactions.Close(batch.ProducerId, batch.BaseOffset, batch.Marker == Marker.Abort);
                Volatile.Write(ref _highWatermark, batch.LastOffset + 1);
            }
            if (_readers.Count > 0)
            {
                wake = _readers;
                _readers = [];
            }
        }
        foreach (var batch in _writing)
            batch.Waiter?.Appended(batch.Slot, ErrorCode.None);
        _writing.Clear();
        if (wake is null)
            return;
        foreach (var reader in wake)
            reader.Readable();
    }

    /// <summary>
    /// Committer: what was taken could not be made durable, and with it falls what has been queued behind it. Offsets are taken back, unless
    /// the disk's state is unknown (<paramref name="poison"/>): then the partition takes nothing more until a restart.
    /// </summary>
    public void Fail(ErrorCode error, bool poison)
    {
        List<PendingBatch> failed;
        lock (_gate)
        {
            failed = [.. _writing, .. _pending];
            _writing.Clear();
            _pending.Clear();
            _pendingBytes = 0;
            _nextOffset = _highWatermark;
            if (!Faults.RememberRefused)
                _producers.TakeBack(_highWatermark);
            _transactions.TakeBack(_highWatermark);
            if (poison)
                _fault = error;
        }
        foreach (var batch in failed)
            batch.Waiter?.Appended(batch.Slot, error);
    }

    /// <summary>The topic has been deleted, or the broker ends: nothing more is taken, everyone who waits is told.</summary>
    public void Close(ErrorCode reason)
    {
        List<IReadWaiter> wake;
        lock (_gate)
        {
            _fault = reason;
            wake = _readers;
            _readers = [];
        }
        foreach (var reader in wake)
            reader.Readable();
    }

    /// <summary>Opener: takes over a checkpoint, cuts what is behind it.</summary>
    public void Restore(PartitionCheckpoint checkpoint)
    {
        foreach (var segment in _segments.All)
        {
            if (segment.BaseOffset > checkpoint.ActiveBase)
                _segments.Drop(segment);
        }
        if (_segments.Active is { } active && active.BaseOffset == checkpoint.ActiveBase)
        {
            if (active.Written < checkpoint.ActiveLength)
            {
                throw new SegmentDamagedException(
                    active.Path, active.Written, $"{checkpoint.ActiveLength} bytes of it were durable, {active.Written} are there");
            }
            if (active.Written > checkpoint.ActiveLength)
                _segments.Cut(active, checkpoint.ActiveLength);
            active.MaxTimestamp = checkpoint.MaxTimestamp;
            if (checkpoint.ActiveLength == 0)
                _segments.Distrust();
        }
        else if (checkpoint.ActiveLength > 0)
        {
            throw new SegmentDamagedException(
                Path.Combine(_segments.Folder, Segment.NameOf(checkpoint.ActiveBase) + Segment.FileSuffix), 0, "the file is missing");
        }
        _nextOffset = checkpoint.NextOffset;
        _highWatermark = checkpoint.NextOffset;
        _logStart = checkpoint.LogStart;
        foreach (var producer in checkpoint.Producers)
        {
            _producers.Restore(producer.ProducerId, producer.Batches.ConvertAll(
                b => new ProducedBatch(b.FirstSequence, b.LastSequence, b.BaseOffset, b.LastOffset, b.Timestamp, b.Epoch)));
        }
        _transactions.Restore(checkpoint.OpenTransactions, checkpoint.Aborted);
        CleanedThrough = checkpoint.CleanedThrough;
        // None of their records is left, and their markers may be gone: a reader that heard of them would wait for a marker in vain.
        _transactions.ForgetBefore(CleanedThrough);
    }

    /// <summary>Opener: no checkpoint knows this partition, so the journal holds all of it; what reached the segments is written again.</summary>
    public void Discard()
    {
        foreach (var segment in _segments.All)
            _segments.Drop(segment);
    }

    /// <summary>
    /// Opener: there is no checkpoint, so everything is built from the segments, checking each batch. Behind a broken place only the journal can go
    /// on, and what stands there is cut only when it does.
    /// </summary>
    /// <param name="journal">The offsets that the journal holds of this partition.</param>
    /// <exception cref="SegmentDamagedException">Records behind a broken place are not in the journal: nothing was cut.</exception>
    public void Rebuild((long From, long End) journal)
    {
        _segments.Distrust();
        var segments = _segments.All;
        _logStart = segments.Length == 0 ? 0 : segments[0].BaseOffset;
        _nextOffset = _logStart;
        for (var i = 0; i < segments.Length; i++)
        {
            var isLast = i == segments.Length - 1;
            // Compaction leaves gaps between segments; so does a power failure, at the end of one that was not flushed, and then the journal goes on there.
            if (segments[i].BaseOffset > _nextOffset && journal.End > _nextOffset && journal.From <= _nextOffset)
            {
                for (var later = i; later < segments.Length; later++)
                    _segments.Drop(segments[later]);
                break;
            }
            _nextOffset = Math.Max(_nextOffset, segments[i].BaseOffset);
            var sound = SegmentRebuild.Run(segments[i], NoteReplayed, out var behind);
            var whole = sound == segments[i].Written;
            if (whole && (sound > 0 || isLast))
                continue;
            var floor = isLast ? behind : Math.Max(behind, segments[^1].BaseOffset);
            // What was acknowledged is durable here or in the journal, which has no gaps. It may end before what a torn write has left here.
            if (floor > _nextOffset && (journal.End == 0 || journal.From > _nextOffset))
                throw new SegmentDamagedException(segments[i].Path, sound, $"the batch that should begin with offset {_nextOffset} or later is broken, and not in the journal");
            if (!whole)
                _segments.Cut(segments[i], sound);
            for (var later = i + 1; later < segments.Length; later++)
                _segments.Drop(segments[later]);
            break;
        }
        _highWatermark = _nextOffset;
    }

    /// <summary>Opener: a batch of the journal that the segments may lack.</summary>
    public void Replay(ReadOnlySpan<byte> bytes)
    {
        var batch = new RecordBatch(bytes);
        if (batch.LastOffset < _nextOffset)
            return;
        if (batch.BaseOffset != _nextOffset)
        {
            throw new SegmentDamagedException(
                _segments.Folder, 0, $"its segments end before offset {_nextOffset}, but the journal goes on at {batch.BaseOffset}");
        }
        var copy = bytes.ToArray();
        var list = new List<PendingBatch>
        {
            new(copy, batch.BaseOffset, batch.LastOffset, batch.MaxTimestamp, batch.ProducerId, Marker.None, null, 0),
        };
        _segments.Write(list, Settings().SegmentBytes);
        _segments.Publish(list);
        NoteReplayed(batch);
        _highWatermark = _nextOffset;
    }

    /// <summary>Committer, between two flushes: what a checkpoint must say, once the segments are synced.</summary>
    public PartitionCheckpoint Describe()
    {
        lock (_gate)
        {
            var active = _segments.Active;
            var description = new PartitionCheckpoint
            {
                TopicId = TopicId,
                Partition = Index,
                ActiveBase = active?.BaseOffset ?? _highWatermark,
                ActiveLength = active?.Readable ?? 0,
                LogStart = _logStart,
                NextOffset = _highWatermark,
                MaxTimestamp = active?.MaxTimestamp ?? -1,
                CleanedThrough = CleanedThrough,
            };
            foreach (var (producerId, batches) in _producers.Producers)
            {
                var durable = batches.FindAll(b => b.BaseOffset < _highWatermark);
                if (durable.Count > ProducerTable.Window)
                    durable.RemoveRange(0, durable.Count - ProducerTable.Window);
                if (durable.Count > 0)
                    description.Producers.Add(new ProducerSnapshot { ProducerId = producerId, Batches = durable.ConvertAll(Snapshot) });
            }
            _transactions.Describe(_highWatermark, description.OpenTransactions, description.Aborted);
            return description;
        }
    }

    /// <summary>Producers and their last batches, for DescribeProducers.</summary>
    public List<(long ProducerId, ProducedBatch Last, long TransactionStart)> DescribeProducers()
    {
        lock (_gate)
        {
            var list = new List<(long, ProducedBatch, long)>(_producers.Count);
            foreach (var (producerId, batches) in _producers.Producers)
                list.Add((producerId, batches[^1], _transactions.FirstOffsetOf(producerId) ?? -1));
            return list;
        }
    }

    /// <summary>Forgets producers that have appended nothing for so long, as far as these calls have seen.</summary>
    public void ExpireProducers(long steady, long idleMillis)
    {
        lock (_gate)
            _producers.Expire(steady, idleMillis, _transactions.IsOpen);
    }

    public void Dispose() => _segments.Dispose();

    private AppendResult AnswerDuplicate(ProducedBatch original, IAppendWaiter? waiter, int slot)
    {
        if (Faults.AnswerDuplicateAtOnce)
        {
            waiter?.Appended(slot, ErrorCode.None);
            return new AppendResult(ErrorCode.None, original.BaseOffset, -1);
        }
        // Success must not be told before the first copy is durable.
        _pending.Add(new PendingBatch(default, original.BaseOffset, original.LastOffset, -1, -1, Marker.None, waiter, slot));
        Enqueue();
        return new AppendResult(ErrorCode.None, original.BaseOffset, -1);
    }

    private void Enqueue()
    {
        if (!_queued)
            _queued = _enqueue(this);
    }

    private void Note(RecordBatch batch, Marker marker, long now, long durableEnd)
    {
        if (batch.ProducerId < 0)
            return;
        _producers.Note(batch, batch.BaseOffset, now, durableEnd);
        // What compaction has left of a batch without records opens nothing: the marker may be gone.
        if (batch.IsTransactional && marker == Marker.None && batch.RecordCount > 0)
            _transactions.Open(batch.ProducerId, batch.BaseOffset);
    }

    private void NoteReplayed(RecordBatch batch)
    {
        var marker = batch.IsControl ? ControlRecord.MarkerOf(batch) : Marker.None;
        Note(batch, marker, batch.MaxTimestamp, durableEnd: long.MaxValue);
        if (marker != Marker.None)
            _transactions.Close(batch.ProducerId, batch.BaseOffset, marker == Marker.Abort);
        _nextOffset = batch.LastOffset + 1;
    }

    private static ProducedBatchSnapshot Snapshot(ProducedBatch b) => new()
    {
        FirstSequence = b.FirstSequence,
        LastSequence = b.LastSequence,
        BaseOffset = b.BaseOffset,
        LastOffset = b.LastOffset,
        Timestamp = b.Timestamp,
        Epoch = b.Epoch,
    };
}

/// <summary>The outcome of an append that may still have to be flushed.</summary>
/// <param name="Error">Not <see cref="ErrorCode.None"/>: nothing was appended, the waiter is not called.</param>
/// <param name="BaseOffset">The batch's offset.</param>
/// <param name="LogAppendTime">The time that the broker gave the records, else -1.</param>
internal readonly record struct AppendResult(ErrorCode Error, long BaseOffset, long LogAppendTime);

/// <summary>What a partition needs of its topic's settings.</summary>
internal sealed record PartitionSettings
{
    public int SegmentBytes { get; init; } = 256 << 20;

    public bool LogAppendTime { get; init; }

    /// <summary>Records after which they are flushed before the last of them is acknowledged; 1: every record is flushed first.</summary>
    public long FlushMessages { get; init; } = 1;

    /// <summary>Time after which acknowledged records are flushed at the latest.</summary>
    public long FlushMillis { get; init; } = long.MaxValue;

    /// <summary>Bytes that may wait for a flush; more is refused with a retriable error.</summary>
    public long MaxPendingBytes { get; init; } = 256 << 20;
}
