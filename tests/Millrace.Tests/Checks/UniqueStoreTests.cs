using System.Buffers.Binary;
using System.Text;
using Millrace.Columnar;
using Millrace.Columnar.Json;
using Millrace.Streams.Checks;
using Millrace.Streams.Checks.Unique;
using Millrace.Streams.Plans;
using Xunit.Abstractions;

namespace Millrace.Tests.Checks;

public sealed class UniqueStoreTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void It_decides_as_a_plain_dictionary_does_through_crashes_and_spills(bool spill)
    {
        var seed = Seeds.Next(output);
        var random = new Random(seed);
        for (var round = 0; round < 8; round++)
        {
            var within = random.Next(1, 2_000);
            var options = new UniqueOptions { MaxMemoryBytes = spill ? 1 : 1L << 40, SpillKeys = random.Next(1, 50) };
            var memory = new MemoryState();
            var store = new UniqueStore("u", TimeSpan.FromMicroseconds(within), options) { Stored = memory };
            var twin = new List<(int Key, long Time)>();
            var durableTwin = new List<(int Key, long Time)>();
            long now = random.Next(-5_000, 5_000);
            long checkpoint = 0;
            for (var step = 0; step < 2_000; step++)
            {
                now += random.Next(3);
                var time = now - random.Next(20);
                var key = random.Next(within);
                var duplicate = twin.Any(t => t.Key == key && Math.Abs(t.Time - time) <= within);
                Assert.True(duplicate == store.Contains(KeyOf(key), time), $"seed {seed}, step {step}");
                if (!duplicate)
                {
                    store.Add(KeyOf(key), time);
                    twin.Add((key, time));
                }
                switch (random.Next(60))
                {
                    case 0:
                        store.Advance(now - 20);
                        break;
                    case 1:
                        var batch = new MemoryState.Batch();
                        store.WriteChanges(++checkpoint, batch);
                        memory.Apply(batch);
                        store.OnDurable(checkpoint);
                        durableTwin = [.. twin];
                        break;
                    case 2 when random.Next(3) == 0:
                        // A crash: what was not made durable is gone, the rows come again later.
                        store = new UniqueStore("u", TimeSpan.FromMicroseconds(within), options) { Stored = memory };
                        store.Load(memory);
                        twin = [.. durableTwin];
                        break;
                }
            }
            if (spill)
                Assert.Contains(memory.Entries.Keys, k => k[0] == 4);
        }
    }

    [Fact]
    public void A_large_generation_moves_in_blocks_and_every_key_is_found_again()
    {
        const int keys = 200_000;
        var memory = new MemoryState();
        var options = new UniqueOptions { MaxMemoryBytes = 1, SpillKeys = 30_000 };
        var store = new UniqueStore("u", TimeSpan.FromHours(1), options) { Stored = memory };
        for (var i = 0; i < keys; i++)
            store.Add(KeyOf(i), 1_000 + i);
        for (var checkpoint = 1; store.MemoryKeys > 0; checkpoint++)
        {
            var batch = new MemoryState.Batch();
            store.WriteChanges(checkpoint, batch);
            memory.Apply(batch);
            store.OnDurable(checkpoint);
            Assert.True(checkpoint < 100);
        }
        // Some 256 keys a value.
        Assert.InRange(memory.Entries.Count, keys / 1024, keys / 64);
        var reloaded = new UniqueStore("u", TimeSpan.FromHours(1), options) { Stored = memory };
        reloaded.Load(memory);
        for (var i = 0; i < keys; i++)
        {
            Assert.True(store.Contains(KeyOf(i), 1_000));
            Assert.True(reloaded.Contains(KeyOf(i), 1_000));
            Assert.False(store.Contains(KeyOf(keys + i), 1_000));
        }
    }

    [Fact]
    public void Keys_in_the_form_of_an_earlier_build_are_refused()
    {
        var memory = new MemoryState();
        memory.Entries[[3, 0, 0, 0, 0, 0, 0, 0, 1]] = new byte[72];
        var store = new UniqueStore("u", TimeSpan.FromHours(1)) { Stored = memory };
        Assert.Contains("earlier build", Assert.Throws<InvalidDataException>(() => store.Load(memory)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void State_does_not_outlive_the_span()
    {
        var memory = new MemoryState();
        var store = new UniqueStore("u", TimeSpan.FromMicroseconds(1_000), new UniqueOptions { MaxMemoryBytes = 1 << 20, SpillKeys = 100 }) { Stored = memory };
        for (var i = 0; i < 100_000; i++)
        {
            Assert.False(store.Contains(KeyOf(i), i));
            store.Add(KeyOf(i), i);
            if (i % 500 == 0)
            {
                store.Advance(i);
                var batch = new MemoryState.Batch();
                store.WriteChanges(i, batch);
                memory.Apply(batch);
                store.OnDurable(i);
            }
        }
        Assert.InRange(store.MemoryKeys, 0, 3_000);
        Assert.InRange(memory.Entries.Count, 0, 10_000);
    }

    [Fact]
    public void A_bad_row_is_not_remembered_and_null_keys_are_unique()
    {
        var schema = new Schema(new Field("id", DataType.Utf8), new Field("n", DataType.Int64), new Field("ts", DataType.TimestampTz));
        var checker = RowChecker.Compile(
        [
            new UniqueCheck("unique(id, n) within 1s", ["id", "n"], TimeSpan.FromSeconds(1)),
            new ComparisonCheck("n > 0", "n", ComparisonOperator.Greater, new Literal.Integer(0)),
        ], schema);
        using var decoder = new JsonColumnDecoder(schema);
        foreach (var row in new[]
        {
            """{"id":"a","n":1,"ts":1000}""", """{"id":"a","n":1,"ts":1000.5}""", """{"id":"a","n":1,"ts":1001.5}""", """{"n":1,"ts":1000}""",
            """{"n":1,"ts":1000}""", """{"id":"a","n":-1,"ts":1000}""", """{"id":"a","n":-1,"ts":1000}""", """{"id":"a","n":2,"ts":1000}""",
        })
            Assert.True(decoder.TryDecode(Encoding.UTF8.GetBytes(row), out _));
        using var batch = decoder.Build();
        Assert.Throws<ArgumentException>(() => checker.Check(batch));
        var result = checker.Check(batch, batch["ts"].Values<long>());
        Assert.Equal([1, 5, 6], result.BadRows());
        Assert.Equal(["unique(id, n) within 1s: id = 'a', n = 1 was seen before"], result.Reasons(1));
        Assert.Equal(["n > 0: n = -1"], result.Reasons(6));
        // A row refused elsewhere is neither looked up nor remembered.
        var again = checker.Check(batch, batch["ts"].Values<long>(), [0b0010_0001UL]);
        Assert.Equal([1, 2, 5, 6, 7], again.BadRows());
        Assert.Equal(["n > 0: n = -1"], again.Reasons(5));
    }

    [Fact]
    public void The_key_hash_is_MurmurHash3()
    {
        // Vectors of the reference implementation, seed 0.
        Assert.Equal(new RowKey(0xcbd8a7b341bd9b02, 0x5b1e906a48ae1d19), RowKey.Of("hello"u8));
        Assert.Equal(new RowKey(0xe34bbc7bbc071b6c, 0x7a433ca9c49a9347), RowKey.Of("The quick brown fox jumps over the lazy dog"u8));
    }

    private static RowKey KeyOf(int value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
        return RowKey.Of(bytes);
    }

    private sealed class MemoryState : IStateReader
    {
        public SortedDictionary<byte[], byte[]> Entries { get; } = new(Comparer<byte[]>.Create((a, b) => a.AsSpan().SequenceCompareTo(b)));

        public void Apply(Batch batch)
        {
            foreach (var (key, value) in batch.Changes)
            {
                if (value is not null)
                {
                    Entries[key] = value;
                    continue;
                }
                foreach (var old in Entries.Keys.Where(k => k.AsSpan().StartsWith(key)).ToArray())
                    Entries.Remove(old);
            }
        }

        public byte[]? Get(ReadOnlySpan<byte> key) => Entries.GetValueOrDefault(key.ToArray());

        public void Scan(ReadOnlySpan<byte> prefix, StateEntry visit)
        {
            var wanted = prefix.ToArray();
            foreach (var (key, value) in Entries)
            {
                if (key.AsSpan().StartsWith(wanted))
                    visit(key, value);
            }
        }

        public sealed class Batch : IStateWriter
        {
            public List<(byte[] Key, byte[]? Value)> Changes { get; } = [];

            public void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value) => Changes.Add((key.ToArray(), value.ToArray()));

            public void DeletePrefix(ReadOnlySpan<byte> prefix) => Changes.Add((prefix.ToArray(), null));
        }
    }
}
