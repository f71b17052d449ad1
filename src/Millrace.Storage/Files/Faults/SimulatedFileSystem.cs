namespace Millrace.Storage.Files.Faults;

/// <summary>
/// A disk in memory that keeps exactly what <see cref="IFileSystem"/> promises and no more: after <see cref="Crash"/>, unflushed
/// writes may be lost, torn at sectors or reordered, and names whose folder was not flushed may be gone. Everything is drawn from
/// one seeded generator, so the same calls with the same seed end the same way.
/// </summary>
/// <remarks>Thread-safe by one lock. Files are limited to 2 GiB each; paths are absolute, with slashes; "/" exists.</remarks>
public sealed class SimulatedFileSystem : IFileSystem
{
    private readonly Lock _lock = new();
    private readonly Random _random;
    private readonly List<NameChange> _changes = [];
    private readonly List<PlannedFailure> _planned = [];
    private Dictionary<string, SimulatedInode?> _seen = new(StringComparer.Ordinal) { ["/"] = null };
    private Dictionary<string, SimulatedInode?> _durable = new(StringComparer.Ordinal) { ["/"] = null };
    private DiskFaults _faults;
    private int _generation;

    /// <param name="seed">Of all that is left to chance.</param>
    /// <param name="faults">Default: none but those of a crash.</param>
    public SimulatedFileSystem(int seed, DiskFaults? faults = null)
        : this(new Random(seed), faults)
    {
    }

    /// <param name="random">Seeded by the caller, who may share it with a simulated clock and network.</param>
    /// <param name="faults">Default: none but those of a crash.</param>
    public SimulatedFileSystem(Random random, DiskFaults? faults = null)
    {
        ArgumentNullException.ThrowIfNull(random);
        _random = random;
        _faults = faults ?? DiskFaults.None;
    }

    /// <summary>May be changed at any time, e.g. to give room back to a full disk.</summary>
    public DiskFaults Faults
    {
        get => _faults;
        set
        {
            lock (_lock)
                _faults = value;
        }
    }

    /// <summary>Flushes of files that succeeded.</summary>
    public long Flushes { get; private set; }

    /// <summary>Writes that were asked for.</summary>
    public long Writes { get; private set; }

    /// <summary>Bytes that all files have now.</summary>
    public long UsedBytes
    {
        get
        {
            lock (_lock)
                return _seen.Values.Sum(i => (long)(i?.Length ?? 0));
        }
    }

    /// <summary>Makes the flush of a file fail, the <paramref name="after"/>-th from now among those whose path ends so.</summary>
    public void FailFlush(string pathEnd = "", int after = 1)
    {
        lock (_lock)
            _planned.Add(new PlannedFailure(pathEnd, after));
    }

    /// <summary>
    /// Power off and on: every open file becomes unusable, unflushed writes and names meet their fate.
    /// </summary>
    public void Crash(CrashOutcome outcome = CrashOutcome.Drawn)
    {
        lock (_lock)
        {
            _generation++;
            SettleNames(outcome);
            _seen = new(_durable, StringComparer.Ordinal);
            foreach (var path in _durable.Keys.Order(StringComparer.Ordinal))
            {
                if (_durable[path] is not { } inode)
                    continue;
                var drawn = outcome != CrashOutcome.Drawn ? outcome : (CrashOutcome)_random.Next(1, 5);
                inode.Crash(_random, drawn, _faults.SectorBytes);
                if (inode.Length > 0 && Happens(_faults.RottenFileAtCrash))
                    inode.FlipBit(_random.Next(inode.Length), _random.Next(8));
            }
        }
    }

    /// <summary>Bit rot at a place, seen at once and after crashes.</summary>
    public void FlipBit(string path, long offset, int bit = 0)
    {
        lock (_lock)
            FileAt(path).FlipBit(offset, bit);
    }

    public IFile Open(string path, bool create = false)
    {
        path = Normal(path);
        lock (_lock)
        {
            if (_seen.TryGetValue(path, out var inode))
            {
                return inode is null
                    ? throw new UnauthorizedAccessException($"{path} is a folder")
                    : new SimulatedFile(this, path, inode, _generation);
            }
            if (!create)
                throw new FileNotFoundException($"{path} does not exist", path);
            RequireFolder(ParentOf(path));
            inode = new SimulatedInode();
            Change(new NameChange(null, path, inode));
            return new SimulatedFile(this, path, inode, _generation);
        }
    }

    public bool FileExists(string path)
    {
        lock (_lock)
            return _seen.TryGetValue(Normal(path), out var inode) && inode is not null;
    }

    public void CreateFolder(string path)
    {
        path = Normal(path);
        lock (_lock)
        {
            if (_seen.TryGetValue(path, out var inode))
            {
                if (inode is not null)
                    throw new IOException($"{path} is a file");
                return;
            }
            CreateFolder(ParentOf(path));
            Change(new NameChange(null, path, null));
        }
    }

    public bool FolderExists(string path)
    {
        lock (_lock)
            return _seen.TryGetValue(Normal(path), out var inode) && inode is null;
    }

    public IReadOnlyList<string> ListFiles(string folder) => List(folder, files: true);

    public IReadOnlyList<string> ListFolders(string folder) => List(folder, files: false);

    public void Rename(string from, string to)
    {
        from = Normal(from);
        to = Normal(to);
        lock (_lock)
        {
            if (!_seen.TryGetValue(from, out var inode))
                throw new FileNotFoundException($"{from} does not exist", from);
            RequireFolder(ParentOf(to));
            if (inode is null && _seen.ContainsKey(to))
                throw new IOException($"{to} exists");
            Change(new NameChange(from, to, inode));
        }
    }

    public void DeleteFile(string path)
    {
        path = Normal(path);
        lock (_lock)
        {
            if (_seen.TryGetValue(path, out var inode) && inode is not null)
                Change(new NameChange(path, null, null));
        }
    }

    public void DeleteFolder(string path)
    {
        path = Normal(path);
        lock (_lock)
        {
            RequireFolder(path);
            Change(new NameChange(path, null, null));
        }
    }

    public void FlushFolder(string path)
    {
        path = Normal(path);
        lock (_lock)
        {
            RequireFolder(path);
            if (Happens(_faults.FailedFolderFlush))
                throw new IOException($"fsync of folder {path} failed (simulated)");
            // A name needs the names above it only when it is looked up, so flushing a folder whose own name is undurable is no
            // error; that folder vanishes with all in it at a crash, which is the caller's mistake to find.
            for (var i = 0; i < _changes.Count; i++)
            {
                if (!_changes[i].Touches(path))
                    continue;
                Apply(_durable, _changes[i]);
                _changes.RemoveAt(i--);
            }
        }
    }

    private void SettleNames(CrashOutcome outcome)
    {
        var kept = outcome switch
        {
            CrashOutcome.NothingUnflushed => 0,
            CrashOutcome.Everything => _changes.Count,
            _ => _random.Next(_changes.Count + 1),
        };
        for (var i = 0; i < _changes.Count; i++)
        {
            var lot = _faults.UnorderedNames && outcome is not (CrashOutcome.Everything or CrashOutcome.NothingUnflushed);
            if (lot ? _random.Next(2) == 0 : i < kept)
                Apply(_durable, _changes[i]);
        }
        _changes.Clear();
        // Names in folders that were lost are lost.
        foreach (var path in _durable.Keys.Order(StringComparer.Ordinal).ToArray())
        {
            if (path != "/" && !(_durable.TryGetValue(ParentOf(path), out var parent) && parent is null))
                _durable.Remove(path);
        }
    }

    private void Change(NameChange change)
    {
        Apply(_seen, change);
        _changes.Add(change);
    }

    private static void Apply(Dictionary<string, SimulatedInode?> names, NameChange change)
    {
        if (change.From is { } from)
        {
            var below = from + "/";
            foreach (var path in names.Keys.Where(p => p.StartsWith(below, StringComparison.Ordinal)).ToArray())
            {
                var inode = names[path];
                names.Remove(path);
                if (change.To is not null)
                    names[change.To + path[from.Length..]] = inode;
            }
            names.Remove(from);
        }
        if (change.To is { } to)
            names[to] = change.Inode;
    }

    private string[] List(string folder, bool files)
    {
        folder = Normal(folder);
        lock (_lock)
        {
            RequireFolder(folder);
            return _seen
                .Where(e => e.Key != "/" && ParentOf(e.Key) == folder && e.Value is not null == files)
                .Select(e => Path.GetFileName(e.Key)).Order(StringComparer.Ordinal).ToArray();
        }
    }

    private SimulatedInode FileAt(string path) =>
        _seen.TryGetValue(Normal(path), out var inode) && inode is not null
            ? inode
            : throw new FileNotFoundException($"{path} does not exist", path);

    private void RequireFolder(string path)
    {
        if (!_seen.TryGetValue(path, out var inode) || inode is not null)
            throw new DirectoryNotFoundException($"{path} is no folder");
    }

    private bool Happens(double probability) => probability > 0 && _random.NextDouble() < probability;

    private bool IsPlannedToFail(string path)
    {
        for (var i = 0; i < _planned.Count; i++)
        {
            if (!path.EndsWith(_planned[i].PathEnd, StringComparison.Ordinal))
                continue;
            _planned[i] = _planned[i] with { After = _planned[i].After - 1 };
            if (_planned[i].After > 0)
                continue;
            _planned.RemoveAt(i);
            return true;
        }
        return false;
    }

    private static string Normal(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (path[0] != '/')
            throw new ArgumentException($"{path} is not absolute", nameof(path));
        return path.Length > 1 ? path.TrimEnd('/') : path;
    }

    private static string ParentOf(string path) => Path.GetDirectoryName(path) ?? "/";

    /// <summary>One atomic change of names: a creation (no From), a deletion (no To) or a renaming.</summary>
    private sealed record NameChange(string? From, string? To, SimulatedInode? Inode)
    {
        public bool Touches(string folder) =>
            (From is not null && ParentOf(From) == folder) || (To is not null && ParentOf(To) == folder);
    }

    private readonly record struct PlannedFailure(string PathEnd, int After);

    private sealed class SimulatedFile(SimulatedFileSystem disk, string path, SimulatedInode inode, int generation) : IFile
    {
        private bool _disposed;

        public string Path => path;

        public long Length
        {
            get
            {
                lock (disk._lock)
                {
                    RequireOpen();
                    return inode.Length;
                }
            }
        }

        public int Read(long offset, Span<byte> buffer)
        {
            lock (disk._lock)
            {
                RequireOpen();
                if (disk.Happens(disk._faults.FailedRead))
                    throw new IOException($"read of {path} at {offset} failed (simulated)");
                return inode.Read(offset, buffer);
            }
        }

        public void Write(long offset, ReadOnlySpan<byte> data)
        {
            lock (disk._lock)
            {
                RequireOpen();
                disk.Writes++;
                if (data.IsEmpty)
                    return;
                var faults = disk._faults;
                var room = RoomFor(offset, data.Length);
                var failed = disk.Happens(faults.FailedWrite);
                if (failed)
                    room = disk._random.Next(room + 1);
                var at = disk.Happens(faults.MisdirectedWrite) ? Misdirected(offset, data.Length) : offset;
                if (room > 0)
                    inode.Write(checked((int)at), data[..room], disk.Happens(faults.LostWrite));
                if (failed)
                    throw new IOException($"write to {path} at {offset} failed (simulated)");
                if (room < data.Length)
                    throw new IOException($"no space left on device: write to {path} at {offset} (simulated)", 28);
            }
        }

        public void Write(long offset, IReadOnlyList<ReadOnlyMemory<byte>> parts)
        {
            var whole = new byte[parts.Sum(p => p.Length)];
            var at = 0;
            foreach (var part in parts)
            {
                part.Span.CopyTo(whole.AsSpan(at));
                at += part.Length;
            }
            Write(offset, whole);
        }

        public void Flush()
        {
            lock (disk._lock)
            {
                RequireOpen();
                if (disk.IsPlannedToFail(path) || disk.Happens(disk._faults.FailedFlush))
                {
                    inode.FailFlush(disk._random, disk._faults.SectorBytes);
                    throw new IOException($"fsync of {path} failed (simulated)");
                }
                inode.Flush();
                disk.Flushes++;
            }
        }

        /// <summary>Which of the unflushed bytes a crash leaves is chosen at the crash; sending them on earlier changes nothing.</summary>
        public void WriteBack(long offset, long length, bool wait)
        {
            lock (disk._lock)
                RequireOpen();
        }

        public void SetLength(long length)
        {
            lock (disk._lock)
            {
                RequireOpen();
                if (length > inode.Length && RoomFor(inode.Length, length - inode.Length) < length - inode.Length)
                    throw new IOException($"no space left on device: growing {path} to {length} (simulated)", 28);
                inode.SetLength(checked((int)length));
            }
        }

        public void Preallocate(long length)
        {
        }

        public void Dispose() => _disposed = true;

        /// <summary>How many of the bytes fit.</summary>
        private int RoomFor(long offset, long count)
        {
            if (disk._faults.CapacityBytes == long.MaxValue)
                return (int)count;
            var growth = Math.Max(0, offset + count - inode.Length);
            var over = Math.Max(0, disk._seen.Values.Sum(i => (long)(i?.Length ?? 0)) + growth - disk._faults.CapacityBytes);
            return (int)Math.Max(0, count - over);
        }

        private long Misdirected(long offset, int count)
        {
            var sector = disk._faults.SectorBytes;
            var sectors = Math.Max(1, (inode.Length - count) / sector);
            return ((long)disk._random.Next(sectors) * sector) + (offset % sector);
        }

        private void RequireOpen()
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (generation != disk._generation)
                throw new IOException($"{path} was open when the machine crashed");
        }
    }
}
