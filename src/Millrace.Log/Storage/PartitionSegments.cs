using System.Buffers;
using System.Globalization;
using Millrace.Kafka.Records;
using Millrace.Storage.Files;

namespace Millrace.Log.Storage;

/// <summary>
/// The files of one partition. Writing, rolling, cutting and deleting are the committer's (or the opener's) business; reading may
/// run beside it on any thread and sees published bytes only.
/// </summary>
internal sealed class PartitionSegments : IDisposable
{
    /// <summary>What compaction is still writing.</summary>
    public const string CleanedSuffix = ".cleaned";

    /// <summary>What compaction has written, in the place of other segments.</summary>
    public const string SwapSuffix = ".swap";

    private readonly IFileSystem _files;
    private readonly Lock _hintGate = new();
    private readonly ReadHint[] _hints = new ReadHint[4];
    private readonly List<Segment> _unsynced = [];
    private readonly List<Segment> _young = [];
    private Segment[] _segments;
    private bool _namesUnsynced;
    private int _nextHint;
    private readonly TailMemory? _tails;
    private readonly List<ReadOnlyMemory<byte>> _parts = [];

    private record struct ReadHint(long Offset, Segment Segment, long Position);

    public PartitionSegments(IFileSystem files, string folder, TailMemory? tails)
    {
        _files = files;
        _tails = tails;
        Folder = folder;
        var bases = new List<long>();
        var names = files.ListFiles(folder);
        if (FinishSwaps(names))
            names = files.ListFiles(folder);
        foreach (var name in names)
        {
            if (name.EndsWith(Segment.FileSuffix, StringComparison.Ordinal) && long.TryParse(name.AsSpan(0, name.Length - 4), out var offset))
                bases.Add(offset);
        }
        bases.Sort();
        _segments = new Segment[bases.Count];
        for (var i = 0; i < bases.Count; i++)
        {
            using var file = files.Open(Path.Combine(folder, Segment.NameOf(bases[i]) + Segment.FileSuffix));
            _segments[i] = new Segment(files, folder, bases[i], file.Length, isNew: false, tails);
        }
    }

    public string Folder { get; }

    public LogFaults Faults { get; set; } = LogFaults.None;

    /// <summary>A snapshot, in order of offset.</summary>
    public Segment[] All => Volatile.Read(ref _segments);

    public Segment? Active => _segments.Length == 0 ? null : _segments[^1];

    /// <summary>Bytes that readers may see.</summary>
    public long Bytes
    {
        get
        {
            long bytes = 0;
            foreach (var segment in All)
                bytes += segment.Readable;
            return bytes;
        }
    }

    /// <summary>Something was written, cut, made or deleted that the next checkpoint must sync.</summary>
    public bool HasUnsynced => _unsynced.Count > 0 || _namesUnsynced;

    /// <summary>Appends batches; readers see them after <see cref="Publish"/>.</summary>
    /// <exception cref="IOException">Part may be written: <see cref="TakeBack"/>.</exception>
    public void Write(List<PendingBatch> batches, int segmentBytes)
    {
        _parts.Clear();
        long bytes = 0;
        _young.Clear();
        for (var i = 0; i < batches.Count; i++)
        {
            var batch = batches[i];
            if (batch.Bytes.IsEmpty)
                continue;
            if (Active is not { } active || active.Written + bytes + batch.Bytes.Length > segmentBytes && active.Written + bytes > 0)
            {
                WriteParts(bytes);
                bytes = 0;
                _young.Add(Roll(batch.BaseOffset));
            }
            _parts.Add(batch.Bytes);
            bytes += batch.Bytes.Length;
        }
        WriteParts(bytes);
    }

    /// <summary>Lets readers see what was written.</summary>
    /// <param name="batches">The same as given to <see cref="Write"/>.</param>
    public void Publish(List<PendingBatch> batches)
    {
        var segments = _segments;
        var at = segments.Length - 1;
        // Find the first segment that was touched: batches are in offset order, and so are segments.
        var first = -1;
        for (var i = 0; i < batches.Count && first < 0; i++)
        {
            if (!batches[i].Bytes.IsEmpty)
                first = i;
        }
        if (first < 0)
            return;
        while (at > 0 && segments[at].BaseOffset > batches[first].BaseOffset)
            at--;
        var position = segments[at].Readable;
        for (var i = first; i < batches.Count; i++)
        {
            var batch = batches[i];
            if (batch.Bytes.IsEmpty)
                continue;
            if (position == segments[at].Written && at + 1 < segments.Length)
            {
                segments[at].Publish();
                position = segments[++at].Readable;
            }
            var segment = segments[at];
            segment.Index.Add(batch.BaseOffset, position, batch.Bytes.Length, batch.MaxTimestamp);
            segment.MaxTimestamp = Math.Max(segment.MaxTimestamp, batch.MaxTimestamp);
            position += batch.Bytes.Length;
        }
        segments[at].Publish();
    }

    /// <summary>
    /// Undoes writes that were not published, also the segments that they began. An empty segment that was there before stays: a checkpoint may
    /// name it as the one that a restart goes on with.
    /// </summary>
    public void TakeBack()
    {
        foreach (var segment in _young)
        {
            if (segment.Readable == 0)
                Drop(segment);
        }
        _young.Clear();
        Active?.TakeBack();
    }

    /// <summary>Cuts a segment. Like a write, it can be undone by a crash until the next checkpoint, so that syncs it.</summary>
    public void Cut(Segment segment, long length)
    {
        segment.CutTo(length);
        if (!_unsynced.Contains(segment))
            _unsynced.Add(segment);
    }

    /// <summary>
    /// No checkpoint speaks for these files: a process that was killed may have left names and bytes that are only in the system's memory. The next
    /// checkpoint syncs them.
    /// </summary>
    public void Distrust()
    {
        _namesUnsynced = true;
        foreach (var segment in All)
        {
            if (!_unsynced.Contains(segment))
                _unsynced.Add(segment);
        }
    }

    /// <summary>Starts a new segment; the one before is complete.</summary>
    public Segment Roll(long baseOffset)
    {
        var segment = new Segment(_files, Folder, baseOffset, 0, isNew: true, _tails);
        if (_tails is null && segment.File.Length > 0)
            segment.CutTo(0);
        // Also an empty one has its name after the next checkpoint, which will speak of it.
        _unsynced.Add(segment);
        Volatile.Write(ref _segments, [.. _segments, segment]);
        _namesUnsynced = true;
        return segment;
    }

    /// <summary>Brings to the disk all that has been written. Any thread, on a copy that <see cref="TakeUnsynced"/> gave.</summary>
    public static void WriteBack(List<Segment> segments, FlushPace pace, bool tails)
    {
        foreach (var segment in segments)
        {
            if (!segment.TryAcquire())
                continue;
            try
            {
                segment.WriteBack(pace, tails);
            }
            finally
            {
                segment.Release();
            }
        }
    }

    /// <summary>Makes durable what <see cref="WriteBack"/> has brought to the disk, and the files' names.</summary>
    public static void Sync(IFileSystem files, string folder, List<Segment> segments, bool names, FlushPace pace)
    {
        foreach (var segment in segments)
        {
            if (!segment.TryAcquire())
                continue;
            try
            {
                segment.Flush();
                pace.Flushed();
                segment.TrySaveIndex();
            }
            finally
            {
                segment.Release();
            }
        }
        if (names)
        {
            files.FlushFolder(folder);
            pace.Flushed();
        }
    }

    /// <summary>The segments written since the last call, and whether files were made or deleted.</summary>
    public (List<Segment> Segments, bool Names) TakeUnsynced()
    {
        var taken = (new List<Segment>(_unsynced), _namesUnsynced);
        _unsynced.Clear();
        _namesUnsynced = false;
        return taken;
    }

    /// <summary>What <see cref="TakeUnsynced"/> gave could not be synced.</summary>
    public void PutBackUnsynced(List<Segment> segments, bool names)
    {
        foreach (var segment in segments)
        {
            if (!_unsynced.Contains(segment) && Array.IndexOf(_segments, segment) >= 0)
                _unsynced.Add(segment);
        }
        _namesUnsynced |= names;
    }

    /// <summary>Takes a segment out of the list and deletes its files; readers that are in it may finish.</summary>
    public void Drop(Segment segment)
    {
        Detach(segment);
        DeleteFiles(segment);
    }

    /// <summary>Takes a segment out of the list.</summary>
    public void Detach(Segment segment)
    {
        Volatile.Write(ref _segments, Array.FindAll(_segments, s => s != segment));
        _unsynced.Remove(segment);
        lock (_hintGate)
            Array.Clear(_hints);
        _namesUnsynced = true;
    }

    /// <summary>Puts one segment in the place of others. False, and nothing done, when they are no longer all there. Committer only.</summary>
    public bool Replace(IReadOnlyList<Segment> old, Segment by)
    {
        var at = Array.IndexOf(_segments, old[0]);
        if (at < 0 || at + old.Count >= _segments.Length)
            return false;
        for (var i = 0; i < old.Count; i++)
        {
            if (_segments[at + i] != old[i])
                return false;
        }
        Volatile.Write(ref _segments, [.. _segments.AsSpan(0, at), by, .. _segments.AsSpan(at + old.Count)]);
        foreach (var segment in old)
            _unsynced.Remove(segment);
        lock (_hintGate)
            Array.Clear(_hints);
        return true;
    }

    /// <summary>Deletes the files of a detached segment. Any thread.
    public void DeleteFiles(Segment segment)
    {
        if (_files.FileExists(segment.Path))
            _files.DeleteFile(segment.Path);
        var index = Path.ChangeExtension(segment.Path, Segment.IndexSuffix);
        if (_files.FileExists(index))
            _files.DeleteFile(index);
        segment.Retire();
    }

    /// <summary>
    /// Reads whole batches from the one that holds an offset on, checking each batch's CRC.
    /// </summary>
    /// <param name="offset">At least the log start and below <paramref name="end"/>.</param>
    /// <param name="end">Batches from this offset on are left out.</param>
    /// <param name="maxBytes">Cuts the tail; the first batch is given whole whatever its size when <paramref name="atLeastOne"/>.</param>
    /// <param name="atLeastOne">See <paramref name="maxBytes"/>.</param>
    /// <returns>A pooled array and the bytes used in it; 0 bytes and an empty array when nothing fits.</returns>
    /// <exception cref="SegmentDamagedException">Bytes on disk are not what was written.</exception>
    public (byte[] Buffer, int Bytes) Read(long offset, long end, int maxBytes, bool atLeastOne)
    {
        var (segment, position) = Find(offset);
        while (segment is not null && segment.TryAcquire())
        {
            var acquired = segment;
            try
            {
                if (position < 0)
                    position = segment.Locate(offset, Faults);
                var available = segment.Readable - position;
                if (available > 0)
                    return ReadFrom(segment, position, available, offset, end, maxBytes, atLeastOne);
                // The reader stands at the segment's end, or compaction has left a gap there: the next one goes on.
                segment = After(segment);
                position = 0;
            }
            finally
            {
                acquired.Release();
            }
        }
        return ([], 0);
    }

    /// <summary>Bytes from an offset to the readable end.</summary>
    public long BytesFrom(long offset)
    {
        var (segment, position) = Find(offset);
        if (segment is null || !segment.TryAcquire())
            return 0;
        try
        {
            if (position < 0)
                position = segment.Locate(offset);
            var bytes = segment.Readable - position;
            foreach (var other in All)
            {
                if (other.BaseOffset > segment.BaseOffset)
                    bytes += other.Readable;
            }
            return bytes;
        }
        finally
        {
            segment.Release();
        }
    }

    public void Dispose()
    {
        foreach (var segment in All)
            segment.Retire();
        Volatile.Write(ref _segments, []);
    }

    /// <summary>
    /// A file <c>FIRST-LAST.swap</c> stands for the segments FIRST to LAST, from the moment that it has this name: what a crash has left undone
    /// is done here. A file that was not finished is dropped.
    /// </summary>
    /// <returns>Whether there was anything to do.</returns>
    private bool FinishSwaps(IReadOnlyList<string> names)
    {
        var found = false;
        foreach (var name in names)
        {
            var path = Path.Combine(Folder, name);
            if (name.EndsWith(CleanedSuffix, StringComparison.Ordinal))
            {
                found = true;
                _files.DeleteFile(path);
                continue;
            }
            if (!name.EndsWith(SwapSuffix, StringComparison.Ordinal))
                continue;
            found = true;
            var bounds = name[..^SwapSuffix.Length].Split('-');
            var (first, last) = (long.Parse(bounds[0], CultureInfo.InvariantCulture), long.Parse(bounds[1], CultureInfo.InvariantCulture));
            foreach (var other in _files.ListFiles(Folder))
            {
                if (long.TryParse(other.AsSpan(0, Math.Max(0, other.IndexOf('.', StringComparison.Ordinal))), out var offset)
                    && (offset > first && offset <= last || offset == first && other.EndsWith(Segment.IndexSuffix, StringComparison.Ordinal)))
                {
                    _files.DeleteFile(Path.Combine(Folder, other));
                }
            }
            _files.FlushFolder(Folder);
            _files.Rename(path, Path.Combine(Folder, Segment.NameOf(first) + Segment.FileSuffix));
            _files.FlushFolder(Folder);
        }
        return found;
    }

    private void WriteParts(long bytes)
    {
        if (_parts.Count == 0)
            return;
        var active = Active!;
        if (!_unsynced.Contains(active))
            _unsynced.Add(active);
        active.Write(_parts, bytes);
        _parts.Clear();
    }

    private Segment? After(Segment segment)
    {
        foreach (var other in All)
        {
            if (other.BaseOffset > segment.BaseOffset)
                return other;
        }
        return null;
    }

    private (Segment? Segment, long Position) Find(long offset)
    {
        lock (_hintGate)
        {
            foreach (var hint in _hints)
            {
                if (hint.Segment is not null && hint.Offset == offset)
                    return (hint.Segment, hint.Position);
            }
        }
        var segments = All;
        for (var i = segments.Length - 1; i >= 0; i--)
        {
            if (segments[i].BaseOffset <= offset)
                return (segments[i], -1);
        }
        return segments.Length == 0 ? (null, -1) : (segments[0], -1);
    }

    private (byte[] Buffer, int Bytes) ReadFrom(
        Segment segment, long position, long available, long offset, long end, int maxBytes, bool atLeastOne)
    {
        var wanted = (int)Math.Min(available, Math.Max(maxBytes, RecordBatch.HeaderBytes));
        var buffer = ArrayPool<byte>.Shared.Rent(wanted);
        try
        {
            var read = segment.Read(position, buffer.AsSpan(0, wanted));
            var whole = RecordBatch.WholeBytes(buffer.AsSpan(0, read));
            if (whole < 0 || whole > available || !PlaceCheck.Holds(buffer))
                throw segment.Damage(position, offset, "no record batch begins here");
            if (whole > maxBytes && !atLeastOne)
            {
                ArrayPool<byte>.Shared.Return(buffer);
                return ([], 0);
            }
            if (whole > read)
            {
                ArrayPool<byte>.Shared.Return(buffer);
                buffer = ArrayPool<byte>.Shared.Rent(whole);
                read = segment.Read(position, buffer.AsSpan(0, whole));
            }
            var used = WholeBatches(segment, position, buffer.AsSpan(0, read), end, ref offset);
            Remember(offset, segment, position + used);
            if (used > 0)
                return (buffer, used);
            ArrayPool<byte>.Shared.Return(buffer);
            return ([], 0);
        }
        catch (SegmentDamagedException)
        {
            ArrayPool<byte>.Shared.Return(buffer);
            throw;
        }
    }

    /// <summary>Checks batch by batch; what is sound before a damaged one is given, so that only the next read meets the damage.</summary>
    private int WholeBatches(Segment segment, long position, Span<byte> bytes, long end, ref long offset)
    {
        var used = 0;
        while (bytes.Length - used >= RecordBatch.HeaderBytes)
        {
            var rest = bytes[used..];
            var whole = RecordBatch.WholeBytes(rest);
            var isPlaced = whole >= 0 && PlaceCheck.Holds(rest);
            if (isPlaced && whole > rest.Length)
                break;
            var batch = new RecordBatch(rest);
            if (isPlaced && batch.BaseOffset >= end)
                break;
            if (!isPlaced || (batch.Crc != batch.ComputeCrc() && !Faults.SkipReadCheck))
            {
                if (used > 0)
                    break;
                throw segment.Damage(position, offset, isPlaced ? $"the batch at offset {batch.BaseOffset} has a wrong CRC" : "no record batch begins here");
            }
            PlaceCheck.Clear(rest);
            offset = batch.LastOffset + 1;
            used += whole;
        }
        return used;
    }

    private void Remember(long offset, Segment segment, long position)
    {
        lock (_hintGate)
        {
            for (var i = 0; i < _hints.Length; i++)
            {
                if (_hints[i].Offset == offset && _hints[i].Segment is not null)
                    return;
            }
            _hints[_nextHint] = new ReadHint(offset, segment, position);
            _nextHint = (_nextHint + 1) % _hints.Length;
        }
    }
}
