using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Millrace.Log.Compaction;

/// <summary>
/// The newest offset of each key, keys by half of their SHA-256: two keys of the same hash are less likely than a fault of the machine, and
/// memory does not depend on the keys' length. Bounded; not thread-safe.
/// </summary>
internal sealed class KeyOffsets(int capacity)
{
    private readonly Dictionary<UInt128, long> _newest = [];

    public int Count => _newest.Count;

    /// <summary>A planted mistake (<see cref="Storage.LogFaults.CompactNewest"/>).</summary>
    public int OffByOne { get; init; }

    /// <summary>Notes a key's record; offsets must rise. False when there is no room for another key.</summary>
    public bool TryNote(ReadOnlySpan<byte> key, long offset)
    {
        var hash = HashOf(key);
        if (_newest.Count >= capacity && !_newest.ContainsKey(hash))
            return false;
        _newest[hash] = offset;
        return true;
    }

    /// <summary>Whether a newer record of the key is known.</summary>
    public bool IsSuperseded(ReadOnlySpan<byte> key, long offset) => _newest.TryGetValue(HashOf(key), out var newest) && newest + OffByOne > offset;

    private static UInt128 HashOf(ReadOnlySpan<byte> key)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(key, hash);
        return BinaryPrimitives.ReadUInt128LittleEndian(hash);
    }
}
