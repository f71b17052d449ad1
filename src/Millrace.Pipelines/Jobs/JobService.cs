using Millrace.Columnar;
using Millrace.Pipelines.Linting;
using Millrace.Streams.Plans;
using Millrace.Streams.Running;
using Millrace.Streams.Sql;

namespace Millrace.Pipelines.Jobs;

/// <summary>
/// The pipelines of this process: submitted as files, kept durably, started again with the process when they are wanted. Only files
/// that lint accepts ever run.
/// </summary>
/// <remarks>Thread-safe. Changes of one job follow each other; those of different jobs run side by side.</remarks>
public sealed class JobService : IAsyncDisposable
{
    private readonly JobServiceOptions _options;
    private readonly PipelineStarter _start;
    private readonly JobStore _store;
    private readonly Lock _lock = new();
    private readonly Dictionary<string, JobEntry> _jobs = new(StringComparer.Ordinal);

    /// <summary>Reads the kept jobs; <see cref="ResumeAsync"/> starts those that are wanted.</summary>
    /// <param name="start">Starts a pipeline; the host passes the stream engine's.</param>
    public JobService(JobServiceOptions options, PipelineStarter start)
    {
        _options = options;
        _start = start;
        _store = new JobStore(options.Files, options.DataFolder);
        foreach (var name in _store.List())
            _jobs[name] = Load(name);
    }

    /// <summary>A job came, went or changed its state (then <see cref="Find"/> no longer gives it, or gives the new state). Handlers must not block.</summary>
    public event Action<Job>? Changed;

    /// <summary>All jobs by name.</summary>
    public IReadOnlyList<Job> List()
    {
        lock (_lock)
            return _jobs.Values.Where(j => !j.IsNew).Select(j => j.Now).OrderBy(j => j.Name, StringComparer.Ordinal).ToArray();
    }

    public Job? Find(string name)
    {
        lock (_lock)
            return _jobs.GetValueOrDefault(name) is { IsNew: false } job ? job.Now : null;
    }

    /// <summary>Starts the jobs that ran when the process ended last; returns when each runs or has failed once.</summary>
    public async Task ResumeAsync(CancellationToken cancellation)
    {
        JobEntry[] wanted;
        lock (_lock)
            wanted = _jobs.Values.Where(j => j.Record.Wanted && j.Now.Plan is not null && j.Run is null).ToArray();
        await Task.WhenAll(wanted.Select(async job =>
        {
            await job.Gate.WaitAsync(cancellation);
            try
            {
                await StartAsync(job, cancellation);
            }
            finally
            {
                job.Gate.Release();
            }
        }));
    }

    /// <summary>What <see cref="SubmitAsync"/> would do with the file, without doing it.</summary>
    public async Task<SubmitPreview> PreviewAsync(string yaml, string fileName, CancellationToken cancellation)
    {
        var lint = await LintAsync(yaml, fileName, cancellation);
        var existing = lint.PipelineName is { } name ? Find(name) : null;
        IReadOnlyList<PlanChange> changes = existing?.Plan is { } old && lint.Plan is { } plan ? PlanChange.Between(old, plan) : [];
        return new SubmitPreview(WithBreaks(lint, fileName, changes), lint.Plan, existing, changes);
    }

    /// <summary>
    /// Checks a file and runs it under its name. A job of that name that runs another file is stopped and goes on with the new one, if its
    /// state can. Returns when the pipeline runs or has failed for the first time.
    /// </summary>
    public async Task<SubmitResult> SubmitAsync(string yaml, string fileName, CancellationToken cancellation)
    {
        var lint = await LintAsync(yaml, fileName, cancellation);
        if (lint.Plan is not { } plan)
            return new SubmitResult.Refused(lint.HasErrors ? lint.Diagnostics : [.. lint.Diagnostics, Unknown(fileName)]);
        var job = Reserve(plan.Name);
        await job.Gate.WaitAsync(cancellation);
        try
        {
            if (job.Now.State is JobState.Running or JobState.Starting or JobState.Waiting && job.Record.Yaml == yaml)
                return new SubmitResult.AlreadyRunning(job.Now);
            var changes = job.Now.Plan is { } old && !job.IsNew ? PlanChange.Between(old, plan) : [];
            var diagnostics = WithBreaks(lint, fileName, changes);
            if (changes.Any(c => c.Breaks))
                return new SubmitResult.Refused(diagnostics);
            await StopRunAsync(job);
            var record = new JobRecord(fileName, yaml, _options.Time.GetUtcNow(), Wanted: true, lint.SampledSchemas);
            _store.Write(plan.Name, record);
            job.IsNew = false;
            Change(job, record, j => j with { FileName = fileName, Yaml = yaml, Plan = plan, Failure = null, SubmittedAt = record.SubmittedAt });
            await StartAsync(job, cancellation);
            return new SubmitResult.Accepted(job.Now, lint.Diagnostics, changes);
        }
        finally
        {
            job.Gate.Release();
            DropIfNew(job);
        }
    }

    /// <summary>Stops a job after a last checkpoint; it stays stopped when the process starts again.</summary>
    /// <exception cref="NoSuchJobException"/>
    public Task StopAsync(string name, CancellationToken cancellation) => WithJobAsync(name, async job =>
    {
        ThrowIfUnreadable(job);
        _store.Write(name, job.Record with { Wanted = false });
        Change(job, job.Record with { Wanted = false }, j => j);
        await StopRunAsync(job);
        Change(job, job.Record, j => j with { State = JobState.Stopped });
    }, cancellation);

    /// <summary>Stops a job if it runs and starts it from its last checkpoint; its file is checked again.</summary>
    /// <exception cref="NoSuchJobException"/>
    public Task RestartAsync(string name, CancellationToken cancellation) => WithJobAsync(name, async job =>
    {
        ThrowIfUnreadable(job);
        await StopRunAsync(job);
        var record = job.Record with { Wanted = true };
        _store.Write(name, record);
        var (plan, failure) = await Task.Run(() => PlanOf(record), cancellation);
        Change(job, record, j => j with { Plan = plan, Failure = failure, State = plan is null ? JobState.Failed : j.State });
        if (plan is not null)
            await StartAsync(job, cancellation);
    }, cancellation);

    /// <summary>Stops a job and forgets it with all that it kept. What its sinks wrote stays.</summary>
    /// <exception cref="NoSuchJobException"/>
    public Task RemoveAsync(string name, CancellationToken cancellation) => WithJobAsync(name, async job =>
    {
        await StopRunAsync(job);
        _store.Delete(name);
        lock (_lock)
            _jobs.Remove(name);
        _options.ForgetState(name);
        Changed?.Invoke(job.Now with { State = JobState.Stopped });
    }, cancellation);

    /// <summary>Stops all pipelines after a last checkpoint. Those that ran are started by the next process.</summary>
    public async ValueTask DisposeAsync()
    {
        JobEntry[] all;
        lock (_lock)
            all = [.. _jobs.Values];
        await Task.WhenAll(all.Select(async job =>
        {
            await job.Gate.WaitAsync();
            try
            {
                await StopRunAsync(job);
            }
            finally
            {
                job.Gate.Release();
            }
        }));
    }

    private async Task<LintResult> LintAsync(string yaml, string fileName, CancellationToken cancellation) =>
        await Task.Run(
            () =>
            {
                // The columns that were sampled for a job stay those of the job: a stray record must not change them.
                var context = _options.Context();
                var name = Linter.NameOf(yaml);
                JobEntry? existing;
                lock (_lock)
                    existing = name is null ? null : _jobs.GetValueOrDefault(name);
                return Linter.Lint(yaml, fileName, existing is null || existing.IsNew ? context : context with { KnownSchemas = existing.Record.Schemas });
            },
            cancellation);

    private static IReadOnlyList<Diagnostic> WithBreaks(LintResult lint, string fileName, IReadOnlyList<PlanChange> changes) =>
    [
        .. lint.Diagnostics,
        .. changes.Where(c => c.Breaks).Select(c => new Diagnostic(
            fileName, 1, 1, 1, Severity.Error, "breaks-state", $"{c.Part}: {c.Text}, so the job cannot go on from its state",
            "give the pipeline another name, or remove the job and begin anew", $"./millrace job remove {lint.PipelineName}")),
    ];

    private static Diagnostic Unknown(string fileName) => new(
        fileName, 1, 1, 1, Severity.Error, "unknown-columns", "a pipeline cannot run before its columns are known", "declare a schema for each source");

    private JobEntry Reserve(string name)
    {
        lock (_lock)
        {
            if (!_jobs.TryGetValue(name, out var job))
            {
                var record = new JobRecord("", "", default, Wanted: false, new Dictionary<string, Schema>());
                _jobs[name] = job = new JobEntry(record, new Job(name, "", "", null, null, JobState.Stopped, null, default)) { IsNew = true };
            }
            return job;
        }
    }

    private void DropIfNew(JobEntry job)
    {
        lock (_lock)
        {
            if (job.IsNew)
                _jobs.Remove(job.Now.Name);
        }
    }

    private JobEntry Load(string name)
    {
        try
        {
            var record = _store.Read(name);
            var (plan, failure) = PlanOf(record);
            var state = plan is null ? JobState.Failed : JobState.Stopped;
            return new JobEntry(record, new Job(name, record.FileName, record.Yaml, plan, null, state, failure, record.SubmittedAt));
        }
        catch (InvalidDataException error)
        {
            var record = new JobRecord("", "", default, Wanted: false, new Dictionary<string, Schema>());
            return new JobEntry(record, new Job(name, "", "", null, null, JobState.Failed, error.Message, default));
        }
    }

    private (PipelinePlan? Plan, string? Failure) PlanOf(JobRecord record)
    {
        var lint = Linter.Lint(record.Yaml, record.FileName, _options.Context() with { KnownSchemas = record.Schemas });
        var fault = lint.Diagnostics.FirstOrDefault(d => d.Severity == Severity.Error) ?? (lint.Diagnostics.Count > 0 ? lint.Diagnostics[0] : null);
        return (lint.Plan, lint.Plan is null ? fault?.ToString() : null);
    }

    private async Task StartAsync(JobEntry job, CancellationToken cancellation)
    {
        if (job.Run is not null)
            return;
        job.Run = new JobRun(job.Now.Plan!, _start, _options, (state, running, failure) =>
            Change(job, job.Record, j => j with { State = state, Running = running, Failure = failure }));
        await job.Run.FirstOutcome.WaitAsync(cancellation);
    }

    /// <summary>What is kept of a job whose file is damaged must not be overwritten with nothing.</summary>
    private static void ThrowIfUnreadable(JobEntry job)
    {
        if (job.Record.Yaml.Length == 0)
            throw new InvalidDataException(job.Now.Failure);
    }

    private static async Task StopRunAsync(JobEntry job)
    {
        if (job.Run is not { } run)
            return;
        await run.StopAsync();
        job.Run = null;
    }

    private async Task WithJobAsync(string name, Func<JobEntry, Task> change, CancellationToken cancellation)
    {
        JobEntry? job;
        string[] names;
        lock (_lock)
        {
            job = _jobs.GetValueOrDefault(name);
            names = [.. _jobs.Keys];
        }
        if (job is null)
            throw new NoSuchJobException(name, NearestName.Find(name, names));
        await job.Gate.WaitAsync(cancellation);
        try
        {
            await change(job);
        }
        finally
        {
            job.Gate.Release();
        }
    }

    private void Change(JobEntry job, JobRecord record, Func<Job, Job> change)
    {
        Job now;
        lock (_lock)
        {
            job.Record = record;
            job.Now = now = change(job.Now);
        }
        Changed?.Invoke(now);
    }

    private sealed class JobEntry(JobRecord record, Job now)
    {
        public SemaphoreSlim Gate { get; } = new(1, 1);

        public JobRecord Record { get; set; } = record;

        public Job Now { get; set; } = now;

        /// <summary>Reserved by a submission that has not been accepted yet.</summary>
        public bool IsNew { get; set; }

        public JobRun? Run { get; set; }
    }
}
