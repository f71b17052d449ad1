namespace Millrace.Raft.Log;

/// <summary>The bounds of a log on disk.</summary>
public sealed record RaftLogOptions
{
    /// <summary>Size of a segment file, reserved when it is made; a larger batch gets a larger one. Default 16 MiB.</summary>
    public int SegmentBytes { get; init; } = 16 << 20;

    /// <summary>
    /// Flushes of a running log after which its next segments are written with zeros beforehand, since one that is hardly used has no need of it. Default 256.
    /// </summary>
    public int PrepareAfterFlushes { get; init; } = 256;

    /// <summary>Largest data of one entry that is believed when read. Default 64 MiB.</summary>
    public int MaxEntryBytes { get; init; } = 64 << 20;

    /// <summary>
    /// An entry for an index that the log has takes that one's place and leaves those after it, as Multi-Paxos needs; otherwise it cuts them
    /// off, as Raft does. The same from the log's first day.
    /// </summary>
    public bool IsBySlot { get; init; }

    /// <exception cref="ArgumentException">An option is out of its range; the message names it.</exception>
    public void Validate()
    {
        if (SegmentBytes is < 4096 or > (1 << 30))
            throw new ArgumentException($"{nameof(SegmentBytes)} must be from 4 KiB to 1 GiB", nameof(SegmentBytes));
        if (MaxEntryBytes is < 1 or > (1 << 30))
            throw new ArgumentException($"{nameof(MaxEntryBytes)} must be from 1 byte to 1 GiB", nameof(MaxEntryBytes));
    }
}

/// <summary>
/// The log holds bytes that it cannot have written so: rot, a hole or a misdirected write in what was durable. The member must not
/// start from it, since it may have acknowledged what is lost.
/// </summary>
public sealed class LogCorruptException(string path, long offset, string reason)
    : IOException($"{path} is damaged at byte {offset}: {reason}. Restore this member from a snapshot, or remove it from its group "
        + "and add it anew with an empty folder")
{
    public string Path { get; } = path;

    public string Reason { get; } = reason;

    public long Offset { get; } = offset;
}
