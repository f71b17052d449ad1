using Millrace.Storage.Checksums;
using Millrace.Storage.Files;

namespace Millrace.Raft.Snapshots;

/// <summary>Writes a state into a snapshot's file. Without <see cref="Complete"/> nothing remains of it.</summary>
public sealed class SnapshotOutputStream : Stream
{
    private readonly SnapshotStore _store;
    private readonly IFile _file;
    private readonly Action? _afterBlock;
    private readonly byte[] _block = new byte[SnapshotBlocks.HeaderBytes + SnapshotBlocks.DataBytes];
    private readonly long _index;
    private readonly long _term;
    private readonly Configuration _configuration;
    private int _used;
    private int _number;
    private long _written;
    private long _sent;
    private uint _checksum;
    private bool _isDone;

    internal SnapshotOutputStream(SnapshotStore store, IFile file, long index, long term, Configuration configuration, Action? afterBlock)
    {
        _afterBlock = afterBlock;
        _store = store;
        _file = file;
        _index = index;
        _term = term;
        _configuration = configuration;
        Write(SnapshotBlocks.Describe(index, term, configuration));
        EndBlock(isLast: false);
    }

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => _written;

    public override long Position
    {
        get => _written;
        set => throw new NotSupportedException();
    }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            if (_used == SnapshotBlocks.DataBytes)
                EndBlock(isLast: false);
            var count = Math.Min(buffer.Length, SnapshotBlocks.DataBytes - _used);
            buffer[..count].CopyTo(_block.AsSpan(SnapshotBlocks.HeaderBytes + _used));
            _used += count;
            buffer = buffer[count..];
        }
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    /// <summary>Makes the snapshot durable and the newest of the store.</summary>
    public SnapshotInfo Complete()
    {
        EndBlock(isLast: true);
        _file.Flush();
        _isDone = true;
        _file.Dispose();
        return _store.Finish(_file.Path, new SnapshotInfo(_index, _term, _configuration, _written, _checksum));
    }

    public override void Flush()
    {
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing && !_isDone)
        {
            _isDone = true;
            _file.Dispose();
            _store.Abandon(_file.Path);
        }
        base.Dispose(disposing);
    }

    private void EndBlock(bool isLast)
    {
        SnapshotBlocks.Seal(_block, _used, _number++, isLast);
        var bytes = _block.AsSpan(0, SnapshotBlocks.HeaderBytes + _used);
        _file.Write(_written, bytes);
        _checksum = Crc32C.Compute(bytes, _checksum);
        _written += bytes.Length;
        _used = 0;
        if (_written - _sent >= SnapshotStore.SendOnBytes)
        {
            _file.WriteBack(_sent, _written - _sent, wait: true);
            _sent = _written;
        }
        _afterBlock?.Invoke();
    }
}
