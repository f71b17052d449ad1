using Millrace.Pipelines.Files;
using Millrace.Streams.Plans;
using Millrace.Streams.Sql;

namespace Millrace.Pipelines.Linting;

/// <summary>SQL steps: what they read, in which order they run, and what they are.</summary>
internal sealed class QueryRules(PipelineFile file, DiagnosticBag faults, SqlAnalyzer analyzer)
{
    /// <summary>The steps in order of dependency; those in a cycle come last, without analysis.</summary>
    public IReadOnlyList<LintedQuery> Lint(IReadOnlyList<LintedSource> sources)
    {
        var parsed = file.Sql.Entries.Select(e => (Entry: e, Step: Parse(e.Value))).ToList();
        var names = sources.Select(s => s.Name).Concat(parsed.Select(p => p.Entry.Name.Value)).ToArray();
        var inputs = sources.Where(s => s.Plan is not null).ToDictionary(s => s.Name, s => SqlInput.Of(s.Plan!));
        var windows = new Dictionary<string, TimeSpan>();
        var done = new List<LintedQuery>();
        foreach (var (entry, step) in parsed.Where(p => p.Step is not null && !names.Contains(p.Step.Input)))
        {
            faults.Error(
                entry.Value.At(step!.InputSpan.Offset, step.InputSpan.Length), "unknown-source", $"there is no source or step '{step.Input}'",
                NearestName.Hint(step.Input, names.Where(n => n != entry.Name.Value).ToArray(), "there are"));
        }
        TellCycles(parsed);
        while (parsed.Count > 0)
        {
            var next = parsed.FindIndex(p => p.Step is null || !parsed.Exists(other => other.Entry.Name.Value == p.Step.Input));
            if (next < 0)
                break;
            var (entry, step) = parsed[next];
            parsed.RemoveAt(next);
            var analysis = step is not null && inputs.TryGetValue(step.Input, out var input) ? Analyze(entry, step, input, windows) : null;
            if (analysis is not null)
                inputs[entry.Name.Value] = analysis.AsInput;
            done.Add(new LintedQuery(entry.Name, step, analysis));
        }
        done.AddRange(parsed.Select(p => new LintedQuery(p.Entry.Name, p.Step, null)));
        return done;
    }

    private SqlStep? Parse(Text sql)
    {
        var found = new List<TextFault>();
        var step = analyzer.Parse(sql.Value, found);
        Places.Tell(sql, found, faults);
        return step;
    }

    private SqlAnalysis? Analyze(FileEntry<Text> entry, SqlStep step, SqlInput input, Dictionary<string, TimeSpan> windows)
    {
        var found = new List<TextFault>();
        var inner = windows.GetValueOrDefault(step.Input);
        if (step.WindowSize is { } size && inner > TimeSpan.Zero && size.Ticks % inner.Ticks != 0)
        {
            found.Add(new TextFault(
                step.InputSpan.Offset, step.InputSpan.Length, "bad-window",
                $"windows of {DurationText.Write(size)} cannot be made of '{step.Input}', whose windows are {DurationText.Write(inner)}", "use a multiple"));
        }
        var analysis = analyzer.Analyze(entry.Name.Value, step, input, found);
        Places.Tell(entry.Value, found, faults);
        if (found.Count > 0 || analysis is null)
            return null;
        if (analysis.Plan is WindowedQueryPlan windowed)
            windows[entry.Name.Value] = windowed.Size;
        else if (inner > TimeSpan.Zero)
            windows[entry.Name.Value] = inner;
        return analysis;
    }

    private void TellCycles(List<(FileEntry<Text> Entry, SqlStep? Step)> parsed)
    {
        var told = new HashSet<string>();
        foreach (var (start, _) in parsed)
        {
            var path = new List<string>();
            var at = start.Name.Value;
            while (!path.Contains(at) && parsed.Find(p => p.Entry.Name.Value == at).Step is { } step)
            {
                path.Add(at);
                at = step.Input;
            }
            if (at != start.Name.Value || path.Count == 0 || !told.Add(string.Join(' ', path.Order(StringComparer.Ordinal))))
                continue;
            var first = parsed.Find(p => p.Entry.Name.Value == start.Name.Value);
            var cycle = path.Count == 1 ? $"'{at}' reads itself" : $"steps read each other in a circle: {string.Join(" reads ", path.Append(at))}";
            faults.Error(first.Entry.Value.At(first.Step!.InputSpan.Offset, first.Step.InputSpan.Length), "cycle", cycle, "let one of them read a source");
        }
    }
}
