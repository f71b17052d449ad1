using Millrace.Columnar.Avro;

namespace Millrace.Tests.Avro;

public sealed class AvroFileTests
{
    private const string Schema = """
        {"type":"record","name":"a.b.R","fields":[
          {"name":"n","type":"long","field-id":7},
          {"name":"s","type":["null","string"],"default":null},
          {"name":"l","type":{"type":"array","items":"int","element-id":9}},
          {"name":"self","type":["null","R"],"default":null}]}
        """;

    [Fact]
    public void Records_written_over_many_blocks_are_read_back()
    {
        var file = Write(5000);
        var reader = new AvroFileReader(file, "x.avro");
        Assert.Equal("v", reader.Text("k"));
        Assert.Equal(7, reader.Schema.Fields[0].IntAttribute("field-id"));
        Assert.Same(reader.Schema, reader.Schema.Fields[3].Type.Optional);
        var n = 0;
        var blocks = 0;
        while (reader.NextBlock())
        {
            blocks++;
            var block = new AvroReader(reader.Block.Span);
            for (var i = 0L; i < reader.BlockCount; i++, n++)
            {
                Assert.Equal(n * 1_000_003L * (n % 2 == 0 ? 1 : -1), block.ReadLong());
                if (n % 3 == 0)
                    Assert.Equal(0, block.ReadIndex(2));
                else
                    Assert.Equal("s" + n, block.ReadIndex(2) == 1 ? block.ReadString() : null);
                Assert.Equal(2, block.ReadBlockCount());
                Assert.Equal(n, block.ReadInt());
                Assert.Equal(-n, block.ReadInt());
                Assert.Equal(0, block.ReadBlockCount());
                Assert.Equal(0, block.ReadIndex(2));
            }
            Assert.Equal(0, block.Remaining);
        }
        Assert.Equal(5000, n);
        Assert.True(blocks > 1);
    }

    [Fact]
    public void Skipping_ends_where_reading_ends()
    {
        var reader = new AvroFileReader(Write(10), "x.avro");
        Assert.True(reader.NextBlock());
        var block = new AvroReader(reader.Block.Span);
        for (var i = 0; i < 10; i++)
            block.Skip(reader.Schema);
        Assert.Equal(0, block.Remaining);
    }

    [Fact]
    public void Every_cut_and_every_flipped_byte_of_a_file_is_an_error_or_other_data_but_never_a_crash()
    {
        var file = Write(50);
        for (var length = 0; length < file.Length; length++)
            Walk(file[..length]);
        for (var at = 0; at < file.Length; at++)
        {
            var broken = (byte[])file.Clone();
            broken[at] ^= 0x55;
            Walk(broken);
        }

        static void Walk(byte[] content)
        {
            try
            {
                var reader = new AvroFileReader(content, "x.avro", new AvroFileOptions(1 << 20));
                while (reader.NextBlock())
                {
                    var block = new AvroReader(reader.Block.Span);
                    for (var i = 0L; i < reader.BlockCount && block.Remaining > 0; i++)
                        block.Skip(reader.Schema);
                }
            }
            catch (AvroException)
            {
            }
        }
    }

    [Fact]
    public void A_wrong_sync_marker_is_told_with_file_and_place()
    {
        var file = Write(50);
        file[^1] ^= 1;
        var reader = new AvroFileReader(file, "some/path.avro");
        var error = Assert.Throws<AvroException>(() => reader.NextBlock());
        Assert.Contains("some/path.avro", error.Message);
        Assert.Contains("sync marker", error.Message);
    }

    [Fact]
    public void A_block_that_unpacks_to_too_much_is_refused()
    {
        var writer = new AvroFileWriter("\"bytes\"", [], new byte[16], 1 << 24);
        writer.Records.WriteBytes(new byte[1 << 20]);
        writer.EndRecord();
        var reader = new AvroFileReader(writer.Finish(), "bomb.avro", new AvroFileOptions(1 << 16));
        Assert.Contains("MaxBlockBytes", Assert.Throws<AvroException>(() => reader.NextBlock()).Message);
    }

    [Theory]
    [InlineData("{\"type\":\"record\",\"name\":\"r\"}", "fields")]
    [InlineData("\"nowhere\"", "nowhere")]
    [InlineData("[\"null\",[\"int\"]]", "union")]
    [InlineData("{\"type\":\"fixed\",\"name\":\"f\",\"size\":-1}", "size")]
    [InlineData("{", "JSON")]
    public void A_broken_schema_is_refused_with_its_reason(string schema, string expected) =>
        Assert.Contains(expected, Assert.Throws<AvroException>(() => AvroSchema.Parse(schema)).Message);

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(1)]
    [InlineData(63)]
    [InlineData(64)]
    [InlineData(-64)]
    [InlineData(-65)]
    [InlineData(long.MaxValue)]
    [InlineData(long.MinValue)]
    public void Longs_survive_the_zigzag(long value)
    {
        var writer = new AvroWriter();
        writer.WriteLong(value);
        Assert.Equal(value, new AvroReader(writer.Written).ReadLong());
    }

    private static byte[] Write(int count)
    {
        var writer = new AvroFileWriter(Schema, [new("k", "v")], Enumerable.Range(0, 16).Select(i => (byte)i).ToArray(), 4096);
        for (var n = 0; n < count; n++)
        {
            writer.Records.WriteLong(n * 1_000_003L * (n % 2 == 0 ? 1 : -1));
            writer.Records.WriteOptional(n % 3 != 0);
            if (n % 3 != 0)
                writer.Records.WriteString("s" + n);
            writer.Records.WriteLong(2);
            writer.Records.WriteInt(n);
            writer.Records.WriteInt(-n);
            writer.Records.WriteLong(0);
            writer.Records.WriteOptional(false);
            writer.EndRecord();
        }
        return writer.Finish();
    }
}
