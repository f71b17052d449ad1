namespace Millrace.Raft.Consensus;

/// <summary>
/// Mistakes that implementations of Raft have made, one switch each. The simulator plants them to prove that it would find them;
/// nothing outside of tests can set one, since the constructor that takes them is internal.
/// </summary>
internal sealed record Faults
{
    public static readonly Faults None = new();

    /// <summary>A member votes again in the same term.</summary>
    public bool VoteTwice { get; init; }

    /// <summary>A vote is not written down.</summary>
    public bool ForgetVote { get; init; }

    /// <summary>A vote is given to a candidate whose log lacks entries.</summary>
    public bool VoteForShorterLog { get; init; }

    /// <summary>An entry of an older term is committed because a majority has it (figure 8 of the paper).</summary>
    public bool CommitOldTermByCount { get; init; }

    /// <summary>A follower acknowledges entries that are not on its disk.</summary>
    public bool AcknowledgeBeforeFlush { get; init; }

    /// <summary>A leader counts itself for entries that are not on its disk.</summary>
    public bool CountOwnUnflushed { get; init; }

    /// <summary>A follower appends without looking whether the entry before fits.</summary>
    public bool SkipPreviousCheck { get; init; }

    /// <summary>A late message cuts off newer entries that agree with it.</summary>
    public bool TruncateAgreeingEntries { get; init; }

    /// <summary>A follower commits up to the leader's index, beyond what it knows to agree.</summary>
    public bool CommitBeyondMatch { get; init; }

    /// <summary>A leader answers reads without asking whether it still leads.</summary>
    public bool ReadWithoutRound { get; init; }

    /// <summary>A new leader answers reads before it has committed in its term.</summary>
    public bool ReadBeforeFirstCommit { get; init; }

    /// <summary>A lease lasts as if all clocks ran alike.</summary>
    public bool LeaseWithoutDriftBound { get; init; }

    /// <summary>A leader goes on with its lease after it asked another to campaign.</summary>
    public bool LeaseDuringTransfer { get; init; }

    /// <summary>A restarted member forgets that it promised not to vote.</summary>
    public bool ForgetPromiseAtRestart { get; init; }

    /// <summary>Voters are exchanged without the joint step.</summary>
    public bool SwitchVotersAtOnce { get; init; }

    /// <summary>A new configuration of voters is left before it is committed, since its entry is only in the leader's memory.</summary>
    public bool LeaveJointUncommitted { get; init; }

    /// <summary>Learners count for commits.</summary>
    public bool CountLearners { get; init; }

    /// <summary>A member that lost durable entries goes on voting as if it had not.</summary>
    public bool VoteWhileHealing { get; init; }

    /// <summary>Multi-Paxos: a member that lost durable entries takes the first commit in a leader's term for all that was ever committed, as in Raft.</summary>
    public bool HealOnAdopted { get; init; }

    /// <summary>Damage in the log is cut off like a torn tail, and the member goes on (the simulated shell does it).</summary>
    public bool CutDamage { get; init; }

    /// <summary>Reads see entries that were run ahead of their commitment.</summary>
    public bool LeakUncommitted { get; init; }

    /// <summary>Multi-Paxos: a promise does not tell what was accepted.</summary>
    public bool ForgetAccepted { get; init; }

    /// <summary>Multi-Paxos: entries behind those that are accepted anew are cut off, as in Raft.</summary>
    public bool ForgetReplaced { get; init; }

    /// <summary>Multi-Paxos: a snapshot that does not fit to the log makes it begin anew, as in Raft, without what was accepted behind it.</summary>
    public bool ForgetBehindSnapshot { get; init; }

    /// <summary>Multi-Paxos: new members count before the change is chosen, as in Raft.</summary>
    public bool NewMembersAtOnce { get; init; }

    /// <summary>Multi-Paxos: entries are proposed behind a change of members that is not chosen yet.</summary>
    public bool ProposeBehindChange { get; init; }

    /// <summary>Multi-Paxos: a promise is given to a candidate that does not know of a change that is in force.</summary>
    public bool PromiseToThePast { get; init; }

    /// <summary>Multi-Paxos: a restarted member does not see that a change is in force.</summary>
    public bool ForgetChangeInForce { get; init; }

    /// <summary>Multi-Paxos: what is proposed again keeps its old term, as in Raft.</summary>
    public bool KeepOldTerms { get; init; }

    /// <summary>Fast Paxos: a majority is taken for a fast quorum.</summary>
    public bool MajorityIsFast { get; init; }

    /// <summary>Fast Paxos: after a collision any value is picked, although one may have been chosen.</summary>
    public bool PickAny { get; init; }

    /// <summary>Fast Paxos: a member votes on although it has agreed to the end of the window.</summary>
    public bool VoteAfterClose { get; init; }

    /// <summary>Fast Paxos: a new leader takes the fast round of a term for newer than what that term's leader proposed.</summary>
    public bool FastOverClassic { get; init; }

    /// <summary>Fast Paxos: a promise does not tell the votes of fast rounds.</summary>
    public bool ForgetFastVotes { get; init; }

    /// <summary>Fast Paxos: at a window's end a member does not tell its votes for slots that it knows to be settled and its leader may not.</summary>
    public bool ForgetSettledVotes { get; init; }

    /// <summary>Fast Paxos: a member that knows no leader tells a vote without the value, which it may tell the leader.</summary>
    public bool BriefToLeader { get; init; }

    /// <summary>Fast Paxos: a leader's read does not look at slots that are voted on and not committed there.</summary>
    public bool ReadBelowVotes { get; init; }

    /// <summary>A quorum read takes what is known to be durable for all that may have been acknowledged.</summary>
    public bool QuorumReadOfDurable { get; init; }

    /// <summary>A quorum read waits for what a majority has committed instead of what it has.</summary>
    public bool QuorumReadOfCommits { get; init; }
}
