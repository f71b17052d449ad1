using System.Buffers.Binary;
using System.Text.Json.Nodes;
using Millrace.Columnar.Avro;
using Millrace.Kafka.Compression;
using Millrace.Kafka.Records;
using Millrace.Schemas;

namespace Millrace.Host.CommandLine;

/// <summary>The records of an Avro object container file, each in Confluent's frame with the id of the file's schema.</summary>
internal sealed class AvroFileRecords
{
    /// <summary>Avro's codecs beside null and deflate that there is a library for.</summary>
    public static readonly AvroFileOptions FileOptions = new()
    {
        Decompressors = new Dictionary<string, AvroDecompressor>
        {
            ["snappy"] = Snappy,
            ["zstandard"] = static (block, most) => Unpack(CompressionType.Zstd, block, most),
        },
    };

    private readonly AvroFileReader _file;
    private readonly int _id;

    private AvroFileRecords(AvroFileReader file, int id)
    {
        _file = file;
        _id = id;
    }

    /// <summary>Opens a file and registers its schema.</summary>
    /// <exception cref="CommandException">It is no Avro file, or the registry refuses the schema.</exception>
    public static AvroFileRecords Open(string path, RegistryClient registry, string subject)
    {
        if (!File.Exists(path))
            throw new CommandException($"there is no file '{path}'", null, ExitCode.Usage);
        var file = new AvroFileReader(File.ReadAllBytes(path), path, FileOptions);
        var answer = SchemaCommands.Ask(
            registry, "POST", $"/subjects/{Uri.EscapeDataString(subject)}/versions", new JsonObject { ["schema"] = file.Text("avro.schema") });
        return new AvroFileRecords(file, answer["id"]!.GetValue<int>());
    }

    /// <summary>Every record's bytes, framed.</summary>
    /// <exception cref="AvroException">The file is damaged.</exception>
    public IEnumerable<byte[]> Framed()
    {
        while (_file.NextBlock())
        {
            var position = 0;
            for (var i = 0L; i < _file.BlockCount; i++)
            {
                var length = LengthAt(position);
                var record = new byte[5 + length];
                BinaryPrimitives.WriteInt32BigEndian(record.AsSpan(1), _id);
                _file.Block.Span.Slice(position, length).CopyTo(record.AsSpan(5));
                position += length;
                yield return record;
            }
        }
    }

    // Behind the block stands the CRC-32 of what was packed, most significant byte first (Avro 1.12, Required Codecs).
    private static byte[] Snappy(ReadOnlySpan<byte> block, int most)
    {
        if (block.Length < 4)
            throw new AvroException("a snappy block has no checksum");
        var bytes = Unpack(CompressionType.Snappy, block[..^4], most);
        return Crc32(bytes) == BinaryPrimitives.ReadUInt32BigEndian(block[^4..])
            ? bytes
            : throw new AvroException("a snappy block's checksum is wrong");
    }

    private static byte[] Unpack(CompressionType codec, ReadOnlySpan<byte> block, int most)
    {
        using var open = Decompressed.From(codec, block, most);
        return open.Bytes.ToArray();
    }

    // IEEE 802.3, one bit at a time: files of the command line are small.
    private static uint Crc32(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        foreach (var b in bytes)
        {
            crc ^= b;
            for (var bit = 0; bit < 8; bit++)
                crc = (crc >> 1) ^ (0xEDB88320 & (uint)-(int)(crc & 1));
        }
        return ~crc;
    }

    private int LengthAt(int position)
    {
        var reader = new AvroReader(_file.Block.Span[position..]);
        reader.Skip(_file.Schema);
        return reader.Position;
    }
}
