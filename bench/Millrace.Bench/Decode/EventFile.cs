using System.IO.Compression;

namespace Millrace.Bench.Decode;

/// <summary>Real records, one JSON object a line, held in one piece of memory.</summary>
internal sealed class EventFile
{
    private readonly byte[] _content;
    private readonly (int Start, int Length)[] _records;

    private EventFile(byte[] content, (int Start, int Length)[] records)
    {
        _content = content;
        _records = records;
        Bytes = records.Sum(r => (long)r.Length);
    }

    public int Count => _records.Length;

    /// <summary>Of all records, without line ends.</summary>
    public long Bytes { get; }

    public ReadOnlySpan<byte> this[int index] => _content.AsSpan(_records[index].Start, _records[index].Length);

    public ReadOnlyMemory<byte> Memory(int index) => _content.AsMemory(_records[index].Start, _records[index].Length);

    /// <summary>The example data set that ships with the project, repeated or cut to some bytes.</summary>
    public static EventFile Load(long bytes)
    {
        var path = Path.Combine(Folder(), "examples", "data");
        var file = Directory.EnumerateFiles(path, "*.jsonl.gz").Order(StringComparer.Ordinal).First();
        using var packed = new GZipStream(File.OpenRead(file), CompressionMode.Decompress);
        using var memory = new MemoryStream();
        packed.CopyTo(memory);
        var content = memory.ToArray();
        var lines = new List<(int, int)>();
        for (var start = 0; start < content.Length;)
        {
            var end = content.AsSpan(start).IndexOf((byte)'\n');
            end = end < 0 ? content.Length : start + end;
            if (end > start)
                lines.Add((start, end - start));
            start = end + 1;
        }
        var records = new List<(int, int)>();
        for (long taken = 0; taken < bytes;)
        {
            foreach (var line in lines)
            {
                records.Add(line);
                taken += line.Item2;
                if (taken >= bytes)
                    break;
            }
        }
        return new EventFile(content, records.ToArray());
    }

    public void WriteLines(string path)
    {
        using var file = File.Create(path);
        for (var i = 0; i < Count; i++)
        {
            file.Write(this[i]);
            file.WriteByte((byte)'\n');
        }
    }

    public static string Folder()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Millrace.slnx")))
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("Millrace.slnx is in no parent folder");
        return folder;
    }
}
