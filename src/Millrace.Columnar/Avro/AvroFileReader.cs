using System.IO.Compression;
using System.Text;

namespace Millrace.Columnar.Avro;

/// <summary>Unpacks one block of a container file. <paramref name="most"/> bounds what comes out.</summary>
public delegate byte[] AvroDecompressor(ReadOnlySpan<byte> block, int most);

/// <param name="MaxBlockBytes">The most that one block may hold when unpacked; more is refused as hostile.</param>
/// <param name="Decompressors">Codecs beside <c>null</c> and <c>deflate</c>, by Avro's names.</param>
public sealed record AvroFileOptions(int MaxBlockBytes, IReadOnlyDictionary<string, AvroDecompressor>? Decompressors = null)
{
    public AvroFileOptions()
        : this(256 << 20)
    {
    }
}

/// <summary>
/// An Avro object container file in memory: header, then blocks of encoded records (Avro 1.12, Object Container Files). Call
/// <see cref="NextBlock"/> until it is false and decode each <see cref="Block"/> with an <see cref="AvroReader"/>.
/// </summary>
public sealed class AvroFileReader
{
    private static readonly AvroFileOptions Defaults = new();

    private readonly ReadOnlyMemory<byte> _file;
    private readonly AvroFileOptions _options;
    private readonly string _codec;
    private readonly byte[] _sync;
    private int _position;

    /// <param name="file">The whole file.</param>
    /// <param name="name">What errors call it, e.g. its path.</param>
    /// <exception cref="AvroException">It is no container file, or its codec is unknown.</exception>
    public AvroFileReader(ReadOnlyMemory<byte> file, string name, AvroFileOptions? options = null)
    {
        _file = file;
        _options = options ?? Defaults;
        Name = name;
        if (!file.Span.StartsWith("Obj\u0001"u8))
            throw new AvroException($"{name} is no Avro file (it does not begin with Obj 0x01)");
        try
        {
            var reader = new AvroReader(file.Span[4..]);
            Metadata = ReadMetadata(ref reader);
            _sync = reader.ReadFixed(16).ToArray();
            _position = 4 + reader.Position;
        }
        catch (AvroException error)
        {
            throw new AvroException($"the header of {name} is broken: {error.Message}", error);
        }
        if (!Metadata.TryGetValue("avro.schema", out var schema))
            throw new AvroException($"the header of {name} has no avro.schema");
        Schema = AvroSchema.Parse(schema);
        _codec = Metadata.TryGetValue("avro.codec", out var codec) ? Encoding.UTF8.GetString(codec) : "null";
        if (_codec is not ("null" or "deflate") && _options.Decompressors?.ContainsKey(_codec) != true)
            throw new AvroException($"{name} is packed with the codec '{_codec}'; null and deflate can be read");
    }

    public string Name { get; }

    /// <summary>The schema that the records were written with.</summary>
    public AvroSchema Schema { get; }

    /// <summary>The header's key-value metadata.</summary>
    public IReadOnlyDictionary<string, byte[]> Metadata { get; }

    /// <summary>The records of the current block.</summary>
    public long BlockCount { get; private set; }

    /// <summary>The unpacked bytes of the current block.</summary>
    public ReadOnlyMemory<byte> Block { get; private set; }

    /// <summary>A metadata value as text, or null.</summary>
    public string? Text(string key) => Metadata.TryGetValue(key, out var value) ? Encoding.UTF8.GetString(value) : null;

    /// <summary>Goes to the next block; false at the end of the file.</summary>
    /// <exception cref="AvroException">The block is cut short, its sync marker is wrong or it unpacks to too much.</exception>
    public bool NextBlock()
    {
        var rest = _file.Span[_position..];
        if (rest.IsEmpty)
            return false;
        try
        {
            var reader = new AvroReader(rest);
            var count = reader.ReadLong();
            if (count < 0)
                throw new AvroException($"a block of {count} records");
            var data = reader.ReadBytes();
            var start = _position + reader.Position - data.Length;
            if (!reader.ReadFixed(16).SequenceEqual(_sync))
                throw new AvroException("the sync marker after the block is wrong");
            Block = Unpack(_file.Slice(start, data.Length));
            BlockCount = count;
            _position += reader.Position;
            return true;
        }
        catch (Exception error) when (error is AvroException or InvalidDataException)
        {
            throw new AvroException($"the block at byte {_position} of {Name} is broken: {error.Message}", error);
        }
    }

    private static Dictionary<string, byte[]> ReadMetadata(ref AvroReader reader)
    {
        var metadata = new Dictionary<string, byte[]>(StringComparer.Ordinal);
        while (reader.ReadBlockCount() is not 0 and var count)
        {
            for (var i = 0L; i < count; i++)
            {
                var key = reader.ReadString();
                metadata[key] = reader.ReadBytes().ToArray();
            }
        }
        return metadata;
    }

    private ReadOnlyMemory<byte> Unpack(ReadOnlyMemory<byte> packed)
    {
        if (_codec == "null")
            return packed;
        if (_codec != "deflate")
            return _options.Decompressors![_codec](packed.Span, _options.MaxBlockBytes);
        using var deflate = new DeflateStream(new MemoryStream(packed.ToArray()), CompressionMode.Decompress);
        var unpacked = new byte[Math.Min(_options.MaxBlockBytes, Math.Max(256, packed.Length * 4L))];
        var length = 0;
        while (true)
        {
            var read = deflate.Read(unpacked, length, unpacked.Length - length);
            if (read == 0 && length < unpacked.Length)
                return unpacked.AsMemory(0, length);
            length += read;
            if (length < unpacked.Length)
                continue;
            if (length >= _options.MaxBlockBytes)
                throw new AvroException($"the block unpacks to more than {_options.MaxBlockBytes} bytes (option MaxBlockBytes)");
            Array.Resize(ref unpacked, (int)Math.Min(_options.MaxBlockBytes, unpacked.Length * 2L));
        }
    }
}
