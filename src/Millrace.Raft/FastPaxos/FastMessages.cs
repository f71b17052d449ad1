namespace Millrace.Raft.FastPaxos;

/// <summary>A command, told apart by who proposed it and its number there; <see cref="Noop"/> fills a slot that nobody wants.</summary>
public sealed record FastValue(MemberId Proposer, long Number, ReadOnlyMemory<byte> Data)
{
    public static readonly FastValue Noop = new(MemberId.None, 0, default);

    public bool Equals(FastValue? other) => other is not null && Proposer == other.Proposer && Number == other.Number;

    public override int GetHashCode() => HashCode.Combine(Proposer, Number);
}

/// <summary>What members tell each other about one slot. Lost, doubled, late and reordered messages are harmless.</summary>
/// <param name="Round">0 is the fast round; every other round belongs to one member.</param>
public abstract record FastMessage(MemberId From, MemberId To, long Slot, long Round);

/// <summary>Whoever has a command sends it to all acceptors at once: the leader's hop is what the fast round saves.</summary>
public sealed record FastPropose(MemberId From, MemberId To, long Slot, FastValue Value) : FastMessage(From, To, Slot, 0);

/// <summary>The sender has accepted this value in this round, durably.</summary>
public sealed record FastVote(MemberId From, MemberId To, long Slot, long Round, FastValue Value) : FastMessage(From, To, Slot, Round);

public sealed record FastPrepare(MemberId From, MemberId To, long Slot, long Round) : FastMessage(From, To, Slot, Round);

/// <param name="VotedRound">The last round that the sender voted in; -1 for none.</param>
public sealed record FastPromise(MemberId From, MemberId To, long Slot, long Round, long VotedRound, FastValue? Value)
    : FastMessage(From, To, Slot, Round);

public sealed record FastAccept(MemberId From, MemberId To, long Slot, long Round, FastValue Value) : FastMessage(From, To, Slot, Round);

public sealed record FastChosen(MemberId From, MemberId To, long Slot, FastValue Value) : FastMessage(From, To, Slot, 0);

/// <summary>What an acceptor must never forget of a slot.</summary>
/// <param name="Promised">It takes part in no lower round.</param>
/// <param name="VotedRound">-1: none.</param>
public sealed record Acceptance(long Promised, long VotedRound, FastValue? Value)
{
    public static readonly Acceptance None = new(0, -1, null);
}

/// <summary>What is to be done now: write, and only then send; chosen commands come in order, without gaps.</summary>
public sealed record FastReady(
    IReadOnlyList<(long Slot, Acceptance State)> Writes, IReadOnlyList<FastMessage> Messages, IReadOnlyList<(long Slot, FastValue Value)> Delivered);

/// <summary>Mistakes for the simulator to find; only tests set them.</summary>
internal sealed record FastFaults
{
    public static readonly FastFaults None = new();

    /// <summary>A majority is taken for a fast quorum.</summary>
    public bool MajorityIsFast { get; init; }

    /// <summary>After a conflict any value is picked, although one may have been chosen.</summary>
    public bool PickAny { get; init; }

    /// <summary>An acceptor votes in any round, whatever it has promised.</summary>
    public bool BreakPromises { get; init; }
}
