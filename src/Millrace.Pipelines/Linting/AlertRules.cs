using Millrace.Pipelines.Files;
using Millrace.Pipelines.Language;
using Millrace.Streams.Plans;
using Millrace.Streams.Sql;

namespace Millrace.Pipelines.Linting;

/// <summary>Alerts: their conditions, the output that they read, and who is told.</summary>
internal sealed class AlertRules(PipelineFile file, string fileName, LintContext context, DiagnosticBag faults, SqlAnalyzer analyzer)
{
    public IReadOnlyList<AlertPlan> Lint(Outputs outputs)
    {
        var alerts = new List<AlertPlan>();
        foreach (var entry in file.Alerts.Entries)
        {
            var targets = (entry.Value.To?.Items ?? []).Select(LintTarget).OfType<AlertTarget>().ToArray();
            if (entry.Value.When is not { } when)
                continue;
            var found = new List<TextFault>();
            var parsed = AlertText.Parse(when.Value, found);
            Places.Tell(when, found, faults);
            if (parsed is null || FindOutput(entry, when, parsed, outputs) is not { } output)
                continue;
            alerts.Add(new AlertPlan(
                entry.Name.Value, output, parsed.Condition, parsed.For ?? TimeSpan.Zero, targets.Length > 0 ? targets : [new AlertTarget.Log()]));
        }
        return alerts;
    }

    private string? FindOutput(FileEntry<AlertEntry> entry, Text when, AlertText parsed, Outputs outputs)
    {
        if (entry.Value.Output is { } named)
        {
            if (!outputs.Names.Contains(named.Value))
            {
                faults.Error(named.Place, "unknown-output", $"there is no source or step '{named.Value}'", NearestName.Hint(named.Value, outputs.Names, "there are"));
                return null;
            }
            return outputs.ColumnsOf(named.Value) is { } columns && Fits(parsed, columns, when, tell: true) ? named.Value : null;
        }
        var known = outputs.Known.ToArray();
        if (known.Length == 0 || known.Length < outputs.Names.Count && file.Sql.Entries.Count != 1)
            return null;
        var fitting = known.Where(o => Fits(parsed, o.Columns, when, tell: false)).Select(o => o.Name).ToArray();
        var steps = fitting.Where(n => outputs.QueryOf(n) is not null).ToArray();
        if (steps.Length == 1 || (steps.Length == 0 && fitting.Length == 1))
            return steps.Length == 1 ? steps[0] : fitting[0];
        if (fitting.Length == 0)
        {
            // Told against the first output: the last step's columns are most likely meant.
            var likely = known.LastOrDefault(o => outputs.QueryOf(o.Name) is not null);
            Fits(parsed, (likely.Columns is null ? known[0] : likely).Columns, when, tell: true);
            return null;
        }
        faults.Error(
            entry.Name.Place, "ambiguous", $"{string.Join(" and ", fitting)} have the columns of this condition", $"say which: {entry.Name.Value}: {{when: ..., output: {fitting[0]}}}");
        return null;
    }

    private bool Fits(AlertText parsed, Millrace.Columnar.Schema columns, Text when, bool tell)
    {
        var found = new List<TextFault>();
        var fits = analyzer.CheckCondition(parsed.Condition, columns, found);
        if (tell)
            Places.Tell(when, found, faults, parsed.ConditionSpan.Offset);
        return fits;
    }

    private AlertTarget? LintTarget(Text text)
    {
        if (text.Value == "log")
            return new AlertTarget.Log();
        if (context.Targets.TryGetValue(text.Value, out var named))
            return named;
        var colon = text.Value.IndexOf(':', StringComparison.Ordinal);
        var (scheme, rest) = colon < 0 ? ("", text.Value) : (text.Value[..colon], text.Value[(colon + 1)..]);
        if (scheme == "webhook" && (rest.StartsWith("http:", StringComparison.Ordinal) || rest.StartsWith("https:", StringComparison.Ordinal)))
        {
            if (Uri.TryCreate(rest, UriKind.Absolute, out var address) && address.Host.Length > 0)
                return new AlertTarget.Webhook(address.Host, address);
            faults.Error(text.At(colon + 1, rest.Length), "bad-address", "this is not a web address", "webhook:https://host/path");
            return null;
        }
        if (scheme is "slack" or "webhook" && rest.Length > 0)
        {
            if (context.Targets.TryGetValue(rest, out named))
                return named;
            var nearest = NearestName.Find(text.Value, context.Targets.Keys) ?? (NearestName.Find(rest, context.Targets.Keys) is { } bare ? $"{scheme}:{bare}" : null);
            // A laptop has no Slack: the file still runs, and the alert is told where it can be.
            faults.Warning(
                text.Place, "unknown-target", $"no target '{rest}' stands in millrace.yaml; the alert goes to the log",
                nearest is not null ? $"did you mean '{nearest}'?" : $"in millrace.yaml: targets: {{{scheme}: {{{rest}: https://...}}}}", "./millrace doctor");
            return new AlertTarget.Log();
        }
        faults.Error(
            text.Place, "unknown-target", $"'{text.Value}' is nobody to tell",
            NearestName.Hint(text.Value, context.Targets.Keys.Append("log").ToArray(), "targets are") + "; or webhook:https://..., slack:NAME", $"./millrace lint {fileName}");
        return null;
    }
}
