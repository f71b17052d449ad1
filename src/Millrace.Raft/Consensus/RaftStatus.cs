namespace Millrace.Raft.Consensus;

/// <summary>Why a proposal was taken or not.</summary>
public enum ProposalOutcome
{
    /// <summary>In the leader's log; it is committed when the entry at that index, once applied, has that term.</summary>
    Accepted,

    NotLeader,

    /// <summary>Leadership is being handed over; ask again.</summary>
    Transferring,

    /// <summary><see cref="RaftOptions.MaxUncommittedBytes"/> is reached.</summary>
    TooManyUncommitted,

    /// <summary>A change of members is under way, or the leader has not committed anything in its term yet.</summary>
    ChangeInProgress,
}

/// <param name="Outcome">Whether it was taken.</param>
/// <param name="Term">Of the entries, when accepted.</param>
/// <param name="FirstIndex">Of the first entry, when accepted; the others follow.</param>
public readonly record struct Proposal(ProposalOutcome Outcome, long Term, long FirstIndex);

/// <summary>A member at one moment. Times are microseconds.</summary>
public sealed record RaftStatus(
    MemberId Self, Role Role, long Term, MemberId Leader, long Commit, long Delivered, long LastIndex, long Durable, long CompactedIndex,
    Configuration Configuration, long ElectionTimeoutMicros, IReadOnlyList<MemberStatus> Members);

/// <summary>What the leader knows of another member.</summary>
/// <param name="Id">The member.</param>
/// <param name="Match">It has this much of the log.</param>
/// <param name="IsActive">It answered within the last election timeout.</param>
/// <param name="RoundTripMicros">Mean; 0 when unknown.</param>
/// <param name="DeviationMicros">Of round trips.</param>
/// <param name="IsReceivingSnapshot">It is too far behind for the log.</param>
public sealed record MemberStatus(
    MemberId Id, long Match, bool IsActive, long RoundTripMicros, long DeviationMicros, bool IsReceivingSnapshot);
