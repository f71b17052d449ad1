using System.Buffers;

namespace Millrace.Streams.Checks.Unique;

/// <summary>One entry of stored state.</summary>
public delegate void StateEntry(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value);

/// <summary>What a part of the pipeline has made durable, under keys of its own.</summary>
public interface IStateReader
{
    /// <summary>The key's value, or null.</summary>
    byte[]? Get(ReadOnlySpan<byte> key);

    /// <summary>Gives all entries whose key begins so, in the order of keys, to <paramref name="visit"/>, whose key is whole.</summary>
    void Scan(ReadOnlySpan<byte> prefix, StateEntry visit);
}

/// <summary>The changes of one checkpoint, made durable together with all else in it.</summary>
public interface IStateWriter
{
    void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value);

    /// <summary>Deletes all keys that begin so.</summary>
    void DeletePrefix(ReadOnlySpan<byte> prefix);
}

/// <summary>Part of a RocksDB store, told by a prefix of its keys. Not thread-safe.</summary>
public sealed class RocksState(Storage.RocksDb.RocksStore store, byte[] root) : IStateReader
{
    private readonly ArrayBufferWriter<byte> _key = new();

    public byte[]? Get(ReadOnlySpan<byte> key) => store.Get(Whole(key));

    public void Scan(ReadOnlySpan<byte> prefix, StateEntry visit)
    {
        using var scan = store.Scan(Whole(prefix));
        while (scan.MoveNext())
            visit(scan.Key[root.Length..], scan.Value);
    }

    /// <summary>The same part's changes, in a batch.</summary>
    public IStateWriter Into(Storage.RocksDb.RocksWriteBatch batch) => new Writer(this, batch);

    private ReadOnlySpan<byte> Whole(ReadOnlySpan<byte> key)
    {
        _key.ResetWrittenCount();
        _key.Write(root);
        _key.Write(key);
        return _key.WrittenSpan;
    }

    private sealed class Writer(RocksState state, Storage.RocksDb.RocksWriteBatch batch) : IStateWriter
    {
        public void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value) => batch.Put(state.Whole(key), value);

        public void DeletePrefix(ReadOnlySpan<byte> prefix) => batch.DeletePrefix(state.Whole(prefix));
    }
}
