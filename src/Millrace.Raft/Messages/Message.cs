using Millrace.Raft.Consensus;

namespace Millrace.Raft.Messages;

/// <summary>What members tell each other. Lost, doubled, late and reordered messages are harmless.</summary>
/// <param name="From">The sender.</param>
/// <param name="To">The receiver.</param>
/// <param name="Term">The sender's term; for a pre-vote the term it would campaign in.</param>
public abstract record Message(MemberId From, MemberId To, long Term);

/// <summary>A candidate asks for a vote; with <paramref name="IsPreVote"/> only whether it would get one.</summary>
/// <param name="LastIndex">Of the candidate's log.</param>
/// <param name="LastTerm">Of the candidate's log.</param>
/// <param name="IsPreVote">Nobody's term or vote changes (Ongaro's thesis, 9.6).</param>
/// <param name="IsTransfer">The old leader asked for this election, so hearing from it lately is no reason to refuse.</param>
public sealed record VoteRequest(
    MemberId From, MemberId To, long Term, long LastIndex, long LastTerm, bool IsPreVote, bool IsTransfer) : Message(From, To, Term);

public sealed record VoteResponse(MemberId From, MemberId To, long Term, bool IsPreVote, bool IsGranted) : Message(From, To, Term);

/// <summary>The leader's entries after <paramref name="PreviousIndex"/>, or none, to learn whether the logs agree there.</summary>
/// <param name="Commit">The leader's commit index.</param>
public sealed record AppendRequest(
    MemberId From, MemberId To, long Term, long PreviousIndex, long PreviousTerm, long Commit, IReadOnlyList<Entry> Entries)
    : Message(From, To, Term);

/// <summary>The logs agree, durably, up to <paramref name="Match"/>; or the request was refused.</summary>
/// <param name="Match">Valid unless refused.</param>
/// <param name="RefusedIndex">0, or the previous index that did not fit.</param>
/// <param name="HintIndex">Where the logs may agree at the latest.</param>
/// <param name="HintTerm">The refuser's term there.</param>
public sealed record AppendResponse(
    MemberId From, MemberId To, long Term, long Match, long RefusedIndex, long HintIndex, long HintTerm) : Message(From, To, Term)
{
    public bool IsRefused => RefusedIndex != 0;
}

/// <summary>The leader is alive and asks for a promise.</summary>
/// <param name="Commit">At most what the receiver is known to have.</param>
/// <param name="Round">Confirms leadership for the reads that wait for this round.</param>
/// <param name="SentAt">By the leader's clock; comes back in the response.</param>
/// <param name="PromiseMicros">The receiver shall not vote for another for so long; also its base for election timeouts.</param>
public sealed record Heartbeat(MemberId From, MemberId To, long Term, long Commit, long Round, long SentAt, long PromiseMicros)
    : Message(From, To, Term);

/// <param name="Incarnation">Fast Paxos: of this life of the sender; else 0.</param>
/// <param name="FurthestVote">Fast Paxos: the last slot that it has voted for.</param>
public sealed record HeartbeatResponse(
    MemberId From, MemberId To, long Term, long Round, long SentAt, long PromiseMicros, long Incarnation = 0, long FurthestVote = 0)
    : Message(From, To, Term);

/// <summary>A piece of a snapshot's file.</summary>
public sealed record SnapshotChunk(
    MemberId From, MemberId To, long Term, SnapshotInfo Snapshot, long Offset, ReadOnlyMemory<byte> Data) : Message(From, To, Term);

/// <param name="NextOffset">The first byte that the receiver lacks.</param>
public sealed record SnapshotResponse(MemberId From, MemberId To, long Term, long SnapshotIndex, long NextOffset) : Message(From, To, Term);

/// <summary>The leader asks the receiver to campaign at once (thesis, 3.10).</summary>
public sealed record TimeoutNow(MemberId From, MemberId To, long Term) : Message(From, To, Term);

/// <summary>A follower asks the leader for a read index.</summary>
public sealed record ReadRequest(MemberId From, MemberId To, long Term, long ReadId) : Message(From, To, Term);

/// <param name="Index">Apply up to here, then read.</param>
public sealed record ReadResponse(MemberId From, MemberId To, long Term, long ReadId, long Index) : Message(From, To, Term);

/// <summary>A quorum read asks for the end of the receiver's durable log.</summary>
public sealed record QuorumReadRequest(MemberId From, MemberId To, long Term, long ReadId) : Message(From, To, Term);

/// <param name="DurableIndex">The last entry that is durable, or on its way to be.</param>
/// <param name="ConfigurationIndex">Of the newest configuration in the receiver's log.</param>
public sealed record QuorumReadResponse(
    MemberId From, MemberId To, long Term, long ReadId, long DurableIndex, long ConfigurationIndex) : Message(From, To, Term);

/// <summary>Multi-Paxos: a candidate asks for a promise, and for what was accepted after what it surely knows.</summary>
/// <param name="Commit">Everything up to here is chosen, and the candidate has it.</param>
/// <param name="IsPreVote">Nobody's term or promise changes.</param>
/// <param name="IsTransfer">The old leader asked for this election.</param>
public sealed record Prepare(
    MemberId From, MemberId To, long Term, long Commit, bool IsPreVote, bool IsTransfer) : Message(From, To, Term);

/// <summary>Nothing of an older term will be accepted; here is what was.</summary>
/// <param name="Accepted">Entries after the candidate's commit index.</param>
public sealed record Promise(MemberId From, MemberId To, long Term, IReadOnlyList<Entry> Accepted) : Message(From, To, Term)
{
    /// <summary>Fast Paxos: votes in fast rounds after the candidate's commit index.</summary>
    public IReadOnlyList<FastVote> Votes { get; init; } = [];
}

/// <summary>
/// Multi-Paxos: the candidate's members are not those in force. Here is what was chosen from its commit index on, as far as it fits, so that it sees the
/// change: perhaps nobody else can tell it.
/// </summary>
/// <param name="Index">All up to here is chosen.</param>
/// <param name="IndexTerm">Whose log has that one from this term has all of it.</param>
/// <param name="Entries">Perhaps none, when they are only in snapshots.</param>
public sealed record Chosen(MemberId From, MemberId To, long Term, long Index, long IndexTerm, IReadOnlyList<Entry> Entries) : Message(From, To, Term);

/// <summary>Fast Paxos: values for slots, from whoever has them to every voter.</summary>
public sealed record FastPropose(MemberId From, MemberId To, long Term, IReadOnlyList<FastVote> Values) : Message(From, To, Term);

/// <summary>Fast Paxos: what the sender has voted for, durably.</summary>
/// <param name="Closed">Not 0: these are all its votes, and it votes no more in windows up to this one.</param>
public sealed record FastVotes(MemberId From, MemberId To, long Term, IReadOnlyList<FastVote> Votes, long Closed) : Message(From, To, Term);

/// <summary>Fast Paxos: the leader lets its members vote for slots from <paramref name="FirstSlot"/> on, or ends that with 0.</summary>
/// <param name="Sequence">Rises with each word of this term on windows.</param>
/// <param name="Incarnation">The life of the receiver that it is meant for.</param>
public sealed record FastWindow(MemberId From, MemberId To, long Term, long Sequence, long Incarnation, long FirstSlot)
    : Message(From, To, Term);
