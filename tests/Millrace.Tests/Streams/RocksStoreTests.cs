using System.Text;
using Millrace.Storage.RocksDb;

namespace Millrace.Tests.Streams;

public sealed class RocksStoreTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_written_batch_is_there_after_the_store_is_opened_again()
    {
        using (var store = RocksStore.Open(_folder.Path))
        {
            using var batch = new RocksWriteBatch();
            batch.Put("a"u8, "1"u8);
            batch.Put("b"u8, ""u8);
            batch.Put("gone"u8, "x"u8);
            batch.Delete("gone"u8);
            Assert.Equal(4, batch.Count);
            Assert.True(batch.ByteLength > 10);
            store.Write(batch, sync: true);
        }
        using var again = RocksStore.Open(_folder.Path);
        Assert.Equal("1"u8.ToArray(), again.Get("a"u8));
        Assert.Equal([], again.Get("b"u8)!);
        Assert.Null(again.Get("gone"u8));
    }

    [Fact]
    public void A_scan_gives_the_keys_of_a_prefix_in_byte_order()
    {
        using var store = RocksStore.Open(_folder.Path);
        using var batch = new RocksWriteBatch();
        foreach (var key in new[] { "w2", "w1", "v", "x", "w" })
            batch.Put(Encoding.UTF8.GetBytes(key), Encoding.UTF8.GetBytes("of " + key));
        store.Write(batch, sync: false);
        Assert.Equal(["w=of w", "w1=of w1", "w2=of w2"], Scan(store, "w"));
        batch.Clear();
        batch.DeletePrefix("w"u8);
        store.Write(batch, sync: false);
        Assert.Empty(Scan(store, "w"));
        Assert.Equal(["v=of v"], Scan(store, "v"));
    }

    [Fact]
    public void A_prefix_that_ends_in_FF_bytes_is_deleted_whole()
    {
        using var store = RocksStore.Open(_folder.Path);
        using var batch = new RocksWriteBatch();
        batch.Put([1, 0xFF, 0xFF], [1]);
        batch.Put([1, 0xFF, 0xFF, 7], [1]);
        batch.Put([2], [1]);
        batch.DeletePrefix([1, 0xFF, 0xFF]);
        store.Write(batch, sync: true);
        Assert.Null(store.Get([1, 0xFF, 0xFF, 7]));
        Assert.NotNull(store.Get([2]));
    }

    [Fact]
    public void A_torn_end_of_the_log_is_cut_and_damage_before_it_is_an_error()
    {
        for (var i = 0; i < 3; i++)
        {
            using var store = RocksStore.Open(_folder.Path);
            using var batch = new RocksWriteBatch();
            for (var n = 0; n < 3; n++)
            {
                batch.Clear();
                batch.Put([(byte)n], new byte[3000]);
                store.Write(batch, sync: true);
            }
        }
        var log = Directory.GetFiles(_folder.Path, "*.log").Single();
        var whole = File.ReadAllBytes(log);
        File.WriteAllBytes(log, whole[..^100]);
        using (var store = RocksStore.Open(_folder.Path))
        {
            Assert.NotNull(store.Get([0]));
        }
        foreach (var file in Directory.GetFiles(_folder.Path, "*.sst"))
        {
            var bytes = File.ReadAllBytes(file);
            bytes[100] ^= 0xFF;
            File.WriteAllBytes(file, bytes);
        }
        var error = Assert.Throws<RocksException>(() =>
        {
            using var store = RocksStore.Open(_folder.Path);
            for (byte n = 0; n < 3; n++)
                store.Get([n]);
        });
        Assert.Equal(RocksFailure.Corruption, error.Kind);
        Assert.Contains(_folder.Path, error.Message, StringComparison.Ordinal);
        Assert.Contains("restore the folder", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_flipped_byte_in_the_middle_of_the_log_is_an_error_and_not_a_shorter_log()
    {
        using (var store = RocksStore.Open(_folder.Path))
        {
            using var batch = new RocksWriteBatch();
            for (var n = 0; n < 20; n++)
            {
                batch.Clear();
                batch.Put([(byte)n], new byte[3000]);
                store.Write(batch, sync: true);
            }
            Kept = Directory.GetFiles(_folder.Path, "*.log").Select(f => (f, File.ReadAllBytes(f))).Single();
        }
        foreach (var sst in Directory.GetFiles(_folder.Path, "*.sst"))
            Assert.Fail($"unexpected {sst}");
        var (path, bytes) = Kept;
        bytes[10_000] ^= 0x55;
        File.WriteAllBytes(path, bytes);
        Assert.Equal(RocksFailure.Corruption, Assert.Throws<RocksException>(() => RocksStore.Open(_folder.Path)).Kind);
    }

    [Fact]
    public void A_store_that_is_open_cannot_be_opened_twice()
    {
        using var store = RocksStore.Open(_folder.Path);
        var error = Assert.Throws<RocksException>(() => RocksStore.Open(_folder.Path));
        Assert.Equal(RocksFailure.Locked, error.Kind);
    }

    private (string Path, byte[] Bytes) Kept { get; set; }

    private static List<string> Scan(RocksStore store, string prefix)
    {
        var found = new List<string>();
        using var scan = store.Scan(Encoding.UTF8.GetBytes(prefix));
        while (scan.MoveNext())
            found.Add(Encoding.UTF8.GetString(scan.Key) + "=" + Encoding.UTF8.GetString(scan.Value));
        return found;
    }
}
