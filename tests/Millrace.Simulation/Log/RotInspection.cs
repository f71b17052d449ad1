using Millrace.Kafka.Records;
using Millrace.Log.Storage;
using Millrace.Storage.Files.Faults;

namespace Millrace.Simulation.Log;

/// <summary>
/// Flips one bit of a segment at rest, reads everything, and flips it back: the batch that was hit is refused with the place named, all others
/// are served as they were written.
/// </summary>
internal static class RotInspection
{
    private static readonly (string Topic, int Partitions)[] Topics = [("plain", 2), ("piped", 2), ("tx", 2), ("keyed", 1), (AgingProducer.Topic, 1)];

    public static void Run(SimulatedLog log, SimulatedFileSystem disk, Random random)
    {
        var (topic, partitions) = Topics[random.Next(Topics.Length)];
        var index = random.Next(partitions);
        var partition = log.Partition(topic, index);
        var segments = Array.FindAll(partition.Segments.All, s => s.Readable > 0);
        if (segments.Length == 0)
            return;
        var segment = segments[random.Next(segments.Length)];
        var all = new byte[segment.Readable];
        segment.Read(0, all);
        // The segment's end may still be in memory only.
        var inFile = InFile(disk, segment, all);
        if (inFile == 0)
            return;
        var batches = Batches(all);
        var (at, bit) = (random.NextInt64(inFile), random.Next(8));
        disk.FlipBit(segment.Path, at, bit);
        var hit = new byte[1];
        segment.Read(at, hit);
        // A file may have, from a write that failed, what is still read from memory and will be written again.
        foreach (var (position, bytes) in hit[0] == all[at] ? [] : batches)
        {
            var isHit = at >= position && at < position + bytes.Length;
            var batch = new RecordBatch(bytes);
            for (var offset = batch.BaseOffset; offset <= batch.LastOffset; offset++)
            {
                if (Wrong(partition, segment, offset, isHit ? null : bytes) is { } wrong)
                    log.Violate($"{topic}-{index}, bit {bit} of byte {at} of {segment.Path} flipped (batch at {position}): at offset {offset} {wrong}");
            }
        }
        disk.FlipBit(segment.Path, at, bit);
    }

    private static string? Wrong(Partition partition, Segment segment, long offset, byte[]? expected)
    {
        try
        {
            var (buffer, count) = partition.Segments.Read(offset, partition.HighWatermark, 1, atLeastOne: true);
            if (expected is null)
                return $"a damaged batch is passed over or served, {count} bytes";
            if (count < expected.Length || !buffer.AsSpan(0, expected.Length).SequenceEqual(expected))
                return "something else is served than was written";
            return null;
        }
        catch (SegmentDamagedException damage)
        {
            if (expected is not null)
                return "a sound batch is refused: " + damage.Message;
            return damage.Path == segment.Path && damage.Message.Contains("cannot be read", StringComparison.Ordinal) ? null : "the damage is told of another place: " + damage.Message;
        }
    }

    private static int InFile(SimulatedFileSystem disk, Segment segment, byte[] all)
    {
        if (!disk.FileExists(segment.Path))
            return 0;
        using var file = disk.Open(segment.Path);
        var bytes = new byte[(int)Math.Min(file.Length, all.Length)];
        file.Read(0, bytes);
        return bytes.AsSpan().SequenceEqual(all.AsSpan(0, bytes.Length)) ? bytes.Length : 0;
    }

    /// <summary>The batches as a reader is given them.</summary>
    private static List<(long Position, byte[] Bytes)> Batches(byte[] all)
    {
        var batches = new List<(long, byte[])>();
        for (var at = 0; at < all.Length;)
        {
            var bytes = all.AsSpan(at, RecordBatch.WholeBytes(all.AsSpan(at))).ToArray();
            PlaceCheck.Clear(bytes);
            batches.Add((at, bytes));
            at += bytes.Length;
        }
        return batches;
    }
}
