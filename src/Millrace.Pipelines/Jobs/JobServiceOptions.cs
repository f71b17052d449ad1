using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Pipelines.Linting;
using Millrace.Storage.Files;

namespace Millrace.Pipelines.Jobs;

/// <summary>Where jobs are kept and how failures are met.</summary>
public sealed record JobServiceOptions
{
    /// <summary>The data folder; jobs lie in <c>jobs/</c> below it.</summary>
    public required string DataFolder { get; init; }

    /// <summary>What the linter knows when a file is submitted or started again.</summary>
    public Func<LintContext> Context { get; init; } = () => new LintContext();

    /// <summary>Deletes what a removed job's pipeline kept (its state folder), by the job's name.</summary>
    public Action<string> ForgetState { get; init; } = _ => { };

    /// <summary>Wait before the first restart of a failed pipeline; it doubles with each failure.</summary>
    public TimeSpan FirstBackoff { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>The longest wait between two restarts.</summary>
    public TimeSpan LongestBackoff { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>A pipeline that ran so long counts as recovered: the next failure waits the first backoff again.</summary>
    public TimeSpan RecoveredAfter { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>Failures in a row after which a job is given up.</summary>
    public int MostRestarts { get; init; } = 100;

    /// <summary>How long a pipeline may take for its last checkpoint when it is stopped.</summary>
    public TimeSpan StopWithin { get; init; } = TimeSpan.FromSeconds(30);

    public IFileSystem Files { get; init; } = DiskFileSystem.Instance;

    public TimeProvider Time { get; init; } = TimeProvider.System;

    public ILogger Log { get; init; } = NullLogger.Instance;
}
