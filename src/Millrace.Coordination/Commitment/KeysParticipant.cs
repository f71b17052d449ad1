using System.Text.Json;
using Millrace.Coordination.Client;

namespace Millrace.Coordination.Commitment;

/// <summary>A key that a transaction writes.</summary>
/// <param name="Key">In the store.</param>
/// <param name="Value">Null: deleted.</param>
/// <param name="IfAbsent">Votes no when there is one.</param>
public sealed record TransactionKey(string Key, string? Value, bool IfAbsent = false);

/// <summary>
/// Keys of a coordination store. Preparing takes an intent on each key, which other transactions respect; programs that write such keys without a
/// transaction are not held off. All keys change in one revision.
/// </summary>
/// <param name="name">Unique in its transaction.</param>
/// <param name="store">Need not be the coordinator's.</param>
/// <param name="keys">At most 60.</param>
public sealed class KeysParticipant(string name, CoordinationClient store, IReadOnlyList<TransactionKey> keys) : ITransactionParticipant
{
    private const string Prefix = "transaction-intents/";

    public string Name => name;

    public async Task PrepareAsync(string id, CancellationToken cancellation)
    {
        if (await HasIntentAsync(id, cancellation).ConfigureAwait(false))
            return;
        var writes = new List<KeyWrite>();
        foreach (var key in keys)
        {
            if (key.IfAbsent && await store.GetAsync(key.Key, cancellation).ConfigureAwait(false) is not null)
                throw new TransactionRefusedException($"key '{key.Key}' exists");
            writes.Add(new KeyWrite(Prefix + key.Key, Intent(id, ParticipantState.Prepared), IfModRevision: 0));
        }
        if (await store.WriteAsync(writes, cancellation).ConfigureAwait(false) is null)
            throw new TransactionRefusedException("another transaction is about to write one of the keys " + string.Join(", ", keys.Select(static k => k.Key)));
        // With the intents held the condition stays true among transactions.
        foreach (var key in keys)
        {
            if (key.IfAbsent && await store.GetAsync(key.Key, cancellation).ConfigureAwait(false) is not null)
                throw new TransactionRefusedException($"key '{key.Key}' exists");
        }
    }

    public async Task PreCommitAsync(string id, CancellationToken cancellation)
    {
        if (await HasIntentAsync(id, cancellation).ConfigureAwait(false))
            await store.WriteAsync([.. keys.Select(k => new KeyWrite(Prefix + k.Key, Intent(id, ParticipantState.PreCommitted)))], cancellation).ConfigureAwait(false);
    }

    public Task CommitAsync(string id, CancellationToken cancellation) => EndAsync(
        id, [.. keys.Select(static k => new KeyWrite(k.Key, k.Value is null ? null : System.Text.Encoding.UTF8.GetBytes(k.Value)))], cancellation);

    public Task AbortAsync(string id, CancellationToken cancellation) => EndAsync(id, [], cancellation);

    public async Task<ParticipantState> StateAsync(string id, CancellationToken cancellation)
    {
        var found = await store.GetAsync(Prefix + keys[0].Key, cancellation).ConfigureAwait(false);
        return found is not null && Read(found) is var (owner, state) && owner == id ? state : ParticipantState.Working;
    }

    /// <summary>Writes and lets the intents go in one revision; nothing when they are gone already.</summary>
    private async Task EndAsync(string id, IReadOnlyList<KeyWrite> writes, CancellationToken cancellation)
    {
        while (await store.GetAsync(Prefix + keys[0].Key, cancellation).ConfigureAwait(false) is { } first && Read(first).Id == id)
        {
            KeyWrite[] all = [.. writes, new KeyWrite(Prefix + keys[0].Key, null, IfModRevision: first.ModRevision), .. keys.Skip(1).Select(static k => new KeyWrite(Prefix + k.Key, null))];
            if (await store.WriteAsync(all, cancellation).ConfigureAwait(false) is not null)
                return;
        }
    }

    private async Task<bool> HasIntentAsync(string id, CancellationToken cancellation) =>
        await StateAsync(id, cancellation).ConfigureAwait(false) != ParticipantState.Working;

    private static byte[] Intent(string id, ParticipantState state) => JsonSerializer.SerializeToUtf8Bytes(new[] { id, state.ToString() });

    private static (string Id, ParticipantState State) Read(KeyVersion intent)
    {
        var parts = JsonSerializer.Deserialize<string[]>(intent.Value.Span);
        return parts is [var id, var state] && Enum.TryParse<ParticipantState>(state, out var parsed)
            ? (id, parsed)
            : throw new InvalidDataException($"the intent {intent.Key} is none of a transaction's");
    }
}
