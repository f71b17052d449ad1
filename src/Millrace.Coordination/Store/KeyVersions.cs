using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Google.Protobuf;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Store;

/// <summary>
/// A version of a key as it lies in its slab; good for as long as nothing is written to the store. One whose <see cref="Version"/> is 0
/// says that the key was deleted.
/// </summary>
internal readonly ref struct VersionView(BlockId id, ReadOnlySpan<byte> block, ReadOnlySpan<byte> key)
{
    private readonly ReadOnlySpan<byte> _block = block;

    public BlockId Id => id;

    public ReadOnlySpan<byte> Key { get; } = key;

    public ReadOnlySpan<byte> Value => _block.Slice(Unsafe.SizeOf<VersionHead>(), Head.ValueBytes);

    public long ModRevision => Head.ModRevision;

    public long CreateRevision => Head.CreateRevision;

    public long Version => Head.Version;

    public long Lease => Head.Lease;

    internal ref readonly VersionHead Head => ref MemoryMarshal.AsRef<VersionHead>(_block);

    /// <summary>A copy that may be kept.</summary>
    public KeyValue ToMessage(bool withValue = true) => new()
    {
        Key = ByteString.CopyFrom(Key), Value = withValue ? ByteString.CopyFrom(Value) : ByteString.Empty, CreateRevision = CreateRevision,
        ModRevision = ModRevision, Version = Version, Lease = Lease,
    };
}

/// <summary>What a version's block begins with; its value follows.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct VersionHead
{
    public long ModRevision;
    public long CreateRevision;
    public long Version;
    public long Lease;
    public BlockId Key;
    public int ValueBytes;
}

/// <summary>
/// What a key's block begins with; the key follows. With room for one version <see cref="Versions"/> is that version, with room for more a block
/// of their ids, oldest first.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal struct KeyHead
{
    public BlockId Versions;
    public int Count;
    public int Room;
    public int KeyBytes;
}

/// <summary>Keys and their versions in slabs. A version never changes once it is here.</summary>
internal sealed class KeyVersions(Slabs slabs)
{
    private static readonly int KeyHeadBytes = Unsafe.SizeOf<KeyHead>();
    private static readonly int VersionHeadBytes = Unsafe.SizeOf<VersionHead>();

    /// <summary>A key without versions.</summary>
    public BlockId AddKey(ReadOnlySpan<byte> key)
    {
        var id = slabs.Allocate(KeyHeadBytes + key.Length);
        var block = slabs[id];
        MemoryMarshal.AsRef<KeyHead>(block) = new KeyHead { Room = 1, KeyBytes = key.Length };
        key.CopyTo(block[KeyHeadBytes..]);
        return id;
    }

    /// <summary>Forgets a key that has no versions any more.</summary>
    public void FreeKey(BlockId key)
    {
        ref var head = ref HeadOf(key);
        if (head.Room > 1)
            slabs.Free(head.Versions);
        slabs.Free(key);
    }

    public ReadOnlySpan<byte> KeyOf(BlockId key)
    {
        var block = slabs[key];
        return block.Slice(KeyHeadBytes, MemoryMarshal.AsRef<KeyHead>(block).KeyBytes);
    }

    public int Count(BlockId key) => HeadOf(key).Count;

    public BlockId Get(BlockId key, int index)
    {
        ref var head = ref HeadOf(key);
        return head.Room == 1 ? head.Versions : IdsOf(head)[index];
    }

    public BlockId Newest(BlockId key)
    {
        ref var head = ref HeadOf(key);
        return head.Count == 0 ? default : head.Room == 1 ? head.Versions : IdsOf(head)[head.Count - 1];
    }

    public VersionView View(BlockId version)
    {
        ReadOnlySpan<byte> block = slabs[version];
        return new VersionView(version, block, KeyOf(MemoryMarshal.AsRef<VersionHead>(block).Key));
    }

    public BlockId Add(BlockId key, in VersionHead version, ReadOnlySpan<byte> value)
    {
        var id = slabs.Allocate(VersionHeadBytes + value.Length);
        var block = slabs[id];
        MemoryMarshal.AsRef<VersionHead>(block) = version with { Key = key, ValueBytes = value.Length };
        value.CopyTo(block[VersionHeadBytes..]);
        ref var head = ref HeadOf(key);
        if (head.Count == 0 && head.Room == 1)
        {
            head.Versions = id;
        }
        else
        {
            if (head.Count == head.Room)
                SetRoom(ref head, head.Room * 2);
            IdsOf(head)[head.Count] = id;
        }
        head.Count++;
        return id;
    }

    /// <summary>Takes back what was added last.</summary>
    public void RemoveNewest(BlockId key)
    {
        slabs.Free(Newest(key));
        HeadOf(key).Count--;
    }

    /// <summary>The version in force at a revision; none when the key was not there.</summary>
    public BlockId At(BlockId key, long revision) =>
        InForce(key, revision) is { IsNone: false } id && VersionOf(id).Version > 0 ? id : default;

    /// <summary>The same, which may be a deletion.</summary>
    public BlockId InForce(BlockId key, long revision)
    {
        ref var head = ref HeadOf(key);
        var index = IndexAt(head, revision);
        return index < 0 ? default : head.Room == 1 ? head.Versions : IdsOf(head)[index];
    }

    /// <summary>
    /// Forgets what no read or watch from a revision on can see; returns the bytes set free. A deletion at just that revision stays: a watch may
    /// begin there.
    /// </summary>
    public long CompactTo(BlockId key, long revision)
    {
        ref var head = ref HeadOf(key);
        var keep = IndexAt(head, revision);
        if (keep < 0)
            return 0;
        ref readonly var inForce = ref VersionOf(Get(key, keep));
        if (inForce.Version == 0 && inForce.ModRevision < revision)
            keep++;
        if (keep == 0)
            return 0;
        long freed = 0;
        for (var i = 0; i < keep; i++)
        {
            var id = Get(key, i);
            freed += KeyValueStore.BytesOf(head.KeyBytes, VersionOf(id).ValueBytes);
            slabs.Free(id);
        }
        head.Count -= keep;
        if (head.Room == 1)
            return freed;
        var ids = IdsOf(head);
        ids.Slice(keep, head.Count).CopyTo(ids);
        if (head.Room > 4 * head.Count)
            SetRoom(ref head, Math.Max(1, head.Count));
        return freed;
    }

    /// <summary>Moves what is in slabs to be emptied: versions up to a revision, their list, and the key itself; returns the key's id from now on.</summary>
    public BlockId Move(BlockId key, long upTo, RevisionHistory history)
    {
        for (var i = 0; i < Count(key); i++)
        {
            var version = Get(key, i);
            // Newer ones were run ahead, and who did so knows them by their ids.
            if (!slabs.IsToMove(version) || VersionOf(version).ModRevision > upTo)
                continue;
            var moved = Copy(version, VersionHeadBytes + VersionOf(version).ValueBytes);
            ref var at = ref HeadOf(key);
            if (at.Room == 1)
                at.Versions = moved;
            else
                IdsOf(at)[i] = moved;
            history.Replace(VersionOf(moved).ModRevision, version, moved);
        }
        ref var head = ref HeadOf(key);
        if (head.Room > 1 && slabs.IsToMove(head.Versions))
            head.Versions = Copy(head.Versions, head.Room * Unsafe.SizeOf<BlockId>());
        if (!slabs.IsToMove(key))
            return key;
        key = Copy(key, KeyHeadBytes + head.KeyBytes);
        for (var i = 0; i < Count(key); i++)
            MemoryMarshal.AsRef<VersionHead>(slabs[Get(key, i)]).Key = key;
        return key;
    }

    private BlockId Copy(BlockId id, int bytes)
    {
        var copy = slabs.Allocate(bytes);
        slabs[id][..bytes].CopyTo(slabs[copy]);
        slabs.Free(id);
        return copy;
    }

    private ref KeyHead HeadOf(BlockId key) => ref MemoryMarshal.AsRef<KeyHead>(slabs[key]);

    private ref readonly VersionHead VersionOf(BlockId version) => ref MemoryMarshal.AsRef<VersionHead>(slabs[version]);

    private Span<BlockId> IdsOf(in KeyHead head) => MemoryMarshal.Cast<byte, BlockId>(slabs[head.Versions])[..head.Room];

    private void SetRoom(ref KeyHead head, int room)
    {
        var (old, oldRoom) = (head.Versions, head.Room);
        if (room == 1)
        {
            head.Versions = head.Count == 0 ? default : IdsOf(head)[0];
            head.Room = 1;
        }
        else
        {
            var versions = slabs.Allocate(room * Unsafe.SizeOf<BlockId>());
            var ids = MemoryMarshal.Cast<byte, BlockId>(slabs[versions]);
            if (oldRoom == 1)
                ids[0] = old;
            else
                IdsOf(head)[..head.Count].CopyTo(ids);
            head.Versions = versions;
            head.Room = room;
        }
        if (oldRoom > 1)
            slabs.Free(old);
    }

    private int IndexAt(in KeyHead head, long revision)
    {
        // Most reads want the newest.
        var index = head.Count - 1;
        if (index < 0)
            return index;
        if (head.Room == 1)
            return VersionOf(head.Versions).ModRevision <= revision ? 0 : -1;
        var ids = IdsOf(head);
        if (VersionOf(ids[index]).ModRevision <= revision)
            return index;
        var low = 0;
        var high = index;
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (VersionOf(ids[middle]).ModRevision <= revision)
                low = middle + 1;
            else
                high = middle;
        }
        return low - 1;
    }
}
