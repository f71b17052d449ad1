using Millrace.WebConsole.Wire;
using Millrace.Streams.Plans;
using Millrace.Streams.Running;

namespace Millrace.WebConsole.Seams;

/// <summary>Pipelines that were submitted.</summary>
public interface IJobs
{
    /// <summary>A job came, went, or changed its state. Handlers must not block.</summary>
    event Action? Changed;

    IReadOnlyList<JobEntry> List();

    JobEntry? Find(string name);

    /// <summary>Checks the file; without errors and unless <paramref name="dryRun"/>, starts it.</summary>
    /// <exception cref="ConsoleException">E.g. a job of that name runs.</exception>
    Task<SubmitAnswer> SubmitAsync(string file, bool dryRun, CancellationToken cancellation);

    /// <summary>The file's faults and warnings.</summary>
    Task<IReadOnlyList<DiagnosticInfo>> LintAsync(string file, CancellationToken cancellation);

    /// <exception cref="ConsoleException">No such job.</exception>
    Task StopAsync(string name, CancellationToken cancellation);

    /// <exception cref="ConsoleException">No such job.</exception>
    Task RestartAsync(string name, CancellationToken cancellation);

    /// <summary>Stops the job and forgets it with its state.</summary>
    /// <exception cref="ConsoleException">No such job.</exception>
    Task RemoveAsync(string name, CancellationToken cancellation);

    /// <summary>The job's steps and how rows flow between them.</summary>
    PlanInfo Graph(JobEntry job);

    /// <summary>The JSON Schema of the pipeline file.</summary>
    string FileSchema { get; }
}

/// <param name="File">The pipeline file as submitted.</param>
/// <param name="Running">Null when the job is stopped.</param>
/// <param name="Reason">Why a job without a running pipeline stopped, when it failed.</param>
/// <param name="State">What a job without a running pipeline does, e.g. <c>waiting</c>; null takes stopped, or failed where there is a reason.</param>
public sealed record JobEntry(
    string Name, PipelinePlan Plan, string File, DateTimeOffset SubmittedAt, IRunningPipeline? Running, string? Reason = null,
    string? State = null);

/// <param name="Name">The job's name when the file could be read so far.</param>
/// <param name="Accepted">True when nothing is wrong; the job runs unless it was a dry run.</param>
/// <param name="Changes">What is different from the job that has the name.</param>
/// <param name="Replaces">True when a job has the name already.</param>
public sealed record SubmitAnswer(
    string? Name, bool Accepted, IReadOnlyList<DiagnosticInfo> Diagnostics, IReadOnlyList<PlanChangeInfo>? Changes = null, bool Replaces = false);
