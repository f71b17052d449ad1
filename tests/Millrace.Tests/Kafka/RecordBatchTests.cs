using System.Text;
using Millrace.Kafka.Compression;
using Millrace.Kafka.Records;
using Xunit.Abstractions;

namespace Millrace.Tests.Kafka;

public sealed class RecordBatchTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(CompressionType.None)]
    [InlineData(CompressionType.Gzip)]
    [InlineData(CompressionType.Snappy)]
    [InlineData(CompressionType.Lz4)]
    [InlineData(CompressionType.Zstd)]
    public void Records_come_back_as_they_were_written(CompressionType compression)
    {
        using var builder = new RecordBatchBuilder { BaseOffset = 100, Compression = compression, ProducerId = 7, ProducerEpoch = 1, BaseSequence = 5 };
        for (var i = 0; i < 1000; i++)
            builder.Add(1000 + i, Encoding.UTF8.GetBytes($"key-{i % 10}"), Encoding.UTF8.GetBytes($"value {i} value {i}"), hasKey: i % 3 != 0, hasValue: i % 7 != 0);
        var bytes = builder.Build();
        var batch = new RecordBatch(bytes);
        Assert.Equal(batch.Crc, batch.ComputeCrc());
        Assert.Equal((100L, 999, 1000, 1000L, 1999L), (batch.BaseOffset, batch.LastOffsetDelta, batch.RecordCount, batch.BaseTimestamp, batch.MaxTimestamp));
        Assert.Equal(compression, batch.Compression);
        using var open = RecordBatch.OpenRecords(bytes, 1 << 20);
        var reader = new RecordReader(open.Bytes, batch.RecordCount);
        for (var i = 0; i < 1000; i++)
        {
            Assert.True(reader.MoveNext());
            var record = reader.Current;
            Assert.Equal((i, (long)i, i % 3 != 0, i % 7 != 0), (record.OffsetDelta, record.TimestampDelta, record.HasKey, record.HasValue));
            if (record.HasValue)
                Assert.Equal($"value {i} value {i}", Encoding.UTF8.GetString(record.Value));
        }
        Assert.False(reader.MoveNext());
    }

    [Fact]
    public void Headers_are_walked_in_place()
    {
        using var builder = new RecordBatchBuilder();
        byte[] headers = [2, (byte)'a', 4, 1, 2, 2, (byte)'b', 1];
        builder.Add(0, 5, default, "v"u8, false, true, 2, headers);
        var bytes = builder.Build();
        var reader = new RecordReader(new RecordBatch(bytes).Records, 1);
        Assert.True(reader.MoveNext());
        var walk = new RecordHeaders(reader.Current);
        Assert.True(walk.MoveNext());
        Assert.Equal("a"u8.ToArray(), walk.Key.ToArray());
        Assert.Equal(new byte[] { 1, 2 }, walk.Value.ToArray());
        Assert.True(walk.MoveNext());
        Assert.False(walk.HasValue);
        Assert.False(walk.MoveNext());
    }

    [Fact]
    public void Base_offset_and_epoch_change_without_the_checksum_but_log_append_time_renews_it()
    {
        using var builder = new RecordBatchBuilder();
        builder.Add(10, "k"u8, "v"u8);
        var bytes = builder.Build();
        RecordBatch.SetBaseOffset(bytes, 1L << 40);
        RecordBatch.SetLeaderEpoch(bytes, 3);
        Assert.Equal(new RecordBatch(bytes).Crc, new RecordBatch(bytes).ComputeCrc());
        RecordBatch.SetLogAppendTime(bytes, 99);
        var batch = new RecordBatch(bytes);
        Assert.Equal(batch.Crc, batch.ComputeCrc());
        Assert.Equal(99, batch.MaxTimestamp);
        Assert.True(batch.Attributes.HasFlag(BatchAttributes.LogAppendTime));
    }

    [Fact]
    public void Every_prefix_of_a_batchs_records_is_refused()
    {
        using var builder = new RecordBatchBuilder();
        for (var i = 0; i < 3; i++)
            builder.Add(i, "key"u8, "some value"u8);
        var records = new RecordBatch(builder.Build()).Records.ToArray();
        for (var length = 0; length < records.Length; length++)
            Assert.Throws<InvalidDataException>(() => Walk(records.AsSpan(0, length), 3));
        Assert.Throws<InvalidDataException>(() => Walk(records, 2));
    }

    [Fact]
    public void Damaged_compressed_blocks_are_refused_or_read_but_end_within_the_bound()
    {
        var random = new Random(Seeds.Next(output));
        var plain = new byte[5000];
        for (var i = 0; i < plain.Length; i++)
            plain[i] = (byte)(i % 50 < 25 ? 'a' : random.Next(256));
        foreach (var compression in new[] { CompressionType.Gzip, CompressionType.Snappy, CompressionType.Lz4, CompressionType.Zstd })
        {
            var block = Compressor.Compress(compression, plain);
            for (var i = 0; i < 400; i++)
            {
                var damaged = (byte[])block.Clone();
                damaged[random.Next(damaged.Length)] ^= (byte)(1 << random.Next(8));
                var cut = damaged.AsSpan(0, random.Next(2) == 0 ? damaged.Length : random.Next(damaged.Length));
                try
                {
                    using var open = Decompressed.From(compression, cut, 10_000);
                    Assert.True(open.Bytes.Length <= 10_000);
                }
                catch (InvalidDataException)
                {
                }
            }
        }
    }

    [Fact]
    public void A_block_that_grows_over_the_bound_is_refused()
    {
        var zeros = new byte[1 << 20];
        foreach (var compression in new[] { CompressionType.Gzip, CompressionType.Snappy, CompressionType.Lz4, CompressionType.Zstd })
        {
            var block = Compressor.Compress(compression, zeros);
            Assert.Throws<InvalidDataException>(() => Decompressed.From(compression, block, 100_000).Dispose());
        }
    }

    [Fact]
    public void Snappy_in_xerial_framing_is_read()
    {
        var first = Compressor.Compress(CompressionType.Snappy, "hello "u8);
        var second = Compressor.Compress(CompressionType.Snappy, "world"u8);
        byte[] framed =
        [
            0x82, (byte)'S', (byte)'N', (byte)'A', (byte)'P', (byte)'P', (byte)'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1,
            0, 0, 0, (byte)first.Length, .. first, 0, 0, 0, (byte)second.Length, .. second,
        ];
        using var open = Decompressed.From(CompressionType.Snappy, framed, 100);
        Assert.Equal("hello world", Encoding.UTF8.GetString(open.Bytes));
    }

    [Fact]
    public void Snappy_reads_every_kind_of_element_that_its_description_names()
    {
        // 20 bytes: literal "abcd", copy with 1-byte offset (4 back, length 4), copy with 2-byte offset (8 back, 6), with 4-byte offset (2 back, 6).
        byte[] block = [20, 3 << 2, (byte)'a', (byte)'b', (byte)'c', (byte)'d', 1, 4, (5 << 2) | 2, 8, 0, (5 << 2) | 3, 2, 0, 0, 0];
        using var open = Decompressed.From(CompressionType.Snappy, block, 100);
        Assert.Equal("abcdabcdabcdabababab", Encoding.UTF8.GetString(open.Bytes));
    }

    [Fact]
    public void Varints_of_all_sizes_round_trip()
    {
        Span<byte> bytes = stackalloc byte[10];
        foreach (var value in new[] { 0, 1, -1, 63, 64, -64, -65, int.MaxValue, int.MinValue, long.MaxValue, long.MinValue })
        {
            var written = Varint.Write(bytes, value);
            Assert.Equal(Varint.Size(value), written);
            var position = 0;
            Assert.Equal(value, Varint.ReadLong(bytes[..written], ref position));
            Assert.Equal(written, position);
        }
    }

    private static void Walk(ReadOnlySpan<byte> records, int count)
    {
        var reader = new RecordReader(records, count);
        while (reader.MoveNext())
        {
        }
    }
}
