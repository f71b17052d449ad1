using System.Buffers;
using System.Buffers.Binary;
using Millrace.Structures.Filters;

namespace Millrace.Streams.Checks.Unique;

/// <summary>
/// The keys of one slice of event time: first a table in memory, logged to the state store as it grows; later, perhaps, keys in the store.
/// </summary>
internal sealed class Generation(long id, long slice)
{
    public const int EntryBytes = RowKey.Bytes + sizeof(long);

    public long Id { get; } = id;

    /// <summary>Event time divided by the slice's length.</summary>
    public long Slice { get; } = slice;

    /// <summary>Null once the keys are in the store alone.</summary>
    public KeyTable? Table { get; set; } = new();

    /// <summary>In front of the store, when the keys are there.</summary>
    public BloomFilter? Filter { get; set; }

    /// <summary>Takes no more keys, for it is on its way to the store.</summary>
    public bool Sealed { get; set; }

    /// <summary>Parts of the table that have been written to the store.</summary>
    public int SpilledParts { get; set; }

    /// <summary>The checkpoint in which the last part was written; the table may go when that is durable.</summary>
    public long SpilledAt { get; set; } = -1;

    /// <summary>Parts of the table whose keys are in the filter that is being filled, if one is; see <see cref="KeyFilter"/>.</summary>
    public int PartsInNextFilter { get; set; } = KeyTable.Parts;

    /// <summary>Entries since the last checkpoint.</summary>
    public ArrayBufferWriter<byte> Pending { get; } = new();

    public void Add(in RowKey key, long micros)
    {
        Table!.Set(key, micros);
        var bytes = Pending.GetSpan(EntryBytes);
        key.Write(bytes);
        BinaryPrimitives.WriteInt64BigEndian(bytes[RowKey.Bytes..], micros);
        Pending.Advance(EntryBytes);
    }
}
