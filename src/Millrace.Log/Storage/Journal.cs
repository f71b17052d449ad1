using System.Buffers.Binary;
using Millrace.Kafka.Records;
using Millrace.Storage.Checksums;
using Millrace.Storage.Files;

namespace Millrace.Log.Storage;

/// <summary>What a journal entry says.</summary>
internal enum JournalEntryKind : byte
{
    /// <summary>A record batch, appended to a partition.</summary>
    Batch = 1,

    /// <summary>A partition's log start moved (DeleteRecords); the body is the new start, 8 bytes.</summary>
    LogStart = 2,
}

/// <summary>
/// The journal's format. A group is what one flush makes durable: a header of <see cref="GroupHeaderBytes"/>, then entries, padded to
/// <see cref="Alignment"/>. Files are used again after a checkpoint, so each group carries the generation of its file's use and its own
/// number; the first group that does not fit ends the journal, and a later one behind it proves damage rather than a torn tail. Checksums of
/// group headers are salted with a number that only this folder knows, so no record can pass for a group.
/// </summary>
internal static class JournalFormat
{
    public const uint Magic = 0x314A_524D; // "MRJ1"
    public const int Alignment = 512;
    public const int GroupHeaderBytes = 40;
    public const int EntryHeaderBytes = 32;

    /// <summary>Bytes of a batch that the entry's checksum covers: all that the batch's own CRC does not.</summary>
    private const int BatchPrefixBytes = RecordBatch.CrcFrom;

    public static long Align(long length) => (length + Alignment - 1) & ~(long)(Alignment - 1);

    public static void WriteGroupHeader(Span<byte> header, long generation, long sequence, long length, int entries, int unflushed, uint salt)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(header, Magic);
        BinaryPrimitives.WriteInt32LittleEndian(header[4..], entries);
        BinaryPrimitives.WriteInt64LittleEndian(header[8..], generation);
        BinaryPrimitives.WriteInt64LittleEndian(header[16..], sequence);
        BinaryPrimitives.WriteInt64LittleEndian(header[24..], length);
        BinaryPrimitives.WriteInt32LittleEndian(header[32..], unflushed);
        BinaryPrimitives.WriteUInt32LittleEndian(header[36..], Crc32C.Compute(header[..36], salt));
    }

    public static bool TryReadGroupHeader(ReadOnlySpan<byte> header, uint salt, out JournalGroup group)
    {
        group = default;
        if (header.Length < GroupHeaderBytes
            || BinaryPrimitives.ReadUInt32LittleEndian(header) != Magic
            || BinaryPrimitives.ReadUInt32LittleEndian(header[36..]) != Crc32C.Compute(header[..36], salt))
        {
            return false;
        }
        group = new JournalGroup(
            BinaryPrimitives.ReadInt64LittleEndian(header[8..]),
            BinaryPrimitives.ReadInt64LittleEndian(header[16..]),
            BinaryPrimitives.ReadInt64LittleEndian(header[24..]),
            BinaryPrimitives.ReadInt32LittleEndian(header[4..]),
            BinaryPrimitives.ReadInt32LittleEndian(header[32..]));
        return group.Length >= 0 && group.Entries >= 0;
    }

    public static void WriteEntryHeader(Span<byte> header, JournalEntryKind kind, Guid topicId, int partition, ReadOnlySpan<byte> body)
    {
        topicId.TryWriteBytes(header);
        BinaryPrimitives.WriteInt32LittleEndian(header[16..], partition);
        BinaryPrimitives.WriteInt32LittleEndian(header[20..], body.Length);
        BinaryPrimitives.WriteInt32LittleEndian(header[24..], (int)kind);
        BinaryPrimitives.WriteUInt32LittleEndian(header[28..], EntryCrc(header, body));
    }

    /// <summary>Reads and checks the entry at the start of the bytes; false when it is not whole and sound.</summary>
    public static bool TryReadEntry(ReadOnlySpan<byte> bytes, out JournalEntryKind kind, out Guid topicId, out int partition, out ReadOnlySpan<byte> body)
    {
        kind = default;
        topicId = default;
        partition = 0;
        body = default;
        if (bytes.Length < EntryHeaderBytes)
            return false;
        var length = BinaryPrimitives.ReadInt32LittleEndian(bytes[20..]);
        if (length < 0 || length > bytes.Length - EntryHeaderBytes)
            return false;
        body = bytes.Slice(EntryHeaderBytes, length);
        kind = (JournalEntryKind)BinaryPrimitives.ReadInt32LittleEndian(bytes[24..]);
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes[28..]) != EntryCrc(bytes, body))
            return false;
        topicId = new Guid(bytes[..16]);
        partition = BinaryPrimitives.ReadInt32LittleEndian(bytes[16..]);
        if (kind != JournalEntryKind.Batch)
            return true;
        if (RecordBatch.WholeBytes(body) != body.Length)
            return false;
        var batch = new RecordBatch(body);
        return batch.Crc == batch.ComputeCrc();
    }

    private static uint EntryCrc(ReadOnlySpan<byte> header, ReadOnlySpan<byte> body) =>
        Crc32C.Compute(body[..Math.Min(body.Length, BatchPrefixBytes)], Crc32C.Compute(header[..28]));
}

/// <param name="Generation">Which use of its file it belongs to.</param>
/// <param name="Sequence">Counts from 1 in each generation.</param>
/// <param name="Length">Bytes of the entries.</param>
/// <param name="Entries">How many.</param>
/// <param name="Unflushed">
/// How many groups right before it had not been flushed when it was written. The first of a generation has none before it: it says instead how many
/// groups, all of them flushed, the generation before has; 0 when nobody knows.
/// </param>
internal readonly record struct JournalGroup(long Generation, long Sequence, long Length, int Entries, int Unflushed);

/// <summary>
/// The one file that a flush syncs, whatever the number of partitions written: the bytes of every batch since the last checkpoint.
/// Two or more files take turns; a file is free again when a checkpoint has made all that it holds durable in the segments.
/// Used by the committer's thread alone, but for <see cref="Free"/>.
/// </summary>
internal sealed class Journal : IDisposable
{
    public const string FilePrefix = "journal-";
    private const int StagingBytes = 256 << 10;

    private readonly IFileSystem _files;
    private readonly string _folder;
    private readonly uint _salt;
    private readonly long _preparedBytes;
    private readonly List<Slot> _slots = [];
    private readonly byte[] _staging = new byte[StagingBytes];
    private int _staged;
    private long _position;
    private long _sequence;
    private long _flushed;
    private long _sentOn;
    private long _before;
    private bool _noted;
    private Slot? _current;

    public LogFaults Faults { get; init; } = LogFaults.None;

    private sealed class Slot(IFile file)
    {
        public IFile File { get; } = file;

        /// <summary>Of the file; not kept up when a generation makes it longer.</summary>
        public long Length { get; set; } = file.Length;

        public long Generation { get; set; }

        public volatile bool Busy;
    }

    /// <param name="files">Where the files are.</param>
    /// <param name="folder">Exists.</param>
    /// <param name="salt">Of this data folder.</param>
    /// <param name="generation">Above any that may still be in the files.</param>
    /// <param name="preparedBytes">How long <see cref="PrepareSpare"/> makes a file: somewhat more than a generation gets.</param>
    public Journal(IFileSystem files, string folder, uint salt, long generation, long preparedBytes)
    {
        _preparedBytes = preparedBytes;
        _salt = salt;
        _files = files;
        _folder = folder;
        Generation = generation - 1;
        foreach (var name in files.ListFiles(folder))
        {
            if (name.StartsWith(FilePrefix, StringComparison.Ordinal))
                _slots.Add(new Slot(files.Open(Path.Combine(folder, name))));
        }
        Begin();
    }

    /// <summary>The running use of a file.</summary>
    public long Generation { get; private set; }

    /// <summary>Bytes written in this generation.</summary>
    public long Length => _position;

    /// <summary>Goes over to a free file, making one when none is free. The one before stays until <see cref="Free"/>.</summary>
    /// <exception cref="JournalFlushException">What the old file still held unflushed could not be flushed.</exception>
    public void Begin()
    {
        WipeRefused();
        // The next file goes on from this one, so nothing of it may be missing.
        Flush();
        lock (_slots)
        {
            // A prepared one if there is one.
            var slot = _slots.Find(s => !s.Busy && s.Length >= _preparedBytes) ?? _slots.Find(s => !s.Busy);
            if (slot is null)
            {
                slot = Create();
            }
            slot.Busy = true;
            slot.Generation = ++Generation;
            _current = slot;
        }
        _before = _sequence;
        _position = 0;
        _sequence = _flushed = 0;
        _sentOn = 0;
    }

    /// <summary>
    /// Whether this generation's file is as long as it will get: then a flush has bytes to write and no length or blocks to note, which takes half
    /// the time, and does not wait for what other files make the file system note (bench log).
    /// </summary>
    public bool IsPrepared => _current!.Length >= _preparedBytes;

    /// <summary>Makes a free file, or a new one, as long as a generation gets. Any thread, one at a time.</summary>
    public void PrepareSpare(FlushPace pace)
    {
        Slot? slot;
        lock (_slots)
        {
            slot = _slots.Find(s => !s.Busy);
            if (slot is null && _slots.Count < 2)
                slot = Create();
            if (slot is null || slot.Length >= _preparedBytes && slot.File.Length <= 2 * _preparedBytes)
                return;
            // Nobody begins a generation in it meanwhile.
            slot.Busy = true;
        }
        try
        {
            // A time of more than the disk could take has made it long, and a start looks through all of it.
            if (slot.File.Length > 2 * _preparedBytes)
                slot.File.SetLength(_preparedBytes);
            var zeros = new ZeroFill(slot.File, slot.Length, _preparedBytes);
            while (zeros.WriteNext())
                pace.Rest(zeros.Rest);
            slot.Length = _preparedBytes;
        }
        finally
        {
            slot.Busy = false;
        }
    }

    private Slot Create()
    {
        var slot = new Slot(_files.Open(Path.Combine(_folder, FilePrefix + _slots.Count), create: true));
        // The name must outlive a crash before the first acknowledgement rests on it.
        if (!Faults.SkipFolderFlush)
            _files.FlushFolder(_folder);
        _slots.Add(slot);
        return slot;
    }

    /// <summary>Lets files be used again whose generation is below the given one. Any thread.</summary>
    public void Free(long belowGeneration)
    {
        List<Slot> freed;
        lock (_slots)
            freed = _slots.FindAll(s => s.Busy && s.Generation < belowGeneration);
        foreach (var slot in freed)
        {
            Wipe(slot);
            slot.Busy = false;
        }
    }

    /// <summary>The same for all files that were there before; when a first checkpoint is made and nothing is written yet.</summary>
    public void FreeFound() => _slots.ForEach(Wipe);

    /// <summary>
    /// Without its first group a file is free to everyone who reads it. What is done with it from here on, wiping or beginning anew, may leave a
    /// first group and a hole behind it: damage, to a start that has no checkpoint to tell it better.
    /// </summary>
    private void Wipe(Slot slot)
    {
        if (Faults.LeaveFirst || slot.File.Length == 0)
            return;
        try
        {
            slot.File.Write(0, new byte[JournalFormat.Alignment]);
            slot.File.Flush();
        }
        catch (IOException)
        {
            // It is free nevertheless: the checkpoint says so.
        }
    }

    /// <summary>Starts a group.</summary>
    /// <param name="length">Bytes of its entries with their headers, all told.</param>
    /// <param name="entries">How many will follow.</param>
    public void StartGroup(long length, int entries)
    {
        _staged = 0;
        _groupStart = _position;
        var unflushed = (int)Math.Min(int.MaxValue, _sequence == 0 ? _before : _sequence - _flushed);
        _noted = false;
        JournalFormat.WriteGroupHeader(Stage(JournalFormat.GroupHeaderBytes), Generation, ++_sequence, length, entries, unflushed, _salt);
    }

    private long _groupStart;
    private bool _refused;

    public void Add(JournalEntryKind kind, Guid topicId, int partition, ReadOnlySpan<byte> body)
    {
        JournalFormat.WriteEntryHeader(Stage(JournalFormat.EntryHeaderBytes), kind, topicId, partition, body);
        if (body.Length <= StagingBytes - _staged)
        {
            body.CopyTo(_staging.AsSpan(_staged));
            _staged += body.Length;
            return;
        }
        WriteStaged();
        if (body.Length > StagingBytes / 2)
        {
            _current!.File.Write(_position, body);
            _position += body.Length;
            return;
        }
        body.CopyTo(Stage(body.Length));
    }

    /// <summary>Writes what is left of the group. With a flush it and all before it are durable when this returns.</summary>
    /// <exception cref="JournalFlushException">The flush failed; nothing written since the last one can be trusted.</exception>
    /// <exception cref="IOException">A write failed; <see cref="TakeBack"/> and go on, or not.</exception>
    public void Commit(bool flush = true)
    {
        var end = JournalFormat.Align(_position + _staged);
        while (_position + _staged < end)
        {
            var padding = Stage((int)Math.Min(StagingBytes, end - _position - _staged));
            padding.Clear();
        }
        WriteStaged();
        _refused = false;
        if (flush && !Faults.SkipFlush)
        {
            Flush();
        }
        else if (_position - _sentOn >= FlushPace.PieceBytes)
        {
            // Whoever flushes in the end must not find all of it still to be written.
            _current!.File.WriteBack(_sentOn, _position - _sentOn, wait: false);
            _sentOn = _position;
        }
    }

    /// <summary>Whether <see cref="Note"/> has something to say.</summary>
    public bool IsUnnoted => _sequence > 0 && _flushed == _sequence && !_noted;

    /// <summary>
    /// An empty group, without a flush of its own, says that the one before is durable: damage to that is then told from a torn tail. Worth it when
    /// nothing follows for a while; with the next flush, or when the system writes it back, it is on the disk.
    /// </summary>
    /// <exception cref="IOException">It could not be written, and there is none.</exception>
    public void Note()
    {
        try
        {
            StartGroup(0, 0);
            Commit(flush: false);
            _noted = true;
        }
        catch (IOException)
        {
            TakeBack();
            throw;
        }
    }

    /// <summary>Makes durable what has been committed without a flush.</summary>
    /// <exception cref="JournalFlushException">It failed; nothing written since the last one can be trusted.</exception>
    public void Flush()
    {
        if (_current is null || _flushed == _sequence)
            return;
        try
        {
            _current.File.Flush();
            _flushed = _sequence;
            _sentOn = _position;
        }
        catch (IOException error)
        {
            throw new JournalFlushException(_current!.File.Path, error);
        }
    }

    /// <summary>Drops the group that failed to be written.</summary>
    public void TakeBack()
    {
        _position = _groupStart;
        _sentOn = Math.Min(_sentOn, _position);
        _staged = 0;
        _sequence--;
        _refused = true;
    }

    /// <summary>
    /// A refused group may stand in the file as if it were whole, and is written over by the next one. Where none follows in this file, it must
    /// go: a restart would take it for what came before the next generation.
    /// </summary>
    private void WipeRefused()
    {
        if (!_refused || Faults.LeaveRefused)
            return;
        if (_current!.File.Length > _position)
        {
            _current.File.SetLength(_position);
            _current.Length = Math.Min(_current.Length, _position);
            _flushed = -1;
        }
        _refused = false;
    }

    public void Dispose()
    {
        foreach (var slot in _slots)
            slot.File.Dispose();
    }

    private Span<byte> Stage(int count)
    {
        if (StagingBytes - _staged < count)
            WriteStaged();
        var room = _staging.AsSpan(_staged, count);
        _staged += count;
        return room;
    }

    private void WriteStaged()
    {
        if (_staged == 0)
            return;
        _current!.File.Write(_position, _staging.AsSpan(0, _staged));
        _position += _staged;
        _staged = 0;
    }
}

/// <summary>The journal could not be flushed. Whether its last group is on disk is unknown, so the log stops (style 12).</summary>
internal sealed class JournalFlushException(string path, Exception inner)
    : IOException($"fsync of {path} failed: nothing more is acknowledged until a restart has read back what is on disk", inner);
