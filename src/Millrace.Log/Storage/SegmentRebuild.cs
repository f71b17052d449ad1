using System.Buffers;
using Millrace.Kafka.Records;

namespace Millrace.Log.Storage;

internal delegate void BatchSeen(RecordBatch batch);

/// <summary>
/// Reads a whole segment when no checkpoint speaks for it. A batch that is not whole or not sound ends it, as a torn write does, unless
/// sound batches follow: then it is damage.
/// </summary>
internal static class SegmentRebuild
{
    private const int ChunkBytes = 1 << 20;

    /// <returns>Bytes of sound batches; what is behind them is to be cut.</returns>
    /// <exception cref="SegmentDamagedException">A batch in the middle is broken.</exception>
    public static long Run(Segment segment, BatchSeen seen)
    {
        long position = 0;
        var expected = segment.BaseOffset;
        var buffer = ArrayPool<byte>.Shared.Rent(ChunkBytes);
        try
        {
            var length = segment.Written;
            while (position < length)
            {
                var read = segment.Read(position, buffer.AsSpan(0, (int)Math.Min(buffer.Length, length - position)));
                var used = 0;
                while (TryTake(buffer.AsSpan(used, read - used), expected, out var batch))
                {
                    segment.MaxTimestamp = Math.Max(segment.MaxTimestamp, batch.MaxTimestamp);
                    seen(batch);
                    expected = batch.LastOffset + 1;
                    used += batch.TotalBytes;
                }
                position += used;
                if (used > 0 || position >= length)
                    continue;
                var whole = RecordBatch.WholeBytes(buffer.AsSpan(0, read));
                if (whole > buffer.Length && position + whole <= length)
                {
                    ArrayPool<byte>.Shared.Return(buffer);
                    buffer = ArrayPool<byte>.Shared.Rent(whole);
                    continue;
                }
                if (SoundBatchBehind(segment, position, length, expected))
                    throw new SegmentDamagedException(segment.Path, position, $"the batch that should begin with offset {expected} or later is broken");
                return position;
            }
            return position;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static bool TryTake(ReadOnlySpan<byte> bytes, long expected, out RecordBatch batch)
    {
        batch = default;
        var whole = RecordBatch.WholeBytes(bytes);
        if (whole < 0 || whole > bytes.Length || bytes.Length < RecordBatch.HeaderBytes)
            return false;
        batch = new RecordBatch(bytes);
        return PlaceCheck.Holds(bytes) && batch.BaseOffset >= expected && batch.LastOffsetDelta >= 0 && batch.Crc == batch.ComputeCrc();
    }

    /// <summary>Looks behind the broken batch for a sound one.</summary>
    private static bool SoundBatchBehind(Segment segment, long position, long length, long expected)
    {
        using var scanner = new BatchScanner(segment, position, length);
        while (scanner.MoveNext())
        {
            if (scanner.Position == position)
                continue;
            var bytes = new byte[scanner.Header.TotalBytes];
            segment.Read(scanner.Position, bytes);
            if (TryTake(bytes, expected, out _))
                return true;
        }
        return false;
    }
}
