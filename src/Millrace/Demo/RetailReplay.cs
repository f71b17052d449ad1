using System.Buffers;
using System.Buffers.Text;
using System.IO.Compression;
using System.Text;
using System.Text.Json;

namespace Millrace.Host.Demo;

/// <summary>What is wrong with a replayed record on purpose.</summary>
public enum PlantedFault
{
    None,
    NotJson,
    WrongType,
    MissingCountry,
    NegativePrice,

    /// <summary>The record before, sent a second time.</summary>
    Duplicate,
}

/// <summary>
/// Real order lines of a web shop, again and again: record <c>i</c> is a pure function of <c>i</c> and the start time, so that a producer and
/// a truth computed elsewhere agree. Each line gets a running <c>LineId</c> and its <c>InvoiceDate</c> moved to start + i / rate.
/// </summary>
/// <remarks>Thread-safe once loaded. The data: UCI Online Retail, CC-BY-4.0 (examples/data/ORIGIN.md).</remarks>
public sealed class RetailReplay
{
    private const int TimeLength = 24;
    private static readonly byte[] TimeField = "\"InvoiceDate\":\""u8.ToArray();

    private readonly Template[] _templates;
    private readonly int _badEvery;
    private readonly long _startMicros;
    private readonly double _microsPerRecord;

    private RetailReplay(Template[] templates, long startMillis, double recordsPerSecond, int badEvery)
    {
        _templates = templates;
        _startMicros = startMillis * 1000;
        _microsPerRecord = 1_000_000 / recordsPerSecond;
        _badEvery = badEvery;
    }

    /// <summary>One line of the file: the bytes around its time, and what a truth needs of it.</summary>
    private sealed record Template(byte[] Head, byte[] Tail, string Country, long Quantity, decimal UnitPrice);

    public int Lines => _templates.Length;

    /// <param name="file">JSON lines, gzip.</param>
    /// <param name="startMillis">Event time of record 0, milliseconds since 1970.</param>
    /// <param name="recordsPerSecond">Event time runs at this pace.</param>
    /// <param name="badEvery">One record of so many is bad on purpose; 0 for none.</param>
    /// <exception cref="InvalidDataException">The file is not what it should be.</exception>
    public static RetailReplay Load(string file, long startMillis, double recordsPerSecond, int badEvery = 200)
    {
        using var stream = new GZipStream(File.OpenRead(file), CompressionMode.Decompress);
        using var reader = new StreamReader(stream, Encoding.UTF8);
        var templates = new List<Template>();
        while (reader.ReadLine() is { } line)
            templates.Add(Parse(line, file, templates.Count + 1));
        return templates.Count > 0
            ? new RetailReplay([.. templates], startMillis, recordsPerSecond, badEvery)
            : throw new InvalidDataException($"{file} has no lines");
    }

    /// <summary>What is planted in record <paramref name="index"/>.</summary>
    public PlantedFault FaultOf(long index)
    {
        var fault = DrawnFault(index);
        // Only a good record can be doubled, so that it is plain which of the two is the bad one.
        return fault == PlantedFault.Duplicate && DrawnFault(index - 1) != PlantedFault.None ? PlantedFault.NotJson : fault;
    }

    /// <summary>The record whose content <paramref name="index"/> has: itself, or for a duplicate the one before.</summary>
    public long ContentOf(long index) => FaultOf(index) == PlantedFault.Duplicate ? index - 1 : index;

    /// <summary>Event time of a record in microseconds since 1970, whole milliseconds.</summary>
    public long MicrosOf(long index) => (_startMicros + (long)(ContentOf(index) * _microsPerRecord)) / 1000 * 1000;

    /// <summary>The partition that a record belongs in: runs of 64 records stay together, and a duplicate follows its original.</summary>
    public int PartitionOf(long index, int partitions) => (int)((ContentOf(index) >> 6) % partitions);

    public string CountryOf(long index) => TemplateOf(index).Country;

    public long QuantityOf(long index) => TemplateOf(index).Quantity;

    public decimal PriceOf(long index) => TemplateOf(index).UnitPrice;

    /// <summary>Writes record <paramref name="index"/> and returns its length.</summary>
    public int Write(long index, IBufferWriter<byte> output)
    {
        var template = TemplateOf(index);
        var fault = FaultOf(index);
        var buffer = output.GetSpan(template.Head.Length + template.Tail.Length + TimeLength + 64);
        var length = 0;
        Append(buffer, ref length, "{\"LineId\":"u8);
        Utf8Formatter.TryFormat(ContentOf(index), buffer[length..], out var digits);
        length += digits;
        switch (fault)
        {
            case PlantedFault.NotJson:
                Append(buffer, ref length, "; DROP"u8);
                break;
            case PlantedFault.WrongType:
                Append(buffer, ref length, ",\"Quantity\":\"many\",\"UnitPrice\":1.0,\"Country\":\"France\",\"InvoiceDate\":\""u8);
                AppendTime(buffer, ref length, MicrosOf(index));
                Append(buffer, ref length, "\"}"u8);
                break;
            case PlantedFault.MissingCountry:
                Append(buffer, ref length, ",\"Quantity\":1,\"UnitPrice\":1.0,\"Country\":null,\"InvoiceDate\":\""u8);
                AppendTime(buffer, ref length, MicrosOf(index));
                Append(buffer, ref length, "\"}"u8);
                break;
            case PlantedFault.NegativePrice:
                Append(buffer, ref length, ",\"Quantity\":1,\"UnitPrice\":-4.5,\"Country\":\"France\",\"InvoiceDate\":\""u8);
                AppendTime(buffer, ref length, MicrosOf(index));
                Append(buffer, ref length, "\"}"u8);
                break;
            default:
                Append(buffer, ref length, ","u8);
                Append(buffer, ref length, template.Head);
                AppendTime(buffer, ref length, MicrosOf(index));
                Append(buffer, ref length, template.Tail);
                break;
        }
        output.Advance(length);
        return length;
    }

    private Template TemplateOf(long index) => _templates[ContentOf(index) % _templates.Length];

    private PlantedFault DrawnFault(long index)
    {
        // A multiplicative hash spreads the faults; equal distances would fall on the same lines each time.
        var hash = (ulong)index * 0x9E3779B97F4A7C15UL;
        if (_badEvery == 0 || index <= 0 || (hash >> 32) % (ulong)_badEvery != 0)
            return PlantedFault.None;
        return (PlantedFault)(1 + ((hash >> 20) % 5));
    }

    private static void Append(Span<byte> buffer, ref int length, ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(buffer[length..]);
        length += bytes.Length;
    }

    private static void AppendTime(Span<byte> buffer, ref int length, long micros)
    {
        var time = DateTimeOffset.UnixEpoch.AddMicroseconds(micros);
        time.TryFormat(buffer[length..], out var written, "yyyy-MM-ddTHH:mm:ss.fffZ", System.Globalization.CultureInfo.InvariantCulture);
        length += written;
    }

    private static Template Parse(string line, string file, int number)
    {
        var bytes = Encoding.UTF8.GetBytes(line);
        var at = bytes.AsSpan().IndexOf(TimeField);
        var end = at < 0 ? -1 : bytes.AsSpan(at + TimeField.Length).IndexOf((byte)'"');
        if (end < 0)
            throw new InvalidDataException($"{file}:{number}: no InvoiceDate");
        using var record = JsonDocument.Parse(bytes);
        var root = record.RootElement;
        return new Template(
            bytes[1..(at + TimeField.Length)], bytes[(at + TimeField.Length + end)..], root.GetProperty("Country").GetString()!,
            root.GetProperty("Quantity").GetInt64(), root.GetProperty("UnitPrice").GetDecimal());
    }
}
