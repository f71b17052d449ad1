using System.Runtime.InteropServices;
using Millrace.Storage.Native;

namespace Millrace.Storage.RocksDb;

/// <summary>The part of RocksDB's C API (include/rocksdb/c.h, 7.8 and later) that the store calls.</summary>
internal static unsafe partial class RocksNative
{
    private const string Library = "rocksdb";

    // An assembly has one resolver: a further native library of this assembly is to be named here too.
    static RocksNative() => NativeLibraries.Use(typeof(RocksNative).Assembly, NativeLibraries.RocksDb);

    [LibraryImport(Library)] internal static partial nint rocksdb_options_create();

    [LibraryImport(Library)] internal static partial void rocksdb_options_destroy(nint options);

    [LibraryImport(Library)] internal static partial void rocksdb_options_set_create_if_missing(nint options, byte value);

    [LibraryImport(Library)] internal static partial void rocksdb_options_set_paranoid_checks(nint options, byte value);

    [LibraryImport(Library)] internal static partial void rocksdb_options_set_wal_recovery_mode(nint options, int mode);

    [LibraryImport(Library)] internal static partial void rocksdb_options_set_write_buffer_size(nint options, nuint bytes);

    [LibraryImport(Library)] internal static partial void rocksdb_options_set_max_write_buffer_number(nint options, int count);

    [LibraryImport(Library)] internal static partial void rocksdb_options_set_max_total_wal_size(nint options, ulong bytes);

    [LibraryImport(Library)] internal static partial void rocksdb_options_set_max_open_files(nint options, int count);

    [LibraryImport(Library)] internal static partial void rocksdb_options_set_max_background_jobs(nint options, int count);

    [LibraryImport(Library)] internal static partial void rocksdb_options_set_keep_log_file_num(nint options, nuint count);

    [LibraryImport(Library)] internal static partial void rocksdb_options_set_info_log_level(nint options, int level);

    [LibraryImport(Library)] internal static partial void rocksdb_options_set_compression(nint options, int type);

    [LibraryImport(Library)] internal static partial void rocksdb_options_set_block_based_table_factory(nint options, nint table);

    [LibraryImport(Library)] internal static partial nint rocksdb_block_based_options_create();

    [LibraryImport(Library)] internal static partial void rocksdb_block_based_options_destroy(nint table);

    [LibraryImport(Library)] internal static partial void rocksdb_block_based_options_set_block_cache(nint table, nint cache);

    [LibraryImport(Library)] internal static partial void rocksdb_block_based_options_set_block_size(nint table, nuint bytes);

    [LibraryImport(Library)] internal static partial nint rocksdb_cache_create_lru(nuint capacity);

    [LibraryImport(Library)] internal static partial void rocksdb_cache_destroy(nint cache);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial nint rocksdb_open(nint options, string path, ref nint error);

    [LibraryImport(Library)] internal static partial void rocksdb_close(nint database);

    [LibraryImport(Library)] internal static partial nint rocksdb_readoptions_create();

    [LibraryImport(Library)] internal static partial void rocksdb_readoptions_destroy(nint options);

    [LibraryImport(Library)] internal static partial void rocksdb_readoptions_set_verify_checksums(nint options, byte value);

    [LibraryImport(Library)] internal static partial void rocksdb_readoptions_set_fill_cache(nint options, byte value);

    [LibraryImport(Library)] internal static partial nint rocksdb_writeoptions_create();

    [LibraryImport(Library)] internal static partial void rocksdb_writeoptions_destroy(nint options);

    [LibraryImport(Library)] internal static partial void rocksdb_writeoptions_set_sync(nint options, byte value);

    [LibraryImport(Library)]
    internal static partial byte* rocksdb_get(nint database, nint options, byte* key, nuint keyLength, out nuint length, ref nint error);

    [LibraryImport(Library)] internal static partial void rocksdb_write(nint database, nint options, nint batch, ref nint error);

    [LibraryImport(Library)] internal static partial void rocksdb_flush_wal(nint database, byte sync, ref nint error);

    [LibraryImport(Library)] internal static partial nint rocksdb_writebatch_create();

    [LibraryImport(Library)] internal static partial void rocksdb_writebatch_destroy(nint batch);

    [LibraryImport(Library)] internal static partial void rocksdb_writebatch_clear(nint batch);

    [LibraryImport(Library)] internal static partial int rocksdb_writebatch_count(nint batch);

    [LibraryImport(Library)] internal static partial byte* rocksdb_writebatch_data(nint batch, out nuint size);

    [LibraryImport(Library)]
    internal static partial void rocksdb_writebatch_put(nint batch, byte* key, nuint keyLength, byte* value, nuint valueLength);

    [LibraryImport(Library)] internal static partial void rocksdb_writebatch_delete(nint batch, byte* key, nuint keyLength);

    [LibraryImport(Library)]
    internal static partial void rocksdb_writebatch_delete_range(nint batch, byte* from, nuint fromLength, byte* to, nuint toLength);

    [LibraryImport(Library)] internal static partial nint rocksdb_create_iterator(nint database, nint options);

    [LibraryImport(Library)] internal static partial void rocksdb_iter_destroy(nint iterator);

    [LibraryImport(Library)] internal static partial void rocksdb_iter_seek(nint iterator, byte* key, nuint length);

    [LibraryImport(Library)] internal static partial byte rocksdb_iter_valid(nint iterator);

    [LibraryImport(Library)] internal static partial void rocksdb_iter_next(nint iterator);

    [LibraryImport(Library)] internal static partial byte* rocksdb_iter_key(nint iterator, out nuint length);

    [LibraryImport(Library)] internal static partial byte* rocksdb_iter_value(nint iterator, out nuint length);

    [LibraryImport(Library)] internal static partial void rocksdb_iter_get_error(nint iterator, ref nint error);

    [LibraryImport(Library)] internal static partial void rocksdb_free(nint pointer);

    [LibraryImport(Library)] internal static partial void rocksdb_free(byte* pointer);
}
