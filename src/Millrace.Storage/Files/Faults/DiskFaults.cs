namespace Millrace.Storage.Files.Faults;

/// <summary>How badly a <see cref="SimulatedFileSystem"/> behaves. Probabilities are per call, from 0 (never) to 1 (always).</summary>
public sealed record DiskFaults
{
    /// <summary>A disk that only loses what was not flushed, and only when it crashes.</summary>
    public static readonly DiskFaults None = new();

    /// <summary>Bytes that reach the disk together or not at all: what a crash tears at.</summary>
    public int SectorBytes { get; init; } = 512;

    /// <summary>Bytes of all files together; a write past it stores what fits and throws, as ENOSPC does. Default: no limit.</summary>
    public long CapacityBytes { get; init; } = long.MaxValue;

    /// <summary>
    /// A flush throws. As on Linux, some of the unflushed sectors are on disk and the rest will never be: a second flush
    /// succeeds without them, although reads still show them until a crash.
    /// </summary>
    public double FailedFlush { get; init; }

    /// <summary>A flush of a folder throws; its names stay undurable.</summary>
    public double FailedFolderFlush { get; init; }

    /// <summary>A write throws after storing a part.</summary>
    public double FailedWrite { get; init; }

    /// <summary>A read throws.</summary>
    public double FailedRead { get; init; }

    /// <summary>A write lands at another sector of the same file, without any error.</summary>
    public double MisdirectedWrite { get; init; }

    /// <summary>A write is acknowledged, and its flush too, but the disk never stores it: a crash brings the old bytes back.</summary>
    public double LostWrite { get; init; }

    /// <summary>At a crash, one bit of a durable file is flipped; drawn once for each file.</summary>
    public double RottenFileAtCrash { get; init; }

    /// <summary>
    /// Undurable names survive a crash each by its own lot, instead of in the order in which they were made. Journalling file
    /// systems keep the order; POSIX does not promise it.
    /// </summary>
    public bool UnorderedNames { get; init; }
}

/// <summary>What a crash leaves of the writes that were not flushed.</summary>
public enum CrashOutcome
{
    /// <summary>One of the others, drawn for each file.</summary>
    Drawn,

    /// <summary>Nothing.</summary>
    NothingUnflushed,

    /// <summary>Everything, as when only the process died.</summary>
    Everything,

    /// <summary>The first writes in order, the last of them torn at a sector.</summary>
    TornTail,

    /// <summary>Each sector by its own lot: lost, torn and reordered.</summary>
    AnySectors,
}
