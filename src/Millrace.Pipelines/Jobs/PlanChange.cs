using Millrace.Streams.Plans;

namespace Millrace.Pipelines.Jobs;

/// <summary>A difference between the plan that runs and one that shall take its place.</summary>
/// <param name="Part">E.g. <c>sources.orders</c>.</param>
/// <param name="Breaks">True when the kept state cannot go on under the new plan.</param>
public sealed record PlanChange(string Part, string Text, bool Breaks)
{
    /// <summary>What is different between two plans of one name, in the file's order.</summary>
    public static IReadOnlyList<PlanChange> Between(PipelinePlan old, PipelinePlan plan)
    {
        var changes = new List<PlanChange>();
        Compare(changes, "sources", old.Sources, plan.Sources, s => s.Name, CompareSources);
        Compare(changes, "checks", old.Sources, plan.Sources, s => s.Name, CompareChecks, onlyShared: true);
        Compare(changes, "sql", old.Queries, plan.Queries, q => q.Name, CompareQueries);
        Compare(changes, "sinks", old.Sinks, plan.Sinks, NameOf, CompareSinks);
        Compare(changes, "alerts", old.Alerts, plan.Alerts, a => a.Name, CompareAlerts);
        Compare(changes, "sagas", old.Sagas, plan.Sagas, s => s.Name, static (before, now) => before.Steps.SequenceEqual(now.Steps) ? null : ("other steps; sagas that were begun keep theirs", false));
        if (old.Priority != plan.Priority)
            changes.Add(new PlanChange("priority", $"{old.Priority} becomes {plan.Priority}".ToLowerInvariant(), false));
        if (old.Checkpoints != plan.Checkpoints)
            changes.Add(new PlanChange("checkpoint", "other times or sizes", false));
        return changes;
    }

    private static void Compare<T>(
        List<PlanChange> changes, string section, IReadOnlyList<T> old, IReadOnlyList<T> now, Func<T, string> name,
        Func<T, T, (string Text, bool Breaks)?> differ, bool onlyShared = false)
        where T : class
    {
        foreach (var item in now)
        {
            var part = $"{section}.{name(item)}";
            if (old.FirstOrDefault(o => name(o) == name(item)) is { } before)
            {
                if (differ(before, item) is { } change)
                    changes.Add(new PlanChange(part, change.Text, change.Breaks));
            }
            else if (!onlyShared)
            {
                changes.Add(new PlanChange(part, "added", false));
            }
        }
        foreach (var item in old.Where(o => !onlyShared && !now.Any(n => name(n) == name(o))))
        {
            var windowed = item is WindowedQueryPlan;
            changes.Add(new PlanChange($"{section}.{name(item)}", windowed ? "removed, and open windows hold rows" : "removed", windowed));
        }
    }

    private static (string, bool)? CompareSources(SourcePlan old, SourcePlan now)
    {
        // The offsets that were kept are of the old topic; on another one they would skip or repeat rows.
        if (old.Topic != now.Topic || old.Brokers != now.Brokers)
            return ($"reads {now.Topic} at {now.Brokers} instead of {old.Topic} at {old.Brokers}", true);
        // The watermark that was reached is one of the old column's times.
        if (old.TimeColumn != now.TimeColumn)
            return ($"event time from {now.TimeColumn ?? "the record"} instead of {old.TimeColumn ?? "the record"}", true);
        if (!old.Schema.Equals(now.Schema))
            return ("other columns", false);
        var same = old.WatermarkDelay == now.WatermarkDelay && old.IdleAfter == now.IdleAfter
            && old.MaxRecordBytes == now.MaxRecordBytes && old.RefuseUnknownFields == now.RefuseUnknownFields
            && old.Errors == now.Errors && old.Format == now.Format && old.Avro?.WaitsForColumns == now.Avro?.WaitsForColumns;
        return same ? null : ("other options", false);
    }

    private static (string, bool)? CompareChecks(SourcePlan old, SourcePlan now)
    {
        if (!old.Checks.Select(c => c.Text).SequenceEqual(now.Checks.Select(c => c.Text)))
            return ("other rules", false);
        return old.OnFail == now.OnFail && old.Breaker == now.Breaker ? null : ("another action on bad rows", false);
    }

    private static (string, bool)? CompareQueries(QueryPlan old, QueryPlan now)
    {
        if (old is WindowedQueryPlan before)
        {
            if (now is not WindowedQueryPlan after)
                return ("has no windows any more, and open ones hold rows", true);
            // Open windows hold partial rows of the old shape.
            if (before.Size != after.Size || before.PartialSql != after.PartialSql || !before.Partial.SequenceEqual(after.Partial) || before.Input != after.Input)
                return ("its open windows hold rows of another shape", true);
        }
        return old.Sql == now.Sql && old.Input == now.Input ? null : ("other SQL", false);
    }

    private static (string, bool)? CompareSinks(SinkPlan old, SinkPlan now) => (old, now) switch
    {
        (IcebergSinkPlan a, IcebergSinkPlan b) when !a.Key.SequenceEqual(b.Key) => ("another key", false),
        (IcebergSinkPlan a, IcebergSinkPlan b) when a.CommitEvery != b.CommitEvery => ("another commit time", false),
        (IcebergSinkPlan a, IcebergSinkPlan b) when a.Evolve != b.Evolve => (b.Evolve ? "its table evolves" : "its table stays as it is", false),
        (IcebergSinkPlan a, IcebergSinkPlan b) when a.Upkeep != b.Upkeep => ("other snapshots kept, or other file sizes", false),
        (TopicSinkPlan a, TopicSinkPlan b) when a.DeadLetterTopic != b.DeadLetterTopic => ("another dead letter topic", false),
        (TopicSinkPlan a, TopicSinkPlan b) when a.Avro != b.Avro => ("another format or schema", false),
        (TopicSinkPlan a, TopicSinkPlan b) when a.Brokers != b.Brokers || !a.Key.SequenceEqual(b.Key) => ("other brokers or another key", false),
        _ => null,
    };

    private static (string, bool)? CompareAlerts(AlertPlan old, AlertPlan now) =>
        old.Input == now.Input && old.Condition == now.Condition && old.For == now.For && old.Targets.SequenceEqual(now.Targets)
            ? null
            : ("another condition or target", false);

    private static string NameOf(SinkPlan sink) => sink switch
    {
        IcebergSinkPlan table => $"{sink.Input} to iceberg:{table.Namespace}.{table.Table}",
        TopicSinkPlan topic => $"{sink.Input} to topic:{topic.Topic}",
        _ => sink.Input,
    };
}
