namespace Millrace.Coordination.Commitment;

/// <summary>How participants come to one decision.</summary>
public enum CommitProtocol
{
    /// <summary>Who has voted yes waits for the decision, however long (Gray: Notes on Data Base Operating Systems, 1978).</summary>
    TwoPhase,

    /// <summary>
    /// A phase more tells everyone that all have voted yes, so that participants can decide without a coordinator that is gone. Right only while
    /// messages between those that are up always arrive in time: a partition makes the two sides decide differently (Skeen: Nonblocking Commit
    /// Protocols, 1981).
    /// </summary>
    ThreePhase,
}

/// <summary>How far a transaction is, as the replicated store has it.</summary>
public enum TransactionState
{
    /// <summary>Participants are asked. Whoever finds this without a living coordinator aborts: presumed abort.</summary>
    Preparing,

    /// <summary>Three phases: all have voted yes and are told so.</summary>
    PreCommitting,

    /// <summary>Decided. From here on it is only told, until everyone knows.</summary>
    Committing,
    Aborting,
    Committed,
    Aborted,
}

/// <summary>How far one participant is, as it knows itself.</summary>
public enum ParticipantState
{
    /// <summary>It has nothing of the transaction: it never prepared, or all is over.</summary>
    Working,

    /// <summary>It has voted yes, durably, and may do nothing by itself.</summary>
    Prepared,

    /// <summary>Three phases: it knows that all have voted yes.</summary>
    PreCommitted,
    Committed,
    Aborted,
}

/// <summary>What decides, as pure functions: the coordinator, the simulator and the tests use the same.</summary>
public static class CommitRules
{
    /// <summary>What a new coordinator makes of a record of a dead one.</summary>
    public static TransactionState TakeOver(TransactionState found) => found switch
    {
        TransactionState.Preparing => TransactionState.Aborting,
        // All have voted yes, and some may have been told and have decided by themselves.
        TransactionState.PreCommitting => TransactionState.Committing,
        _ => found,
    };

    /// <summary>The state after everyone was told of the present one.</summary>
    public static TransactionState Next(TransactionState told, CommitProtocol protocol) => told switch
    {
        TransactionState.Preparing => protocol == CommitProtocol.ThreePhase ? TransactionState.PreCommitting : TransactionState.Committing,
        TransactionState.PreCommitting => TransactionState.Committing,
        TransactionState.Committing => TransactionState.Committed,
        TransactionState.Aborting => TransactionState.Aborted,
        _ => told,
    };

    /// <summary>
    /// What participants that can reach each other decide when they can reach no coordinator; null: they must wait. With two phases that is so as
    /// soon as all of them have voted yes, since the coordinator may have decided either way.
    /// </summary>
    public static bool? DecideAlone(CommitProtocol protocol, IReadOnlyCollection<ParticipantState> reachable)
    {
        ArgumentNullException.ThrowIfNull(reachable);
        if (reachable.Contains(ParticipantState.Committed))
            return true;
        if (reachable.Contains(ParticipantState.Aborted) || reachable.Contains(ParticipantState.Working))
            return false;
        if (protocol == CommitProtocol.TwoPhase)
            return null;
        return reachable.Contains(ParticipantState.PreCommitted);
    }
}
