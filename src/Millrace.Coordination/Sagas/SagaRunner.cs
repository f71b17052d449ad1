using System.Text.Json;
using Millrace.Coordination.Client;

namespace Millrace.Coordination.Sagas;

/// <summary>One step of a saga and what takes it back. Both may be called more than once with the same key and must then do no more.</summary>
/// <param name="Name">Unique in its saga.</param>
/// <param name="Do">Throws <see cref="SagaStepException"/> when it cannot be done.</param>
/// <param name="Undo">Also called when it is unknown whether <paramref name="Do"/> did anything. Null: nothing to take back.</param>
public sealed record SagaStep(string Name, Func<string, CancellationToken, Task> Do, Func<string, CancellationToken, Task>? Undo);

/// <summary>A step failed for good; its message is kept with the saga.</summary>
public sealed class SagaStepException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>How far a saga is.</summary>
public enum SagaState
{
    Running,

    /// <summary>A step failed; steps are taken back, the last first.</summary>
    Undoing,
    Done,
    Undone,
}

/// <summary>What the store keeps of a saga.</summary>
/// <param name="Definition">As it was begun, so that whoever resumes does the same.</param>
/// <param name="State">How far it is.</param>
/// <param name="Step">Running: the step that is done next; undoing: the one that is taken back next.</param>
/// <param name="Failure">Why it is undone.</param>
public sealed record SagaRecord(string Definition, SagaState State, int Step, string? Failure);

/// <summary>
/// Long transactions without locks: every step is done for itself, and when one fails those before it are taken back (Garcia-Molina, Salem:
/// Sagas, 1987). How far a saga is stands in the replicated store before each step, so that it goes on after any death of its runner, and one
/// runner at a time works at it. Thread-safe.
/// </summary>
/// <param name="store">Any store with etcd's API.</param>
/// <param name="prefix">Of the sagas' records.</param>
public sealed class SagaRunner(CoordinationClient store, string prefix = "sagas/")
{
    private static readonly TimeSpan LockTtl = TimeSpan.FromSeconds(10);

    /// <summary>Begins a saga, or goes on with one of that id that was begun before.</summary>
    /// <param name="id">Names it for ever: a saga that is done is not done again.</param>
    /// <param name="definition">What <paramref name="stepsOf"/> reads the steps from.</param>
    /// <param name="stepsOf">Steps of the definition that the store has, which need not be the one given.</param>
    /// <param name="cancellation">Stops between steps; the saga can be resumed.</param>
    /// <exception cref="SagaStepException">A step could not be taken back; resume when it can.</exception>
    public async Task<SagaRecord> RunAsync(
        string id, string definition, Func<string, IReadOnlyList<SagaStep>> stepsOf, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(stepsOf);
        await using var mine = await store.LockAsync("saga-locks/" + id, LockTtl, cancellation).ConfigureAwait(false);
        using var held = CancellationTokenSource.CreateLinkedTokenSource(cancellation, mine.Lost);
        var key = prefix + id;
        await store.WriteAsync([new KeyWrite(key, Encode(new SagaRecord(definition, SagaState.Running, 0, null)), IfModRevision: 0)], held.Token).ConfigureAwait(false);
        var stored = await store.GetAsync(key, held.Token).ConfigureAwait(false)
            ?? throw new InvalidOperationException($"the record of saga '{id}' was deleted while it runs");
        var record = Decode(stored.Value);
        var steps = stepsOf(record.Definition);
        var revision = stored.ModRevision;
        while (record.State is SagaState.Running or SagaState.Undoing)
        {
            var next = record.State == SagaState.Running
                ? await ForwardAsync(id, record, steps, held.Token).ConfigureAwait(false)
                : await BackwardAsync(id, record, steps, held.Token).ConfigureAwait(false);
            // Whoever lost the lock meanwhile writes nothing.
            revision = await store.WriteAsync([new KeyWrite(key, Encode(next), IfModRevision: revision)], held.Token).ConfigureAwait(false)
                ?? throw new InvalidOperationException($"saga '{id}' was taken over by another runner");
            record = next;
        }
        return record;
    }

    /// <summary>All sagas that the store knows, by id.</summary>
    public async Task<IReadOnlyList<(string Id, SagaRecord Record)>> ListAsync(CancellationToken cancellation)
    {
        var (keys, _) = await store.ListAsync(prefix, cancellation).ConfigureAwait(false);
        return [.. keys.Select(k => (k.Key[prefix.Length..], Decode(k.Value)))];
    }

    private static async Task<SagaRecord> ForwardAsync(string id, SagaRecord record, IReadOnlyList<SagaStep> steps, CancellationToken cancellation)
    {
        if (record.Step == steps.Count)
            return record with { State = SagaState.Done };
        var step = steps[record.Step];
        try
        {
            await step.Do($"{id}/{step.Name}/do", cancellation).ConfigureAwait(false);
            return record with { Step = record.Step + 1 };
        }
        catch (SagaStepException failure)
        {
            // Taken back beginning with this one: what failed may have done something.
            return record with { State = SagaState.Undoing, Failure = $"{step.Name}: {failure.Message}" };
        }
    }

    private static async Task<SagaRecord> BackwardAsync(string id, SagaRecord record, IReadOnlyList<SagaStep> steps, CancellationToken cancellation)
    {
        if (record.Step < 0)
            return record with { State = SagaState.Undone };
        var step = steps[record.Step];
        if (step.Undo is not null)
            await step.Undo($"{id}/{step.Name}/undo", cancellation).ConfigureAwait(false);
        return record with { Step = record.Step - 1 };
    }

    private static byte[] Encode(SagaRecord record) => JsonSerializer.SerializeToUtf8Bytes(record);

    private static SagaRecord Decode(ReadOnlyMemory<byte> data) =>
        JsonSerializer.Deserialize<SagaRecord>(data.Span) ?? throw new InvalidDataException("a saga's record is empty");
}
