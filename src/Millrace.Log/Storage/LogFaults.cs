namespace Millrace.Log.Storage;

/// <summary>
/// Mistakes that a log can make. All are off; the simulator switches each on and must find it (tests/Millrace.Simulation/Log), for a
/// simulator that finds nothing proves nothing.
/// </summary>
internal sealed record LogFaults
{
    public static LogFaults None { get; } = new();

    /// <summary>The journal is written and not flushed.</summary>
    public bool SkipFlush { get; init; }

    /// <summary>Who waits is told before the flush.</summary>
    public bool AcknowledgeEarly { get; init; }

    /// <summary>After a failed flush work goes on as if nothing had happened.</summary>
    public bool IgnoreFailedFlush { get; init; }

    /// <summary>A journal file is used again before the segments are synced.</summary>
    public bool FreeJournalEarly { get; init; }

    /// <summary>A checkpoint speaks for bytes that are not in the segment's file yet.</summary>
    public bool LeaveTails { get; init; }

    /// <summary>A new journal file's name is not made durable.</summary>
    public bool SkipFolderFlush { get; init; }

    /// <summary>Checkpoints forget what producers have sent.</summary>
    public bool ForgetProducers { get; init; }

    /// <summary>One partition of a transaction gets no marker.</summary>
    public bool DropMarker { get; init; }

    /// <summary>Markers are flushed one by one, and what was decided last.</summary>
    public bool EndPiecemeal { get; init; }

    /// <summary>A transaction's first partitions are answered before they are written.</summary>
    public bool AddWithoutWriting { get; init; }

    /// <summary>Compaction takes the newest record of a key for an old one.</summary>
    public bool CompactNewest { get; init; }

    /// <summary>Compaction keeps what was aborted.</summary>
    public bool CompactKeepsAborted { get; init; }

    /// <summary>Offsets committed in a transaction count at once.</summary>
    public bool OffsetsAtOnce { get; init; }
}
