namespace Millrace.Simulation.Linearizability;

/// <summary>One call of a history.</summary>
/// <param name="Key">Histories of different keys are checked apart, which is sound: linearizability is local (Herlihy, Wing, 1990).</param>
/// <param name="Call">When it began, in any order-keeping unit; no two events of a history share one.</param>
/// <param name="Return">When it ended; <see cref="long.MaxValue"/> when its outcome is unknown.</param>
internal sealed record Operation<TInput, TOutput>(int Client, string Key, TInput Input, TOutput Output, long Call, long Return);

internal enum Verdict
{
    Linearizable,
    NotLinearizable,

    /// <summary>The memory allowed was used up first.</summary>
    Undecided,
}

/// <summary>What one key does, one operation at a time.</summary>
internal interface ISequentialModel<TState, TInput, TOutput>
    where TState : notnull
{
    TState Initial { get; }

    /// <summary>Whether the operation can have had this output in this state, and the state after it.</summary>
    bool TryStep(TState state, TInput input, TOutput output, out TState next);
}
