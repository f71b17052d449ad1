using System.Globalization;
using Millrace.Kafka.Records;
using Millrace.Storage.Files;

namespace Millrace.Log.Storage;

/// <summary>
/// One file of record batches, named by the offset of its first. Written by the committer alone, read by many; readers see only what has
/// been published. The file is opened on first use and closed when its last user is gone after <see cref="Retire"/>.
/// </summary>
internal sealed class Segment
{
    public const string FileSuffix = ".log";
    public const string IndexSuffix = ".index";

    private readonly IFileSystem _files;
    private readonly Lock _gate = new();
    private readonly SegmentTail? _tail;
    private SegmentIndex? _index;
    private IFile? _file;
    private int _users = 1;
    private long _readable;
    private long _firstTimestamp = -1;

    /// <summary>Only where to begin next time: a flush covers the whole file.</summary>
    private long _sentOn;

    /// <param name="files">Where the file is.</param>
    /// <param name="folder">The partition's folder.</param>
    /// <param name="baseOffset">No batch in it begins before this offset.</param>
    /// <param name="length">Bytes that are written and may be read.</param>
    /// <param name="isNew">There is no index to load.</param>
    /// <param name="tails">Where the end waits for its file; null: what is written is in the file at once.</param>
    public Segment(IFileSystem files, string folder, long baseOffset, long length, bool isNew, TailMemory? tails)
    {
        _files = files;
        _tail = tails is null ? null : new SegmentTail(tails, length, isNew);
        BaseOffset = baseOffset;
        Path = System.IO.Path.Combine(folder, NameOf(baseOffset) + FileSuffix);
        Written = length;
        _readable = length;
        _sentOn = length;
        if (isNew)
            _index = new SegmentIndex();
    }

    /// <summary>A finished file with an index made while it was written.</summary>
    public Segment(IFileSystem files, string folder, long baseOffset, long length, SegmentIndex index)
        : this(files, folder, baseOffset, length, isNew: false, tails: null)
    {
        _index = index;
        MaxTimestamp = index.MaxTimestamp;
    }

    public long BaseOffset { get; }

    public string Path { get; }

    /// <summary>Bytes handed to the file or its tail; the committer's own view.</summary>
    public long Written { get; private set; }

    /// <summary>Bytes that readers may see: acknowledged ones.</summary>
    public long Readable => Volatile.Read(ref _readable);

    /// <summary>The largest timestamp, -1 while unknown: see <see cref="LargestTimestamp"/>.</summary>
    public long MaxTimestamp { get; set; } = -1;

    public static string NameOf(long offset) => offset.ToString("D20", CultureInfo.InvariantCulture);

    /// <summary>Opens the file now, under the name that it still has.</summary>
    public void OpenAs(string path)
    {
        lock (_gate)
            _file ??= _files.Open(path);
    }

    /// <summary>The time of its first batch, -1 when it has none. Reads the file once.</summary>
    public long FirstTimestamp()
    {
        if (_firstTimestamp < 0 && Readable > 0)
            _firstTimestamp = ReadFirstTimestamp();
        return _firstTimestamp;
    }

    private long ReadFirstTimestamp()
    {
        Span<byte> header = stackalloc byte[RecordBatch.HeaderBytes];
        // Not kept open: all partitions are asked, also those that nobody uses.
        using var opened = Volatile.Read(ref _file) is null && (_tail is null || _tail.HasFile) ? _files.Open(Path) : null;
        var read = opened is null ? Read(0, header) : opened.Read(0, header);
        return read == header.Length && PlaceCheck.Holds(header) && RecordBatch.WholeBytes(header) > 0
            ? new RecordBatch(header).MaxTimestamp
            : LargestTimestamp();
    }

    /// <summary>Keeps the file open until <see cref="Release"/>; false when the segment has been deleted.</summary>
    public bool TryAcquire()
    {
        lock (_gate)
        {
            if (_users == 0)
                return false;
            _users++;
            return true;
        }
    }

    public void Release()
    {
        lock (_gate)
        {
            if (--_users > 0)
                return;
            _file?.Dispose();
            _file = null;
        }
        _tail?.Release();
    }

    /// <summary>Gives up the owner's own hold; the file closes when the last reader is done.</summary>
    public void Retire() => Release();

    public IFile File
    {
        get
        {
            if (_file is { } open)
                return open;
            lock (_gate)
                return _file ??= _files.Open(Path, create: true);
        }
    }

    public SegmentIndex Index
    {
        get
        {
            if (_index is { } index)
                return index;
            lock (_gate)
                return _index ??= SegmentIndex.Load(_files, System.IO.Path.ChangeExtension(Path, IndexSuffix), Readable);
        }
    }

    /// <summary>Reads what is in the file and what is still on its way there, until the buffer is full or the segment ends.</summary>
    public int Read(long position, Span<byte> buffer) =>
        _tail is { } tail ? tail.Read(this, position, buffer) : File.Read(position, buffer);

    /// <summary>Appends bytes that readers do not see yet.</summary>
    /// <param name="parts">May be changed.</param>
    /// <param name="bytes">Of all parts.</param>
    public void Write(List<ReadOnlyMemory<byte>> parts, long bytes)
    {
        if (_tail is not { } tail)
            File.Write(Written, parts);
        else if (!tail.TryAdd(parts, bytes))
            tail.WriteOut(File, parts, bytes);
        Written += bytes;
    }

    /// <summary>Lets readers see all that is written.</summary>
    public void Publish() => Volatile.Write(ref _readable, Written);

    /// <summary>
    /// Brings to the disk what is written when this is called, or more, so that <see cref="Flush"/> has little left to do. In pieces: the disk works
    /// its queue off in order, and a journal's flush that comes behind 64 MB of segments waits for all of them.
    /// </summary>
    /// <exception cref="TailNotWrittenException">The disk is full, say; nothing is lost.</exception>
    public void WriteBack(FlushPace pace, bool tail = true)
    {
        var end = Written;
        try
        {
            if (tail)
                _tail?.WriteOut(File);
        }
        catch (IOException error)
        {
            throw new TailNotWrittenException(Path, error);
        }
        for (var at = _sentOn; at < end; at += FlushPace.PieceBytes)
        {
            var piece = Math.Min(FlushPace.PieceBytes, end - at);
            File.WriteBack(at, piece, wait: !pace.IsHurried);
            pace.Passed(piece);
        }
        pace.FilePassed();
        _sentOn = end;
    }

    /// <summary>Makes durable what <see cref="WriteBack"/> has brought to the disk.</summary>
    public void Flush() => File.Flush();

    /// <summary>Takes back what has been written and not published.</summary>
    public void TakeBack() => CutTo(Readable);

    /// <summary>Cuts the file; only at start-up and when a write is taken back.</summary>
    public void CutTo(long length)
    {
        if (_tail is { } tail)
            tail.CutTo(File, length);
        else
            File.SetLength(length);
        Written = length;
        _sentOn = Math.Min(_sentOn, length);
        Volatile.Write(ref _readable, Math.Min(_readable, length));
        // Also one that was not loaded yet.
        Index.CutTo(length);
    }

    /// <summary>Saves the index beside the file where that is possible; without it a look-up scans.</summary>
    public void TrySaveIndex()
    {
        if (!Index.IsWorthSaving)
            return;
        try
        {
            Index.Save(_files, System.IO.Path.ChangeExtension(Path, IndexSuffix));
        }
        catch (IOException)
        {
            // Its checksum tells a torn index from a whole one.
        }
    }

    /// <summary>The largest timestamp of its records, -1 when it has none.</summary>
    public long LargestTimestamp()
    {
        if (MaxTimestamp < 0 && Readable > 0)
            MaxTimestamp = Math.Max(CoverAll(), Index.MaxTimestamp);
        return MaxTimestamp;
    }

    /// <summary>The position of the batch that holds the offset, or of the first behind it; <see cref="Readable"/> when there is none.</summary>
    /// <exception cref="SegmentDamagedException">What stood at the offset cannot be read; batches behind it are found by their own offsets.</exception>
    public long Locate(long offset, LogFaults? faults = null)
    {
        CoverAll();
        using var scanner = new BatchScanner(this, Index.FindOffset(offset), Readable);
        var (before, lastBefore) = (-1L, -1L);
        while (scanner.MoveNext())
        {
            var header = scanner.Header;
            if (scanner.DamagedAt >= 0)
            {
                if (faults is { StopAtDamage: true })
                    throw Damage(scanner.DamagedAt, offset, "no record batch begins here");
                if (lastBefore >= offset)
                    return before;
                if (header.BaseOffset > offset)
                    throw Damage(scanner.DamagedAt, offset, "no record batch begins here");
                before = -1;
            }
            if (header.BaseOffset == offset)
                return scanner.Position;
            if (header.BaseOffset > offset)
                return lastBefore >= offset ? before : PositionBehind(before, offset, scanner.Position);
            (before, lastBefore) = (scanner.Position, header.LastOffset);
        }
        if (lastBefore >= offset)
            return before;
        if (scanner.DamagedAt >= 0)
            throw Damage(scanner.DamagedAt, offset, "no record batch begins here");
        return PositionBehind(before, offset, Readable);
    }

    /// <summary>What is to be told of a damaged batch: which offsets are lost, and where reading goes on.</summary>
    /// <param name="position">Where it begins.</param>
    /// <param name="offset">That was to be read there.</param>
    /// <param name="reason">What is wrong.</param>
    public SegmentDamagedException Damage(long position, long offset, string reason)
    {
        using var scanner = new BatchScanner(this, position, Readable);
        while (scanner.MoveNext())
        {
            if (scanner.Position > position && scanner.Header.BaseOffset > offset)
                return new SegmentDamagedException(Path, position, $"{reason}; offsets {offset} to {scanner.Header.BaseOffset - 1} cannot be read, those behind can");
        }
        return new SegmentDamagedException(Path, position, $"{reason}; from offset {offset} on the file cannot be read");
    }

    /// <summary>The position of the first batch whose largest timestamp reaches the given one; <see cref="Readable"/> when there is none.</summary>
    public long LocateTimestamp(long timestamp)
    {
        CoverAll();
        using var scanner = new BatchScanner(this, Index.FindTimestamp(timestamp), Readable);
        while (scanner.MoveNext())
        {
            if (scanner.Header.MaxTimestamp >= timestamp)
                return scanner.Position;
        }
        return Readable;
    }

    /// <summary>
    /// A batch ends before the offset by its own word, and the next one begins behind it: a gap that compaction has left. Its word counts only
    /// when its checksum holds.
    /// </summary>
    private long PositionBehind(long before, long offset, long next)
    {
        if (before < 0)
            return next;
        var bytes = new byte[(int)Math.Min(next - before, int.MaxValue / 2)];
        Read(before, bytes);
        var batch = new RecordBatch(bytes);
        return batch.TotalBytes <= bytes.Length && batch.Crc == batch.ComputeCrc()
            ? next
            : throw Damage(before, Math.Max(batch.BaseOffset, BaseOffset), $"the batch at offset {batch.BaseOffset} has a wrong CRC");
    }

    /// <summary>Brings the index up to the end, or to the first damaged place; the largest timestamp that was met is returned.</summary>
    private long CoverAll()
    {
        var index = Index;
        var readable = Readable;
        var largest = -1L;
        if (index.Covered >= readable)
            return largest;
        using var scanner = new BatchScanner(this, index.Covered, readable);
        while (scanner.MoveNext())
        {
            largest = Math.Max(largest, scanner.Header.MaxTimestamp);
            index.Add(scanner.Header.BaseOffset, scanner.Position, scanner.Header.TotalBytes, scanner.Header.MaxTimestamp);
        }
        return largest;
    }
}

/// <summary>A file of the log has bytes that cannot be what was written.</summary>
public sealed class SegmentDamagedException(string path, long position, string reason)
    : IOException($"{path} is damaged at byte {position}: {reason}; restore the file from a backup, or delete the records up to behind it")
{
    public string Path { get; } = path;

    public long Position { get; } = position;
}
