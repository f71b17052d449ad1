using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using Millrace.Storage.RocksDb;
using Millrace.Streams.Checks.Unique;
using Millrace.Streams.Windows;

namespace Millrace.Streams.Checkpoints;

/// <summary>
/// The layout of a pipeline's state in RocksDB. Keys: <c>c</c> the newest checkpoint record; <c>w NAME 0 START KEY</c> a row of an open
/// window; <c>u SOURCE 0 NAME 0 ...</c> what a unique check remembers; <c>r SOURCE 0 0 ...</c> records that wait to be tried again; <c>p NAME 0 CHECKPOINT</c> rows owed to a topic. NAME is
/// UTF-8 without zero bytes; START and CHECKPOINT are big-endian, so that byte order is their order.
/// </summary>
internal sealed class StateStore : IDisposable
{
    /// <summary>First byte of the keys of unique checks.</summary>
    public const byte Unique = (byte)'u';

    /// <summary>First byte of the keys of records that wait to be tried again.</summary>
    public const byte Waiting = (byte)'r';

    private static readonly byte[] CurrentKey = [(byte)'c'];

    private readonly RocksStore _store;
    private readonly ArrayBufferWriter<byte> _key = new(256);
    private byte[] _value = new byte[256];

    private StateStore(RocksStore store) => _store = store;

    public string Folder => _store.Folder;

    /// <exception cref="RocksException">The folder is damaged, full or held.</exception>
    public static StateStore Open(string folder, RocksOptions? options = null) => new(RocksStore.Open(folder, options));

    /// <summary>The newest durable checkpoint, or null in a new folder.</summary>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    public CheckpointRecord? ReadCheckpoint() => _store.Get(CurrentKey) is { } bytes ? CheckpointCodec.Decode(bytes, Folder) : null;

    public static void PutCheckpoint(RocksWriteBatch batch, CheckpointRecord record, out long bytes)
    {
        var encoded = CheckpointCodec.Encode(record);
        bytes = encoded.Length;
        batch.Put(CurrentKey, encoded);
    }

    /// <summary>Puts what changed in a query's windows since the last checkpoint, deletes what closed, and clears both notes.</summary>
    public void PutWindows(RocksWriteBatch batch, string query, WindowState state)
    {
        foreach (var start in state.ClosedSinceCheckpoint)
        {
            WindowPrefix(query, start);
            batch.DeletePrefix(_key.WrittenSpan);
        }
        foreach (var (start, table) in state.Windows)
        {
            if (table.ChangedCount == 0)
                continue;
            WindowPrefix(query, start);
            var prefix = _key.WrittenCount;
            foreach (var entry in table.Changed)
            {
                _key.ResetWrittenCount();
                _key.Advance(prefix);
                _key.Write(table.KeyOf(entry));
                var length = table.EncodedLength(entry);
                if (_value.Length < length)
                    _value = new byte[length * 2];
                table.EncodeRow(entry, _value);
                batch.Put(_key.WrittenSpan, _value.AsSpan(0, length));
            }
        }
        state.ClearChanged();
    }

    /// <summary>Puts all stored rows of a query back into its windows.</summary>
    /// <returns>Rows.</returns>
    public long LoadWindows(string query, WindowState state)
    {
        NamePrefix((byte)'w', query);
        var prefix = _key.WrittenCount;
        long rows = 0;
        using var scan = _store.Scan(_key.WrittenSpan);
        while (scan.MoveNext())
        {
            var start = BinaryPrimitives.ReadInt64BigEndian(scan.Key[prefix..]) ^ long.MinValue;
            state.Restore(start, scan.Key[(prefix + 8)..], scan.Value);
            rows++;
        }
        return rows;
    }

    public void DeleteWindows(RocksWriteBatch batch, string query)
    {
        NamePrefix((byte)'w', query);
        batch.DeletePrefix(_key.WrittenSpan);
    }

    /// <summary>A part of the store that lays out its own keys behind a name, e.g. of a unique check of a source.</summary>
    public RocksState Part(byte kind, string owner, string name) => new(_store, [kind, .. Encoding.UTF8.GetBytes(owner), 0, .. Encoding.UTF8.GetBytes(name), 0]);

    public static void PutOwed(RocksWriteBatch batch, string topic, long checkpoint, ReadOnlySpan<byte> rows) =>
        batch.Put(NumberedKey((byte)'p', topic, checkpoint), rows);

    public static void DeleteOwed(RocksWriteBatch batch, string topic, long checkpoint) =>
        batch.Delete(NumberedKey((byte)'p', topic, checkpoint));

    public byte[]? ReadOwed(string topic, long checkpoint) => _store.Get(NumberedKey((byte)'p', topic, checkpoint));

    /// <summary>Makes a checkpoint durable, wholly or not at all.</summary>
    public void Commit(RocksWriteBatch batch) => _store.Write(batch, sync: true);

    public void Dispose() => _store.Dispose();

    private void NamePrefix(byte kind, string name)
    {
        _key.ResetWrittenCount();
        _key.Write<byte>([kind]);
        _key.Advance(Encoding.UTF8.GetBytes(name, _key.GetSpan(name.Length * 3)));
        _key.Write<byte>([0]);
    }

    private void WindowPrefix(string query, long start)
    {
        NamePrefix((byte)'w', query);
        BinaryPrimitives.WriteInt64BigEndian(_key.GetSpan(8), start ^ long.MinValue);
        _key.Advance(8);
    }

    private static byte[] NumberedKey(byte kind, string name, long number)
    {
        var key = new byte[Encoding.UTF8.GetByteCount(name) + 10];
        key[0] = kind;
        var length = Encoding.UTF8.GetBytes(name, key.AsSpan(1));
        BinaryPrimitives.WriteInt64BigEndian(key.AsSpan(length + 2), number);
        return key;
    }
}
