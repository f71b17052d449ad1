namespace Millrace.Coordination.Commitment;

/// <summary>
/// Something that a transaction changes: a table, keys of a store, a topic. Everything may be called again after a crash of either side and must
/// then do no more.
/// </summary>
public interface ITransactionParticipant
{
    /// <summary>Unique in its transaction.</summary>
    string Name { get; }

    /// <summary>Makes durable all that a commit needs, so that it cannot fail for any reason that is known now: the vote yes.</summary>
    /// <exception cref="TransactionRefusedException">The vote no.</exception>
    Task PrepareAsync(string id, CancellationToken cancellation);

    /// <summary>Three phases: notes durably that all have voted yes.</summary>
    Task PreCommitAsync(string id, CancellationToken cancellation);

    /// <summary>Makes the change visible, and forgets what was prepared.</summary>
    Task CommitAsync(string id, CancellationToken cancellation);

    /// <summary>Forgets what was prepared, if anything was.</summary>
    Task AbortAsync(string id, CancellationToken cancellation);

    Task<ParticipantState> StateAsync(string id, CancellationToken cancellation);
}

/// <summary>A participant votes no; the message says why.</summary>
public sealed class TransactionRefusedException(string message, Exception? inner = null) : Exception(message, inner);
