using Millrace.Raft.Consensus;
using Millrace.Storage.Files;

namespace Millrace.Raft.Log;

/// <summary>
/// A member's log and hard state on disk: segments of checksummed records, appended by position and flushed once for any number of
/// writes. Entries that replace others are preceded by a record that says so; nothing written is ever changed.
/// </summary>
/// <remarks>
/// <see cref="Append"/>, <see cref="Mark"/> and <see cref="CompactTo"/> are for one thread, <see cref="Read"/> for any. After a
/// failed write or flush every later call throws: what is on disk is then unknown until the next start.
/// </remarks>
public sealed class RaftLog : IEntryReader, IDisposable
{
    /// <summary>Between two deletions: the file system notes what became free with each, and flushes wait for that.</summary>
    private static readonly TimeSpan RestOfDelete = TimeSpan.FromMilliseconds(50);

    /// <summary>Flushes that take more than this on average gain little from zeros, which must be written too.</summary>
    private const int LargeFlushBytes = 256 << 10;

    private readonly Lock _lock = new();
    private readonly IFileSystem _files;
    private readonly string _folder;
    private readonly RaftLogOptions _options;
    private readonly List<LogSegment> _segments;

    // Compacted away, oldest first; their files go one at a time.
    private readonly Queue<LogSegment> _outdated = new();
    private readonly LogHistory _history;
    private readonly LogPositions _positions;
    private readonly IReadOnlyDictionary<long, FastVote> _recoveredVotes;
    private readonly HardStateCopies _copies;
    private HardState _hardState;
    private readonly SpareSegment _spare;
    private int _segmentFlushes;
    private int _segmentBytes;
    private Exception? _failure;
    private byte[] _buffer = new byte[64 << 10];

    private RaftLog(IFileSystem files, string folder, RaftLogOptions options, LogRecovery recovery)
    {
        _files = files;
        _folder = folder;
        _options = options;
        _segments = recovery.Segments;
        _history = recovery.History!;
        _positions = recovery.Positions;
        _recoveredVotes = recovery.Votes;
        _hardState = recovery.HardState;
        IsRestart = !recovery.IsFresh;
        _copies = new HardStateCopies(files, folder);
        _spare = new SpareSegment(files, folder, options.SegmentBytes);
    }

    /// <summary>The folder held a log before it was opened.</summary>
    public bool IsRestart { get; }

    public HardState HardState => _hardState;

    public long LastIndex => _history.LastIndex;

    /// <summary>The log begins after this; at most where it was compacted to.</summary>
    public SnapshotInfo Base => _history.Base;

    /// <summary>Flushes that made writes durable, to see how many share one.</summary>
    public long Flushes { get; private set; }

    /// <summary>Bytes of all segments.</summary>
    public long Bytes
    {
        get
        {
            lock (_lock)
                return _segments.Sum(s => (long)s.Length);
        }
    }

    /// <summary>Opens the log of a folder, or begins one there with these first members.</summary>
    /// <exception cref="LogCorruptException">What was durable is damaged; names file and offset.</exception>
    public static RaftLog Open(IFileSystem files, string folder, Configuration members, RaftLogOptions? options = null) =>
        Open(files, folder, members, options, cutsDamage: false);

    /// <param name="files">The disk.</param>
    /// <param name="folder">Of the log alone.</param>
    /// <param name="members">First members, for a new log.</param>
    /// <param name="options">Bounds.</param>
    /// <param name="cutsDamage">Only the log before damage is kept, perhaps nothing.</param>
    internal static RaftLog Open(IFileSystem files, string folder, Configuration members, RaftLogOptions? options, bool cutsDamage)
    {
        ArgumentNullException.ThrowIfNull(files);
        options ??= new RaftLogOptions();
        options.Validate();
        MemberStorage.MakeFolderDurable(files, folder);
        var recovery = new LogRecovery(files, folder, options, cutsDamage);
        try
        {
            recovery.Run();
            var isFresh = recovery.IsFresh;
            recovery.History ??= new LogHistory(SnapshotInfo.Bootstrap(members), options.IsBySlot);
            var log = new RaftLog(files, folder, options, recovery);
            if (isFresh)
                log.Roll(0);
            if (!cutsDamage && log._copies.Read() != log.HardState)
                log._copies.Write(log.HardState);
            return log;
        }
        catch
        {
            foreach (var segment in recovery.Segments)
                segment.Dispose();
            throw;
        }
    }

    /// <summary>What the core starts from, given how far the state machine is.</summary>
    public RecoveredState State(long applied) => new(
        _hardState, _history.Base, _history.LastIndex, _history.Terms.ToArray(), _history.Configurations.ToArray(), applied, IsRestart)
    {
        Votes = [.. _recoveredVotes.Values.Where(v => v.Slot > applied)],
    };

    /// <summary>The same, given the snapshot that it was loaded from.</summary>
    internal RecoveredState State(SnapshotInfo? snapshot)
    {
        var state = State(snapshot?.Index ?? 0);
        // What the log's first segment says of members may have been replaced since, and what replaced it compacted away.
        return snapshot is null || !_options.IsBySlot || state.Configurations.Any(c => c.Index <= snapshot.Index)
            ? state
            : state with { Base = state.Base with { Configuration = snapshot.Configuration } };
    }

    /// <summary>The term of an entry; -1 when it is not in the log.</summary>
    public long TermAt(long index)
    {
        lock (_lock)
            return _history.TermAt(index);
    }

    private bool IsWorthPreparing =>
        Flushes >= _options.PrepareAfterFlushes && Volatile.Read(ref _segmentBytes) <= (long)LargeFlushBytes * Math.Max(1, Volatile.Read(ref _segmentFlushes));

    /// <summary>Makes writes durable, all with one flush.</summary>
    /// <exception cref="IOException">The disk failed, now or before; the log takes no more.</exception>
    public void Append(IReadOnlyList<LogWrite> writes)
    {
        ThrowIfFailed();
        try
        {
            var size = writes.Sum(SizeOf);
            if (size == 0)
                return;
            if (_segments[^1].Length + size > _segments[^1].Capacity)
                Roll(size);
            else if (!_segments[^1].IsPrepared && _spare.IsReady)
                GoOverToPrepared(size);
            // Before the log says it, so that a vote which left this member is in all three places.
            if (LastHardState(writes) is { } hardState)
                _copies.Write(hardState);
            Encode(writes, size);
            var segment = _segments[^1];
            segment.File.Flush();
            segment.Durable = segment.Length;
            Flushes++;
            Volatile.Write(ref _segmentFlushes, _segmentFlushes + 1);
            Volatile.Write(ref _segmentBytes, segment.Length);
        }
        catch (Exception error)
        {
            _failure = error;
            throw;
        }
    }

    /// <summary>
    /// Notes, without a flush of its own, that everything is durable. Worth calling when the log falls idle: damage to the last batch is
    /// then told from a torn one.
    /// </summary>
    public void Mark()
    {
        ThrowIfFailed();
        var segment = _segments[^1];
        if (segment.Durable < segment.Length || segment.Length + LogRecord.HeaderBytes > segment.Capacity)
            return;
        try
        {
            LogRecord.Seal(_buffer, 0, RecordKind.Mark, segment.Sequence, segment.Length, segment.Durable);
            segment.File.Write(segment.Length, _buffer.AsSpan(0, LogRecord.HeaderBytes));
            segment.Length += LogRecord.HeaderBytes;
        }
        catch (Exception error)
        {
            _failure = error;
            throw;
        }
    }

    /// <summary>
    /// Does a part of what nobody waits for: deletes the file of a segment that was compacted away, or, once the log is used enough to be worth it, prepares
    /// some of the next segment. Returns how long to leave the disk to others before the next part, zero when there is none. One caller at a time, beside
    /// all else.
    /// </summary>
    public TimeSpan TidySome() => DeleteOutdated() ? RestOfDelete : IsWorthPreparing ? _spare.PrepareSome() : TimeSpan.Zero;

    public void Read(long first, long last, long maxBytes, List<Entry> into)
    {
        lock (_lock)
        {
            if (first <= _history.Base.Index || last > _history.LastIndex)
            {
                throw new RaftInvariantException(
                    $"entries {first} to {last} are asked for, but the log has {_history.Base.Index + 1} to {_history.LastIndex}");
            }
            long bytes = 0;
            for (var index = first; index <= last; index++)
            {
                var entry = ReadAt(index);
                bytes += entry.Bytes;
                if (bytes > maxBytes && index > first)
                    return;
                into.Add(entry);
            }
        }
    }

    /// <summary>
    /// Forgets segments of which nothing after an index is needed; that index must be in a durable snapshot. <see cref="TidySome"/> deletes their files; those
    /// that a crash leaves are read at the next start, and compacted away again.
    /// </summary>
    public void CompactTo(long index)
    {
        ThrowIfFailed();
        lock (_lock)
        {
            var removed = 0;
            while (removed < _segments.Count - 1 && _segments[removed].LargestIndex <= index && _segments[removed + 1].Start.Index <= index)
                removed++;
            if (removed == 0)
                return;
            for (var i = 0; i < removed; i++)
                _outdated.Enqueue(_segments[i]);
            _segments.RemoveRange(0, removed);
            var start = _segments[0].Start;
            if (start.Index > _history.Base.Index && start.Index <= _history.LastIndex)
            {
                _history.CompactTo(start.Index);
                _positions.DropTo(start.Index);
            }
        }
    }

    public void Dispose()
    {
        foreach (var segment in _outdated.Concat(_segments))
            segment.Dispose();
        _spare.Dispose();
    }

    // Each for good before the next: a start must not find a later one gone and an earlier one still there.
    private bool DeleteOutdated()
    {
        LogSegment? segment;
        lock (_lock)
        {
            if (!_outdated.TryPeek(out segment))
                return false;
        }
        segment.Dispose();
        _files.DeleteFile(segment.File.Path);
        _files.FlushFolder(_folder);
        lock (_lock)
            _outdated.Dequeue();
        return true;
    }

    private void ThrowIfFailed()
    {
        if (_failure is not null)
            throw new IOException($"the log in {_folder} failed before and takes no more: {_failure.Message}", _failure);
    }

    private static HardState? LastHardState(IReadOnlyList<LogWrite> writes)
    {
        for (var i = writes.Count - 1; i >= 0; i--)
        {
            if (writes[i].HardState is { } state)
                return state;
        }
        return null;
    }

    private Entry ReadAt(long index)
    {
        var (sequence, offset) = _positions[index];
        var segment = _segments[(int)(sequence - _segments[0].Sequence)];
        if (segment.TryView(out var content))
        {
            // What was left of an earlier segment may be cut off behind this.
            content = content[..segment.Length];
            return LogRecord.TryRead(content, sequence, offset, _options.MaxEntryBytes + LogPayloads.EntryHeaderBytes, out var view)
                && view is { Kind: RecordKind.Entry, Length: >= LogPayloads.EntryHeaderBytes }
                ? LogPayloads.ReadEntry(content.Slice(view.PayloadAt, view.Length))
                : throw new LogCorruptException(segment.File.Path, offset, $"entry {index} was there and is not whole");
        }
        Span<byte> header = stackalloc byte[LogRecord.HeaderBytes];
        segment.File.Read(offset, header);
        var payload = System.Buffers.Binary.BinaryPrimitives.ReadInt32LittleEndian(header);
        if (payload < LogPayloads.EntryHeaderBytes || payload > _options.MaxEntryBytes + LogPayloads.EntryHeaderBytes)
            throw new LogCorruptException(segment.File.Path, offset, $"entry {index} was there");
        // Read as the segment would be, so that the checksum covers the place.
        var record = new byte[LogRecord.HeaderBytes + payload];
        var read = segment.File.Read(offset, record);
        if (read < record.Length || !LogRecord.Verify(record, segment.Sequence, offset))
            throw new LogCorruptException(segment.File.Path, offset, $"entry {index} does not match its checksum");
        return LogPayloads.ReadEntry(record.AsSpan(LogRecord.HeaderBytes));
    }

    private int SizeOf(LogWrite write)
    {
        var size = write.HardState is null ? 0 : LogRecord.SizeOf(LogPayloads.HardStateBytes);
        if (write.Reset is { } reset)
            size += LogRecord.SizeOf(LogPayloads.SizeOf(reset));
        if (write.Entries.Count > 0)
        {
            // Room for a rewind, whether needed or not: entries of the write before may be the ones replaced.
            size += LogRecord.SizeOf(16 + 4 + (8 * 3 * byte.MaxValue));
        }
        foreach (var entry in write.Entries)
            size += LogRecord.SizeOf(LogPayloads.EntryHeaderBytes + entry.Data.Length);
        foreach (var vote in write.Votes)
            size += LogRecord.SizeOf(LogPayloads.VoteHeaderBytes + LogPayloads.EntryHeaderBytes + vote.Entry.Data.Length);
        return size;
    }

    private void Encode(IReadOnlyList<LogWrite> writes, int size)
    {
        if (_buffer.Length < size)
            _buffer = new byte[Math.Max(size, _buffer.Length * 2)];
        var segment = _segments[^1];
        var encoder = new RecordEncoder(_buffer, segment.Sequence, segment.Length, segment.Durable);
        lock (_lock)
        {
            foreach (var write in writes)
            {
                if (write.HardState is { } hardState)
                {
                    encoder.Add(hardState);
                    _hardState = hardState;
                }
                if (write.Reset is { } reset)
                {
                    encoder.Rewind(reset);
                    if (_history.ResetTo(reset with { Bytes = 0, Checksum = 0 }))
                        _positions.DropTo(reset.Index);
                    else
                        _positions.ResetTo(reset.Index);
                }
                foreach (var entry in write.Entries)
                    Add(ref encoder, segment, entry);
                foreach (var vote in write.Votes)
                {
                    encoder.Add(vote);
                    segment.LargestIndex = Math.Max(segment.LargestIndex, vote.Slot);
                }
            }
            segment.File.Write(segment.Length, _buffer.AsSpan(0, encoder.Length));
            segment.Length += encoder.Length;
        }
        if (_buffer.Length > 4 << 20)
            _buffer = new byte[64 << 10];
    }

    private void Add(ref RecordEncoder encoder, LogSegment segment, in Entry entry)
    {
        if (entry.Index <= _history.LastIndex && _options.IsBySlot)
        {
            _history.Replace(entry);
            _positions.Replace(entry.Index, segment.Sequence, encoder.Offset);
            segment.LargestIndex = Math.Max(segment.LargestIndex, entry.Index);
            encoder.Add(entry);
            return;
        }
        if (entry.Index <= _history.LastIndex)
        {
            var previous = entry.Index - 1;
            if (previous < _history.Base.Index)
                throw new RaftInvariantException($"entry {entry.Index} replaces one that is compacted away");
            var position = new SnapshotInfo(previous, _history.TermAt(previous), _history.ConfigurationAt(previous), 0, 0);
            encoder.Rewind(position);
            _history.TruncateFrom(entry.Index);
            _positions.TruncateFrom(entry.Index);
        }
        _history.Append(entry);
        _positions.Add(entry.Index, segment.Sequence, encoder.Offset);
        segment.LargestIndex = Math.Max(segment.LargestIndex, entry.Index);
        encoder.Add(entry);
    }

    /// <summary>The next segment before this one is full, since writes into this one take longer; what is left of it is given back.</summary>
    private void GoOverToPrepared(int size)
    {
        var old = _segments[^1];
        Roll(size);
        lock (_lock)
            old.File.SetLength(old.Length);
    }

    /// <summary>
    /// A new segment, durable with its name before anything else is written into it, and with its first record before it has its name: one that is there
    /// proves how long the segment before it was.
    /// </summary>
    private void Roll(int size)
    {
        // A mark at the old segment's end must be durable before anything says that it is.
        if (_segments.Count > 0 && _segments[^1].Durable < _segments[^1].Length)
            _segments[^1].File.Flush();
        var sequence = _segments.Count == 0 ? 1 : _segments[^1].Sequence + 1;
        var path = Path.Combine(_folder, LogSegment.NameOf(sequence));
        var start = new SnapshotInfo(
            _history.LastIndex, _history.LastTerm, _history.Configuration, 0, 0);
        var payload = LogPayloads.StartSizeOf(start);
        var record = new byte[LogRecord.SizeOf(payload)];
        LogPayloads.WriteStart(record.AsSpan(LogRecord.HeaderBytes), _segments.Count == 0 ? 0 : _segments[^1].Length, _hardState, start);
        LogRecord.Seal(record, payload, RecordKind.Start, sequence, 0, 0);
        var length = record.Length + size;
        var isPrepared = length <= _options.SegmentBytes && _spare.TryTake(path, record);
        if (!isPrepared)
        {
            length = Math.Max(_options.SegmentBytes, length);
            Begin(path, record, length);
        }
        var file = _files.Open(path);
        try
        {
            _files.FlushFolder(_folder);
            var segment = new LogSegment(sequence, file, start)
            {
                Length = record.Length, Durable = record.Length, Capacity = isPrepared ? _options.SegmentBytes : length, IsPrepared = isPrepared,
            };
            lock (_lock)
                _segments.Add(segment);
            Volatile.Write(ref _segmentFlushes, 0);
            Volatile.Write(ref _segmentBytes, 0);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private void Begin(string path, byte[] record, int length)
    {
        var making = Path.Combine(_folder, LogSegment.Unnamed);
        using (var file = _files.Open(making, create: true))
        {
            file.SetLength(0); // Of one that a crash left.
            file.SetLength(length);
            file.Preallocate(length);
            file.Write(0, record);
            file.Flush();
        }
        _files.Rename(making, path);
    }
}
