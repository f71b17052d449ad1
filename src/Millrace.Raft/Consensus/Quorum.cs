namespace Millrace.Raft.Consensus;

internal enum VoteResult
{
    Pending,
    Won,
    Lost,
}

/// <summary>Majorities of configurations, single and joint: pure functions.</summary>
internal static class Quorum
{
    /// <summary>The largest value that a majority of the voters (of both sets, when joint) has reached.</summary>
    public static long Reached(Configuration configuration, Func<MemberId, long> valueOf)
    {
        var reached = Reached(configuration.Voters, valueOf);
        return configuration.IsJoint ? Math.Min(reached, Reached(configuration.OldVoters, valueOf)) : reached;
    }

    public static VoteResult Count(Configuration configuration, IReadOnlyDictionary<MemberId, bool> votes)
    {
        var result = Count(configuration.Voters, votes);
        if (!configuration.IsJoint)
            return result;
        var old = Count(configuration.OldVoters, votes);
        if (result == VoteResult.Lost || old == VoteResult.Lost)
            return VoteResult.Lost;
        return result == VoteResult.Won && old == VoteResult.Won ? VoteResult.Won : VoteResult.Pending;
    }

    private static long Reached(ReadOnlySpan<MemberId> voters, Func<MemberId, long> valueOf)
    {
        if (voters.IsEmpty)
            return long.MinValue;
        Span<long> values = stackalloc long[voters.Length];
        for (var i = 0; i < voters.Length; i++)
            values[i] = valueOf(voters[i]);
        values.Sort();
        // With n voters, n/2 + 1 of them have at least the value at this place.
        return values[voters.Length - ((voters.Length / 2) + 1)];
    }

    private static VoteResult Count(ReadOnlySpan<MemberId> voters, IReadOnlyDictionary<MemberId, bool> votes)
    {
        var granted = 0;
        var missing = 0;
        foreach (var voter in voters)
        {
            if (!votes.TryGetValue(voter, out var vote))
                missing++;
            else if (vote)
                granted++;
        }
        var needed = (voters.Length / 2) + 1;
        if (granted >= needed)
            return VoteResult.Won;
        return granted + missing >= needed ? VoteResult.Pending : VoteResult.Lost;
    }
}
