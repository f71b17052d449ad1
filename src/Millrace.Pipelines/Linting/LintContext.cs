using Millrace.Columnar;
using Millrace.Iceberg.Metadata;
using Millrace.Schemas;
using Millrace.Streams.Plans;

namespace Millrace.Pipelines.Linting;

/// <summary>What the linter knows of the world around a file.</summary>
public sealed record LintContext
{
    /// <summary>The embedded log's address: the brokers of sources and sinks that name none.</summary>
    public string Brokers { get; init; } = "127.0.0.1:9092";

    /// <summary>Whom alerts can be told, by the names under <c>targets:</c> in millrace.yaml.</summary>
    public IReadOnlyDictionary<string, AlertTarget> Targets { get; init; } = new Dictionary<string, AlertTarget>();

    /// <summary>Reads the newest records of a topic, to find columns that the file does not declare; null when offline.</summary>
    public Func<TopicAddress, TopicSample>? Sampler { get; init; }

    /// <summary>The schema registry of Avro sources that name none.</summary>
    public Uri Registry { get; init; } = new("http://127.0.0.1:8080/schema-registry");

    /// <summary>Reads the newest version of a subject; null when offline.</summary>
    public Func<SubjectAddress, SubjectSample>? Subjects { get; init; }

    /// <summary>A table as it is, by namespace and name; null when there is none or it cannot be read. Null: tables are not looked at.</summary>
    public Func<string, string, TableMetadata?>? Tables { get; init; }

    /// <summary>Columns found by an earlier sampling and kept with the job, by source.</summary>
    public IReadOnlyDictionary<string, Schema> KnownSchemas { get; init; } = new Dictionary<string, Schema>();
}

public sealed record TopicAddress(string Brokers, string Topic);

public sealed record SubjectAddress(Uri Registry, string Subject);

/// <param name="Schema">The newest version, or null.</param>
/// <param name="Problem">Why there is none.</param>
/// <param name="Unreachable">No registry answered.</param>
public sealed record SubjectSample(SchemaWithReferences? Schema, string? Problem = null, bool Unreachable = false);

/// <param name="Records">Values of the newest records.</param>
/// <param name="Problem">Why there are none, e.g. <c>topic 'orders' does not exist</c>.</param>
/// <param name="Unreachable">No broker answered: the file is then checked as far as it can be, with a warning.</param>
public sealed record TopicSample(IReadOnlyList<byte[]> Records, string? Problem = null, bool Unreachable = false);

/// <summary>What the linter found.</summary>
/// <param name="Diagnostics">In the file's order.</param>
/// <param name="Plan">The pipeline, ready to run; null when there are errors or columns are unknown.</param>
/// <param name="SampledSchemas">The columns of sources that declare none, to be kept with the job.</param>
public sealed record LintResult(
    IReadOnlyList<Diagnostic> Diagnostics, PipelinePlan? Plan, IReadOnlyDictionary<string, Schema> SampledSchemas)
{
    public bool HasErrors => Diagnostics.Any(d => d.Severity == Severity.Error);

    /// <summary>The pipeline's name as the file says it, even when it has other errors.</summary>
    public string? PipelineName { get; init; }
}
