using System.Buffers;
using System.Buffers.Binary;
using Millrace.Structures.Filters;

namespace Millrace.Streams.Checks.Unique;

/// <summary>
/// The keys that a unique rule has seen, exactly, for as long as they matter. Keys live in generations by event time (an eighth of the span
/// each) in memory; when the memory's bound comes near, the oldest generations move into the state store. A counting Bloom filter stands before
/// the tables in memory, a plain one before each stored generation: they skip look-ups and never decide.
/// </summary>
/// <remarks>
/// Keys are 128-bit hashes; see <see cref="RowKey"/> for the odds. State is written as changes: each checkpoint logs the new keys of each
/// generation in one value, and a generation that expired goes by prefix. Not thread-safe.
/// </remarks>
public sealed class UniqueStore
{
    private const int SlicesPerSpan = 8;

    // First bytes of keys in the store: log segments, blocks of moved keys, filters of moved generations. 2 and 3 were once moved keys
    // one by one, and their filters.
    private const byte SegmentKey = 1;
    private const byte FormerFilterKey = 3;
    private const byte BlockKey = 4;
    private const byte FilterKey = 5;

    private readonly UniqueOptions _options;
    private readonly long _within;
    private readonly long _slice;

    // Newest slices last; several generations may share a slice (after one was sealed).
    private readonly List<Generation> _generations = [];
    private readonly List<long> _expired = [];
    private readonly KeyFilter _filter = new();
    private readonly KeyBlocks _blocks = new();
    private Generation? _last;
    private long _nextId = 1;
    private long _addedSinceCheckpoint;

    /// <param name="name">The rule's name in the state store: its columns and span.</param>
    /// <param name="within">The span of event time, at least a microsecond.</param>
    /// <param name="options">Bounds.</param>
    public UniqueStore(string name, TimeSpan within, UniqueOptions? options = null)
    {
        Name = name;
        _within = Math.Max(1, (long)within.TotalMicroseconds);
        _slice = ((_within - 1) / SlicesPerSpan) + 1;
        _options = options ?? new UniqueOptions();
    }

    public string Name { get; }

    /// <summary>Where this store finds again what it has moved out: its own part of the state. Needed once keys may leave memory.</summary>
    public IStateReader? Stored { get; set; }

    /// <summary>Keys in memory.</summary>
    public long MemoryKeys { get; private set; }

    /// <summary>Bytes of keys and filters in memory.</summary>
    public long MemoryBytes
    {
        get
        {
            var bytes = _filter.Bytes;
            foreach (var generation in _generations)
                bytes += (generation.Table?.Bytes ?? 0) + (generation.Filter?.Bytes ?? 0);
            return bytes;
        }
    }

    /// <summary>True when a good row with this key lies within the span of this event time, before or after it.</summary>
    public bool Contains(in RowKey key, long micros)
    {
        var inMemory = _filter.MayContain(key);
        for (var i = _generations.Count - 1; i >= 0; i--)
        {
            var generation = _generations[i];
            if (generation.Table is { } table)
            {
                if (inMemory && Touches(generation, micros) && table.TryGet(key, out var seen) && Within(seen, micros))
                    return true;
            }
            else if (Touches(generation, micros) && generation.Filter!.MayContain(key.First, key.Second)
                && TryGetStored(generation, key, out var seen) && Within(seen, micros))
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>Remembers a good row. The caller has found that <see cref="Contains"/> is false.</summary>
    public void Add(in RowKey key, long micros)
    {
        var slice = SliceOf(micros);
        var generation = _last is { Sealed: false } last && last.Slice == slice ? last : Open(slice);
        generation.Add(key, micros);
        MemoryKeys++;
        _addedSinceCheckpoint++;
        _filter.Add(generation, key, _generations);
    }

    /// <summary>Forgets what no row at or after the watermark can meet.</summary>
    public void Advance(long watermarkMicros)
    {
        for (var i = _generations.Count - 1; i >= 0; i--)
        {
            var generation = _generations[i];
            if ((Int128)(generation.Slice + 1) * _slice > (Int128)watermarkMicros - _within)
                continue;
            DropFromMemory(generation);
            _expired.Add(generation.Id);
            _generations.RemoveAt(i);
            if (_last == generation)
                _last = null;
        }
    }

    /// <summary>Writes what changed since the last checkpoint; called at the barrier. Returns the bytes written.</summary>
    /// <param name="checkpoint">The checkpoint's number, growing.</param>
    /// <param name="writer">Goes into the checkpoint's one write.</param>
    public long WriteChanges(long checkpoint, IStateWriter writer)
    {
        Span<byte> key = stackalloc byte[17];
        long bytes = 0;
        // A prefix that was deleted gets no new keys: ids are never used again.
        foreach (var id in _expired)
        {
            foreach (var kind in (ReadOnlySpan<byte>)[SegmentKey, BlockKey, FilterKey])
                writer.DeletePrefix(Key(key, kind, id));
        }
        _expired.Clear();
        foreach (var generation in _generations)
        {
            if (generation.Pending.WrittenCount == 0)
                continue;
            Key(key, SegmentKey, generation.Id);
            BinaryPrimitives.WriteInt64BigEndian(key[9..], checkpoint);
            writer.Put(key, Framed(generation.Slice, generation.Pending.WrittenSpan));
            bytes += generation.Pending.WrittenCount;
            generation.Pending.ResetWrittenCount();
        }
        bytes += Spill(checkpoint, writer);
        _addedSinceCheckpoint = 0;
        return bytes;
    }

    /// <summary>Told, by the thread that checks, when a checkpoint is durable: what moved into the store with it leaves memory.</summary>
    public void OnDurable(long checkpoint)
    {
        foreach (var generation in _generations)
        {
            if (generation.Table is not null && generation.SpilledAt >= 0 && generation.SpilledAt <= checkpoint)
                DropFromMemory(generation);
        }
    }

    /// <summary>Takes up what the last durable checkpoint holds. The store must be new.</summary>
    /// <exception cref="InvalidDataException">A value does not have the form that was written.</exception>
    public void Load(IStateReader stored)
    {
        stored.Scan([FormerFilterKey], (_, _) => throw new InvalidDataException(
            $"the unique rule {Name} has keys in a form that an earlier build wrote: start the job under a new name, or with that build"));
        var found = new Dictionary<long, Generation>();
        stored.Scan([FilterKey], (key, value) =>
        {
            var generation = new Generation(IdOf(key), Unframe(value, out var filter)) { Table = null, Sealed = true };
            generation.Filter = BloomFilter.FromBytes(filter);
            found.Add(generation.Id, generation);
        });
        // Segments of one generation lie behind one another; its table is made at once, when all of them are known.
        var entries = new ArrayBufferWriter<byte>();
        Generation? filling = null;
        stored.Scan([SegmentKey], (key, value) =>
        {
            var slice = Unframe(value, out var segment);
            var id = IdOf(key);
            if (filling?.Id != id)
            {
                Fill(filling, entries);
                if (!found.TryGetValue(id, out filling))
                    found.Add(id, filling = new Generation(id, slice));
            }
            if (filling.Table is null || segment.Length % Generation.EntryBytes != 0)
                throw new InvalidDataException($"the state of the unique rule {Name} is damaged (generation {id})");
            entries.Write(segment);
        });
        Fill(filling, entries);
        _generations.AddRange(found.Values.OrderBy(g => g.Slice).ThenBy(g => g.Id));
        _nextId = found.Count == 0 ? 1 : found.Keys.Max() + 1;
        MemoryKeys = _generations.Sum(g => g.Table?.Count ?? 0);
        _filter.Rebuild(_generations, MemoryKeys);
    }

    private static void Fill(Generation? generation, ArrayBufferWriter<byte> entries)
    {
        if (generation is not null && entries.WrittenCount > 0)
            generation.Table = KeyTable.Of(entries.WrittenSpan);
        entries.ResetWrittenCount();
    }

    private long SliceOf(long micros) => micros >= 0 ? micros / _slice : ((micros + 1) / _slice) - 1;

    private bool Within(long seen, long micros) => Int128.Abs((Int128)seen - micros) <= _within;

    // Whether the generation's slice meets the span around an event time.
    private bool Touches(Generation generation, long micros)
    {
        var distance = generation.Slice - SliceOf(micros);
        return distance is >= -(SlicesPerSpan + 1) and <= SlicesPerSpan + 1;
    }

    private Generation Open(long slice)
    {
        var at = _generations.Count;
        while (at > 0 && _generations[at - 1].Slice > slice)
            at--;
        if (at > 0 && _generations[at - 1] is { Sealed: false } existing && existing.Slice == slice)
            return _last = existing;
        _last = new Generation(_nextId++, slice);
        _generations.Insert(at, _last);
        return _last;
    }

    private void DropFromMemory(Generation generation)
    {
        if (generation.Table is not { } table)
            return;
        _filter.Remove(generation);
        MemoryKeys -= table.Count;
        generation.Table = null;
    }

    // Moves the oldest generation that is still in memory alone, some parts at each checkpoint.
    private long Spill(long checkpoint, IStateWriter writer)
    {
        var budget = Math.Max(_options.SpillKeys, _addedSinceCheckpoint * 2);
        long bytes = 0;
        Span<byte> key = stackalloc byte[17];
        while (budget > 0 && MemoryBytes - BytesOnTheirWay() > _options.MaxMemoryBytes / 4 * 3 && NextToSpill() is { } generation)
        {
            // From here on nothing is added, so a part that is written stays as it is. After a crash the generation may grow before it is
            // written again, with more and smaller blocks perhaps: all keys of an old block then stand in new ones, which are read first by their number.
            generation.Sealed = true;
            var table = generation.Table!;
            generation.Filter ??= new BloomFilter(table.Count);
            for (; generation.SpilledParts < KeyTable.Parts && budget > 0; generation.SpilledParts++)
            {
                var keys = WritePart(generation, writer);
                budget -= keys;
                bytes += keys * (long)Generation.EntryBytes;
            }
            if (generation.SpilledParts < KeyTable.Parts)
                break;
            generation.SpilledAt = checkpoint;
            writer.Put(Key(key, FilterKey, generation.Id), Framed(generation.Slice, generation.Filter.ToBytes()));
            writer.DeletePrefix(Key(key, SegmentKey, generation.Id));
        }
        return bytes;
    }

    private long BytesOnTheirWay()
    {
        long bytes = 0;
        foreach (var generation in _generations)
            bytes += generation.SpilledAt >= 0 ? generation.Table?.Bytes ?? 0 : 0;
        return bytes;
    }

    private Generation? NextToSpill()
    {
        foreach (var generation in _generations)
        {
            if (generation is { Table.Count: > 0, SpilledAt: < 0 })
                return generation;
        }
        return null;
    }

    private int WritePart(Generation generation, IStateWriter writer)
    {
        Span<byte> name = stackalloc byte[17];
        Key(name, BlockKey, generation.Id);
        var bits = KeyBlocks.BitsOf(generation.Filter!);
        var sorted = _blocks.Sort(generation.Table!.Part(generation.SpilledParts));
        for (var from = 0; from < sorted.Length;)
        {
            var number = KeyBlocks.NumberOf(sorted[from].Key, bits);
            BinaryPrimitives.WriteInt64BigEndian(name[9..], number);
            writer.Put(name, _blocks.Encode(sorted, ref from, number, bits));
        }
        foreach (ref readonly var entry in sorted)
            generation.Filter!.Add(entry.Key.First, entry.Key.Second);
        return sorted.Length;
    }

    private bool TryGetStored(Generation generation, in RowKey key, out long micros)
    {
        if (Stored is null)
            throw new InvalidOperationException("keys have moved into the state store, and no reader of it is given");
        Span<byte> name = stackalloc byte[17];
        Key(name, BlockKey, generation.Id);
        BinaryPrimitives.WriteInt64BigEndian(name[9..], KeyBlocks.NumberOf(key, KeyBlocks.BitsOf(generation.Filter!)));
        micros = 0;
        return Stored.Get(name) is { } block && KeyBlocks.TryFind(block, key, out micros);
    }

    private static Span<byte> Key(Span<byte> buffer, byte kind, long id)
    {
        buffer[0] = kind;
        BinaryPrimitives.WriteInt64BigEndian(buffer[1..], id);
        return buffer[..9];
    }

    private static long IdOf(ReadOnlySpan<byte> key) => BinaryPrimitives.ReadInt64BigEndian(key[1..]);

    private static byte[] Framed(long slice, ReadOnlySpan<byte> content)
    {
        var framed = new byte[content.Length + sizeof(long)];
        BinaryPrimitives.WriteInt64BigEndian(framed, slice);
        content.CopyTo(framed.AsSpan(sizeof(long)));
        return framed;
    }

    private long Unframe(ReadOnlySpan<byte> value, out ReadOnlySpan<byte> content)
    {
        if (value.Length < sizeof(long))
            throw new InvalidDataException($"the state of the unique rule {Name} is damaged (a value of {value.Length} bytes)");
        content = value[sizeof(long)..];
        return BinaryPrimitives.ReadInt64BigEndian(value);
    }
}
