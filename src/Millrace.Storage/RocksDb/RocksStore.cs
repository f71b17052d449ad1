using System.Runtime.InteropServices;
using static Millrace.Storage.RocksDb.RocksNative;

namespace Millrace.Storage.RocksDb;

/// <summary>Bounds of a store. The defaults keep an idle store at a few megabytes.</summary>
public sealed record RocksOptions
{
    /// <summary>Bytes of new entries in memory before they go to a sorted file.</summary>
    public long WriteBufferBytes { get; init; } = 16L << 20;

    /// <summary>Write buffers that may exist at once: one being filled, the others being flushed.</summary>
    public int WriteBuffers { get; init; } = 2;

    /// <summary>Bytes of blocks cached for reading.</summary>
    public long BlockCacheBytes { get; init; } = 8L << 20;

    /// <summary>Bytes of write-ahead log after which the oldest buffers are flushed.</summary>
    public long MaxWalBytes { get; init; } = 64L << 20;

    /// <summary>Sorted files kept open.</summary>
    public int MaxOpenFiles { get; init; } = 128;

    /// <summary>Threads that flush and compact, shared by all stores of the process.</summary>
    public int BackgroundJobs { get; init; } = 2;
}

/// <summary>
/// An ordered key-value store in a folder, on RocksDB: atomic write batches, ordered scans. One process at a time may hold the
/// folder (RocksDB's own lock). All members are thread-safe, except that nothing may run beside <see cref="Dispose"/>.
/// </summary>
public sealed unsafe class RocksStore : IDisposable
{
    // rocksdb/options.h, WALRecoveryMode::kTolerateCorruptedTailRecords: a write cut short by a crash is dropped, any other
    // damage of the log is an error. The library's default (point in time) would silently drop all that follows the damage.
    private const int TolerateTornTail = 0;
    private const int LogWarnings = 2;

    private readonly nint _readOptions;
    private readonly nint _scanOptions;
    private readonly nint _syncedWrite;
    private readonly nint _plainWrite;
    private nint _database;

    private RocksStore(string folder, nint database)
    {
        Folder = folder;
        _database = database;
        _readOptions = rocksdb_readoptions_create();
        rocksdb_readoptions_set_verify_checksums(_readOptions, 1);
        _scanOptions = rocksdb_readoptions_create();
        rocksdb_readoptions_set_verify_checksums(_scanOptions, 1);
        rocksdb_readoptions_set_fill_cache(_scanOptions, 0);
        _syncedWrite = rocksdb_writeoptions_create();
        rocksdb_writeoptions_set_sync(_syncedWrite, 1);
        _plainWrite = rocksdb_writeoptions_create();
    }

    public string Folder { get; }

    /// <summary>Opens the store, creating it when absent, and replays its write-ahead log.</summary>
    /// <exception cref="RocksException">The folder is held by another process, unreadable or damaged.</exception>
    public static RocksStore Open(string folder, RocksOptions? options = null)
    {
        options ??= new RocksOptions();
        Directory.CreateDirectory(folder);
        var native = rocksdb_options_create();
        var table = rocksdb_block_based_options_create();
        var cache = rocksdb_cache_create_lru((nuint)options.BlockCacheBytes);
        try
        {
            rocksdb_block_based_options_set_block_cache(table, cache);
            rocksdb_block_based_options_set_block_size(table, 16 << 10);
            rocksdb_options_set_block_based_table_factory(native, table);
            rocksdb_options_set_create_if_missing(native, 1);
            rocksdb_options_set_paranoid_checks(native, 1);
            rocksdb_options_set_wal_recovery_mode(native, TolerateTornTail);
            rocksdb_options_set_write_buffer_size(native, (nuint)options.WriteBufferBytes);
            rocksdb_options_set_max_write_buffer_number(native, options.WriteBuffers);
            rocksdb_options_set_max_total_wal_size(native, (ulong)options.MaxWalBytes);
            rocksdb_options_set_max_open_files(native, options.MaxOpenFiles);
            rocksdb_options_set_max_background_jobs(native, options.BackgroundJobs);
            rocksdb_options_set_keep_log_file_num(native, 2);
            rocksdb_options_set_info_log_level(native, LogWarnings);
            rocksdb_options_set_compression(native, 0);
            nint error = 0;
            var database = rocksdb_open(native, folder, ref error);
            Check(folder, "open", error);
            return new RocksStore(folder, database);
        }
        finally
        {
            rocksdb_cache_destroy(cache);
            rocksdb_block_based_options_destroy(table);
            rocksdb_options_destroy(native);
        }
    }

    /// <summary>The value of a key, copied; null when absent.</summary>
    /// <exception cref="RocksException">The disk fails or the block is damaged.</exception>
    public byte[]? Get(ReadOnlySpan<byte> key)
    {
        ObjectDisposedException.ThrowIf(_database == 0, this);
        fixed (byte* k = key)
        {
            nint error = 0;
            var value = rocksdb_get(_database, _readOptions, k, (nuint)key.Length, out var length, ref error);
            Check(Folder, "read", error);
            if (value == null)
                return null;
            try
            {
                return new ReadOnlySpan<byte>(value, checked((int)length)).ToArray();
            }
            finally
            {
                rocksdb_free(value);
            }
        }
    }

    /// <summary>All entries whose keys begin with <paramref name="prefix"/>, in the keys' byte order, as they are now.</summary>
    public RocksScan Scan(ReadOnlySpan<byte> prefix)
    {
        ObjectDisposedException.ThrowIf(_database == 0, this);
        return new RocksScan(Folder, rocksdb_create_iterator(_database, _scanOptions), prefix.ToArray());
    }

    /// <summary>Applies a batch wholly or not at all. With <paramref name="sync"/> it is durable on return.</summary>
    /// <exception cref="RocksException">
    /// The disk is full or failing. Whether the batch is in the log is unknown: open the store anew and look, never write it again.
    /// </exception>
    public void Write(RocksWriteBatch batch, bool sync)
    {
        ObjectDisposedException.ThrowIf(_database == 0, this);
        nint error = 0;
        rocksdb_write(_database, sync ? _syncedWrite : _plainWrite, batch.Handle, ref error);
        Check(Folder, "write", error);
    }

    /// <summary>Makes all that was written before durable, with one fsync; others may write meanwhile.</summary>
    /// <exception cref="RocksException">The disk failed. What of the unsynced writes is on it is unknown: write nothing more.</exception>
    public void SyncLog()
    {
        ObjectDisposedException.ThrowIf(_database == 0, this);
        nint error = 0;
        rocksdb_flush_wal(_database, 1, ref error);
        Check(Folder, "sync", error);
    }

    public void Dispose()
    {
        if (_database == 0)
            return;
        rocksdb_close(_database);
        _database = 0;
        rocksdb_readoptions_destroy(_readOptions);
        rocksdb_readoptions_destroy(_scanOptions);
        rocksdb_writeoptions_destroy(_syncedWrite);
        rocksdb_writeoptions_destroy(_plainWrite);
    }

    internal static void Check(string folder, string operation, nint error)
    {
        if (error == 0)
            return;
        var message = Marshal.PtrToStringUTF8(error) ?? "unknown error";
        rocksdb_free(error);
        throw new RocksException(folder, operation, message);
    }
}

/// <summary>Puts and deletes that are applied together, in order. Not thread-safe.</summary>
public sealed unsafe class RocksWriteBatch : IDisposable
{
    private nint _batch = rocksdb_writebatch_create();

    ~RocksWriteBatch() => Free();

    internal nint Handle => _batch != 0 ? _batch : throw new ObjectDisposedException(nameof(RocksWriteBatch));

    /// <summary>Operations so far.</summary>
    public int Count => rocksdb_writebatch_count(Handle);

    /// <summary>Bytes that the batch will take in the write-ahead log.</summary>
    public long ByteLength
    {
        get
        {
            _ = rocksdb_writebatch_data(Handle, out var size);
            return (long)size;
        }
    }

    public void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        fixed (byte* k = key, v = value)
            rocksdb_writebatch_put(Handle, k, (nuint)key.Length, v, (nuint)value.Length);
    }

    public void Delete(ReadOnlySpan<byte> key)
    {
        fixed (byte* k = key)
            rocksdb_writebatch_delete(Handle, k, (nuint)key.Length);
    }

    /// <summary>Deletes all keys from <paramref name="from"/> (inclusive) to <paramref name="to"/> (exclusive).</summary>
    public void DeleteRange(ReadOnlySpan<byte> from, ReadOnlySpan<byte> to)
    {
        fixed (byte* f = from, t = to)
            rocksdb_writebatch_delete_range(Handle, f, (nuint)from.Length, t, (nuint)to.Length);
    }

    /// <summary>Deletes all keys that begin with <paramref name="prefix"/>, which must not be all 0xFF.</summary>
    public void DeletePrefix(ReadOnlySpan<byte> prefix)
    {
        Span<byte> end = prefix.ToArray();
        var last = end.Length - 1;
        while (end[last] == 0xFF)
            last--;
        end[last]++;
        DeleteRange(prefix, end[..(last + 1)]);
    }

    public void Clear() => rocksdb_writebatch_clear(Handle);

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        if (_batch == 0)
            return;
        rocksdb_writebatch_destroy(_batch);
        _batch = 0;
    }
}

/// <summary>A scan over a snapshot of the store. <see cref="Key"/> and <see cref="Value"/> are valid until the next move.</summary>
public unsafe ref struct RocksScan
{
    private readonly string _folder;
    private readonly byte[] _prefix;
    private nint _iterator;
    private bool _begun;

    internal RocksScan(string folder, nint iterator, byte[] prefix)
    {
        _folder = folder;
        _iterator = iterator;
        _prefix = prefix;
    }

    public readonly ReadOnlySpan<byte> Key
    {
        get
        {
            var key = rocksdb_iter_key(_iterator, out var length);
            return new ReadOnlySpan<byte>(key, (int)length);
        }
    }

    public readonly ReadOnlySpan<byte> Value
    {
        get
        {
            var value = rocksdb_iter_value(_iterator, out var length);
            return new ReadOnlySpan<byte>(value, checked((int)length));
        }
    }

    /// <summary>Goes to the first or next entry; false at the end.</summary>
    /// <exception cref="RocksException">The disk fails or a block is damaged.</exception>
    public bool MoveNext()
    {
        if (!_begun)
        {
            _begun = true;
            fixed (byte* prefix = _prefix)
                rocksdb_iter_seek(_iterator, prefix, (nuint)_prefix.Length);
        }
        else
        {
            rocksdb_iter_next(_iterator);
        }
        if (rocksdb_iter_valid(_iterator) == 0)
        {
            nint error = 0;
            rocksdb_iter_get_error(_iterator, ref error);
            RocksStore.Check(_folder, "scan", error);
            return false;
        }
        return Key.StartsWith(_prefix);
    }

    public void Dispose()
    {
        if (_iterator == 0)
            return;
        rocksdb_iter_destroy(_iterator);
        _iterator = 0;
    }
}
