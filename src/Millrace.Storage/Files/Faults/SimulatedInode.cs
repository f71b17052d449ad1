namespace Millrace.Storage.Files.Faults;

/// <summary>A file's content twice: as processes see it, and as the disk would give it back after a crash.</summary>
internal sealed class SimulatedInode
{
    private readonly List<PendingWrite> _pending = [];
    private byte[] _seen = [];
    private byte[] _durable = [];

    public int Length { get; private set; }

    private int DurableLength { get; set; }

    public int Read(long offset, Span<byte> buffer)
    {
        if (offset >= Length)
            return 0;
        var count = (int)Math.Min(buffer.Length, Length - offset);
        _seen.AsSpan((int)offset, count).CopyTo(buffer);
        return count;
    }

    /// <param name="lost">The disk will never store it, flushed or not.</param>
    public void Write(int offset, ReadOnlySpan<byte> data, bool lost)
    {
        Length = Put(ref _seen, Length, offset, data);
        _pending.Add(new PendingWrite(offset, lost ? null : data.ToArray(), Length));
    }

    public void SetLength(int length)
    {
        Length = Resize(ref _seen, Length, length);
        _pending.Add(new PendingWrite(0, [], length));
    }

    public void Flush()
    {
        foreach (var write in _pending)
            Apply(write);
        _pending.Clear();
    }

    /// <summary>Some sectors reach the disk; the others are forgotten for good.</summary>
    public void FailFlush(Random random, int sectorBytes)
    {
        Settle(random, CrashOutcome.AnySectors, sectorBytes);
        _pending.Clear();
    }

    public void Crash(Random random, CrashOutcome outcome, int sectorBytes)
    {
        if (_pending.Count > 0)
        {
            Settle(random, outcome, sectorBytes);
            _pending.Clear();
        }
        _seen = _durable.AsSpan(0, DurableLength).ToArray();
        Length = DurableLength;
    }

    /// <summary>Flips a bit in both views: the medium itself went bad.</summary>
    public void FlipBit(long offset, int bit)
    {
        if (offset < Length)
            _seen[offset] ^= (byte)(1 << bit);
        if (offset < DurableLength)
            _durable[offset] ^= (byte)(1 << bit);
    }

    private void Settle(Random random, CrashOutcome outcome, int sectorBytes)
    {
        switch (outcome)
        {
            case CrashOutcome.NothingUnflushed:
                return;
            case CrashOutcome.Everything:
                foreach (var write in _pending)
                    Apply(write);
                return;
            case CrashOutcome.TornTail:
                var kept = random.Next(_pending.Count + 1);
                foreach (var write in _pending.Take(kept))
                    Apply(write);
                if (kept < _pending.Count)
                    ApplyTorn(_pending[kept], random, sectorBytes);
                return;
            default:
                ApplyAnySectors(random, sectorBytes);
                return;
        }
    }

    private void Apply(PendingWrite write)
    {
        if (write.Data is null)
        {
            // Lost by the disk: the file system still knows the length.
            DurableLength = Resize(ref _durable, DurableLength, write.LengthAfter);
            return;
        }
        if (write.Data.Length > 0)
            DurableLength = Put(ref _durable, DurableLength, write.Offset, write.Data);
        if (DurableLength != write.LengthAfter)
            DurableLength = Resize(ref _durable, DurableLength, write.LengthAfter);
    }

    private void ApplyTorn(PendingWrite write, Random random, int sectorBytes)
    {
        if (write.Data is not { Length: > 0 } data)
            return;
        var end = write.Offset + data.Length;
        var sectors = ((end - 1) / sectorBytes) - (write.Offset / sectorBytes) + 1;
        var cut = Math.Min(end, ((write.Offset / sectorBytes) + random.Next(sectors)) * sectorBytes);
        if (cut > write.Offset)
            DurableLength = Put(ref _durable, DurableLength, write.Offset, data.AsSpan(0, cut - write.Offset));
    }

    private void ApplyAnySectors(Random random, int sectorBytes)
    {
        // The length is one of those that the file went through, and every sector shows one of its own versions.
        var length = DurableLength;
        var chosen = random.Next(_pending.Count + 1);
        if (chosen < _pending.Count)
            length = _pending[chosen].LengthAfter;
        var writesOf = new SortedDictionary<int, List<PendingWrite>>();
        foreach (var write in _pending)
        {
            if (write.Data is not { Length: > 0 } data)
                continue;
            for (var sector = write.Offset / sectorBytes; sector <= (write.Offset + data.Length - 1) / sectorBytes; sector++)
            {
                if (!writesOf.TryGetValue(sector, out var list))
                    writesOf[sector] = list = [];
                list.Add(write);
            }
        }
        foreach (var (sector, writes) in writesOf)
        {
            foreach (var write in writes.Take(random.Next(writes.Count + 1)))
            {
                var from = Math.Max(write.Offset, sector * sectorBytes);
                var to = Math.Min(write.Offset + write.Data!.Length, (sector + 1) * sectorBytes);
                DurableLength = Put(ref _durable, DurableLength, from, write.Data.AsSpan(from - write.Offset, to - from));
            }
        }
        DurableLength = Resize(ref _durable, DurableLength, length);
    }

    private static int Put(ref byte[] content, int length, int offset, ReadOnlySpan<byte> data)
    {
        var end = offset + data.Length;
        if (end > length)
            length = Resize(ref content, length, end);
        data.CopyTo(content.AsSpan(offset));
        return length;
    }

    private static int Resize(ref byte[] content, int length, int wanted)
    {
        if (wanted > content.Length)
            Array.Resize(ref content, Math.Max(wanted, Math.Max(256, content.Length * 2)));
        if (wanted < length)
            content.AsSpan(wanted, length - wanted).Clear();
        return wanted;
    }

    /// <param name="Data">Null when the disk loses it, empty for a change of length.</param>
    private readonly record struct PendingWrite(int Offset, byte[]? Data, int LengthAfter);
}
