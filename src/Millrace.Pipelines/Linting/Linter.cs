using System.Text.RegularExpressions;
using Millrace.Columnar;
using Millrace.Pipelines.Files;
using Millrace.Pipelines.Language;
using Millrace.Streams.Plans;
using Millrace.Streams.Sql;

namespace Millrace.Pipelines.Linting;

/// <summary>
/// Checks a pipeline file and makes its plan: what <c>millrace lint</c>, <c>plan</c> and <c>run</c> begin with. Tells as many faults
/// at once as can be told without guessing.
/// </summary>
public static partial class Linter
{
    /// <summary>Checks a file's text. Thread-safe; takes some 30 ms, and the sampler's time when columns are not declared.</summary>
    /// <param name="fileName">As it shall stand in diagnostics.</param>
    public static LintResult Lint(string yaml, string fileName, LintContext context)
    {
        var faults = new DiagnosticBag(new SourceText(fileName, yaml));
        var file = new FileBinder(faults).Bind(fileName);
        if (file is null)
            return new LintResult(faults.InOrder(), null, new Dictionary<string, Schema>());
        using var analyzer = new SqlAnalyzer();
        var lint = new FileLint(file, fileName, context, faults, analyzer);
        var plan = lint.Run();
        return new LintResult(faults.InOrder(), faults.HasErrors ? null : plan, lint.Sampled) { PipelineName = file.Pipeline?.Value };
    }

    /// <summary>The pipeline's name that a file gives, or null when it gives none.</summary>
    public static string? NameOf(string yaml) =>
        new FileBinder(new DiagnosticBag(new SourceText("", yaml))).Bind("")?.Pipeline?.Value;

    /// <summary>The sagas of a file alone, without a look at its sources: what <c>millrace saga run</c> needs.</summary>
    public static (IReadOnlyList<Diagnostic> Diagnostics, IReadOnlyList<SagaPlan> Sagas) SagasOf(string yaml, string fileName)
    {
        var faults = new DiagnosticBag(new SourceText(fileName, yaml));
        var sagas = new FileBinder(faults).Bind(fileName) is { } file ? new SagaRules(file, faults).Lint() : [];
        return (faults.InOrder(), sagas);
    }

    /// <summary>A text with its <c>${...}</c> filled in, as it stands within JSON strings and addresses.</summary>
    public static string Fill(string text, IReadOnlyDictionary<string, string> values, Func<string, string> escape)
    {
        ArgumentNullException.ThrowIfNull(values);
        return SagaRules.Parameter().Replace(text, m => escape(values[m.Groups[1].Value]));
    }

    /// <summary>Whether a text can name a pipeline, a source or a step.</summary>
    internal static bool IsName(string text) => NamePattern().IsMatch(text);

    internal static string SuggestName(string text)
    {
        var name = NotInName().Replace(text.Trim().ToLowerInvariant(), "_").Trim('_');
        return name.Length == 0 ? "orders" : char.IsAsciiDigit(name[0]) ? "p" + name : name.Length > 63 ? name[..63] : name;
    }

    [GeneratedRegex("^[a-z][a-z0-9_]{0,62}$")]
    private static partial Regex NamePattern();

    [GeneratedRegex("[^a-z0-9]+")]
    private static partial Regex NotInName();
}

/// <summary>One run of the linter over one file.</summary>
internal sealed class FileLint(PipelineFile file, string fileName, LintContext context, DiagnosticBag faults, SqlAnalyzer analyzer)
{
    /// <summary>Columns that were found by sampling, by source.</summary>
    public Dictionary<string, Schema> Sampled { get; } = [];

    public PipelinePlan? Run()
    {
        CheckNames();
        var sources = new SourceRules(file, context, faults, Sampled).Lint();
        var queries = new QueryRules(file, faults, analyzer).Lint(sources);
        var outputs = new Outputs(sources, queries, file);
        var sinks = new SinkRules(file, context, faults).Lint(outputs, sources);
        var alerts = new AlertRules(file, fileName, context, faults, analyzer).Lint(outputs);
        var sagas = new SagaRules(file, faults).Lint();
        var checkpoints = LintCheckpoint();
        WarnOfUnread(sources, queries, sinks);
        if (faults.HasErrors || sources.Any(s => s.Plan is null))
            return null;
        return new PipelinePlan
        {
            Name = file.Pipeline!.Value,
            Description = file.Description?.Value,
            Priority = file.Priority?.Value switch { "low" => Priority.Low, "high" => Priority.High, _ => Priority.Normal },
            Sources = sources.Select(s => s.Plan!).ToArray(),
            Queries = queries.Select(q => q.Analysis!.Plan).ToArray(),
            Sinks = sinks,
            Alerts = alerts,
            Sagas = sagas,
            Checkpoints = checkpoints,
        };
    }

    private void CheckNames()
    {
        if (file.Pipeline is { } name)
            CheckName(name, "a pipeline's name");
        var taken = new Dictionary<string, string>();
        foreach (var source in file.Sources.Entries)
        {
            CheckName(source.Name, "a source's name");
            taken[source.Name.Value] = "source";
        }
        foreach (var query in file.Sql.Entries)
        {
            CheckName(query.Name, "a step's name");
            if (taken.TryGetValue(query.Name.Value, out var other))
                faults.Error(query.Name.Place, "duplicate-name", $"'{query.Name.Value}' is already the name of a {other}", "steps and sources are read by one name each");
        }
        foreach (var alert in file.Alerts.Entries)
            CheckName(alert.Name, "an alert's name");
        if (file.Sources.Entries.Count == 0 && !faults.HasErrors)
            faults.Error(file.Pipeline?.Place ?? new Place(1, 1, 1), "missing-field", "the pipeline has no sources", "sources: {orders: kafka:orders?time=ts}", "./millrace topic list");
    }

    private void CheckName(Text name, string what)
    {
        if (!Linter.IsName(name.Value))
            faults.Error(name.Place, "bad-name", $"{what} has small letters, digits and _, begins with a letter and is at most 63 long", $"e.g. {Linter.SuggestName(name.Value)}");
    }

    private CheckpointOptions LintCheckpoint()
    {
        var options = new CheckpointOptions();
        if (file.Checkpoint?.Every is { } every && Durations.Read(every.Value, every.Place, faults) is { } span)
            options = options with { Every = span };
        if (file.Checkpoint?.MaxPending is { } most)
        {
            if (ByteSizeText.TryParse(most.Value, out var bytes))
                options = options with { MaxPendingBytes = bytes };
            else
                faults.Error(most.Place, "bad-size", $"'{most.Value}' is not a size", ByteSizeText.Hint);
        }
        return options;
    }

    private void WarnOfUnread(IReadOnlyList<LintedSource> sources, IReadOnlyList<LintedQuery> queries, IReadOnlyList<SinkPlan> sinks)
    {
        if (faults.HasErrors)
            return;
        var read = queries.Select(q => q.Step?.Input).Concat(sinks.Select(s => s.Input)).ToHashSet();
        foreach (var source in sources.Where(s => !read.Contains(s.Name)))
            faults.Warning(source.NameText.Place, "unread", $"no step and no sink reads '{source.Name}'; its rows are checked and counted only");
    }
}

/// <summary>Reads durations with a diagnostic.</summary>
internal static class Durations
{
    public static TimeSpan? Read(string text, Place at, DiagnosticBag faults)
    {
        if (DurationText.TryParse(text, out var duration, out var problem))
            return duration;
        faults.Error(at, "bad-duration", problem, DurationText.Hint);
        return null;
    }
}

/// <summary>A source of the file; without a plan when something is wrong or its columns are unknown.</summary>
internal sealed record LintedSource(Text NameText, SourcePlan? Plan)
{
    public string Name => NameText.Value;
}

/// <summary>A SQL step of the file; without an analysis when something is wrong with it or before it.</summary>
internal sealed record LintedQuery(Text NameText, SqlStep? Step, SqlAnalysis? Analysis)
{
    public string Name => NameText.Value;
}

/// <summary>What sinks and alerts can read.</summary>
internal sealed class Outputs(IReadOnlyList<LintedSource> sources, IReadOnlyList<LintedQuery> queries, PipelineFile file)
{
    public IReadOnlyList<string> Names { get; } = file.Sql.Entries.Select(q => q.Name.Value).Concat(file.Sources.Entries.Select(s => s.Name.Value)).ToArray();

    /// <summary>Names with columns, steps before sources.</summary>
    public IEnumerable<(string Name, Schema Columns)> Known =>
        queries.Where(q => q.Analysis is not null).Select(q => (q.Name, q.Analysis!.Plan.Output))
            .Concat(sources.Where(s => s.Plan is not null).Select(s => (s.Name, GoodRowsOf(s.Plan!))));

    // A raw sink does not get the Kafka timestamp that SQL steps see.
    private static Schema GoodRowsOf(SourcePlan source) => new(SqlInput.Of(source).Columns.Fields.Where(f => source.Schema.IndexOf(f.Name) >= 0).ToArray());

    public Schema? ColumnsOf(string name) => Known.FirstOrDefault(o => o.Name == name).Columns;

    public SqlAnalysis? QueryOf(string name) => queries.FirstOrDefault(q => q.Name == name)?.Analysis;
}
