using Millrace.Coordination.Store;
using Xunit.Abstractions;

namespace Millrace.Tests.Coordination;

/// <summary>Memory that the store lays out by itself.</summary>
public sealed class SlabTests(ITestOutputHelper output)
{
    [Fact]
    public void Blocks_keep_what_was_written_however_others_come_and_go()
    {
        var first = Seeds.Next(output);
        for (var seed = first; seed < first + Seeds.Rounds(20, 500); seed++)
        {
            var random = new Random(seed);
            var slabs = new Slabs();
            var blocks = new List<(BlockId Id, int Bytes, byte Mark)>();
            for (var step = 0; step < 3000; step++)
            {
                if (blocks.Count > 0 && random.Next(100) < (step < 2000 ? 40 : 60))
                {
                    var at = random.Next(blocks.Count);
                    Check(slabs, blocks[at], seed);
                    slabs.Free(blocks[at].Id);
                    blocks[at] = blocks[^1];
                    blocks.RemoveAt(blocks.Count - 1);
                    continue;
                }
                var bytes = random.Next(20) == 0 ? random.Next(400_000) : random.Next(2000);
                var block = (slabs.Allocate(bytes), bytes, (byte)random.Next(256));
                Assert.False(block.Item1.IsNone);
                slabs[block.Item1][..bytes].Fill(block.Item3);
                blocks.Add(block);
            }
            Assert.True(slabs.Used <= slabs.Reserved);
            foreach (var block in blocks)
            {
                Check(slabs, block, seed);
                slabs.Free(block.Id);
            }
            Assert.Equal(0, slabs.Used);
        }
    }

    [Fact]
    public void A_block_is_at_most_a_thirty_second_and_fifteen_bytes_larger_than_asked_for()
    {
        var slabs = new Slabs();
        for (var bytes = 1; bytes < 300_000; bytes += 1 + (bytes / 37))
        {
            var before = slabs.Used;
            var id = slabs.Allocate(bytes);
            var room = slabs[id].Length;
            Assert.Equal(slabs.Used - before, room);
            Assert.InRange(room, bytes, bytes + 15 + ((bytes + 15) / 32));
            slabs.Free(id);
        }
    }

    [Fact]
    public void Memory_of_what_was_freed_is_given_back_or_used_again()
    {
        var slabs = new Slabs();
        var ids = new List<BlockId>();
        for (var round = 0; round < 5; round++)
        {
            for (var i = 0; i < 50_000; i++)
                ids.Add(slabs.Allocate(300));
            Assert.InRange(slabs.Reserved, slabs.Used, slabs.Used + (1 << 20));
            foreach (var id in ids)
                slabs.Free(id);
            ids.Clear();
            Assert.Equal(0, slabs.Used);
            Assert.InRange(slabs.Reserved, 0, 1 << 20);
        }
    }

    [Fact]
    public void A_store_gives_memory_back_when_a_compaction_leaves_little_of_every_slab()
    {
        var store = new KeyValueStore();
        var value = new byte[200];
        const int keys = 2000;
        for (var i = 0; i < keys * 20; i++)
        {
            // Every twentieth of its first versions is never written again.
            var key = i < keys ? i : (i % keys) | 1;
            System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(value, i);
            store.Put(System.Text.Encoding.UTF8.GetBytes($"key {(i % 20 == 0 ? "once " + i : key.ToString())}"), value, 0);
            store.Commit();
        }
        var before = store.Memory;
        store.Compact(store.Revision);
        while (store.Discard(100))
        {
        }
        var (reserved, used) = store.Memory;
        output.WriteLine($"{before} before, {(reserved, used)} after");
        Assert.InRange(used, 0, before.Used / 4);
        Assert.InRange(reserved, used, (2 * used) + (256 << 10));
        for (var i = 20; i < keys * 20; i += 20)
            Assert.Equal(i, System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(store.View(store.Find(System.Text.Encoding.UTF8.GetBytes($"key once {i}"))).Value));
    }

    private static void Check(Slabs slabs, (BlockId Id, int Bytes, byte Mark) block, int seed) =>
        Assert.True(slabs[block.Id][..block.Bytes].IndexOfAnyExcept(block.Mark) < 0, $"seed {seed}: a block of {block.Bytes} bytes was written over");
}
