using Millrace.Streams.Checkpoints;
using Millrace.Streams.Plans;
using Millrace.Streams.Windows;

namespace Millrace.Streams.Running;

/// <summary>Says whether a plan can go on from a checkpoint that another plan of the same name made.</summary>
internal static class PlanFingerprint
{
    private const string Advice = "give the pipeline a new name, or move its state folder away to begin anew (its tables must then be new too)";

    /// <summary>What must stay the same while a windowed query's rows are stored.</summary>
    public static string Of(WindowedQueryPlan query) =>
        $"{query.Size.Ticks} over {query.Input}: {new PartialLayout(query.Partial).Fingerprint} by {query.PartialSql}";

    /// <exception cref="IncompatiblePlanException">Going on would mix rows of two meanings, or lose rows that are owed.</exception>
    public static void Check(PipelinePlan plan, CheckpointRecord record, string folder)
    {
        var faults = new List<string>();
        foreach (var source in plan.Sources)
        {
            if (record.Sources.GetValueOrDefault(source.Name) is not { } known)
                continue;
            if (known.Topic != source.Topic)
                faults.Add($"source {source.Name} reads topic {source.Topic}, the state knows offsets of {known.Topic}");
            if (known.TimeColumn != source.TimeColumn)
                faults.Add($"source {source.Name} takes event time from {source.TimeColumn ?? "Kafka"}, before from {known.TimeColumn ?? "Kafka"}");
        }
        foreach (var query in plan.Queries.OfType<WindowedQueryPlan>())
        {
            if (record.Queries.GetValueOrDefault(query.Name) is { Layout: { } layout } && layout != Of(query))
                faults.Add($"query {query.Name} is another one, and windows of the old one are open");
        }
        var names = plan.Queries.Select(q => q.Name).ToHashSet(StringComparer.Ordinal);
        foreach (var (name, query) in record.Queries)
        {
            if (query.Layout is not null && !names.Contains(name))
                faults.Add($"query {name} is gone, and its windows are open");
        }
        var tables = plan.Sinks.OfType<IcebergSinkPlan>().Select(PipelineSession.NameOf).ToHashSet(StringComparer.Ordinal);
        foreach (var (name, table) in record.Tables)
        {
            if (table.Staged.Count > 0 && !tables.Contains(name))
                faults.Add($"{name} is no sink any more, and {table.Staged.Sum(s => s.Rows)} rows wait for it");
        }
        var topics = PipelineSession.TopicsOf(plan).Select(t => t.Name).ToHashSet(StringComparer.Ordinal);
        foreach (var (name, topic) in record.Topics)
        {
            if (topic.Owed.Count > 0 && !topics.Contains(name))
                faults.Add($"{name} is no sink any more, and {topic.Owed.Sum(o => o.Rows)} rows wait for it");
        }
        if (faults.Count > 0)
            throw new IncompatiblePlanException(plan.Name, $"{string.Join("; ", faults)} (state in {folder}); {Advice}");
    }
}

/// <summary>A plan cannot go on from the state that is there.</summary>
public sealed class IncompatiblePlanException(string pipeline, string detail)
    : PipelineRefusedException($"pipeline {pipeline} cannot go on from its last checkpoint: {detail}");
