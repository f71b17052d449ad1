using System.Buffers;

namespace Millrace.Kafka.Wire;

/// <summary>
/// A growing byte buffer from the shared pool, with large byte ranges attached by reference instead of copied. Owned by one thread at
/// a time; the bytes of attachments must stay valid until the buffer has been sent.
/// </summary>
public sealed class WireBuffer : IDisposable
{
    /// <summary>Ranges from this size on are attached, smaller ones copied: a gather entry costs about as much as copying this.</summary>
    public const int AttachFrom = 4096;

    private readonly List<(int At, ReadOnlyMemory<byte> Bytes)> _attachments = [];
    private byte[] _bytes = [];
    private int _length;
    private long _attachedBytes;

    /// <summary>Bytes written here, without attachments.</summary>
    public int Length => _length;

    /// <summary>Bytes written and attached.</summary>
    public long TotalLength => _length + _attachedBytes;

    public ReadOnlySpan<byte> Written => _bytes.AsSpan(0, _length);

    public ReadOnlyMemory<byte> WrittenMemory => _bytes.AsMemory(0, _length);

    public bool HasAttachments => _attachments.Count > 0;

    /// <summary>Room for so many bytes at the end, to be filled at once.</summary>
    public Span<byte> Extend(int count)
    {
        if (_bytes.Length - _length < count)
            Grow(count);
        var room = _bytes.AsSpan(_length, count);
        _length += count;
        return room;
    }

    /// <summary>Already written bytes, to be patched.</summary>
    public Span<byte> At(int position, int count) => _bytes.AsSpan(position, count);

    public void Append(ReadOnlyMemory<byte> bytes)
    {
        if (bytes.Length < AttachFrom)
        {
            bytes.Span.CopyTo(Extend(bytes.Length));
            return;
        }
        _attachments.Add((_length, bytes));
        _attachedBytes += bytes.Length;
    }

    /// <summary>The content in order, as segments for a gather write.</summary>
    public void AddSegments(IList<ArraySegment<byte>> segments)
    {
        var from = 0;
        foreach (var (at, bytes) in _attachments)
        {
            if (at > from)
                segments.Add(new ArraySegment<byte>(_bytes, from, at - from));
            from = at;
            if (!System.Runtime.InteropServices.MemoryMarshal.TryGetArray(bytes, out var segment))
                throw new InvalidOperationException("attachments must be arrays");
            segments.Add(segment);
        }
        if (_length > from)
            segments.Add(new ArraySegment<byte>(_bytes, from, _length - from));
    }

    public byte[] ToArray()
    {
        var segments = new List<ArraySegment<byte>>();
        AddSegments(segments);
        var all = new byte[TotalLength];
        var at = 0;
        foreach (var segment in segments)
        {
            segment.AsSpan().CopyTo(all.AsSpan(at));
            at += segment.Count;
        }
        return all;
    }

    /// <summary>Empties the buffer and keeps its memory for the next message.</summary>
    public void Clear()
    {
        _attachments.Clear();
        _attachedBytes = 0;
        _length = 0;
    }

    /// <summary>Gives the memory back.</summary>
    public void Dispose()
    {
        Clear();
        if (_bytes.Length > 0)
            ArrayPool<byte>.Shared.Return(_bytes);
        _bytes = [];
    }

    private void Grow(int count)
    {
        var larger = ArrayPool<byte>.Shared.Rent(Math.Max(256, checked(Math.Max(_length + count, _bytes.Length * 2))));
        _bytes.AsSpan(0, _length).CopyTo(larger);
        if (_bytes.Length > 0)
            ArrayPool<byte>.Shared.Return(_bytes);
        _bytes = larger;
    }
}
