using Millrace.Pipelines.Files;
using Millrace.Pipelines.Graph;
using Millrace.Pipelines.Jobs;
using Millrace.Pipelines.Linting;
using Millrace.Streams.Plans;
using Millrace.WebConsole.Seams;
using Millrace.WebConsole.Wire;
using PlanEdge = Millrace.WebConsole.Wire.PlanEdge;
using PlanNode = Millrace.WebConsole.Wire.PlanNode;

namespace Millrace.Host.Platform.Seams;

/// <summary>The job service for the console.</summary>
internal sealed class JobSeam : IJobs
{
    private const string FileName = "pipeline.yaml";
    private readonly JobService _jobs;

    public JobSeam(JobService jobs)
    {
        _jobs = jobs;
        jobs.Changed += _ => Changed?.Invoke();
    }

    public event Action? Changed;

    public string FileSchema => PipelineSchema.Json;

    public IReadOnlyList<JobEntry> List() => [.. _jobs.List().Select(Entry)];

    public JobEntry? Find(string name) => _jobs.Find(name) is { } job ? Entry(job) : null;

    public async Task<SubmitAnswer> SubmitAsync(string file, bool dryRun, CancellationToken cancellation)
    {
        if (dryRun)
        {
            var preview = await _jobs.PreviewAsync(file, FileName, cancellation);
            return new SubmitAnswer(preview.Plan?.Name, preview.Accepted, Describe(preview.Diagnostics), Describe(preview.Changes), preview.Existing is not null);
        }
        return await _jobs.SubmitAsync(file, FileName, cancellation) switch
        {
            SubmitResult.Accepted accepted => new SubmitAnswer(accepted.Job.Name, true, Describe(accepted.Warnings), Describe(accepted.Changes)),
            SubmitResult.Refused refused => new SubmitAnswer(null, false, Describe(refused.Diagnostics)),
            SubmitResult.AlreadyRunning running => throw new ConsoleException(
                409, "Already running", $"the job '{running.Job.Name}' runs with this very file", $"see: ./millrace job show {running.Job.Name}"),
            var other => throw new InvalidOperationException($"unknown result {other}"),
        };
    }

    public async Task<IReadOnlyList<DiagnosticInfo>> LintAsync(string file, CancellationToken cancellation) =>
        Describe((await _jobs.PreviewAsync(file, FileName, cancellation)).Diagnostics);

    public Task StopAsync(string name, CancellationToken cancellation) => Known(() => _jobs.StopAsync(name, cancellation));

    public Task RestartAsync(string name, CancellationToken cancellation) => Known(() => _jobs.RestartAsync(name, cancellation));

    public Task RemoveAsync(string name, CancellationToken cancellation) => Known(() => _jobs.RemoveAsync(name, cancellation));

    public PlanInfo Graph(JobEntry job)
    {
        var graph = PlanGraph.Of(job.Plan, job.Running?.Status);
        return new PlanInfo(
            [.. graph.Nodes.Select(n => new PlanNode(n.Id, n.Kind, n.Name, n.Detail, n.RunsOn))],
            [.. graph.Edges.Select(e => new PlanEdge(e.From, e.To, e.Label))]);
    }

    /// <summary>A job whose file does not lint any more has no plan; it is shown with the reason, not hidden.</summary>
    private static JobEntry Entry(Job job) => new(
        job.Name, job.Plan ?? new PipelinePlan { Name = job.Name, Sources = [], Queries = [], Sinks = [] }, job.Yaml, job.SubmittedAt, job.Running,
        job.Failure, job.State.ToString().ToLowerInvariant());

    private static PlanChangeInfo[] Describe(IReadOnlyList<PlanChange> changes) => [.. changes.Select(c => new PlanChangeInfo(c.Part, c.Text, c.Breaks))];

    private static DiagnosticInfo[] Describe(IReadOnlyList<Diagnostic> diagnostics) =>
    [
        .. diagnostics.Select(d => new DiagnosticInfo(
            d.Severity == Severity.Error ? "error" : "warning", d.Message, d.Line, d.Column, d.Length, d.Hint, d.Code, d.Next)),
    ];

    private static async Task Known(Func<Task> change)
    {
        try
        {
            await change();
        }
        catch (NoSuchJobException missing)
        {
            throw new ConsoleException(404, "No such job", missing.Message, "see: ./millrace job list");
        }
        catch (InvalidDataException damaged)
        {
            throw new ConsoleException(409, "Damaged job", damaged.Message);
        }
    }
}
