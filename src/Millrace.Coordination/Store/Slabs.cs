using System.Numerics;
using System.Runtime.InteropServices;

namespace Millrace.Coordination.Store;

/// <summary>Where a block of memory is: the number of its slab and the place in it. All zeros: no block.</summary>
internal readonly record struct BlockId(uint Value)
{
    public bool IsNone => Value == 0;
}

/// <summary>
/// Blocks of bytes in large arrays, for records that stay: the garbage collector sees an array for each MiB, with nothing in it to mark
/// and too large to be copied, instead of several objects for each record.
/// </summary>
/// <remarks>
/// One writer; others may read blocks that are not freed meanwhile, without a lock. A slab holds blocks of one size: multiples of 16 bytes up to
/// 1 KiB, then 32 sizes for each doubling, so a block is at most 15 bytes and a thirty-second larger than asked for. Freed blocks are used again for
/// the same size, and a slab without any is let go, but for one of each size (Bonwick: The Slab Allocator, 1994). Slabs of a size begin
/// small and double, so at most about half of what is reserved was never used. A block of more than 256 KiB has a slab of its own.
/// Slabs of which less than half is in use can be closed, so that whoever knows where their blocks are told moves them elsewhere.
/// </remarks>
internal sealed class Slabs
{
    private const int UnitBytes = 16;
    private const int FirstSlabBytes = 4 << 10;
    private const int LargestSlabBytes = 1 << 20;
    private const int MostShared = LargestSlabBytes / 4 / UnitBytes;
    private const int MostSlabs = 1 << 15;
    private const int SmallSizes = 64;
    private const int SizesPerDoubling = 32;
    private const int Sizes = SmallSizes + (8 * SizesPerDoubling);
    private readonly Slab?[] _withRoom = new Slab?[Sizes];
    private readonly int[] _counts = new int[Sizes];
    private readonly Stack<int> _freeNumbers = new();
    private Slab?[] _slabs = new Slab?[8];
    // Number 0 stays unused, so that no block has the id of none.
    private int _next = 1;

    /// <summary>Bytes of all slabs.</summary>
    public long Reserved { get; private set; }

    /// <summary>Bytes of all blocks, as rounded up.</summary>
    public long Used { get; private set; }

    /// <summary>A block of at least so many bytes; what is in it is undefined.</summary>
    public BlockId Allocate(int bytes)
    {
        var units = Math.Max(1, (bytes + UnitBytes - 1) / UnitBytes);
        if (units > MostShared)
            return AllocateAlone(units);
        var size = SizeOf(units);
        var slab = _withRoom[size] ?? AddSlab(size);
        int at;
        if (slab.FirstFree > 0)
        {
            at = slab.FirstFree - 1;
            slab.FirstFree = MemoryMarshal.Read<int>(slab.Bytes.AsSpan(at * UnitBytes));
        }
        else
        {
            at = slab.NeverUsed;
            slab.NeverUsed += slab.BlockUnits;
        }
        slab.Blocks++;
        if (!slab.HasRoom)
            Unlist(slab);
        Used += slab.BlockUnits * UnitBytes;
        return new BlockId(((uint)slab.Number << 16) | (uint)at);
    }

    /// <summary>The block may be used for something else from now on.</summary>
    public void Free(BlockId id)
    {
        var slab = _slabs[id.Value >> 16]!;
        Used -= slab.BlockUnits * UnitBytes;
        if (slab.Size < 0)
        {
            Drop(slab);
            return;
        }
        var hadRoom = slab.HasRoom;
        var at = (int)(id.Value & 0xFFFF);
        MemoryMarshal.Write(slab.Bytes.AsSpan(at * UnitBytes), slab.FirstFree);
        slab.FirstFree = at + 1;
        slab.Blocks--;
        if (!hadRoom && !slab.IsClosed)
            List(slab);
        if (slab.Blocks > 0 || (slab.Next is null && slab.Previous is null && !slab.IsClosed))
            return;
        if (!slab.IsClosed)
            Unlist(slab);
        _counts[slab.Size]--;
        Drop(slab);
    }

    /// <summary>
    /// Nothing is put any more into slabs of which less than half is in use, until <see cref="Reopen"/>, so that they can be emptied. False when there
    /// are none worth it.
    /// </summary>
    public bool CloseSparse()
    {
        var any = false;
        foreach (var slab in _slabs)
        {
            // One of a size that is not full is as it should be.
            if (slab is null || slab.Size < 0 || slab.IsClosed || !slab.HasRoom || 2L * slab.Blocks * slab.BlockUnits * UnitBytes >= slab.Bytes.Length
                || (slab.Next is null && slab.Previous is null))
                continue;
            Unlist(slab);
            if (slab.Blocks == 0)
            {
                _counts[slab.Size]--;
                Drop(slab);
                continue;
            }
            slab.IsClosed = any = true;
        }
        return any;
    }

    /// <summary>Whether a block is in a slab that is to be emptied.</summary>
    public bool IsToMove(BlockId id) => _slabs[id.Value >> 16]!.IsClosed;

    /// <summary>What could not be emptied takes blocks again.</summary>
    public void Reopen()
    {
        foreach (var slab in _slabs)
        {
            if (slab is not { IsClosed: true })
                continue;
            slab.IsClosed = false;
            List(slab);
        }
    }

    /// <summary>All bytes of a block.</summary>
    public Span<byte> this[BlockId id]
    {
        get
        {
            var slab = _slabs[id.Value >> 16]!;
            return slab.Bytes.AsSpan((int)(id.Value & 0xFFFF) * UnitBytes, slab.BlockUnits * UnitBytes);
        }
    }

    private static int SizeOf(int units)
    {
        if (units <= SmallSizes)
            return units - 1;
        // 2^exponent < units <= 2^(exponent + 1), in steps of 2^(exponent - 5).
        var exponent = BitOperations.Log2((uint)(units - 1));
        return SmallSizes + ((exponent - 6) * SizesPerDoubling) + ((units - 1) >> (exponent - 5)) - SizesPerDoubling;
    }

    private static int UnitsOf(int size)
    {
        if (size < SmallSizes)
            return size + 1;
        var (doubling, step) = Math.DivRem(size - SmallSizes, SizesPerDoubling);
        return (step + SizesPerDoubling + 1) << (doubling + 1);
    }

    private BlockId AllocateAlone(int units)
    {
        var slab = Add(new byte[units * UnitBytes], -1, units);
        slab.Blocks = 1;
        Used += units * UnitBytes;
        return new BlockId((uint)slab.Number << 16);
    }

    private Slab AddSlab(int size)
    {
        var units = UnitsOf(size);
        var bytes = (int)Math.Min(LargestSlabBytes, Math.Max(FirstSlabBytes, 4L * units * UnitBytes) << Math.Min(_counts[size], 16));
        bytes -= bytes % (units * UnitBytes);
        _counts[size]++;
        var slab = Add(GC.AllocateUninitializedArray<byte>(bytes), size, units);
        List(slab);
        return slab;
    }

    private Slab Add(byte[] bytes, int size, int units)
    {
        if (!_freeNumbers.TryPop(out var number))
        {
            if (_next == MostSlabs)
                throw new InvalidOperationException($"the store is full: {Reserved >> 20} MiB in {MostSlabs} slabs; a quota below that keeps it from getting so far");
            number = _next++;
        }
        if (number >= _slabs.Length)
            Array.Resize(ref _slabs, _slabs.Length * 2);
        Reserved += bytes.Length;
        return _slabs[number] = new Slab(bytes, number, size, units);
    }

    private void Drop(Slab slab)
    {
        _slabs[slab.Number] = null;
        _freeNumbers.Push(slab.Number);
        Reserved -= slab.Bytes.Length;
    }

    private void List(Slab slab)
    {
        slab.Next = _withRoom[slab.Size];
        if (slab.Next is not null)
            slab.Next.Previous = slab;
        _withRoom[slab.Size] = slab;
    }

    private void Unlist(Slab slab)
    {
        if (slab.Previous is null)
            _withRoom[slab.Size] = slab.Next;
        else
            slab.Previous.Next = slab.Next;
        if (slab.Next is not null)
            slab.Next.Previous = slab.Previous;
        slab.Next = slab.Previous = null;
    }

    /// <param name="size">-1 when it is one large block.</param>
    private sealed class Slab(byte[] bytes, int number, int size, int blockUnits)
    {
        public byte[] Bytes => bytes;

        public int Number => number;

        public int Size => size;

        public int BlockUnits => blockUnits;

        public int Blocks { get; set; }

        /// <summary>One more than its place; each free block begins with the next one's. 0: none.</summary>
        public int FirstFree { get; set; }

        public int NeverUsed { get; set; }

        public bool HasRoom => FirstFree > 0 || (NeverUsed + blockUnits) * UnitBytes <= bytes.Length;

        public bool IsClosed { get; set; }

        public Slab? Next { get; set; }

        public Slab? Previous { get; set; }
    }
}
