using System.Buffers.Binary;
using Millrace.Storage.RocksDb;
using Millrace.Streams.Checks.Unique;

namespace Millrace.Tests.Checks;

public sealed class RocksStateTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("millrace-unique-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Keys_survive_a_restart_in_memory_and_in_the_store()
    {
        var options = new UniqueOptions { MaxMemoryBytes = 1 << 20, SpillKeys = 5_000 };
        var span = TimeSpan.FromHours(1);
        const int count = 60_000;
        for (var run = 0; run < 3; run++)
        {
            using var rocks = RocksStore.Open(_folder);
            var state = new RocksState(rocks, "u\0"u8.ToArray());
            var store = new UniqueStore("orders", span, options) { Stored = state };
            store.Load(state);
            for (var i = 0; i < run * count; i += 97)
                Assert.True(store.Contains(KeyOf(i), i * 10_000L), $"key {i} in run {run}");
            Assert.False(store.Contains(KeyOf(-1), 0));
            for (var i = run * count; i < (run + 1) * count; i++)
            {
                Assert.False(store.Contains(KeyOf(i), i * 10_000L));
                store.Add(KeyOf(i), i * 10_000L);
                if (i % 5_000 != 4_999)
                    continue;
                using var batch = new RocksWriteBatch();
                store.WriteChanges(i, state.Into(batch));
                rocks.Write(batch, sync: false);
                store.OnDurable(i);
            }
            Assert.InRange(store.MemoryKeys, 0, count);
        }
    }

    private static RowKey KeyOf(int value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
        return RowKey.Of(bytes);
    }
}
