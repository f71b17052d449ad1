namespace Millrace.Raft;

/// <summary>
/// A state of the state machine that replaces the log up to <see cref="Index"/>. Two are the same bytes only when all of this is
/// equal: members may write the same state differently.
/// </summary>
/// <param name="Index">The last entry in it.</param>
/// <param name="Term">That entry's term.</param>
/// <param name="Configuration">The newest configuration at that entry.</param>
/// <param name="Bytes">Size of the snapshot's file.</param>
/// <param name="Checksum">Of the file's content.</param>
public sealed record SnapshotInfo(long Index, long Term, Configuration Configuration, long Bytes, uint Checksum)
{
    /// <summary>Where a group begins: before its first entry, with its first members.</summary>
    public static SnapshotInfo Bootstrap(Configuration members) => new(0, 0, members, 0, 0);
}
