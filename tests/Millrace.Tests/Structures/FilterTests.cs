using Millrace.Structures.Filters;
using Xunit.Abstractions;

namespace Millrace.Tests.Structures;

public sealed class FilterTests(ITestOutputHelper output)
{
    [Fact]
    public void The_counting_filter_never_denies_what_is_in_it()
    {
        var random = new Random(Seeds.Next(output));
        var filter = new CountingBloomFilter(10_000);
        var held = new List<(ulong, ulong)>();
        for (var step = 0; step < 60_000; step++)
        {
            if (held.Count > 0 && random.Next(5) < 2)
            {
                var at = random.Next(held.Count);
                filter.Remove(held[at].Item1, held[at].Item2);
                held[at] = held[^1];
                held.RemoveAt(held.Count - 1);
            }
            else
            {
                var item = ((ulong)random.NextInt64() * 3, (ulong)random.NextInt64() * 5);
                filter.Add(item.Item1, item.Item2);
                held.Add(item);
            }
            if (step % 5_000 == 0)
                Assert.All(held, item => Assert.True(filter.MayContain(item.Item1, item.Item2)));
        }
        Assert.Equal(held.Count, filter.Count);
    }

    [Fact]
    public void Few_strangers_pass_the_filters_and_an_emptied_one_lets_none_pass()
    {
        var random = new Random(Seeds.Next(output));
        var counting = new CountingBloomFilter(50_000);
        var plain = new BloomFilter(50_000);
        var items = Enumerable.Range(0, 50_000).Select(_ => ((ulong)random.NextInt64() * 3, (ulong)random.NextInt64() * 5)).ToArray();
        foreach (var (hash, probes) in items)
        {
            counting.Add(hash, probes);
            plain.Add(hash, probes);
        }
        var read = BloomFilter.FromBytes(plain.ToBytes());
        Assert.All(items, item => Assert.True(read.MayContain(item.Item1, item.Item2)));
        int counted = 0, plainly = 0;
        for (var i = 0; i < 100_000; i++)
        {
            var (hash, probes) = ((ulong)random.NextInt64() * 7, (ulong)random.NextInt64() * 11);
            counted += counting.MayContain(hash, probes) ? 1 : 0;
            plainly += read.MayContain(hash, probes) ? 1 : 0;
        }
        output.WriteLine($"false yes: counting {counted / 1000.0} %, plain {plainly / 1000.0} %");
        Assert.InRange(counted, 0, 2_000);
        Assert.InRange(plainly, 0, 500);
        foreach (var (hash, probes) in items)
            counting.Remove(hash, probes);
        Assert.Equal(0, Enumerable.Range(0, 10_000).Count(_ => counting.MayContain((ulong)random.NextInt64() * 7, (ulong)random.NextInt64() * 11)));
    }
}
