using System.Text.Json;
using System.Text.Json.Serialization;
using Millrace.Coordination.Client;

namespace Millrace.Coordination.Commitment;

/// <summary>What the store keeps of a transaction.</summary>
/// <param name="Definition">As it was begun, so that whoever resumes does the same.</param>
/// <param name="Protocol">As it was begun.</param>
/// <param name="State">How far it is.</param>
/// <param name="Reason">Why it is aborted.</param>
public sealed record TransactionRecord(string Definition, CommitProtocol Protocol, TransactionState State, string? Reason);

/// <summary>
/// Two-phase commit whose coordinator's state is in the replicated store, so that no machine's death leaves participants waiting: whoever comes
/// next takes the record over. Without a decision there it is an abort. One coordinator at a time works at a transaction; one that was replaced
/// cannot write its decision any more, since the record has moved on. Thread-safe.
/// </summary>
/// <remarks>
/// Mohan, Lindsay, Obermarck: Transaction Management in the R* Distributed Database Management System, 1986 (presumed abort); Gray, Lamport:
/// Consensus on Transaction Commit, 2006 (a replicated coordinator does not block).
/// </remarks>
public sealed class TransactionCoordinator
{
    private const string Prefix = "transactions/";
    private static readonly TimeSpan LockTtl = TimeSpan.FromSeconds(10);
    private static readonly JsonSerializerOptions Json = new() { Converters = { new JsonStringEnumConverter() } };
    private readonly CoordinationClient _store;
    private readonly Action<string> _passed;

    /// <param name="store">Any store with etcd's API.</param>
    public TransactionCoordinator(CoordinationClient store)
        : this(store, static _ => { })
    {
    }

    /// <param name="store">Any store with etcd's API.</param>
    /// <param name="passed">Told of every step that is done, for tests that stop there.</param>
    internal TransactionCoordinator(CoordinationClient store, Action<string> passed)
    {
        _store = store;
        _passed = passed;
    }

    /// <summary>Begins a transaction, or ends one of that id that was begun before and not finished.</summary>
    /// <param name="id">Names it for ever: one that is over is not done again.</param>
    /// <param name="definition">What <paramref name="participantsOf"/> reads the participants from.</param>
    /// <param name="protocol">Of a new one.</param>
    /// <param name="participantsOf">Participants of the definition that the store has, which need not be the one given.</param>
    /// <param name="cancellation">Stops between steps; resume it.</param>
    /// <returns>Committed or aborted.</returns>
    public async Task<TransactionRecord> RunAsync(
        string id, string definition, CommitProtocol protocol, Func<string, IReadOnlyList<ITransactionParticipant>> participantsOf,
        CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(participantsOf);
        await using var mine = await _store.LockAsync("transaction-locks/" + id, LockTtl, cancellation).ConfigureAwait(false);
        using var held = CancellationTokenSource.CreateLinkedTokenSource(cancellation, mine.Lost);
        var key = Prefix + id;
        var begun = new TransactionRecord(definition, protocol, TransactionState.Preparing, null);
        var isNew = await _store.WriteAsync([new KeyWrite(key, Encode(begun), IfModRevision: 0)], held.Token).ConfigureAwait(false) is not null;
        _passed("begun");
        var stored = await _store.GetAsync(key, held.Token).ConfigureAwait(false)
            ?? throw new InvalidOperationException($"the record of transaction '{id}' was deleted while it runs");
        var record = Decode(stored.Value);
        var revision = stored.ModRevision;
        var participants = participantsOf(record.Definition);
        if (!isNew && CommitRules.TakeOver(record.State) is var taken && taken != record.State)
            (record, revision) = await MoveAsync(id, record with { State = taken, Reason = taken == TransactionState.Aborting ? "its coordinator was gone before a decision" : null }, revision, held.Token).ConfigureAwait(false);
        while (record.State is not (TransactionState.Committed or TransactionState.Aborted))
        {
            var reason = await TellAsync(id, record.State, participants, held.Token).ConfigureAwait(false);
            var next = reason is null ? CommitRules.Next(record.State, record.Protocol) : TransactionState.Aborting;
            (record, revision) = await MoveAsync(id, record with { State = next, Reason = reason ?? record.Reason }, revision, held.Token).ConfigureAwait(false);
        }
        return record;
    }

    /// <summary>All transactions that the store knows, by id.</summary>
    public async Task<IReadOnlyList<(string Id, TransactionRecord Record)>> ListAsync(CancellationToken cancellation)
    {
        var (keys, _) = await _store.ListAsync(Prefix, cancellation).ConfigureAwait(false);
        return [.. keys.Select(static k => (k.Key[Prefix.Length..], Decode(k.Value)))];
    }

    /// <summary>Forgets one that is over; its id may then be used again.</summary>
    /// <returns>False when it is not known or not over.</returns>
    public async Task<bool> ForgetAsync(string id, CancellationToken cancellation)
    {
        if (await _store.GetAsync(Prefix + id, cancellation).ConfigureAwait(false) is not { } stored
            || Decode(stored.Value).State is not (TransactionState.Committed or TransactionState.Aborted))
            return false;
        return await _store.WriteAsync([new KeyWrite(Prefix + id, null, IfModRevision: stored.ModRevision)], cancellation).ConfigureAwait(false) is not null;
    }

    /// <summary>Tells every participant the state.</summary>
    /// <returns>Why one voted no.</returns>
    private async Task<string?> TellAsync(string id, TransactionState state, IReadOnlyList<ITransactionParticipant> participants, CancellationToken cancellation)
    {
        foreach (var participant in participants)
        {
            try
            {
                await (state switch
                {
                    TransactionState.Preparing => participant.PrepareAsync(id, cancellation),
                    TransactionState.PreCommitting => participant.PreCommitAsync(id, cancellation),
                    TransactionState.Committing => participant.CommitAsync(id, cancellation),
                    _ => participant.AbortAsync(id, cancellation),
                }).ConfigureAwait(false);
            }
            catch (TransactionRefusedException refused) when (state == TransactionState.Preparing)
            {
                return $"{participant.Name}: {refused.Message}";
            }
            _passed($"{state} {participant.Name}");
        }
        return null;
    }

    private async Task<(TransactionRecord Record, long Revision)> MoveAsync(string id, TransactionRecord next, long revision, CancellationToken cancellation)
    {
        // Whoever lost the lock meanwhile writes nothing: the record is not what it was.
        var written = await _store.WriteAsync([new KeyWrite(Prefix + id, Encode(next), IfModRevision: revision)], cancellation).ConfigureAwait(false)
            ?? throw new InvalidOperationException($"transaction '{id}' was taken over by another coordinator");
        _passed($"decided {next.State}");
        return (next, written);
    }

    private static byte[] Encode(TransactionRecord record) => JsonSerializer.SerializeToUtf8Bytes(record, Json);

    private static TransactionRecord Decode(ReadOnlyMemory<byte> data) =>
        JsonSerializer.Deserialize<TransactionRecord>(data.Span, Json) ?? throw new InvalidDataException("a transaction's record is empty");
}
