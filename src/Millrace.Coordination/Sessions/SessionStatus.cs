namespace Millrace.Coordination.Sessions;

/// <summary>Sessions as one member has them; counts are since its process started.</summary>
/// <param name="Quorum">As the group is set, for as many members as it has.</param>
/// <param name="Puts">Taken from clients.</param>
/// <param name="Gets">Taken from clients.</param>
/// <param name="Repairs">Copies found older than the newest by reads through this member, and given it.</param>
/// <param name="Handoffs">Hints that this member handed over.</param>
/// <param name="Written">Copies and hints that went to its disk.</param>
/// <param name="Flushes">Of the disk; each made many of them durable.</param>
/// <param name="Hints">What waits here for other members.</param>
/// <param name="Failure">Why sessions on this member have stopped; null while they have not.</param>
public sealed record SessionStatus(
    SessionQuorum Quorum, long Puts, long Gets, long Repairs, long Handoffs, long Written, long Flushes, IReadOnlyList<SessionHints> Hints, string? Failure);

/// <param name="Member">Who missed something.</param>
/// <param name="Count">How much, counted up to 10,000.</param>
public sealed record SessionHints(ulong Member, int Count);
