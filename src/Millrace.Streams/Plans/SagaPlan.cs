namespace Millrace.Streams.Plans;

/// <summary>Steps over services with what takes them back; begun by a command, not by rows.</summary>
public sealed record SagaPlan(string Name, IReadOnlyList<SagaStepPlan> Steps)
{
    /// <summary>Names that <c>${...}</c> asks for, in order of appearance.</summary>
    public required IReadOnlyList<string> Parameters { get; init; }
}

/// <param name="Undo">Null: nothing to take back.</param>
public sealed record SagaStepPlan(string Name, SagaCallPlan Do, SagaCallPlan? Undo);

/// <param name="Method">POST, PUT or DELETE.</param>
/// <param name="Address">May hold <c>${...}</c>.</param>
/// <param name="Body">JSON, may hold <c>${...}</c>; null for none.</param>
public sealed record SagaCallPlan(string Method, string Address, string? Body);
