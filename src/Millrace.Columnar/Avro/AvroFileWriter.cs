using System.IO.Compression;
using System.Text;

namespace Millrace.Columnar.Avro;

/// <summary>
/// Makes an Avro object container file in memory, packed with deflate. Write each record to <see cref="Records"/>, then call
/// <see cref="EndRecord"/>; <see cref="Finish"/> gives the file.
/// </summary>
public sealed class AvroFileWriter
{
    private readonly MemoryStream _file = new();
    private readonly AvroWriter _frame = new(64);
    private readonly byte[] _sync;
    private readonly int _blockBytes;
    private long _count;

    /// <param name="schema">The records' schema, as JSON.</param>
    /// <param name="metadata">Key-value metadata for the header.</param>
    /// <param name="sync">Sixteen bytes that separate blocks; should differ from file to file.</param>
    /// <param name="blockBytes">A block ends when its records pass so many bytes.</param>
    public AvroFileWriter(string schema, IEnumerable<KeyValuePair<string, string>> metadata, ReadOnlySpan<byte> sync, int blockBytes = 64 << 10)
    {
        if (sync.Length != 16)
            throw new ArgumentException("a sync marker has sixteen bytes", nameof(sync));
        _sync = sync.ToArray();
        _blockBytes = blockBytes;
        var header = new AvroWriter();
        header.WriteFixed("Obj\u0001"u8);
        var pairs = metadata.Append(new("avro.schema", schema)).Append(new("avro.codec", "deflate")).ToList();
        header.WriteLong(pairs.Count);
        foreach (var (key, value) in pairs)
        {
            header.WriteString(key);
            header.WriteBytes(Encoding.UTF8.GetBytes(value));
        }
        header.WriteLong(0);
        header.WriteFixed(_sync);
        _file.Write(header.Written);
    }

    /// <summary>Where the current record's values go.</summary>
    public AvroWriter Records { get; } = new();

    /// <summary>Bytes so far, the open block unpacked.</summary>
    public long Length => _file.Length + Records.Length;

    public void EndRecord()
    {
        _count++;
        if (Records.Length >= _blockBytes)
            EndBlock();
    }

    /// <summary>The whole file. Nothing may be written afterwards.</summary>
    public byte[] Finish()
    {
        EndBlock();
        return _file.ToArray();
    }

    private void EndBlock()
    {
        if (_count == 0)
            return;
        using var packed = new MemoryStream();
        using (var deflate = new DeflateStream(packed, CompressionLevel.Optimal, leaveOpen: true))
            deflate.Write(Records.Written);
        _frame.Clear();
        _frame.WriteLong(_count);
        _frame.WriteLong(packed.Length);
        _file.Write(_frame.Written);
        _file.Write(packed.GetBuffer(), 0, (int)packed.Length);
        _file.Write(_sync);
        Records.Clear();
        _count = 0;
    }
}
