namespace Millrace.Raft.Consensus;

/// <summary>Durable entries that are no longer in memory.</summary>
public interface IEntryReader
{
    /// <summary>
    /// Adds entries from <paramref name="first"/> to <paramref name="last"/> to a list, at least one, and no more once they have
    /// <paramref name="maxBytes"/>. All asked for are durable and after the last compaction.
    /// </summary>
    void Read(long first, long last, long maxBytes, List<Entry> into);
}

/// <summary>What a member finds on its disk when it starts.</summary>
/// <param name="HardState">As last written.</param>
/// <param name="Base">The state before the first entry of the log.</param>
/// <param name="LastIndex">Of the log; the base's index when it is empty.</param>
/// <param name="Terms">Of the entries after the base.</param>
/// <param name="Configurations">In the entries after the base, by index.</param>
/// <param name="Applied">What the state machine holds already; from the base's index to the last.</param>
/// <param name="IsRestart">The member ran before, so that it may have given a promise.</param>
/// <param name="IsHealing">It lost something that it may have acknowledged, and its term is later than any that it did so in.</param>
public sealed record RecoveredState(
    HardState HardState, SnapshotInfo Base, long LastIndex, IReadOnlyList<TermRun> Terms,
    IReadOnlyList<(long Index, Configuration Configuration)> Configurations, long Applied, bool IsRestart,
    bool IsHealing = false)
{
    /// <summary>Fast Paxos: votes of this member, the last of each slot, perhaps also of slots that were settled since.</summary>
    public IReadOnlyList<FastVote> Votes { get; init; } = [];

    /// <summary>A member that never ran.</summary>
    public static RecoveredState Fresh(Configuration members) =>
        new(default, SnapshotInfo.Bootstrap(members), 0, [], [], 0, IsRestart: false);
}
