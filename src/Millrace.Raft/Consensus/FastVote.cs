namespace Millrace.Raft.Consensus;

/// <summary>
/// Fast Paxos: what a member accepted for one slot in the fast round of a term, straight from whoever proposed it. Of one slot the fast round
/// comes before the round in which that term's leader proposes itself.
/// </summary>
/// <param name="Proposer">With <paramref name="Number"/> the name of the value.</param>
/// <param name="Number">Never given twice by one member.</param>
/// <param name="Entry">Its index is the slot, its term the round's.</param>
public readonly record struct FastVote(MemberId Proposer, long Number, Entry Entry)
{
    public long Slot => Entry.Index;

    public long Term => Entry.Term;

    /// <summary>What a slot is filled with that nobody may have got.</summary>
    public static FastVote Nobody(long term, long slot) => new(MemberId.None, 0, new Entry(term, slot, EntryKind.Noop, default));

    public bool IsSameValue(in FastVote other) => Proposer == other.Proposer && Number == other.Number;
}

/// <summary>Which value of a fast round must be proposed next: pure functions.</summary>
internal static class FastQuorum
{
    /// <summary>Two fast quorums and a majority always have a member in common: three quarters, rounded up.</summary>
    public static int Of(int voters, Faults faults) => faults.MajorityIsFast ? (voters / 2) + 1 : ((3 * voters) + 3) / 4;

    /// <summary>The value with the most votes; false when there are none.</summary>
    public static bool TryMostVoted(IReadOnlyList<FastVote> votes, out FastVote value, out int count)
    {
        value = default;
        count = 0;
        foreach (var candidate in votes)
        {
            var same = 0;
            foreach (var other in votes)
                same += other.IsSameValue(candidate) ? 1 : 0;
            if (same <= count)
                continue;
            count = same;
            value = candidate;
        }
        return count > 0;
    }

    /// <summary>
    /// The value to propose for a slot when a majority has told its votes. One that a fast quorum may have chosen has more votes among them
    /// than any other, since fast quorums are so large (Lamport: Fast Paxos, 2005, rule O4); without such a one any will do.
    /// </summary>
    public static FastVote Pick(IReadOnlyList<FastVote> votes, long term, long slot, Faults faults)
    {
        if (faults.PickAny && votes.Count > 0)
            return votes.MinBy(static v => v.Number);
        return TryMostVoted(votes, out var value, out _) ? value : FastVote.Nobody(term, slot);
    }
}
