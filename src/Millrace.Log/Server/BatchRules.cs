using Millrace.Kafka.Messages;
using Millrace.Kafka.Records;
using Millrace.Log.Topics;

namespace Millrace.Log.Server;

/// <summary>What a batch from a client must be before it is appended (Kafka's LogValidator). The records themselves are looked at only where a rule needs it.</summary>
internal static class BatchRules
{
    /// <summary>The first Produce version whose consumers can be expected to know zstd (KIP-110).</summary>
    private const short ZstdFrom = 7;

    /// <param name="records">The partition's bytes in the request.</param>
    /// <param name="settings">Of the topic.</param>
    /// <param name="version">Of the request.</param>
    /// <param name="now">Milliseconds of Unix time.</param>
    /// <param name="message">For the client, when something is wrong.</param>
    public static ErrorCode Check(ReadOnlySpan<byte> records, TopicSettings settings, short version, long now, out string? message)
    {
        message = null;
        if (records.Length < RecordBatch.HeaderBytes)
            return Wrong(ErrorCode.CorruptMessage, $"{records.Length} bytes hold no record batch", out message);
        var whole = RecordBatch.WholeBytes(records);
        if (whole < 0 || whole > records.Length)
            return Wrong(ErrorCode.CorruptMessage, "the bytes are no whole record batch of magic 2", out message);
        if (whole < records.Length)
            return Wrong(ErrorCode.InvalidRecord, "a partition's data must be exactly one record batch", out message);
        if (whole > settings.MaxMessageBytes)
            return Wrong(ErrorCode.MessageTooLarge, $"a batch of {whole} bytes; the topic allows {settings.MaxMessageBytes} (max.message.bytes)", out message);
        var batch = new RecordBatch(records);
        if (batch.Crc != batch.ComputeCrc())
            return Wrong(ErrorCode.CorruptMessage, "the batch's CRC is wrong", out message);
        if (batch.IsControl)
            return Wrong(ErrorCode.InvalidRecord, "clients may not write control batches", out message);
        if (batch.RecordCount <= 0 || batch.LastOffsetDelta != batch.RecordCount - 1)
            return Wrong(ErrorCode.InvalidRecord, $"{batch.RecordCount} records and a last offset delta of {batch.LastOffsetDelta}", out message);
        if (batch.ProducerId >= 0 && (batch.BaseSequence < 0 || batch.ProducerEpoch < 0))
            return Wrong(ErrorCode.InvalidRecord, "a producer id without epoch and sequence", out message);
        if (batch.Compression > CompressionType.Zstd)
            return Wrong(ErrorCode.UnsupportedCompressionType, $"compression type {(int)batch.Compression} is not known", out message);
        if (batch.Compression == CompressionType.Zstd && version < ZstdFrom)
            return Wrong(ErrorCode.UnsupportedCompressionType, "zstd needs Produce version 7", out message);
        return settings.Compact || settings.LimitsTimestamps ? CheckRecords(records, settings, now, out message) : ErrorCode.None;
    }

    private static ErrorCode CheckRecords(ReadOnlySpan<byte> records, TopicSettings settings, long now, out string? message)
    {
        message = null;
        var first = new RecordBatch(records).BaseTimestamp;
        try
        {
            using var open = RecordBatch.OpenRecords(records, MaxUncompressed(settings));
            var reader = new RecordReader(open.Bytes, new RecordBatch(records).RecordCount);
            while (reader.MoveNext())
            {
                if (settings.Compact && !reader.Current.HasKey)
                    return Wrong(ErrorCode.InvalidRecord, "a compacted topic takes no record without a key", out message);
                if (settings.LimitsTimestamps && CheckTime(first + reader.Current.TimestampDelta, settings, now, out message) is var late and not ErrorCode.None)
                    return late;
            }
            return ErrorCode.None;
        }
        catch (InvalidDataException error)
        {
            return Wrong(ErrorCode.CorruptMessage, error.Message, out message);
        }
    }

    private static ErrorCode CheckTime(long time, TopicSettings settings, long now, out string? message)
    {
        message = null;
        // A record without a time is -1.
        if (time < 0)
            return ErrorCode.None;
        if (now - time > settings.TimestampBeforeMillis)
            return Wrong(ErrorCode.InvalidTimestamp, $"a record of {time} is {now - time} ms old; the topic allows {settings.TimestampBeforeMillis} (message.timestamp.before.max.ms)", out message);
        return time - now > settings.TimestampAfterMillis
            ? Wrong(ErrorCode.InvalidTimestamp, $"a record of {time} is {time - now} ms ahead; the topic allows {settings.TimestampAfterMillis} (message.timestamp.after.max.ms)", out message)
            : ErrorCode.None;
    }

    /// <summary>What a batch of a topic may hold when it is decompressed.</summary>
    public static int MaxUncompressed(TopicSettings settings) => (int)Math.Min(int.MaxValue / 4, Math.Max(settings.MaxMessageBytes, 1 << 20) * 16L);

    private static ErrorCode Wrong(ErrorCode error, string what, out string? message)
    {
        message = what;
        return error;
    }
}
