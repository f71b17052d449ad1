using System.Buffers.Binary;
using Millrace.Kafka.Records;
using Millrace.Storage.Checksums;

namespace Millrace.Log.Storage;

/// <summary>
/// A batch's own CRC leaves out its base offset and its length, so a flipped bit there would move records to other offsets unseen. In our files
/// the leader epoch, which is always 0 here and which the CRC leaves out as well, holds a checksum of both; readers are given 0 again. A batch
/// that was written before this was so has 0 in the file too, and is not checked.
/// </summary>
internal static class PlaceCheck
{
    private const int EpochAt = 12;

    /// <param name="batch">Has its base offset and length.</param>
    public static void Set(Span<byte> batch) => BinaryPrimitives.WriteUInt32BigEndian(batch[EpochAt..], Compute(batch));

    /// <param name="header">At least the first 16 bytes of a batch.</param>
    public static bool Holds(ReadOnlySpan<byte> header)
    {
        var kept = BinaryPrimitives.ReadUInt32BigEndian(header[EpochAt..]);
        return kept == 0 || kept == Compute(header);
    }

    /// <summary>As clients know it.</summary>
    public static void Clear(Span<byte> batch) => RecordBatch.SetLeaderEpoch(batch, 0);

    private static uint Compute(ReadOnlySpan<byte> batch) => Math.Max(1, Crc32C.Compute(batch[..RecordBatch.LengthPrefixBytes]));
}
