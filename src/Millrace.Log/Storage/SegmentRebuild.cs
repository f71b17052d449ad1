using System.Buffers;
using Millrace.Kafka.Records;

namespace Millrace.Log.Storage;

internal delegate void BatchSeen(RecordBatch batch);

/// <summary>
/// Reads a whole segment when no checkpoint speaks for it. A batch that is not whole or not sound ends it. Sound ones may follow: a power failure
/// has torn what was not flushed, and then the journal has it, or it is damage.
/// </summary>
internal static class SegmentRebuild
{
    private const int ChunkBytes = 1 << 20;

    /// <param name="segment">Is not changed.</param>
    /// <param name="seen">Told of each sound batch.</param>
    /// <param name="behind">The offset behind the last sound batch that stands behind a broken one; 0 when none does.</param>
    /// <returns>Bytes of sound batches; what is behind them is to be cut.</returns>
    public static long Run(Segment segment, BatchSeen seen, out long behind)
    {
        behind = 0;
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
                behind = EndOfSoundBehind(segment, position, length, expected);
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

    /// <summary>Looks behind the broken batch for sound ones.</summary>
    private static long EndOfSoundBehind(Segment segment, long position, long length, long expected)
    {
        long end = 0;
        using var scanner = new BatchScanner(segment, position, length);
        while (scanner.MoveNext())
        {
            if (scanner.Position == position)
                continue;
            var bytes = new byte[scanner.Header.TotalBytes];
            segment.Read(scanner.Position, bytes);
            if (TryTake(bytes, expected, out var batch))
                end = Math.Max(end, batch.LastOffset + 1);
        }
        return end;
    }
}
