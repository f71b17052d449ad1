using System.Runtime.CompilerServices;
using Millrace.Structures.Filters;

namespace Millrace.Streams.Checks.Unique;

/// <summary>
/// The counting Bloom filter before the generations in memory. When it is full it moves into one of twice the size, a part of a table at
/// a time, so that no batch waits for millions of keys: 0.3 s at 8 M keys at once, under 1 ms a step (bench checks).
/// </summary>
internal sealed class KeyFilter
{
    private const long FirstItems = 1 << 16;

    private readonly Queue<Generation> _toMove = new();
    private CountingBloomFilter _filter = new(FirstItems);
    private CountingBloomFilter? _next;
    private long _addsPerStep;
    private long _adds;

    public long Bytes => _filter.Bytes + (_next?.Bytes ?? 0);

    public bool MayContain(in RowKey key) => _filter.MayContain(key.First, key.Second);

    /// <summary>Adds a key that the generation's table already holds.</summary>
    public void Add(Generation generation, in RowKey key, List<Generation> all)
    {
        _filter.Add(key.First, key.Second);
        if (_next is null)
        {
            if (_filter.Count >= _filter.ExpectedItems)
                BeginMove(all);
            return;
        }
        // In parts that have not been moved yet, the move will find it.
        if (KeyTable.PartOf(key) < generation.PartsInNextFilter)
            _next.Add(key.First, key.Second);
        if (++_adds % _addsPerStep == 0)
            Step();
    }

    /// <summary>Takes back all keys of a generation, whose table is still there.</summary>
    public void Remove(Generation generation)
    {
        for (var part = 0; part < KeyTable.Parts; part++)
        {
            var moved = _next is not null && part < generation.PartsInNextFilter;
            foreach (ref readonly var entry in generation.Table!.Part(part))
            {
                if (entry.Key == default)
                    continue;
                _filter.Remove(entry.Key.First, entry.Key.Second);
                if (moved)
                    _next!.Remove(entry.Key.First, entry.Key.Second);
            }
        }
    }

    /// <summary>Begins anew with all keys of the generations.</summary>
    public void Rebuild(List<Generation> all, long keys)
    {
        _toMove.Clear();
        _next = null;
        _filter = new CountingBloomFilter(Math.Max(FirstItems, keys * 2));
        foreach (var generation in all)
        {
            for (var part = 0; generation.Table is not null && part < KeyTable.Parts; part++)
                AddPart(_filter, generation, part);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddPart(CountingBloomFilter filter, Generation generation, int part)
    {
        foreach (ref readonly var entry in generation.Table!.Part(part))
        {
            if (entry.Key != default)
                filter.Add(entry.Key.First, entry.Key.Second);
        }
    }

    private void BeginMove(List<Generation> all)
    {
        _next = new CountingBloomFilter(_filter.ExpectedItems * 2);
        foreach (var generation in all)
        {
            if (generation.Table is null)
                continue;
            generation.PartsInNextFilter = 0;
            _toMove.Enqueue(generation);
        }
        // Done when the old filter is a quarter over its number.
        _addsPerStep = Math.Max(1, _filter.ExpectedItems / 4 / (_toMove.Count * KeyTable.Parts));
        _adds = 0;
    }

    private void Step()
    {
        while (_toMove.TryPeek(out var generation))
        {
            if (generation.Table is not null && generation.PartsInNextFilter < KeyTable.Parts)
            {
                AddPart(_next!, generation, generation.PartsInNextFilter++);
                return;
            }
            _toMove.Dequeue();
        }
        _filter = _next!;
        _next = null;
    }
}
