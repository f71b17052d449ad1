using System.Buffers;
using Millrace.Kafka.Records;

namespace Millrace.Log.Storage;

/// <summary>
/// Reads batch headers of a segment one after another through a small pooled buffer. A place where no batch can begin is passed over: the scan
/// goes on at the next place from which sound headers lead to the segment's end.
/// </summary>
internal ref struct BatchScanner : IDisposable
{
    private const int BufferBytes = 32 << 10;
    private readonly Segment _segment;
    private readonly long _end;
    private byte[]? _buffer;
    private long _bufferFrom;
    private int _bufferLength;
    private long _next;

    public BatchScanner(Segment segment, long from, long end)
    {
        _segment = segment;
        _end = end;
        _next = from;
        Position = from;
    }

    public long Position { get; private set; }

    /// <summary>The header only; the records may not be in memory.</summary>
    public RecordBatch Header { get; private set; }

    /// <summary>Where the damage began that the last <see cref="MoveNext"/> passed over, or -1.</summary>
    public long DamagedAt { get; private set; } = -1;

    public bool MoveNext()
    {
        DamagedAt = -1;
        if (_next >= _end)
            return false;
        if (Length(_next) < 0)
        {
            DamagedAt = _next;
            _next = FindNext(_next + 1);
            if (_next >= _end)
                return false;
        }
        Position = _next;
        var header = Read(_next);
        Header = new RecordBatch(header);
        _next += Header.TotalBytes;
        return true;
    }

    public void Dispose()
    {
        if (_buffer is not null)
            ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = null;
    }

    /// <summary>Bytes of the batch that begins here, -1 when none can.</summary>
    private int Length(long position)
    {
        var header = Read(position);
        var whole = header.Length < RecordBatch.HeaderBytes || !PlaceCheck.Holds(header) ? -1 : RecordBatch.WholeBytes(header);
        return position + whole > _end ? -1 : whole;
    }

    /// <summary>The next place from which batches lead to the very end, so that bytes inside a record are not taken for one.</summary>
    private long FindNext(long from)
    {
        for (var position = from; position + RecordBatch.HeaderBytes <= _end; position++)
        {
            var at = position;
            while (at < _end && Length(at) is > 0 and var whole)
                at += whole;
            if (at == _end)
                return position;
        }
        return _end;
    }

    private ReadOnlySpan<byte> Read(long position)
    {
        _buffer ??= ArrayPool<byte>.Shared.Rent(BufferBytes);
        if (position < _bufferFrom || position + RecordBatch.HeaderBytes > _bufferFrom + _bufferLength)
        {
            var wanted = (int)Math.Min(_buffer.Length, _end - position);
            _bufferLength = _segment.Read(position, _buffer.AsSpan(0, wanted));
            _bufferFrom = position;
        }
        var at = (int)(position - _bufferFrom);
        return _buffer.AsSpan(at, Math.Min(RecordBatch.HeaderBytes, _bufferLength - at));
    }
}
