using Millrace.Storage.Files;

namespace Millrace.Log.Storage;

/// <summary>
/// Memory that all tails share. Without room in it a tail goes to its file, so it bounds memory and refuses nothing. Thread-safe.
/// </summary>
/// <remarks>
/// Its own pool: a checkpoint gives a thousand arrays back at once, and the runtime's shared pool lets most of such a crowd go, to be collected
/// and made again.
/// </remarks>
/// <param name="total">Bytes of all tails (BrokerOptions.TailMemoryBytes).</param>
/// <param name="each">The most of one segment.</param>
internal sealed class TailMemory(long total, int each)
{
    public const int DefaultEach = 64 << 10;

    /// <summary>Sizes are this and its multiples by four.</summary>
    private const int SmallestBytes = 2 << 10;

    private readonly Lock _gate = new();
    private readonly List<Stack<byte[]>> _free = [];
    private readonly long _fillingFrom = total / 3;
    private long _left = total;
    private long _rented;

    public int Each { get; } = each;

    /// <summary>
    /// Tails should go to their files now, beside the commits: when there is no room left, a commit of many partitions writes all of theirs before its
    /// flush (600 writes, 20 to 200 ms). A checkpoint that has begun still needs room for what is appended meanwhile.
    /// </summary>
    public bool IsFilling => Interlocked.Read(ref _rented) > _fillingFrom;

    /// <summary>An array of at least so many bytes, or null when there is no room.</summary>
    public byte[]? Rent(int bytes)
    {
        var (place, size) = PlaceOf(bytes);
        lock (_gate)
        {
            if (place < _free.Count && _free[place].TryPop(out var free))
            {
                _rented += size;
                return free;
            }
            // Arrays of other sizes that nobody uses make room.
            for (var other = 0; other < _free.Count && _left < size; other++)
            {
                while (_left < size && _free[other].TryPop(out var unused))
                    _left += unused.Length;
            }
            if (_left < size)
                return null;
            _left -= size;
            _rented += size;
        }
        return GC.AllocateUninitializedArray<byte>(size);
    }

    public void Return(byte[] array)
    {
        var (place, _) = PlaceOf(array.Length);
        lock (_gate)
        {
            _rented -= array.Length;
            while (_free.Count <= place)
                _free.Add(new Stack<byte[]>());
            _free[place].Push(array);
        }
    }

    private static (int Place, int Size) PlaceOf(int bytes)
    {
        var (place, size) = (0, SmallestBytes);
        while (size < bytes)
            (place, size) = (place + 1, size * 4);
        return (place, size);
    }
}

/// <summary>
/// The end of a segment that is in the journal, and so acknowledged, but not in the segment's file yet. A thousand partitions with a record
/// each would cost a thousand writes before one acknowledgement; so they gather here until they are worth a write or a checkpoint wants
/// them in the file. Readers see file and tail as one. Thread-safe.
/// </summary>
/// <param name="memory">Shared.</param>
/// <param name="from">Bytes that are in the file.</param>
/// <param name="isNew">The file is made with the first write; one that a crash left under its name is emptied.</param>
internal sealed class SegmentTail(TailMemory memory, long from, bool isNew)
{
    private readonly Lock _gate = new();
    private byte[] _bytes = [];
    private int _length;
    private long _from = from;
    private bool _isNew = isNew;

    /// <summary>Some of the segment is in the file.</summary>
    public bool HasFile
    {
        get
        {
            lock (_gate)
                return _from > 0;
        }
    }

    /// <summary>Takes bytes that follow what is there; false when they should go to the file, with what is there.</summary>
    public bool TryAdd(List<ReadOnlyMemory<byte>> parts, long bytes)
    {
        lock (_gate)
        {
            if (_length + bytes > memory.Each || !HasRoom((int)(_length + bytes)))
                return false;
            foreach (var part in parts)
            {
                part.Span.CopyTo(_bytes.AsSpan(_length));
                _length += part.Length;
            }
            return true;
        }
    }

    /// <summary>Reads up to the end of file and tail.</summary>
    /// <param name="segment">Whose tail this is; its file is opened only when it is needed.</param>
    /// <param name="position">In the segment.</param>
    /// <param name="buffer">Filled as far as there are bytes.</param>
    public int Read(Segment segment, long position, Span<byte> buffer)
    {
        long inFile;
        var count = 0;
        lock (_gate)
        {
            inFile = _from;
            var first = Math.Max(position, _from);
            var end = Math.Min(position + buffer.Length, _from + _length);
            if (end > first)
            {
                count = (int)(end - first);
                _bytes.AsSpan((int)(first - _from), count).CopyTo(buffer[(int)(first - position)..]);
            }
        }
        // What was in the file then is there still: only bytes that no reader may see are ever cut.
        if (position >= inFile)
            return count;
        var wanted = (int)Math.Min(buffer.Length, inFile - position);
        var read = segment.File.Read(position, buffer[..wanted]);
        return read < wanted ? read : read + count;
    }

    /// <summary>Writes to the file what is here, and more that follows.</summary>
    /// <exception cref="IOException">The disk is full or failing; all that was here is here still.</exception>
    public void WriteOut(IFile file, List<ReadOnlyMemory<byte>> more, long bytes)
    {
        lock (_gate)
        {
            BeginFile(file);
            if (_length > 0)
                more.Insert(0, _bytes.AsMemory(0, _length));
            if (more.Count == 1)
                file.Write(_from, more[0].Span);
            else
                file.Write(_from, more);
            _from += _length + bytes;
            _length = 0;
        }
    }

    /// <summary>Writes to the file what is here, and gives the memory back.</summary>
    /// <exception cref="IOException">As above.</exception>
    public void WriteOut(IFile file)
    {
        lock (_gate)
        {
            BeginFile(file);
            if (_length > 0)
                file.Write(_from, _bytes.AsSpan(0, _length));
            _from += _length;
            GiveBack();
        }
    }

    /// <summary>Forgets what is behind a length, in memory and in the file, where a failed write may have left some of it.</summary>
    public void CutTo(IFile file, long length)
    {
        lock (_gate)
        {
            _length = (int)Math.Clamp(length - _from, 0, _length);
            _from = Math.Min(_from, length);
            file.SetLength(_from);
            _isNew = false;
        }
    }

    /// <summary>The segment is gone.</summary>
    public void Release()
    {
        lock (_gate)
            GiveBack();
    }

    private void BeginFile(IFile file)
    {
        if (!_isNew)
            return;
        if (file.Length > 0)
            file.SetLength(0);
        _isNew = false;
    }

    private void GiveBack()
    {
        _length = 0;
        if (_bytes.Length == 0)
            return;
        memory.Return(_bytes);
        _bytes = [];
    }

    private bool HasRoom(int wanted)
    {
        if (wanted <= _bytes.Length)
            return true;
        if (memory.Rent(wanted) is not { } larger)
            return false;
        _bytes.AsSpan(0, _length).CopyTo(larger);
        if (_bytes.Length > 0)
            memory.Return(_bytes);
        _bytes = larger;
        return true;
    }
}

/// <summary>What a tail holds could not be written to its segment's file. It is in the journal, so nothing is lost: the checkpoint waits.</summary>
internal sealed class TailNotWrittenException(string path, Exception inner) : IOException($"{path} could not be written: {inner.Message}", inner);
