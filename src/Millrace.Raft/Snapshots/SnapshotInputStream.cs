using Millrace.Raft.Log;
using Millrace.Storage.Files;

namespace Millrace.Raft.Snapshots;

/// <summary>Reads the state back, block by block, each checked before any of it is given out.</summary>
public sealed class SnapshotInputStream : Stream
{
    private readonly IFile _file;
    private readonly Action? _afterBlock;
    private readonly Action? _closed;
    private readonly byte[] _header = new byte[SnapshotBlocks.HeaderBytes];
    private readonly byte[] _data = new byte[SnapshotBlocks.DataBytes];
    private long _offset;
    private int _number;
    private int _length;
    private int _taken;
    private bool _isLast;

    internal SnapshotInputStream(IFile file, Action? afterBlock = null, Action? closed = null)
    {
        _file = file;
        _afterBlock = afterBlock;
        _closed = closed;
        Next();
        (Index, Term, Configuration) = SnapshotBlocks.ReadDescription(_data.AsSpan(0, _length));
        _taken = _length;
    }

    public long Index { get; }

    public long Term { get; }

    public Configuration Configuration { get; }

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => _file.Length;

    public override long Position
    {
        get => _offset;
        set => throw new NotSupportedException();
    }

    /// <exception cref="LogCorruptException">A block does not match its checksum, or the end is missing.</exception>
    public override int Read(Span<byte> buffer)
    {
        while (_taken == _length && !_isLast && buffer.Length > 0)
            Next();
        var count = Math.Min(buffer.Length, _length - _taken);
        _data.AsSpan(_taken, count).CopyTo(buffer);
        _taken += count;
        return count;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _file.Dispose();
            _closed?.Invoke();
        }
        base.Dispose(disposing);
    }

    private void Next()
    {
        if (_file.Read(_offset, _header) < _header.Length)
            throw new LogCorruptException(_file.Path, _offset, "the snapshot ends without its last block");
        _length = SnapshotBlocks.LengthOf(_header, out _isLast);
        if (_length > _data.Length || _file.Read(_offset + _header.Length, _data.AsSpan(0, _length)) < _length
            || !SnapshotBlocks.Verify(_header, _data.AsSpan(0, _length), _number, _isLast))
            throw new LogCorruptException(_file.Path, _offset, $"block {_number} of the snapshot does not match its checksum");
        _offset += _header.Length + _length;
        _number++;
        _taken = 0;
        _afterBlock?.Invoke();
    }
}
