using System.Buffers.Binary;
using Millrace.Storage.Checksums;
using Millrace.Storage.Files;

namespace Millrace.Log.Storage;

/// <summary>
/// The sparse index of one segment: at most one entry per <see cref="IntervalBytes"/>, with the offset and position of a batch and the
/// largest timestamp before it, so that one list serves both look-ups. What it has not seen (<see cref="Covered"/>) is scanned on
/// first use, so recovery need not read old segments. Thread-safe.
/// </summary>
internal sealed class SegmentIndex
{
    public const int IntervalBytes = 64 << 10;

    private const uint Magic = 0x4D52_4958; // "MRIX"
    private const int HeaderBytes = 32;
    private const int EntryBytes = 24;
    private const int WorthEntries = 16;

    /// <summary>The file speaks of more than there is: it must be replaced before the segment has grown that far again.</summary>
    private const int FileIsWrong = -1;
    private readonly Lock _gate = new();
    private readonly List<Entry> _entries = [];
    private long _maxTimestamp = -1;
    private int _saved;

    private readonly record struct Entry(long BaseOffset, long MaxTimestampBefore, int Position);

    /// <summary>Bytes of the segment, from its start, that the entries speak for.</summary>
    public long Covered { get; private set; }

    /// <summary>The largest timestamp of what is covered, -1 when nothing is.</summary>
    public long MaxTimestamp
    {
        get
        {
            lock (_gate)
                return _maxTimestamp;
        }
    }

    /// <summary>Takes note of the batch that stands right behind what is covered; batches further on are left to a scan.</summary>
    public void Add(long baseOffset, long position, int bytes, long maxTimestamp)
    {
        lock (_gate)
        {
            if (position != Covered)
                return;
            if (_entries.Count == 0 || position - _entries[^1].Position >= IntervalBytes)
                _entries.Add(new Entry(baseOffset, _maxTimestamp, (int)position));
            _maxTimestamp = Math.Max(_maxTimestamp, maxTimestamp);
            Covered = position + bytes;
        }
    }

    /// <summary>A position at or before the batch that holds the offset.</summary>
    public long FindOffset(long offset)
    {
        lock (_gate)
        {
            int low = 0, high = _entries.Count - 1, found = -1;
            while (low <= high)
            {
                var middle = (low + high) >>> 1;
                if (_entries[middle].BaseOffset <= offset)
                {
                    found = middle;
                    low = middle + 1;
                }
                else
                {
                    high = middle - 1;
                }
            }
            return found < 0 ? 0 : _entries[found].Position;
        }
    }

    /// <summary>A position before which no batch has a timestamp that reaches the given one.</summary>
    public long FindTimestamp(long timestamp)
    {
        lock (_gate)
        {
            var position = 0;
            foreach (var entry in _entries)
            {
                if (entry.MaxTimestampBefore >= timestamp)
                    break;
                position = entry.Position;
            }
            return position;
        }
    }

    /// <summary>Forgets what stands behind a length, when the segment is cut there.</summary>
    public void CutTo(long length)
    {
        lock (_gate)
        {
            if (length >= Covered)
                return;
            // The largest timestamp may have gone with the tail; a scan from the last full entry finds it again.
            _entries.RemoveAll(e => e.Position >= length);
            _saved = FileIsWrong;
            if (_entries.Count == 0)
            {
                Covered = 0;
                _maxTimestamp = -1;
                return;
            }
            var last = _entries[^1];
            _entries.RemoveAt(_entries.Count - 1);
            Covered = last.Position;
            _maxTimestamp = last.MaxTimestampBefore;
        }
    }

    /// <summary>
    /// A quarter of it, or a megabyte's entries, is not in the file yet. What is left out is scanned on first use; a thousand partitions with
    /// one entry more each do not write a thousand files at every checkpoint.
    /// </summary>
    public bool IsWorthSaving
    {
        get
        {
            lock (_gate)
                return _saved < 0 || _entries.Count - _saved >= Math.Min(WorthEntries, 1 + _entries.Count / 4);
        }
    }

    /// <summary>Saves the index beside its segment. Losing it costs a scan, so it is not flushed.</summary>
    public void Save(IFileSystem files, string path)
    {
        byte[] bytes;
        lock (_gate)
        {
            bytes = new byte[HeaderBytes + _entries.Count * EntryBytes];
            _saved = _entries.Count;
            BinaryPrimitives.WriteUInt32LittleEndian(bytes, Magic);
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(4), _entries.Count);
            BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(8), Covered);
            BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(16), _maxTimestamp);
            for (var i = 0; i < _entries.Count; i++)
            {
                var entry = bytes.AsSpan(HeaderBytes + i * EntryBytes);
                BinaryPrimitives.WriteInt64LittleEndian(entry, _entries[i].BaseOffset);
                BinaryPrimitives.WriteInt64LittleEndian(entry[8..], _entries[i].MaxTimestampBefore);
                BinaryPrimitives.WriteInt64LittleEndian(entry[16..], _entries[i].Position);
            }
        }
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(24), Crc(bytes));
        using var file = files.Open(path, create: true);
        file.SetLength(bytes.Length);
        file.Write(0, bytes);
    }

    /// <summary>Loads what fits a segment of this length; an index that is absent, broken or too long is an empty one.</summary>
    public static SegmentIndex Load(IFileSystem files, string path, long segmentLength)
    {
        var index = new SegmentIndex();
        if (!files.FileExists(path))
            return index;
        var bytes = DurableFile.ReadAll(files, path);
        if (bytes.Length < HeaderBytes
            || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != Magic
            || BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(24)) != Crc(bytes)
            || bytes.Length != HeaderBytes + (long)BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(4)) * EntryBytes
            || BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(8)) > segmentLength)
        {
            index._saved = FileIsWrong;
            return index;
        }
        index.Covered = BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(8));
        index._maxTimestamp = BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(16));
        for (var at = HeaderBytes; at < bytes.Length; at += EntryBytes)
        {
            var entry = bytes.AsSpan(at);
            index._entries.Add(new Entry(
                BinaryPrimitives.ReadInt64LittleEndian(entry),
                BinaryPrimitives.ReadInt64LittleEndian(entry[8..]),
                (int)BinaryPrimitives.ReadInt64LittleEndian(entry[16..])));
        }
        index._saved = index._entries.Count;
        return index;
    }

    private static uint Crc(byte[] bytes) => Crc32C.Compute(bytes.AsSpan(HeaderBytes), Crc32C.Compute(bytes.AsSpan(0, 24)));
}
