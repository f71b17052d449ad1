using System.Buffers.Binary;
using System.Text;
using Millrace.Storage.RocksDb;
using Millrace.Streams.Checks.Unique;

namespace Millrace.Streams.Sources;

/// <summary>A record that failed for a reason that may pass, and waits to be tried again.</summary>
/// <param name="Attempts">How often it has been tried.</param>
/// <param name="DueMillis">When it is tried again, in milliseconds since 1970.</param>
/// <param name="Retries">The header that a replayed record brought along, or null.</param>
internal sealed record WaitingRecord(
    int Partition, long Offset, long TimestampMillis, byte[]? Key, byte[]? Value, byte[]? Retries, int Attempts, long DueMillis, string Reason)
{
    public long Bytes => 128L + (Key?.Length ?? 0) + (Value?.Length ?? 0) + (2L * Reason.Length);
}

/// <summary>
/// The records of one source that wait. They are part of the pipeline's checkpoints: kept under the source's name in the state store, with what
/// changed since the last barrier written in the same batch as the offsets behind them, so that a crash neither loses nor doubles one. For the
/// stream's thread.
/// </summary>
internal sealed class WaitingRecords(RocksState stored)
{
    private const byte Format = 1;

    private readonly Dictionary<(int Partition, long Offset), WaitingRecord> _records = [];
    private readonly PriorityQueue<(int Partition, long Offset), long> _due = new();
    private readonly HashSet<(int Partition, long Offset)> _changed = [];

    public int Count => _records.Count;

    public long Bytes { get; private set; }

    /// <summary>The reason of the record that is tried next, and when that is; null when none waits.</summary>
    public WaitingRecord? Next => Peek() is { } key ? _records[key] : null;

    /// <exception cref="InvalidDataException">What is stored is damaged.</exception>
    public void Load() => stored.Scan([], (_, value) => Put(Decode(value)));

    /// <summary>Keeps a record; one of the same place is replaced.</summary>
    public void Add(WaitingRecord record)
    {
        Put(record);
        _changed.Add((record.Partition, record.Offset));
    }

    /// <summary>Takes out the records that are due, at most so many, those that have waited longest first.</summary>
    public List<WaitingRecord> TakeDue(long nowMillis, int most)
    {
        var taken = new List<WaitingRecord>();
        while (taken.Count < most && Peek() is { } key && _records[key].DueMillis <= nowMillis)
        {
            _due.Dequeue();
            taken.Add(_records[key]);
            Bytes -= _records[key].Bytes;
            _records.Remove(key);
            _changed.Add(key);
        }
        return taken;
    }

    /// <summary>Puts what changed since the last barrier.</summary>
    public void PutChanges(RocksWriteBatch batch)
    {
        if (_changed.Count == 0)
            return;
        var writer = stored.Into(batch);
        Span<byte> key = stackalloc byte[12];
        foreach (var changed in _changed)
        {
            BinaryPrimitives.WriteInt32BigEndian(key, changed.Partition);
            BinaryPrimitives.WriteInt64BigEndian(key[4..], changed.Offset);
            if (_records.TryGetValue(changed, out var record))
                writer.Put(key, Encode(record));
            else
                writer.DeletePrefix(key);
        }
        _changed.Clear();
    }

    // The queue holds places of records that were taken or replaced too; they fall out here.
    private (int Partition, long Offset)? Peek()
    {
        while (_due.TryPeek(out var key, out var due))
        {
            if (_records.TryGetValue(key, out var record) && record.DueMillis == due)
                return key;
            _due.Dequeue();
        }
        return null;
    }

    private void Put(WaitingRecord record)
    {
        var key = (record.Partition, record.Offset);
        if (_records.TryGetValue(key, out var before))
            Bytes -= before.Bytes;
        _records[key] = record;
        Bytes += record.Bytes;
        _due.Enqueue(key, record.DueMillis);
    }

    private static byte[] Encode(WaitingRecord record)
    {
        using var writer = new BinaryWriter(new MemoryStream());
        writer.Write(Format);
        writer.Write(record.Partition);
        writer.Write(record.Offset);
        writer.Write(record.TimestampMillis);
        writer.Write(record.Attempts);
        writer.Write(record.DueMillis);
        foreach (var bytes in new[] { record.Key, record.Value, record.Retries, Encoding.UTF8.GetBytes(record.Reason) })
        {
            writer.Write(bytes?.Length ?? -1);
            writer.Write(bytes ?? []);
        }
        return ((MemoryStream)writer.BaseStream).ToArray();
    }

    private static WaitingRecord Decode(ReadOnlySpan<byte> value)
    {
        try
        {
            using var reader = new BinaryReader(new MemoryStream(value.ToArray()));
            if (reader.ReadByte() != Format)
                throw new InvalidDataException("a waiting record is of another version's format");
            var (partition, offset, timestamp, attempts, due) = (reader.ReadInt32(), reader.ReadInt64(), reader.ReadInt64(), reader.ReadInt32(), reader.ReadInt64());
            var (key, content, retries, reason) = (TakeBytes(reader), TakeBytes(reader), TakeBytes(reader), TakeBytes(reader));
            return new WaitingRecord(partition, offset, timestamp, key, content, retries, attempts, due, Encoding.UTF8.GetString(reason ?? []));
        }
        catch (EndOfStreamException error)
        {
            throw new InvalidDataException("a waiting record ends too early", error);
        }
    }

    private static byte[]? TakeBytes(BinaryReader reader)
    {
        var length = reader.ReadInt32();
        if (length < 0)
            return null;
        var bytes = reader.ReadBytes(length);
        return bytes.Length == length ? bytes : throw new InvalidDataException("a waiting record ends too early");
    }
}
