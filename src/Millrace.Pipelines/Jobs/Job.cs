using Millrace.Pipelines.Linting;
using Millrace.Streams.Plans;
using Millrace.Streams.Running;

namespace Millrace.Pipelines.Jobs;

public enum JobState
{
    Starting,
    Running,

    /// <summary>It failed and waits to be started again.</summary>
    Waiting,
    Stopping,

    /// <summary>Somebody stopped it; it stays so when the process starts again.</summary>
    Stopped,

    /// <summary>It failed and is not started again by itself: the reason is the file's, the data's, or does not go away.</summary>
    Failed,
}

/// <summary>A pipeline that was submitted, as it was at one moment.</summary>
/// <param name="FileName">As the submitter called it.</param>
/// <param name="Plan">Null when the kept file does not lint any more (e.g. written by another version).</param>
/// <param name="Running">Null unless it runs.</param>
/// <param name="Failure">Why it failed last, also while it waits.</param>
public sealed record Job(
    string Name, string FileName, string Yaml, PipelinePlan? Plan, IRunningPipeline? Running, JobState State, string? Failure, DateTimeOffset SubmittedAt);

/// <summary>What came of submitting a file.</summary>
public abstract record SubmitResult
{
    /// <param name="Warnings">What the linter says though the file is accepted.</param>
    /// <param name="Changes">What is different from the job that had that name; empty for a new one.</param>
    public sealed record Accepted(Job Job, IReadOnlyList<Diagnostic> Warnings, IReadOnlyList<PlanChange> Changes) : SubmitResult;

    public sealed record Refused(IReadOnlyList<Diagnostic> Diagnostics) : SubmitResult;

    /// <summary>The same file runs already under that name; nothing was done.</summary>
    public sealed record AlreadyRunning(Job Job) : SubmitResult;
}

/// <summary>What submitting a file would do.</summary>
/// <param name="Existing">The job that has the name now, or null.</param>
public sealed record SubmitPreview(IReadOnlyList<Diagnostic> Diagnostics, PipelinePlan? Plan, Job? Existing, IReadOnlyList<PlanChange> Changes)
{
    public bool Accepted => Plan is not null && !Diagnostics.Any(d => d.Severity == Severity.Error);
}

/// <summary>No job has that name.</summary>
public sealed class NoSuchJobException(string name, string? nearest)
    : Exception($"there is no job '{name}'{(nearest is null ? "" : $"; did you mean '{nearest}'?")}");
