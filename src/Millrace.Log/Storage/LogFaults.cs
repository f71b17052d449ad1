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

    /// <summary>A producer's batches are remembered although their write was refused (disk full).</summary>
    public bool RememberRefused { get; init; }

    /// <summary>What a refused write had begun stays in the journal's count.</summary>
    public bool KeepRefused { get; init; }

    /// <summary>A refused group stays at the end of a journal file that is gone on from.</summary>
    public bool LeaveRefused { get; init; }

    /// <summary>A free journal file keeps its first group.</summary>
    public bool LeaveFirst { get; init; }

    /// <summary>A start takes every end of the journal for a torn tail.</summary>
    public bool TakeDamageForTorn { get; init; }

    /// <summary>Reading does not check batches.</summary>
    public bool SkipReadCheck { get; init; }

    /// <summary>A damaged place ends its segment for readers.</summary>
    public bool StopAtDamage { get; init; }

    /// <summary>A batch that comes again is answered before its first copy is durable.</summary>
    public bool AnswerDuplicateAtOnce { get; init; }

    /// <summary>Only the last batch of a producer is remembered.</summary>
    public bool ShortWindow { get; init; }

    /// <summary>Whatever runs out does so by the machine's clock, which can be set.</summary>
    public bool TrustTheClock { get; init; }

    /// <summary>Retention deletes one segment more than it may.</summary>
    public bool DeleteYoung { get; init; }

    /// <summary>Retention deletes segments that a restart still needs.</summary>
    public bool DeleteUnsaved { get; init; }

    /// <summary>A compacted segment takes the place of its sources before it is flushed.</summary>
    public bool SwapUnflushed { get; init; }

    /// <summary>Offsets are committed for members whose generation is over.</summary>
    public bool AcceptStaleCommits { get; init; }

    /// <summary>The place of a static member that came back is still its old self's, too.</summary>
    public bool KeepOldInstance { get; init; }

    /// <summary>A partition is given to its next reader before the one before has let go.</summary>
    public bool GiveBeforeRevoked { get; init; }

    /// <summary>Members are told of an assignment before it is durable, when another member has caused it.</summary>
    public bool TellUnwritten { get; init; }

    /// <summary>Members are not written down.</summary>
    public bool ForgetMembers { get; init; }
}
