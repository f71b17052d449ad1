using System.Globalization;
using Millrace.Raft.Log;
using Millrace.Storage.Checksums;
using Millrace.Storage.Files;

namespace Millrace.Raft.Snapshots;

/// <summary>
/// The snapshots of a member in one folder: the newest whole one counts. A file gets its name only once it is durable; one that
/// arrives in pieces goes on where it stopped, also after a restart.
/// </summary>
/// <remarks>Writing and receiving are for one thread at a time each; the rest for any.</remarks>
public sealed class SnapshotStore
{
    private const string Suffix = ".snapshot";
    private const string TemporarySuffix = ".writing";
    private const string PartialSuffix = ".arriving";
    /// <summary>
    /// A large file is sent on to the disk as it grows, in pieces that are waited for: left to its end, all of it would go there at once, before the
    /// log's small flushes.
    /// </summary>
    internal const int SendOnBytes = 256 << 10;

    /// <summary>
    /// A large file is deleted in pieces, each for good before the next: where the file system tells the disk what became free (ext4 with "discard"), a
    /// gigabyte at once keeps all flushes waiting for 0.1 s and more, a piece for 2 ms at most.
    /// </summary>
    internal const int DeleteBytes = 4 << 20;

    private readonly Lock _lock = new();
    private readonly IFileSystem _files;
    private readonly string _folder;
    private readonly List<string> _beingRead = [];
    private string? _beingDeleted;
    private string? _arrivingPath;
    private SnapshotInfo? _arriving;
    private long _arrived;

    private SnapshotStore(IFileSystem files, string folder)
    {
        _files = files;
        _folder = folder;
    }

    /// <summary>The newest whole snapshot.</summary>
    public SnapshotInfo? Newest { get; private set; }

    /// <exception cref="LogCorruptException">The newest snapshot is damaged.</exception>
    public static SnapshotStore Open(IFileSystem files, string folder)
    {
        ArgumentNullException.ThrowIfNull(files);
        MemberStorage.MakeFolderDurable(files, folder);
        var store = new SnapshotStore(files, folder);
        string? newest = null;
        foreach (var name in files.ListFiles(folder))
        {
            if (name.EndsWith(TemporarySuffix, StringComparison.Ordinal))
                files.DeleteFile(Path.Combine(folder, name));
            else if (name.EndsWith(Suffix, StringComparison.Ordinal))
                newest = name; // Names are in order of index and term.
        }
        if (newest is not null)
            store.Newest = Check(files, Path.Combine(folder, newest));
        return store;
    }

    /// <summary>A new snapshot of the state after an entry.</summary>
    /// <param name="index">Of the entry.</param>
    /// <param name="term">Of the entry.</param>
    /// <param name="configuration">In force at the entry.</param>
    /// <param name="afterBlock">Called after each block, a place for whoever writes to rest.</param>
    public SnapshotOutputStream Create(long index, long term, Configuration configuration, Action? afterBlock = null)
    {
        var path = Path.Combine(_folder, NameOf(index, term) + TemporarySuffix);
        if (_files.FileExists(path))
            _files.DeleteFile(path);
        return new SnapshotOutputStream(this, _files.Open(path, create: true), index, term, configuration, afterBlock);
    }

    /// <summary>Reads the newest snapshot's state; null when there is none.</summary>
    /// <param name="afterBlock">Called after each block, a place for whoever reads to rest.</param>
    public SnapshotInputStream? OpenNewest(Action? afterBlock = null)
    {
        lock (_lock)
        {
            if (Newest is null)
                return null;
            var path = PathOf(Newest);
            var stream = new SnapshotInputStream(_files.Open(path), afterBlock, () =>
            {
                lock (_lock)
                    _beingRead.Remove(path);
            });
            _beingRead.Add(path);
            return stream;
        }
    }

    /// <summary>Bytes of the newest snapshot's file, for sending it; null when there is none.</summary>
    public (SnapshotInfo Snapshot, ReadOnlyMemory<byte> Data)? ReadPiece(long offset, int maxBytes)
    {
        lock (_lock)
        {
            if (Newest is null)
                return null;
            using var file = _files.Open(PathOf(Newest));
            var data = new byte[(int)Math.Clamp(Newest.Bytes - offset, 0, maxBytes)];
            var read = file.Read(offset, data);
            return (Newest, data.AsMemory(0, read));
        }
    }

    /// <summary>
    /// Takes a piece of a snapshot that another member sends. Pieces must come in order; others are passed over. Once all are there the
    /// snapshot is checked, made durable and the newest.
    /// </summary>
    /// <param name="snapshot">What is sent.</param>
    /// <param name="offset">Of the piece.</param>
    /// <param name="data">The piece.</param>
    /// <param name="afterBlock">Called after each block that is checked in the end, a place to rest.</param>
    /// <returns>The first byte still missing, and whether the snapshot is now complete.</returns>
    public (long NextOffset, bool IsComplete) Receive(SnapshotInfo snapshot, long offset, ReadOnlySpan<byte> data, Action? afterBlock = null)
    {
        if (Newest == snapshot)
            return (snapshot.Bytes, true);
        if (_arriving != snapshot)
            BeginReceiving(snapshot);
        if (offset != _arrived || data.IsEmpty)
            return (_arrived, false);
        using (var file = _files.Open(_arrivingPath!, create: true))
        {
            file.Write(offset, data);
            _arrived += data.Length;
            if (_arrived < snapshot.Bytes)
            {
                var sent = offset / SendOnBytes * SendOnBytes;
                if (_arrived - sent >= SendOnBytes)
                    file.WriteBack(sent, _arrived - sent, wait: true);
                return (_arrived, false);
            }
            file.SetLength(_arrived);
            file.Flush();
        }
        var path = _arrivingPath!;
        _arriving = null;
        _arrivingPath = null;
        _arrived = 0;
        SnapshotInfo received;
        try
        {
            received = Check(_files, path, afterBlock);
        }
        catch (Exception error) when (error is LogCorruptException or InvalidDataException)
        {
            _files.DeleteFile(path);
            return (0, false);
        }
        if (received != snapshot)
        {
            _files.DeleteFile(path);
            return (0, false);
        }
        Finish(path, snapshot);
        return (snapshot.Bytes, true);
    }

    /// <summary>
    /// Deletes a part of what is older than the newest, but for what is being read; returns whether there may be more. The caller leaves the disk to others
    /// in between.
    /// </summary>
    public bool DeleteSomeOld()
    {
        lock (_lock)
        {
            if (_beingDeleted is null)
                return BeginDeleting();
            using (var file = _files.Open(_beingDeleted))
            {
                if (file.Length > DeleteBytes)
                {
                    file.SetLength(file.Length - DeleteBytes);
                    file.Flush();
                    return true;
                }
            }
            _files.DeleteFile(_beingDeleted);
            _beingDeleted = null;
            return true;
        }
    }

    internal SnapshotInfo Finish(string temporary, SnapshotInfo snapshot)
    {
        lock (_lock)
        {
            _files.Rename(temporary, PathOf(snapshot));
            _files.FlushFolder(_folder);
            if (Newest is null || snapshot.Index >= Newest.Index)
                Newest = snapshot;
            return snapshot;
        }
    }

    internal void Abandon(string temporary) => _files.DeleteFile(temporary);

    private static string NameOf(long index, long term) => string.Create(CultureInfo.InvariantCulture, $"{index:D19}-{term:D19}");

    private string PathOf(SnapshotInfo snapshot) => Path.Combine(_folder, NameOf(snapshot.Index, snapshot.Term) + Suffix);

    private bool BeginDeleting()
    {
        var newest = Newest is null ? null : NameOf(Newest.Index, Newest.Term) + Suffix;
        foreach (var name in _files.ListFiles(_folder))
        {
            var path = Path.Combine(_folder, name);
            var isOld = name.EndsWith(Suffix, StringComparison.Ordinal) ? string.CompareOrdinal(name, newest) < 0 && !_beingRead.Contains(path)
                : name.EndsWith(PartialSuffix, StringComparison.Ordinal) && path != _arrivingPath;
            if (!isOld)
                continue;
            using (var file = _files.Open(path))
            {
                if (file.Length > DeleteBytes)
                    _beingDeleted = path + TemporarySuffix;
            }
            if (_beingDeleted is null)
            {
                _files.DeleteFile(path);
                return true;
            }
            // What is cut must not look like a snapshot, whatever happens to the newest.
            _files.Rename(path, _beingDeleted);
            _files.FlushFolder(_folder);
            return true;
        }
        return false;
    }

    private void BeginReceiving(SnapshotInfo snapshot)
    {
        var name = string.Create(
            CultureInfo.InvariantCulture, $"{NameOf(snapshot.Index, snapshot.Term)}-{snapshot.Bytes}-{snapshot.Checksum:x8}{PartialSuffix}");
        _arriving = snapshot;
        _arrivingPath = Path.Combine(_folder, name);
        _arrived = 0;
        if (!_files.FileExists(_arrivingPath))
            return;
        // From before a restart: whole blocks from the start on are good.
        using var file = _files.Open(_arrivingPath);
        var header = new byte[SnapshotBlocks.HeaderBytes];
        var data = new byte[SnapshotBlocks.DataBytes];
        for (var number = 0; file.Read(_arrived, header) == header.Length; number++)
        {
            var length = SnapshotBlocks.LengthOf(header, out var isLast);
            if (length > data.Length || isLast || file.Read(_arrived + header.Length, data.AsSpan(0, length)) < length
                || !SnapshotBlocks.Verify(header, data.AsSpan(0, length), number, isLast))
                break;
            _arrived += header.Length + length;
        }
        file.SetLength(_arrived);
    }

    /// <summary>Reads a whole file through and tells what it is.</summary>
    private static SnapshotInfo Check(IFileSystem files, string path, Action? afterBlock = null)
    {
        using var reader = new SnapshotInputStream(files.Open(path), afterBlock);
        var buffer = new byte[SnapshotBlocks.DataBytes];
        while (reader.Read(buffer) > 0)
        {
        }
        using var file = files.Open(path);
        uint checksum = 0;
        long offset = 0;
        for (int read; (read = file.Read(offset, buffer)) > 0; offset += read)
        {
            checksum = Crc32C.Compute(buffer.AsSpan(0, read), checksum);
            afterBlock?.Invoke();
        }
        return new SnapshotInfo(reader.Index, reader.Term, reader.Configuration, offset, checksum);
    }
}
