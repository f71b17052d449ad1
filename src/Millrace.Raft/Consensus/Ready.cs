using Millrace.Raft.Messages;

namespace Millrace.Raft.Consensus;

/// <summary>What a member is.</summary>
public enum Role
{
    Follower,
    PreCandidate,
    Candidate,
    Leader,
}

/// <summary>
/// The effects of what a core was told, to be carried out by its shell: <see cref="Messages"/> at once; <see cref="Write"/> in the
/// order of writes; <see cref="Committed"/> in order to the state machine; the rest beside.
/// </summary>
public sealed class Ready
{
    /// <summary>May leave before anything is written.</summary>
    public required IReadOnlyList<Message> Messages { get; init; }

    /// <summary>Null when nothing is to be written or to be sent after a write.</summary>
    public LogWrite? Write { get; init; }

    /// <summary>Durable here and committed, without gaps.</summary>
    public required IReadOnlyList<Entry> Committed { get; init; }

    /// <summary>The state machine is to be replaced by this snapshot before the committed entries are applied; its file is durable.</summary>
    public SnapshotInfo? Install { get; init; }

    /// <summary>Reads that may be served once the state machine has applied up to their index.</summary>
    public required IReadOnlyList<ReadGrant> Reads { get; init; }

    /// <summary>Pieces of the newest snapshot to be read and given to <see cref="RaftCore.ProvideSnapshotChunk"/>.</summary>
    public required IReadOnlyList<SnapshotRead> SnapshotReads { get; init; }

    /// <summary>
    /// Fast Paxos: numbers of values that can never be chosen any more, since others got their slots; to be proposed again by the leader.
    /// </summary>
    public IReadOnlyList<long> Lost { get; init; } = [];

    /// <summary>What a damaged member had lost is all here again, once <see cref="Write"/> is durable; it votes from now on.</summary>
    public bool IsHealed { get; init; }

    /// <summary>Pieces of a snapshot to be stored, then <see cref="RaftCore.SnapshotStored"/>.</summary>
    public required IReadOnlyList<SnapshotChunk> SnapshotWrites { get; init; }
}

/// <summary>To be made durable in one go, in the order of <see cref="Id"/>; then <see cref="RaftCore.Persisted"/>, then the messages.</summary>
/// <param name="Id">Counts up.</param>
/// <param name="HardState">Null when unchanged.</param>
/// <param name="Reset">The log begins anew after this snapshot, before <paramref name="Entries"/>.</param>
/// <param name="Entries">The first replaces what is stored from its index on.</param>
/// <param name="MessagesAfter">Only true, and only to be sent, once this and all earlier writes are durable.</param>
public sealed record LogWrite(
    long Id, HardState? HardState, SnapshotInfo? Reset, IReadOnlyList<Entry> Entries, IReadOnlyList<Message> MessagesAfter)
{
    /// <summary>Nothing for the disk: the messages only wait for earlier writes.</summary>
    public bool IsEmpty => HardState is null && Reset is null && Entries.Count == 0 && Votes.Count == 0;

    /// <summary>Fast Paxos: votes to be written with the rest.</summary>
    public IReadOnlyList<FastVote> Votes { get; init; } = [];
}

/// <param name="ReadId">As given to <see cref="RaftCore.Read"/>.</param>
/// <param name="Index">-1: no leader could be asked; ask again.</param>
public readonly record struct ReadGrant(long ReadId, long Index);

/// <param name="To">For whom.</param>
/// <param name="Offset">In the snapshot's file.</param>
/// <param name="MaxBytes">Of the piece.</param>
public readonly record struct SnapshotRead(MemberId To, long Offset, int MaxBytes);
